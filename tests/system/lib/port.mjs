// The way in which all tests choose a server's port.

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const PORT_MIN = 20000;
const PORT_END = 32000;

/**
 * A port that was free a moment ago. It is below those that the kernel gives to who connects: one of these may be
 * some client's own by the time a server is started again on it, and a client that tries it again and again while
 * nobody listens there is connected to itself one day.
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_END);
    const probe = createServer().listen(port, '127.0.0.1');
    try {
      await once(probe, 'listening');
    } catch (error) {
      if (error.code === 'EADDRINUSE') {
        continue;
      }
      throw error;
    }
    probe.close();
    await once(probe, 'close');
    return port;
  }
}
