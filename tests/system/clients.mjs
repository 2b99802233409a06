// The official JavaScript clients, current and of the 3.x line, over each transport: what a chat needs of them.

import assert from 'node:assert/strict';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { startServer } from './lib/server.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { deferred, until, within } from './lib/wait.mjs';

const CLIENTS = [['4.8.4', io4], ['3.1.3', io3]];
const TRANSPORTS = [
  ['websocket', ['websocket']],
  ['polling', ['polling']],
  ['upgrade', ['polling', 'websocket']],
];
const TEXTS = ['hello', '', 'ünï çødé', '日本語', '👩‍👩‍👧‍👦', '"\\\n\u2028\u0000\u001e', 'x'.repeat(5000)];
const BINARY = Buffer.from([0, 1, 2, 0x1e, 0x62, 0xff, 0x80]);
const NESTED = { a: [BINARY, { b: Buffer.alloc(0), c: 'text' }], d: Buffer.alloc(3000, 7), e: null, f: [1.5, true] };

const server = await startServer('probe');

async function arrive(t, io, transports, nsp = '/', options = {}) {
  const person = await Person.arrive(io, server, { transports, ...options }, nsp);
  t.after(() => person.leave());
  return person;
}

// Every person's next `message` has these arguments.
async function allHear(people, args, name = 'message') {
  for (const person of people) {
    assert.deepEqual(await person.hears(name), args);
  }
}

async function chatOfThree(t, io, transports) {
  const people = [];
  for (let i = 0; i < 3; i++) {
    people.push(await arrive(t, io, transports));
  }
  for (const [index, text] of TEXTS.entries()) {
    people[index % 3].say('message', text, index);
    await allHear(people, [text, index]);
  }
  for (const [index, value] of [BINARY, Buffer.alloc(0), NESTED, [NESTED, BINARY]].entries()) {
    people[index % 3].say('message', index, value);
    await allHear(people, [index, value]);
  }
  for (let i = 0; i < 30; i++) {
    people[0].say('message', i, i % 3 === 0 ? BINARY : 'text');
  }
  for (let i = 0; i < 30; i++) {
    await allHear(people, [i, i % 3 === 0 ? BINARY : 'text']);
  }
}

async function acksBothWays(t, io, transports) {
  const [alice, bob] = [await arrive(t, io, transports), await arrive(t, io, transports)];
  assert.deepEqual(await alice.ask('echo'), []);
  assert.deepEqual(await alice.ask('echo', 1, 'zwei', [3]), [1, 'zwei', [3]]);
  assert.deepEqual(await bob.ask('echo', BINARY, NESTED), [BINARY, NESTED]);
  const many = Array.from({ length: 50 }, (_, i) => bob.ask('echo', i));
  assert.deepEqual(await Promise.all(many), Array.from({ length: 50 }, (_, i) => [i]));
  alice.say('ask', 'how', 'are you');
  assert.deepEqual(await alice.hears('answered'), ['how', 'are you']);
  bob.answer = (value) => [{ got: value }];
  bob.say('ask', BINARY);
  assert.deepEqual(await bob.hears('answered'), [{ got: BINARY }]);
  alice.answer = () => null;
  alice.say('ask', 'anybody?');
  assert.deepEqual(await alice.hears('unanswered'), []);
}

async function rooms(t, io, transports) {
  const [alice, bob, carol] = await Promise.all([1, 2, 3].map(() => arrive(t, io, transports)));
  assert.deepEqual(await alice.ask('join', 'red'), ['ok']);
  assert.deepEqual(await bob.ask('join', 'red'), ['ok']);
  assert.deepEqual(await carol.ask('join', 'blue'), ['ok']);
  alice.say('say', 'red', 'one', BINARY);
  assert.deepEqual(await bob.hears('said'), ['red', 'one', BINARY]);
  carol.say('say', 'red', 'from outside');
  await allHear([alice, bob], ['red', 'from outside'], 'said');
  bob.say('say-all', 'red', 'two');
  await allHear([alice, bob], ['red', 'two'], 'said');
  assert.deepEqual(await bob.ask('leave', 'red'), ['ok']);
  alice.say('say-all', 'red', 'three');
  assert.deepEqual(await alice.hears('said'), ['red', 'three']);
  alice.say('message', 'end');
  for (const person of [bob, carol]) {
    const event = await person.heard.take(([name]) => name === 'said' || name === 'message', 'the end');
    assert.deepEqual(event, ['message', 'end']);
  }
}

async function others(t, io, transports) {
  const people = await Promise.all([1, 2, 3].map(() => arrive(t, io, transports)));
  people[1].say('others', 'not me', BINARY);
  await allHear([people[0], people[2]], ['not me', BINARY], 'others');
  people[1].say('message', 'end');
  const event = await people[1].heard.take(([name]) => name === 'others' || name === 'message', 'the end');
  assert.deepEqual(event, ['message', 'end']);
}

async function namespaces(t, io, transports) {
  const auth = { token: 'ünï', nested: { n: 1 } };
  const alice = await arrive(t, io, transports, '/custom', { auth });
  const bob = await arrive(t, io, transports, '/custom');
  const main = await arrive(t, io, transports);
  assert.deepEqual(await alice.hears('welcome'), [{ nsp: '/custom', auth }]);
  assert.deepEqual(await bob.hears('welcome'), [{ nsp: '/custom', auth: {} }]);
  assert.deepEqual(await main.hears('welcome'), [{ nsp: '/', auth: {} }]);
  alice.say('message', 'within', BINARY);
  await allHear([alice, bob], ['within', BINARY]);
  main.say('message', 'elsewhere');
  assert.deepEqual(await main.hears('message'), ['elsewhere']);
  assert.deepEqual(await bob.ask('who'), [2]);
  await assert.rejects(arrive(t, io, transports, '/nope'), /Invalid namespace/);
}

// Both namespaces over one connection; leaving one leaves the other.
async function multiplexed(t, io, transports) {
  const main = await arrive(t, io, transports);
  const custom = main.socket.io.socket('/custom');
  const joined = deferred();
  custom.on('connect', () => joined.resolve());
  await within(joined.promise, 'the second namespace');
  const reply = deferred();
  custom.emit('echo', 'two', BINARY, (...args) => reply.resolve(args));
  assert.deepEqual(await within(reply.promise, 'the second acknowledgement'), ['two', BINARY]);
  custom.disconnect();
  assert.deepEqual(await main.ask('echo', 'still here'), ['still here']);
}

const WAYS_TO_LEAVE = [
  {
    how: 'the client disconnects the socket',
    act: (person) => person.socket.disconnect(),
    client: 'io client disconnect',
    server: ['client namespace disconnect'],
  },
  {
    how: 'the server disconnects the socket',
    act: (person) => person.say('kick'),
    client: 'io server disconnect',
    server: ['server namespace disconnect'],
  },
  {
    how: 'the server closes the connection',
    act: (person) => person.say('kick-close'),
    client: 'io server disconnect',
    server: ['server namespace disconnect'],
  },
  {
    how: 'the server closes the connection without a word',
    act: (person) => person.say('cut'),
    client: 'transport close',
    server: ['forced close'],
  },
  {
    how: 'the client closes the connection',
    act: (person) => person.socket.io.engine.close(),
    client: 'forced close',
    server: ['transport close'],
  },
  {
    how: 'the connection breaks',
    only: 'websocket',
    act: (person) => person.socket.io.engine.transport.ws.terminate(),
    client: 'transport close',
    server: ['transport close', 'transport error'],
  },
  {
    how: 'the connection is reset',
    only: 'websocket',
    act: (person) => person.socket.io.engine.transport.ws._socket.resetAndDestroy(),
    client: 'transport close',
    server: ['transport close', 'transport error'],
  },
];

async function disconnectReasons(t, io, transports) {
  const fresh = await startServer('probe');
  t.after(() => fresh.stop());
  const watcher = await Person.arrive(io4, fresh, { transports: ['websocket'] });
  t.after(() => watcher.leave());
  let before = 0;
  for (const way of WAYS_TO_LEAVE) {
    const person = await Person.arrive(io, fresh, { transports });
    t.after(() => person.leave());
    if (transports.includes('websocket')) {
      await until(() => person.transport === 'websocket', 'the upgrade');
    } else if (way.only === 'websocket') {
      continue;
    }
    const gone = person.disconnected();
    way.act(person);
    assert.equal(await gone, way.client, `client's reason when ${way.how}`);
    const reasons = await until(async () => {
      const [list] = await watcher.ask('reasons');
      return list.length > before && list;
    }, `the server's reason when ${way.how}`);
    assert.equal(reasons.length, before + 1);
    await t.deviates('an end by the client may count as an error', () =>
      assert.ok(way.server.includes(reasons.at(-1)), `server's reason when ${way.how}: ${reasons.at(-1)}`));
    before = reasons.length;
  }
}

async function reconnects(t, io, transports) {
  const options = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 20 };
  const alice = await arrive(t, io, transports, '/', options);
  const bob = await arrive(t, io, transports);
  t.after(() => alice.socket.io.reconnection(false));
  for (const leave of [() => alice.socket.io.engine.close(), () => alice.say('cut')]) {
    const first = alice.socket.id;
    const gone = alice.disconnected();
    leave();
    await gone;
    alice.say('message', 'said while away');
    await allHear([alice, bob], ['said while away']);
    assert.notEqual(alice.socket.id, first);
    assert.deepEqual(await alice.ask('echo', 'back'), ['back']);
  }
}

async function survivesRestart(t, io, transports) {
  const first = await startServer('probe');
  const options = { transports, reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 };
  const alice = await Person.arrive(io, first, options);
  t.after(() => alice.leave());
  t.after(() => alice.socket.io.reconnection(false));
  const gone = alice.disconnected();
  await first.stop();
  const reason = await gone;
  assert.ok(['transport close', 'transport error', 'io server disconnect'].includes(reason), reason);
  const second = await startServer('probe', {}, first.port);
  t.after(() => second.stop());
  alice.socket.connect();
  await until(() => alice.socket.connected, 'the client to come back');
  assert.deepEqual(await alice.ask('echo', 'again'), ['again']);
}

const SUBJECTS = {
  'a chat of three: text, unicode, binary, order': chatOfThree,
  'acknowledgements both ways': acksBothWays,
  rooms,
  'everybody but the sender': others,
  'namespaces with auth': namespaces,
  'two namespaces on one connection': multiplexed,
  'reasons for disconnects on both sides': disconnectReasons,
  'reconnects and sends what was said meanwhile': reconnects,
  'comes back after a restart of the server': survivesRestart,
};

for (const [version, io] of CLIENTS) {
  for (const [name, transports] of TRANSPORTS) {
    for (const [subject, body] of Object.entries(SUBJECTS)) {
      test(`client ${version}, ${name}: ${subject}`, (t) => body(t, io, transports));
    }
  }
}

test('all clients in one chat', async (t) => {
  const people = [];
  for (const [, io] of CLIENTS) {
    for (const [, transports] of TRANSPORTS) {
      people.push(await arrive(t, io, transports));
    }
  }
  for (const [index, person] of people.entries()) {
    person.say('message', index, NESTED);
    await allHear(people, [index, NESTED]);
  }
});

test('the server ends when told, without complaints', () => server.stop());

await run();
