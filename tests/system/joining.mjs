// Joining a namespace: middleware that takes its time, namespaces that come into being, and what is known of the handshake.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { startServer } from './lib/server.mjs';
import { SioClient } from './lib/sio.mjs';
import { EngineClient } from './lib/engine.mjs';
import { Person, refused as refusedBy } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { limits, until } from './lib/wait.mjs';

const WAYS = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] };
const WAIT_MS = 50;
const server = await startServer('twin');

async function arrive(t, nsp, options = {}, where = server) {
  const person = await Person.arrive(io, where, { transports: ['websocket'], ...options }, nsp);
  t.after(() => person.leave());
  return person;
}

const refused = (t, nsp, auth, transports = ['websocket']) => refusedBy(t, io, server, { transports, auth }, nsp);

for (const [way, transports] of Object.entries(WAYS)) {
  for (const nsp of ['/', '/child-7']) {
    test(`${way}, ${nsp}: middleware lets in, later, and refuses, later`, async (t) => {
      for (const wait of [0, WAIT_MS]) {
        const person = await arrive(t, nsp, { transports, auth: { wait } });
        assert.equal((await person.hears('welcome'))[0], nsp);
        for (const refuse of [1, 2]) {
          const { message, data } = await refused(t, nsp, { wait, refuse }, transports);
          assert.deepEqual([message, data], [`refused by ${refuse}`, { step: refuse }]);
        }
      }
    });
  }
}

test('who waits in one namespace is served in another', async (t) => {
  const client = await EngineClient.open(server);
  t.after(() => client.terminate());
  client.send(`0/child-1,{"wait":${WAIT_MS}}`, '0{}', `0/child-2,{"wait":${WAIT_MS},"refuse":1}`);
  assert.match(await client.next('CONNECT'), /^0\{"sid":/);
  assert.match(await client.next('welcome'), /^2\["welcome","\/",/);
  client.send('20["rooms"]');
  assert.equal(await client.next('the answer'), '30[[]]');
  const rest = [await client.next('one'), await client.next('two'), await client.next('three')].sort();
  assert.match(rest[0], /^0\/child-1,\{"sid":/);
  assert.match(rest[1], /^2\/child-1,\["welcome"/);
  assert.equal(rest[2], '4/child-2,{"message":"refused by 1","data":{"step":1}}');
});

test('an event before it is let in closes the connection', async (t) => {
  const client = await EngineClient.open(server);
  t.after(() => client.terminate());
  client.send('0{"wait":10000}', '2["rooms"]');
  await client.whenClosed();
});

test('of two CONNECTs the second holds while the first waits', async (t) => {
  const client = await EngineClient.open(server);
  t.after(() => client.terminate());
  await t.deviates('both are taken', async () => {
    client.send('0/child-1,{"wait":20,"refuse":1}', '0/child-1,{"wait":200}');
    assert.match(await client.next('CONNECT'), /^0\/child-1,\{"sid":/);
    assert.match(await client.next('welcome'), /^2\/child-1,\["welcome"/);
    client.send('0/child-2,{"wait":20}', '0/child-2,{"wait":200,"refuse":1}');
    assert.match(await client.next('the refusal'), /^4\/child-2,/);
  });
});

// A view that is mounted twice, as in React's strict mode: it says no DISCONNECT, for it has not joined.
test('an official client that connects anew before it is let in disturbs nobody else', async (t) => {
  const person = await arrive(t, '/');
  let ends = 0;
  person.socket.on('disconnect', () => (ends += 1));
  const view = person.socket.io.socket('/child-3', { auth: { wait: WAIT_MS } });
  const sids = [];
  view.on('connect', () => sids.push(view.id));
  for (let i = 0; i < 3; i++) {
    view.disconnect();
    view.connect();
  }
  await until(() => sids.length > 0, 'it to join');
  assert.deepEqual(await view.timeout(limits.wait_ms).emitWithAck('rooms'), []);
  await pause(2 * WAIT_MS); // of the others none joins later
  await t.deviates('both are taken', () => assert.equal(sids.length, 1));
  assert.ok(person.socket.connected);
  assert.equal(ends, 0);
  view.disconnect();
});

test('who goes while it waits is forgotten', async (t) => {
  const watcher = await arrive(t, '/');
  for (let i = 0; i < 20; i++) {
    const transport = i % 2 ? 'websocket' : 'polling';
    const client = await EngineClient.open(server, { transport });
    client.send(`0{"wait":${i}}`);
    if (transport === 'polling') {
      client.sendPacket('1');
      await client.whenClosed();
    }
    client.terminate();
  }
  await until(async () => (await watcher.ask('fetch', 'all', '', ''))[0].length === 1, 'all but one to be gone');
  assert.deepEqual(await watcher.ask('fetch', 'all', '', ''), [[watcher.socket.id]]);
});

test('who waits too long is closed', async (t) => {
  const hasty = await startServer('twin', { CONNECT_TIMEOUT: '300' });
  t.after(() => hasty.stop());
  const client = await EngineClient.open(hasty);
  t.after(() => client.terminate());
  client.send('0{"wait":60000}');
  await client.whenClosed();
  const patient = await EngineClient.open(hasty);
  t.after(() => patient.terminate());
  patient.send('0{"wait":20}');
  assert.match(await patient.next('CONNECT'), /^0\{"sid":/);
});

test('a name that no parent wants is refused', async (t) => {
  for (const nsp of ['/child-', '/child-x', '/child-1x', '/other', '/child']) {
    assert.equal((await refused(t, nsp, {})).message, 'Invalid namespace', nsp);
  }
});

test('namespaces that come into being are many, and apart', async (t) => {
  const people = await Promise.all(Array.from({ length: 40 }, (_, i) => arrive(t, `/child-${1000 + (i % 20)}`)));
  for (const person of people) {
    await person.hears('welcome');
  }
  await Promise.all(people.map((person, i) => person.ask('say', 'all', '', '', i)));
  for (const [i, person] of people.entries()) {
    const heard = [(await person.hears('said'))[0], (await person.hears('said'))[0]].sort((a, b) => a - b);
    assert.deepEqual(heard, [i % 20, (i % 20) + 20]);
  }
});

test('the handshake: query, headers, time, secure; on each transport and in each namespace', async (t) => {
  for (const transports of Object.values(WAYS)) {
    for (const nsp of ['/', '/child-9', '/watched']) {
      const options = { transports, query: { from: 'far away & back' }, extraHeaders: { 'X-From': 'Ulm' } };
      const person = await arrive(t, nsp, options);
      assert.deepEqual(await person.hears('welcome'), [nsp, 'far away & back', 'Ulm', true, false]);
      const bare = await arrive(t, nsp, { transports });
      assert.deepEqual(await bare.hears('welcome'), [nsp, null, null, true, false]);
    }
  }
});

test('one client joins so many namespaces, and no more', async (t) => {
  const client = await SioClient.open(server);
  t.after(() => client.terminate());
  const names = Array.from({ length: 70 }, (_, i) => `/child-${2000 + i}`);
  client.send(...names.map((name) => `0${name},{}`));
  const answers = [];
  while (answers.length < names.length) {
    const { type, nsp, data } = await client.packets.take((packet) => packet.type !== 2, 'an answer');
    answers.push([nsp, type === 0 ? 'joined' : data.message]);
  }
  await t.deviates('it joins all of them', () =>
    assert.deepEqual(answers, names.map((name, i) => [name, i < 64 ? 'joined' : 'Too many namespaces'])));
});

await run();
