// How fast clients may be: who sends too fast is heard more slowly and loses nothing, an address pays for all its clients, who comes
// too often is refused for a while.

import assert from 'node:assert/strict';
import { EngineClient } from './lib/engine.mjs';
import { RawSocket, request, target } from './lib/http.mjs';
import { serverIsNode, startServer } from './lib/server.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { probed } from './lib/upgrade.mjs';
import { slower, until, within } from './lib/wait.mjs';

const RATE = 100;
const BURST = 50;
const MESSAGES = 200;
const BEAT = { PING_INTERVAL: 300, PING_TIMEOUT: 250 * slower };
const LEAST_MS = (messages) => ((messages - BURST) / RATE) * 1000;
const FILL = 'x'.repeat(1000); // a server reads two such at once
const NEAR = 0.93; // of a time: what comes with a message that was too many is handled

/** All of them at once, as a client of no manners: the times at which each was answered. */
async function flood(client, messages) {
  const began = performance.now();
  const times = await Promise.all(Array.from({ length: messages }, async (_, i) => {
    assert.deepEqual(await within(client.ask('echo', i, FILL), `answer ${i}`, 20000 * slower), [i, FILL]);
    return performance.now() - began;
  }));
  return times.at(-1);
}

async function stats(client) {
  return (await client.ask('stats'))[0];
}

for (const transport of ['websocket', 'polling']) {
  test(`${transport}: who sends too fast is heard as fast as it may, to the last message, and stays`, async (t) => {
    const server = await startServer('probe', { RATE_MESSAGES: `${RATE}:${BURST}`, ...BEAT });
    const fast = await SioClient.join(server, { transport });
    const other = await SioClient.join(server);
    const flooding = flood(fast, MESSAGES);
    let slowest = 0;
    for (let i = 0; i < 10; i++) {
      const began = performance.now();
      await other.ask('echo', i);
      slowest = Math.max(slowest, performance.now() - began);
    }
    const took_ms = await flooding;
    t.comment(`${MESSAGES} took ${took_ms.toFixed()} ms; another waited ${slowest.toFixed()} ms at most`);
    assert.ok(took_ms > LEAST_MS(MESSAGES) * NEAR, `heard in ${took_ms} ms`);
    assert.ok(took_ms < LEAST_MS(MESSAGES) * 1.5 * slower + 500, `heard in ${took_ms} ms`);
    assert.ok(slowest < 200 * slower);
    assert.ok((await stats(other)).throttled > 0);
    assert.equal(fast.isClosed, false);
    fast.check();
    await server.stop();
  });
}

for (const transport of ['websocket', 'polling']) {
  test(`${transport}: a pause longer than a heartbeat is not the client's silence`, async () => {
    const server = await startServer('probe', { RATE_MESSAGES: '2:2', PING_INTERVAL: 100, PING_TIMEOUT: 100 * slower });
    const client = await SioClient.join(server, { transport });
    const took_ms = await flood(client, 6);
    assert.ok(took_ms > 900, `heard in ${took_ms} ms`);
    assert.equal(client.isClosed, false);
    await server.stop();
  });
}

test('polling: who sends too fast and hears nothing meanwhile is not read on', async () => {
  const server = await startServer('probe', { RATE_MESSAGES: '2000:20', QUEUE_SOFT: 4000, QUEUE_MAX: 40000 });
  const client = await EngineClient.open(server, { transport: 'polling', loop: false });
  await client.post('40');
  const count = 400;
  let heard = 0;
  const posted = client.post(Array(count).fill('42["flood",1,150]').join('\x1e'));
  await new Promise((resolve) => { setTimeout(resolve, 300 * slower); });
  const polls = async () => {
    while (heard < count) {
      heard += (await client.poll()).filter((packet) => packet.startsWith('42["flood"')).length;
    }
  };
  await within(polls(), 'all of it', 20000 * slower);
  assert.deepEqual([(await posted).text, heard], ['ok', count]);
  await server.stop();
});

test('polling: what one body has too many waits, too, however low the rate', async (t) => {
  const server = await startServer('probe', { RATE_MESSAGES: '20:5' });
  const client = await EngineClient.open(server, { transport: 'polling', loop: false });
  const began = performance.now();
  const count = 30;
  assert.equal((await client.post(['40', ...Array(count - 1).fill('42["nothing"]')].join('\x1e'))).text, 'ok');
  const took_ms = performance.now() - began;
  t.comment(`taken in ${took_ms.toFixed()} ms`);
  assert.ok(took_ms > ((count - 5 - 1) / 20) * 1000 * NEAR, `taken in ${took_ms} ms`);
  await server.stop();
});

test('polling: who has gone is not kept for what it has posted too much', async () => {
  const server = await startServer('probe', { RATE_MESSAGES: '5:1', PING_INTERVAL: 200, PING_TIMEOUT: 200 });
  const client = await EngineClient.open(server, { transport: 'polling', loop: false });
  const socket = await RawSocket.open(server);
  const body = Array(200).fill('42["nothing"]').join('\x1e');
  await socket.write(`POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length + 3}\r\n\r\n40\x1e${body}`);
  await until(async () => (await client.poll()).some((packet) => packet.startsWith('40')), 'it to be taken');
  socket.destroy();
  const ended = await until(() => server.lines(/^disconnect /).at(0), 'its end, long before all has been heard', 5000 * slower);
  assert.match(ended, /ping timeout$/);
  assert.match((await client.get()).text, /unknown/);
  await server.stop();
});

test('the pong of who has sent too fast, and upgrades, has its time until it is read', async (t) => {
  const server = await startServer('probe', { RATE_MESSAGES: '1:2', PING_INTERVAL: 100, PING_TIMEOUT: 400 });
  const client = await EngineClient.open(server, { transport: 'polling', loop: false });
  t.after(() => client.terminate());
  await client.post('40');
  while (!(await client.poll()).includes('2')) {
    // It is pinged, and says nothing yet.
  }
  for (let i = 0; i < 2; i++) {
    assert.equal((await client.post('42["nothing"]')).text, 'ok');
  }
  const socket = await probed(t, client);
  socket.send('5');
  socket.send('3');
  socket.send('421["stats"]');
  const { throttled } = JSON.parse((await until(async () => {
    const said = await socket.next('the answer');
    if (said === '2') {
      socket.send('3');
    }
    return said.startsWith('431') && said;
  }, 'the answer')).slice(3))[0];
  assert.ok(throttled > 0);
  await server.stop();
});

test('an address pays for all its clients', async (t) => {
  const server = await startServer('probe', { RATE_ADDRESS: `${RATE}:${BURST}`, LIMIT_LOOPBACK: '1', ...BEAT });
  const clients = await Promise.all(Array.from({ length: 4 }, (_, i) => SioClient.join(server, { transport: i % 2 ? 'polling' : 'websocket' })));
  const times = await Promise.all(clients.map((client) => flood(client, MESSAGES / 4)));
  const took_ms = Math.max(...times);
  t.comment(`${MESSAGES} of four took ${took_ms.toFixed()} ms`);
  assert.ok(took_ms > LEAST_MS(MESSAGES) * NEAR, `heard in ${took_ms} ms`);
  clients.forEach((client) => assert.equal(client.isClosed, false));
  await server.stop();
});

test('who comes too often is refused, and let in a little later', async (t) => {
  const server = await startServer('probe', { RATE_SESSIONS: '4:6', LIMIT_LOOPBACK: '1' });
  const ask = () => request(server, { path: target({ EIO: 4, transport: 'polling' }) });
  const answers = [];
  while (answers.filter(({ status }) => status === 429).length < 3) {
    answers.push(await ask());
    assert.ok(answers.length < 50, 'nobody is refused');
  }
  assert.ok(answers.slice(0, 6).every(({ status }) => status === 200));
  const refused = answers.at(-1);
  assert.equal(refused.headers['retry-after'], '1');
  assert.match(refused.text, /too many/);
  await assert.rejects(EngineClient.open(server), /refused with 429/);
  await until(async () => (await ask()).status === 200, 'to be let in again', 3000 * slower);
  const client = await until(() => SioClient.join(server).catch(() => null), 'a client', 5000 * slower);
  assert.ok((await stats(client)).too_fast >= 4);
  await server.stop();
});

test('this machine is exempt from what holds for addresses', async () => {
  const server = await startServer('probe', { RATE_SESSIONS: '1:1', RATE_ADDRESS: '1:1' });
  const clients = await Promise.all(Array.from({ length: 5 }, () => SioClient.join(server)));
  for (const client of clients) {
    assert.ok((await flood(client, 20)) < 5000 * slower);
  }
  assert.deepEqual([(await stats(clients[0])).too_fast, (await stats(clients[0])).throttled], [0, 0]);
  await server.stop();
});

if (serverIsNode()) {
  console.log('# rates are ours alone');
}
await run();
