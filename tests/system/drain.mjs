// A stop: clients are told one after the other and come again by themselves, what was emitted before is delivered, what comes
// meanwhile is handled, and it is over in time.

import assert from 'node:assert/strict';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { freePort } from './lib/port.mjs';
import { serverIsNode, startServer } from './lib/server.mjs';
import { EngineClient, RawWebSocket } from './lib/engine.mjs';
import { manyConnections, RawSocket, request, target } from './lib/http.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { deferred, slower, until, within } from './lib/wait.mjs';

const CLIENTS = [['4.8.4', io4], ['3.1.3', io3]];
const WAYS = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] };
const MANY = 200;
const DRAIN_MS = 2000;
const FEW_MS = 900 * slower; // to end with a few clients
const STOP_MS = 5000;
const FLOOD = 500;
const ASKERS = 8;
const LATE_MS = 1000; // longer than its turn is who waits for an answer served
const TRIES = 5;

async function closes(clients, from) {
  const times = clients.map(async (client, index) => {
    await client.end.promise;
    return { index, at_ms: performance.now() - from };
  });
  return within(Promise.all(times), 'all to be told', 2 * STOP_MS);
}

for (const [version, io] of CLIENTS) {
  for (const [way, transports] of Object.entries(WAYS)) {
    test(`${version} by ${way}: a client comes again by itself, and is then known anew`, async (t) => {
      const port = await freePort();
      const first = await startServer('probe', {}, port);
      const socket = io(first.url, { forceNew: true, transports, reconnectionDelay: 50, reconnectionDelayMax: 100 });
      t.after(() => socket.disconnect());
      const connects = [];
      const reasons = [];
      socket.on('disconnect', (reason) => reasons.push(reason));
      socket.on('connect', () => connects.push(socket.id));
      await until(() => connects.length === 1, 'the first connect');
      await until(() => way === 'polling' || socket.io.engine.transport.name === 'websocket', 'the transport');
      await first.stop();
      await until(() => reasons.length === 1, 'the disconnect');
      const second = await startServer('probe', {}, port);
      t.after(() => second.stop());
      await until(() => connects.length === 2, 'the second connect');
      assert.deepEqual(reasons, ['transport close']);
      assert.notEqual(connects[0], connects[1]);
      socket.emit('echo', 'again', (answer) => connects.push(answer));
      await until(() => connects[2] === 'again', 'an answer');
    });
  }
}

for (const threads of ['1', '4']) {
  test(`${threads} loops: with few clients it ends at once`, async () => {
    const server = await startServer('probe', { SIO_THREADS: threads, DRAIN_MS: '4000' });
    const clients = await Promise.all(Array.from({ length: 8 }, (_, i) =>
      EngineClient.open(server, { transport: i % 2 ? 'polling' : 'websocket' })));
    const began = performance.now();
    await server.stop();
    assert.ok(performance.now() - began < FEW_MS, `it took ${performance.now() - began} ms`);
    await closes(clients, began);
  });

  test(`${threads} loops: many are told over the time, in no order of theirs`, async (t) => {
    const server = await startServer('probe', { SIO_THREADS: threads, DRAIN_MS: String(MANY / 2) });
    const longer = await startServer('probe', { SIO_THREADS: threads, DRAIN_MS: String(DRAIN_MS) });
    const agent = manyConnections(MANY);
    t.after(() => agent.destroy());
    for (const [where, span_ms] of [[server, MANY / 2], [longer, MANY]]) {
      const clients = [];
      for (let i = 0; i < MANY; i++) {
        clients.push(await EngineClient.open(where, { transport: i % 4 ? 'websocket' : 'polling', agent }));
      }
      const began = performance.now();
      const ended = where.stop();
      const times = await closes(clients, began);
      await ended;
      const last_ms = Math.max(...times.map(({ at_ms }) => at_ms));
      const spread_ms = last_ms - Math.min(...times.map(({ at_ms }) => at_ms));
      t.comment(`${MANY} told over ${spread_ms.toFixed()} ms, the last after ${last_ms.toFixed()} ms`);
      // A loop has its share of them, and as much less time where that is a millisecond each.
      const loop_ms = Math.min(span_ms, MANY / Number(threads));
      assert.ok(spread_ms > loop_ms * 0.5, `told within ${spread_ms} ms`);
      assert.ok(last_ms < loop_ms + FEW_MS, `the last after ${last_ms} ms`);
      const order = [...times].sort((a, b) => a.at_ms - b.at_ms).map(({ index }) => index);
      const ascents = order.filter((index, i) => i > 0 && index > order[i - 1]).length;
      assert.ok(ascents > MANY * 0.3 && ascents < MANY * 0.7, `${ascents} ascents of ${MANY}`);
      assert.equal(clients.filter(({ transport }) => transport === 'websocket').length, MANY * 0.75);
    }
  });
}

test('who is not told yet is served: emits, answers and polls', async (t) => {
  const server = await startServer('probe', { SIO_THREADS: '2', DRAIN_MS: '4000' });
  const agent = manyConnections(MANY);
  t.after(() => agent.destroy());
  const clients = [];
  for (let i = 0; i < MANY; i++) {
    clients.push(await SioClient.join(server, { transport: i % 2 ? 'polling' : 'websocket', agent }));
  }
  const talker = clients[0];
  let answers = 0;
  let asking = true;
  // One after the other, until it is told itself.
  const talk = async () => {
    while (asking) {
      await talker.ask('echo', answers);
      answers += 1;
    }
  };
  const talking = talk().catch(() => {});
  await until(() => answers > 10, 'the talk to begin');
  const before = answers;
  const told = deferred();
  Promise.race(clients.slice(1).map(({ end }) => end.promise)).then(() => told.resolve(answers));
  const ended = server.stop();
  await within(told.promise, 'the first to be told');
  await closes(clients, 0);
  const reasons = await Promise.all(clients.map(async ({ end }) => String(await end.promise)));
  asking = false;
  await talking;
  await ended;
  t.comment(`${answers - before} answers since the stop began`);
  for (const client of clients) {
    assert.equal(client.violation, null);
    assert.ok(client.packets.items.every(({ type }) => type !== 1), 'no DISCONNECT is sent');
  }
  assert.ok(answers > before, 'nothing was answered during the drain');
  // Their connections are everybody's, and move between the loops.
  const heard = reasons.filter((reason) => /server sent close|1012/.test(reason)).length;
  t.comment(`${heard} of ${MANY} heard of it`);
  assert.ok(heard > MANY * 0.8, `${heard} of ${MANY} heard of it`);
});

for (const transport of ['websocket', 'polling']) {
  test(`${transport}: what was emitted before is delivered, in order`, async (t) => {
    const server = await startServer('probe', { QUEUE_MAX: String(64 << 20) });
    const agent = manyConnections(4);
    t.after(() => agent.destroy());
    const client = await SioClient.join(server, { transport, agent });
    client.emit('flood', FLOOD, 1000);
    await client.packets.take(({ data }) => data?.[0] === 'flood', 'the flood to begin');
    const ended = server.stop();
    await within(client.end.promise, 'the end');
    await ended;
    assert.deepEqual(client.packets.items.map(({ data }) => data[1]), Array.from({ length: FLOOD - 1 }, (_, i) => i + 1));
  });
}

test('who is half-way to a websocket, and polls no more, is told there', async (t) => {
  const server = await startServer('probe', {});
  const client = await SioClient.join(server, { transport: 'polling' });
  const socket = await RawWebSocket.open(server, { sid: client.sid });
  t.after(() => socket.terminate());
  socket.send('2probe');
  assert.equal(await socket.next('the answer to the probe'), '3probe');
  await client.pausePolling();
  const ended = server.stop();
  await until(() => server.lines(/^disconnect .* server shutting down/).length === 1, 'its turn');
  assert.ok(socket.isOpen);
  socket.send('5');
  const { code } = await socket.whenClosed();
  assert.equal(code, 1012);
  await ended;
});

/** A stop while ASKERS wait for answers, which come as soon as all others have been told: what they heard, and after how long. */
async function stopOwingAnswers(t, transport) {
  const server = await startServer('probe', { SIO_THREADS: '1', DRAIN_MS: '4000' });
  const agent = manyConnections(4 * ASKERS);
  t.after(() => agent.destroy());
  const join = () => Promise.all(Array.from({ length: ASKERS }, () => SioClient.join(server, { transport, agent })));
  const others = await join();
  const askers = await join();
  const asked = askers.map((client) => client.ask('hold').then(([answer]) => answer, String));
  await until(async () => (await others[0].ask('hold-count'))[0] === ASKERS, 'all questions');
  const began = performance.now();
  const ended = server.stop();
  await closes(others, began);
  if (!askers[0].isClosed) {
    askers[0].emit('release', 'late');
  }
  const answers = await Promise.all(asked);
  const took_ms = performance.now() - began;
  await closes(askers, began);
  await ended;
  return { answers, took_ms };
}

for (const transport of ['websocket', 'polling']) {
  test(`${transport}: who waits for an answer has it, though the application gives it late`, async (t) => {
    for (let tries = 1; tries <= TRIES; tries++) {
      const { answers, took_ms } = await stopOwingAnswers(t, transport);
      if (answers.every((answer) => answer === 'late')) {
        return;
      }
      assert.ok(took_ms > LATE_MS / 2, `told after ${took_ms.toFixed()} ms: ${answers}`);
      t.comment(`begun anew: it took ${took_ms.toFixed()} ms`);
    }
    assert.fail('the machine was never fast enough');
  });
}

test('nobody new is let in meanwhile', async (t) => {
  const server = await startServer('probe', { DRAIN_MS: '1000' });
  const kept = await RawSocket.open(server);
  t.after(() => kept.destroy());
  const ask = `GET ${target({ EIO: 4, transport: 'polling' })} HTTP/1.1\r\nHost: a\r\n\r\n`;
  await kept.write(ask);
  await kept.match(/"sid"/);
  await kept.write(ask.slice(0, -1)); // a request that has begun is awaited
  const clients = await Promise.all(Array.from({ length: MANY }, () => EngineClient.open(server)));
  const ended = server.stop();
  await within(Promise.race(clients.map(({ end }) => end.promise)), 'the first to be told');
  await kept.write(ask.slice(-1));
  await kept.match(/ 503 /);
  await assert.rejects(until(async () => request(server, { path: '/' }).then(() => false), 'a refusal'));
  await closes(clients, 0);
  await ended;
});

if (serverIsNode()) {
  console.log('# the drain is ours alone');
}
await run();
