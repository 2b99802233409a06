// A reader behind a slow network: our server lags it and does not read it meanwhile, but goes on with its pings, by which
// clients tell whether the server is there. Everything arrives, and nobody is disconnected.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { io } from 'socket.io-client';
import { serverIsNode, startServer } from './lib/server.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const PING_MS = 3000;
const COUNT = 36000;
const BYTES = 1000;
const STEP_MS = 10;
// 4 MB a second: half as long again as the client waits for a ping. What the kernels hold before a ping, some MB, must go
// within pingTimeout all the same: no server can overtake that.
const BYTES_PER_STEP = 40000;

/** A proxy whose way down is slow; returns its port. */
async function slowProxy(port) {
  const proxy = createServer((client) => {
    const server = createConnection(port, '127.0.0.1');
    const ends = [client, server];
    for (const end of ends) {
      end.on('error', () => {});
      end.on('close', () => ends.forEach((each) => each.destroy()));
    }
    client.on('data', (data) => server.write(data));
    const timer = setInterval(() => {
      const data = server.read(Math.min(server.readableLength, BYTES_PER_STEP));
      if (data) {
        client.write(data);
      }
    }, STEP_MS);
    client.on('close', () => clearInterval(timer));
    server.on('readable', () => {});
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  proxy.unref();
  return proxy.address().port;
}

test('a reader that lags for longer than pingInterval + pingTimeout gets everything and stays', async (t) => {
  const server = await startServer('probe', {
    PING_INTERVAL: String(PING_MS), PING_TIMEOUT: String(PING_MS), QUEUE_MAX: '134217728',
  });
  const socket = io(`http://127.0.0.1:${await slowProxy(server.port)}`, {
    transports: ['websocket'], reconnection: false, forceNew: true,
  });
  let got = 0;
  let gone = null;
  socket.on('disconnect', (reason) => (gone = reason));
  socket.on('flood', (i) => {
    assert.equal(i, got);
    got++;
  });
  await once(socket, 'connect');
  socket.emit('flood', COUNT, BYTES);
  await until(() => gone || got === COUNT, 'all of the flood', 30000);
  assert.equal(gone, null);
  assert.equal(got, COUNT);
  if (!serverIsNode()) {
    await until(() => server.lines(/^drained/).length > 0, 'the server to say that it has drained');
    assert.ok(server.lines(/^lagging/).length > 0);
  }
  assert.equal(await socket.emitWithAck('echo', 'read again'), 'read again');
  /* It is pinged, and its pongs are heard, for two rounds more. */
  let pings = 0;
  socket.io.engine.on('ping', () => pings++);
  await until(() => gone || pings === 2, 'two more pings');
  assert.equal(gone, null);
  socket.close();
  await server.stop();
}, { timeout_ms: 60000 });

await run();
