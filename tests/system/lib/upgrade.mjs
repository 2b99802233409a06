// Polling sessions by hand, and WebSockets that probe them.

import assert from 'node:assert/strict';
import { EngineClient, RawWebSocket } from './engine.mjs';
import { until } from './wait.mjs';

const GREETING_PACKETS = 3;

/** A session in /, polled by hand, with the greeting consumed. */
export async function pollingSession(t, server) {
  const client = await EngineClient.open(server, { transport: 'polling', loop: false });
  t.after(() => client.terminate());
  await client.post('40');
  const greeting = [];
  await until(async () => {
    greeting.push(...(await client.poll()));
    return greeting.length >= GREETING_PACKETS;
  }, 'the greeting');
  return client;
}

/** A WebSocket for its session, which has said nothing yet. */
export async function opened(t, client) {
  const socket = await RawWebSocket.open(client.server, { sid: client.sid });
  t.after(() => socket.terminate());
  return socket;
}

/** One whose probe has been answered. */
export async function probed(t, client) {
  const socket = await opened(t, client);
  socket.send('2probe');
  assert.equal(await socket.next('the answer to the probe'), '3probe');
  return socket;
}
