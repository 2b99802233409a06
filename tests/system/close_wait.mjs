// A session that the server has closed waits half a minute for the poll that can be told, or for its WebSocket to take what waits, and no
// longer. By hand.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { EngineClient, RawWebSocket } from './lib/engine.mjs';
import { descriptorsOf } from './lib/guard.mjs';
import { request, target } from './lib/http.mjs';
import { error } from './lib/refused.mjs';
import { startServer } from './lib/server.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until } from './lib/wait.mjs';

const CLOSE_WAIT_MS = 30000;
const MARGIN_MS = 1000; // before it, and behind it
const PING_INTERVAL = 4 * CLOSE_WAIT_MS; // so no heartbeat ends it
const CONNECT_TIMEOUT = 500;
const GREETING_PACKETS = 3;
const FLOOD = [20000, 1000]; // events, bytes of each: they would take minutes to be read ...
const DRIP_MS = 1000; // ... by who reads a little so often: its kernel takes more only now and then, and 15 s without are too many
const CUT_LATE_MS = 4000; // at most

const server = await startServer('probe', { PING_INTERVAL, CONNECT_TIMEOUT });

// A session that the server ends while no poll waits; and when, at the earliest and at the latest.
async function ended(join) {
  const before_ms = performance.now();
  const client = await EngineClient.open(server, { transport: 'polling', loop: false });
  return join(client, before_ms);
}

// For it has never joined: nothing waits for it.
async function unjoined(client, opened_ms) {
  return { client, before_ms: opened_ms + CONNECT_TIMEOUT, after_ms: performance.now() + CONNECT_TIMEOUT };
}

// By an event, with what the namespace says at last.
async function kicked(client) {
  assert.equal((await client.post('40')).text, 'ok');
  const greeting = [];
  await until(async () => {
    greeting.push(...(await client.poll()));
    return greeting.length >= GREETING_PACKETS;
  }, 'the greeting');
  const before_ms = performance.now();
  assert.equal((await client.post('42["kick-close"]')).text, 'ok');
  return { client, before_ms, after_ms: performance.now() };
}

async function isKnownSoLong(told, late, last) {
  await pause(told.before_ms + CLOSE_WAIT_MS - MARGIN_MS - performance.now());
  const packets = await told.client.poll();
  if (!packets.includes('1')) {
    packets.push(...(await told.client.poll()));
  }
  assert.deepEqual(packets.filter((packet) => packet !== '6'), last);
  await pause(late.after_ms + CLOSE_WAIT_MS + MARGIN_MS - performance.now());
  for (const { client } of [told, late]) {
    const { status, text } = await request(server, { path: target({ EIO: 4, transport: 'polling', sid: client.sid }) });
    assert.deepEqual([status, text], [400, error(1)]);
    client.close('end of test');
  }
}

// It reads a little now and then; how long its connection is there all the same.
async function drips(t, on) {
  const idle = await descriptorsOf(on.child.pid);
  const socket = await RawWebSocket.open(on);
  t.after(() => socket.terminate());
  socket.send('40');
  await until(async () => (await socket.next('the greeting')).startsWith('40'), 'the greeting');
  const raw = socket.ws._socket;
  raw.removeAllListeners('data');
  socket.send(`42["flood",${FLOOD}]`);
  socket.send('42["kick-close"]');
  raw.pause();
  const began_ms = performance.now();
  const dripping = setInterval(() => {
    raw.once('data', () => raw.pause());
    raw.resume();
  }, DRIP_MS);
  await until(async () => (await descriptorsOf(on.child.pid)) <= idle, 'the connection to be closed', CLOSE_WAIT_MS + 3 * CUT_LATE_MS)
    .finally(() => {
      clearInterval(dripping);
      socket.terminate();
    });
  return performance.now() - began_ms;
}

// Together, for each takes half a minute.
test('who polls within 30 s of the end is told of it, who comes later is not known; a WebSocket that takes little by little is cut', async (t) => {
  const other = await startServer('probe', { PING_INTERVAL, QUEUE_MAX: 64 << 20 });
  const dripping = t.deviates('who takes little by little keeps a closed WebSocket', async () => {
    const took_ms = await drips(t, other);
    assert.ok(took_ms > CLOSE_WAIT_MS - MARGIN_MS && took_ms < CLOSE_WAIT_MS + CUT_LATE_MS * slower, `cut after ${took_ms} ms`);
  });
  const [told, late, heard, unheard] = [await ended(unjoined), await ended(unjoined), await ended(kicked), await ended(kicked)];
  await Promise.all([
    dripping,
    isKnownSoLong(told, late, ['1']),
    t.deviates('packets that wait keep a closed session', () => isKnownSoLong(heard, unheard, ['41', '1'])),
  ]);
  await other.stop();
}, { timeout_ms: 2 * CLOSE_WAIT_MS });

test('the server ends without complaints', () => server.stop());

await run();
