// A session that the server has closed waits half a minute for the poll that can be told, and no longer. By hand.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { EngineClient } from './lib/engine.mjs';
import { request, target } from './lib/http.mjs';
import { error } from './lib/refused.mjs';
import { startServer } from './lib/server.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const CLOSE_WAIT_MS = 30000;
const MARGIN_MS = 1000; // before it, and behind it
const PING_INTERVAL = 4 * CLOSE_WAIT_MS; // so no heartbeat ends it
const CONNECT_TIMEOUT = 500;
const GREETING_PACKETS = 3;

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

test('who polls within 30 s of the end is told of it, who comes later is not known', async (t) => {
  const [told, late, heard, unheard] = [await ended(unjoined), await ended(unjoined), await ended(kicked), await ended(kicked)];
  await Promise.all([
    isKnownSoLong(told, late, ['1']),
    t.deviates('packets that wait keep a closed session', () => isKnownSoLong(heard, unheard, ['41', '1'])),
  ]);
}, { timeout_ms: 2 * CLOSE_WAIT_MS });

test('the server ends without complaints', () => server.stop());

await run();
