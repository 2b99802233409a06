// Volatile events to a WebSocket that is not read: what its kernel would not take is left out, and of all else nothing.

import assert from 'node:assert/strict';
import { serverIsNode, startServer } from './lib/server.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

// Twice what both kernels hold of a connection; a round is more than the server sends at once.
const ROUNDS = 12;
const EACH = 20;
const BYTES = 100000;
const NUMBERS = ROUNDS * EACH;
// None of it is past the soft limit: nothing but the kernel's word tells that it cannot go.
const ENOUGH = '134217728';

test('of what a websocket cannot take now the volatile events are left out, and those alone', async (t) => {
  const server = await startServer('probe', { QUEUE_SOFT: ENOUGH, QUEUE_MAX: ENOUGH });
  const talker = await SioClient.join(server);
  const heard = [];
  const reader = await SioClient.join(server, {
    onEvent: ({ data: [name, number] }) => ['maybe', 'surely'].includes(name) && heard.push([name, number]) > 0,
  });
  t.after(() => [talker, reader].forEach((client) => client.terminate()));
  const numbers = (name) => heard.filter(([each]) => each === name).map(([, number]) => number);

  await talker.ask('sparing', 0, 1, 10);
  await until(() => heard.length === 2, 'both of one number, while it reads');
  reader.socket.ws.pause();
  for (let i = 0; i < ROUNDS; i++) {
    await talker.ask('sparing', 1 + i * EACH, EACH, BYTES);
  }
  reader.socket.ws.resume();
  await until(() => numbers('surely').length > NUMBERS, 'all that may not be left out');
  await talker.ask('sparing', 1 + NUMBERS, 1, 10);
  await until(() => numbers('surely').length > NUMBERS + 1, 'one more');
  reader.check();

  assert.deepEqual(numbers('surely'), Array.from({ length: NUMBERS + 2 }, (_, i) => i));
  /* Each in its place, which is right before its twin. */
  heard.forEach(([name, number], i) => name === 'surely' || assert.deepEqual(heard[i + 1], ['surely', number]));
  const maybe = numbers('maybe');
  assert.deepEqual([maybe.at(0), maybe.at(-1)], [0, NUMBERS + 1], 'heard while it reads, and again when it has read');
  assert.ok(maybe.at(-2) < NUMBERS - EACH, `${maybe.at(-2)} was heard, which could not go`);
  if (!serverIsNode()) {
    assert.equal((await talker.ask('stats'))[0].skipped, NUMBERS + 2 - maybe.length);
  }
  await server.stop();
});

await run();
