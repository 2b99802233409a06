// A POST that takes many turns while its client upgrades: by hand. Official clients wait for the answer before their `5`; others do not. And
// what is counted and limited beside: upgrades that fail, and what waits for all clients together.

import assert from 'node:assert/strict';
import { RawWebSocket } from './lib/engine.mjs';
import { SEPARATOR } from './lib/http.mjs';
import { startServer } from './lib/server.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { pollingSession, probed } from './lib/upgrade.mjs';
import { slower, until, within } from './lib/wait.mjs';

const BEHIND = 10; // messages in the segment of the 5, ...
const LATER = 5; // ... and after it
const ROOM_POSTED = 20000; // events for all others: many times what may wait for one, ...
const ROOM_QUEUE_MAX = 200000; // ... which is this
const RATE = 1000; // events a second: so a body lasts, whatever the machine
const BURST = 100;
const POSTED = 700; // in a body, of several turns
const LIMITED = { RATE_MESSAGES: `${RATE}:${BURST}` };

const echoes = (from, count) => Array.from({ length: count }, (_, i) => `42${from + i}["echo"]`);

// The answers come in order, and none twice; `first` of them have come.
async function answersInOrder(socket, count, first = 0) {
  for (let id = first + 1; id <= count;) {
    const packet = await socket.next(`answer ${id}`);
    if (packet !== '2') {
      assert.equal(packet, `43${id}[]`);
      id += 1;
    }
  }
}

// Its body is being taken when this returns, for the first answers have come by polling.
async function posts(client, packets) {
  const answer = client.post(packets.join(SEPARATOR));
  await answer.sent;
  const heard = [];
  await until(async () => {
    heard.push(...(await client.poll()).filter((packet) => packet !== '6'));
    return heard.length > 0;
  }, 'the first answers');
  assert.deepEqual(heard, heard.map((_, i) => `43${i + 1}[]`));
  return { answer, first: heard.length };
}

test('what came with the 5, and after it, comes behind all that was posted before', async (t) => {
  const server = await startServer('probe', LIMITED);
  const client = await pollingSession(t, server);
  const socket = await probed(t, client);
  const { answer, first } = await posts(client, echoes(1, POSTED));
  const { _socket: raw } = socket.ws;
  raw.cork();
  socket.send('5');
  echoes(POSTED + 1, BEHIND).forEach((packet) => socket.send(packet));
  raw.uncork();
  setTimeout(() => echoes(POSTED + BEHIND + 1, LATER).forEach((packet) => socket.send(packet)), 5);
  await answersInOrder(socket, POSTED + BEHIND + LATER, first);
  assert.equal((await answer).text, 'ok');
  await server.stop();
});

test('others in a room hear all of such a POST, and stay', async (t) => {
  const server = await startServer('probe', { QUEUE_MAX: ROOM_QUEUE_MAX });
  const others = await Promise.all(Array.from({ length: 4 }, () => SioClient.join(server, {})));
  const heard = others.map(() => 0);
  others.forEach((other, i) => {
    other.onEvent = (packet) => packet.data[0] === 'others' && (heard[i] += 1) > 0;
  });
  const client = await pollingSession(t, server);
  const socket = await probed(t, client);
  const answer = client.post(Array(ROOM_POSTED).fill('42["others"]').join(SEPARATOR));
  await until(() => heard[0] > 0, 'the first events');
  socket.send('5');
  assert.equal((await within(answer, 'the answer', 60000 * slower)).text, 'ok');
  await until(() => heard.every((count) => count >= ROOM_POSTED), 'all events', 30000 * slower);
  assert.deepEqual(heard, others.map(() => ROOM_POSTED));
  assert.ok(others.every((other) => !other.isClosed));
  socket.send('421["echo"]');
  await until(async () => (await socket.next('the echo')) === '431[]', 'the session to answer');
  await server.stop();
}, { timeout_ms: 90000 });

test('a session that ends while its 5 waits for a POST says so', async (t) => {
  const server = await startServer('probe', LIMITED);
  const client = await pollingSession(t, server);
  const socket = await probed(t, client);
  const { answer, first } = await posts(client, [...echoes(1, POSTED), '42["kick-close"]', ...echoes(1, POSTED)]);
  socket.send('5');
  socket.send('429["echo"]');
  await answersInOrder(socket, POSTED, first);
  assert.equal(await socket.next('the end of the namespace'), '41');
  await socket.whenClosed();
  await answer;
  await server.stop();
});

for (const upgrades of [false, true]) {
  test(`who sends too fast is heard no faster for a probe${upgrades ? ' that upgrades' : ''}`, async (t) => {
    const server = await startServer('probe', LIMITED);
    const client = await pollingSession(t, server);
    const socket = await probed(t, client);
    const began = performance.now();
    const { answer, first } = await posts(client, echoes(1, POSTED));
    if (upgrades) {
      socket.send('5');
      await answersInOrder(socket, POSTED, first);
    }
    assert.equal((await answer).text, 'ok');
    const took_ms = performance.now() - began;
    assert.ok(took_ms > ((POSTED - BURST) / RATE) * 1000 * 0.8, `heard in ${took_ms} ms`);
    await server.stop();
  });
}

test('upgrades that fail are counted, and others are not', async (t) => {
  const server = await startServer('probe');
  const other = await SioClient.join(server);
  const failed = async () => (await other.ask('stats'))[0].not_upgraded;
  const client = await pollingSession(t, server);
  const wrong = await RawWebSocket.open(server, { sid: client.sid });
  wrong.send('nonsense');
  await wrong.whenClosed();
  await until(async () => (await failed()) === 1, 'it to be counted');
  const socket = await probed(t, client);
  socket.send('5');
  socket.send('421["echo"]');
  await until(async () => (await socket.next('the echo')) === '431[]', 'the session to answer');
  assert.equal(await failed(), 1);
  await server.stop();
});

test('past what may wait for all, the one for whom most waits is closed', async (t) => {
  const server = await startServer('probe', { QUEUE_MAX: 2000000, QUEUED_MAX: 4000000 });
  const other = await SioClient.join(server);
  const clients = [];
  for (const count of [15, 10, 10, 10]) { // times 100,000 bytes: 4.5 MB
    clients.push(await pollingSession(t, server));
    assert.equal((await clients.at(-1).post(`42["flood",${count},100000]`)).text, 'ok');
  }
  await until(async () => (await other.ask('stats'))[0].overflows > 0, 'one to be closed');
  const statuses = await Promise.all(clients.map(async (client) => (await client.get()).status));
  assert.deepEqual(statuses, [400, 200, 200, 200]);
  assert.equal((await other.ask('stats'))[0].overflows, 1);
  await server.stop();
});

await run();
