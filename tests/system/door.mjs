// Who comes in: `allow` on both transports and at the upgrade, middleware, what is kept with a connection; and what is done
// with sockets by others: events of any name, sio_with().

import assert from 'node:assert/strict';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { serverIsNode, startServer } from './lib/server.mjs';
import { EngineClient, RawWebSocket } from './lib/engine.mjs';
import { RawSocket, request, target } from './lib/http.mjs';
import { Person, refused as refusedBy } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const CLIENTS = [['4.8.4', io4], ['3.1.3', io3]];
const WAYS = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] };
const FOREIGN = ['http://evil.example', 'null', 'http://good.example.evil.tld', 'http://good.example/', ''];
const GOOD = 'http://good.example';
const BYTES = Buffer.from([1, 0, 30, 255]);
const STEPS = 2000;
const ROUNDS = 20;

const server = await startServer('door');
const ours = !serverIsNode();

async function arrive(t, io, transports, options = {}, where = server) {
  const person = await Person.arrive(io, where, { transports, ...options });
  t.after(() => person.leave());
  return person;
}

const refused = (t, io, transports, options = {}, nsp = '/') => refusedBy(t, io, server, { transports, ...options }, nsp);

const polling = (more = {}, headers = {}) =>
  request(server, { path: target({ EIO: 4, transport: 'polling', ...more }), headers });

// The answer to a WebSocket handshake, head and body.
async function websocket(headers = {}, more = {}) {
  const socket = await RawSocket.open(server);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  await socket.write(`GET ${target({ EIO: 4, transport: 'websocket', ...more })} HTTP/1.1\r\nHost: a\r\n` +
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${lines.join('')}\r\n`);
  await socket.whenClosed();
  return socket.text;
}

for (const [version, io] of CLIENTS) {
  for (const [way, transports] of Object.entries(WAYS)) {
    test(`${version} by ${way}: a foreign origin is a connect_error`, async (t) => {
      const { message } = await refused(t, io, transports, { extraHeaders: { origin: FOREIGN[0] } });
      assert.equal(message, way === 'websocket' ? 'websocket error' : 'xhr poll error');
    });

    test(`${version} by ${way}: what allow kept is there`, async (t) => {
      const person = await arrive(t, io, transports, { extraHeaders: { origin: GOOD, 'x-name': 'Ada' } });
      assert.deepEqual(await person.hears('welcome'), ['Ada']);
    });

    test(`${version} by ${way}: middleware says why, and with what`, async (t) => {
      const refusal = async (as) => refused(t, io, transports, { auth: { as } });
      const bare = await refusal('bare');
      assert.equal(bare.message, 'no "entry"');
      assert.equal(bare.data, undefined);
      const { message, data } = await refusal('data');
      assert.deepEqual([message, data], ['ünï', { code: 7, why: [1, null] }]);
      const number = await refusal('number');
      assert.deepEqual([number.message, number.data], ['', 42]);
      assert.equal((await refused(t, io, transports, {}, '/closed')).message, 'Forbidden');
    });

    test(`${version} by ${way}: an event of any name is answered`, async (t) => {
      const person = await arrive(t, io, transports);
      assert.deepEqual(await person.ask('what ever', 1, 'two'), ['what ever', 1, 'two']);
      assert.deepEqual(await person.ask('bytes', BYTES), ['bytes', BYTES]);
      person.say('nobody waits');
      assert.deepEqual(await person.ask('last'), ['last']);
    });
  }
}

test('polling: 403, code 4, for each foreign origin', async () => {
  for (const origin of FOREIGN) {
    const { status, headers, text } = await polling({}, { origin });
    assert.equal(status, 403, origin);
    assert.deepEqual(JSON.parse(text), { code: 4, message: 'a "foreign" origin' });
    assert.equal(headers['content-type'], 'application/json');
  }
  assert.equal((await polling({}, { origin: GOOD })).status, 200);
  assert.equal((await polling()).status, 200);
});

test('websocket: a plain 403 for each foreign origin', async (t) => {
  for (const Origin of FOREIGN) {
    const answer = await websocket({ Origin });
    await t.deviates('400', () => assert.match(answer, /^HTTP\/1.1 403 Forbidden\r\n/));
    assert.match(answer, /\r\nContent-Type: text\/html\r\n/i);
    assert.match(answer, /\r\n\r\na "foreign" origin$/);
  }
});

test('it is asked after the method and before the version', async () => {
  const codes = async (more, headers, method = 'GET') => {
    const path = target({ EIO: 4, transport: 'polling', ...more });
    return JSON.parse((await request(server, { path, headers, method })).text).code;
  };
  const headers = { origin: FOREIGN[0] };
  assert.equal(await codes({ transport: 'foo' }, headers), 0);
  assert.equal(await codes({ sid: 'nobody' }, headers), 1);
  assert.equal(await codes({}, headers, 'PUT'), 2);
  assert.equal(await codes({ transport: 'websocket' }, headers), 3);
  assert.equal(await codes({ EIO: 3 }, headers), 4);
  assert.equal(await codes({ EIO: 3 }, {}), 5);
});

test('a client that middleware refused may ask again, and has no longer for it', async (t) => {
  const hasty = await startServer('door', { CONNECT_TIMEOUT: '400' });
  t.after(() => hasty.stop());
  const client = await EngineClient.open(hasty);
  t.after(() => client.terminate());
  client.send('0{"as":"bare"}', '0{"as":"data"}', '0/closed,', '0/unknown,');
  const refusals = [];
  while (refusals.length < 4) {
    refusals.push(await client.next('a refusal')); // Node's come in another order
  }
  assert.deepEqual(refusals.sort(), [
    '4/closed,{"message":"Forbidden"}',
    '4/unknown,{"message":"Invalid namespace"}',
    '4{"message":"no \\"entry\\""}',
    '4{"message":"ünï","data":{"code":7,"why":[1,null]}}',
  ]);
  await client.whenClosed();
  const patient = await EngineClient.open(hasty);
  t.after(() => patient.terminate());
  patient.send('0{"as":"bare"}', '0');
  assert.equal(await patient.next('a refusal'), '4{"message":"no \\"entry\\""}');
  assert.match(await patient.next('CONNECT'), /^0\{"sid":/);
  assert.equal(await patient.next('welcome'), '2["welcome",""]');
});

if (ours) {
  const counts = async (person) => (await person.ask('counts'))[0];

  test('at the upgrade it is asked again, with what it kept; refused, the session goes on by polling', async (t) => {
    const before = await counts(await arrive(t, io4, ['websocket']));
    const upgraded = await arrive(t, io4, WAYS.upgrade);
    await until(() => upgraded.transport === 'websocket', 'the upgrade');
    const stays = await arrive(t, io4, WAYS.upgrade, { extraHeaders: { 'x-no-upgrade': '1', 'x-name': 'Eva' } });
    await until(async () => (await counts(stays)).askedAgain === before.askedAgain + 2, 'the question of the upgrade');
    assert.deepEqual(await stays.hears('welcome'), ['Eva']);
    assert.deepEqual(await stays.ask('still', 'here'), ['still', 'here']);
    assert.equal(stays.transport, 'polling');
    const after = await counts(stays);
    assert.equal(after.asked - before.asked, 2);
    assert.equal(after.askedAgain - before.askedAgain, 2);
    assert.equal(after.destroyed, before.destroyed);
  });

  test('an upgrade that is refused says so in HTTP, and harms nobody', async (t) => {
    const client = await EngineClient.open(server, { transport: 'polling', headers: { 'x-no-upgrade': '1' } });
    t.after(() => client.terminate());
    assert.match(await websocket({}, { sid: client.sid }), /^HTTP\/1.1 403 [^]*\r\n\r\nstay where you are$/);
    client.send('0');
    assert.match(await client.next('CONNECT'), /^0\{"sid":/);
  });

  test('what allow made is destroyed once: refused, failed, or gone', async (t) => {
    const watcher = await arrive(t, io4, ['websocket']);
    const start = await counts(watcher);
    const left = async () => {
      const { made, destroyed, socketData } = await counts(watcher);
      return { made: made - start.made, kept: made - destroyed - (start.made - start.destroyed), socketData: socketData - start.socketData };
    };
    for (const how of ['plainly', 'unsaid', 'at length']) {
      const { status, text } = await polling({}, { 'x-refuse': how });
      assert.equal(status, 403);
      const { message } = JSON.parse(text);
      assert.equal(how === 'at length' ? message.length : message, how === 'at length' ? 200 : 'Forbidden');
    }
    assert.equal((await polling({ EIO: 3 })).status, 400);
    assert.match(await websocket({}, { EIO: 3 }), /^HTTP\/1.1 400 /);
    assert.match(await websocket({ 'X-Refuse': 'plainly' }), /^HTTP\/1.1 403 /);
    assert.match(await websocket({ 'Transfer-Encoding': 'chunked' }), /^HTTP\/1.1 400 /);
    assert.deepEqual(await left(), { made: 7, kept: 0, socketData: 0 });
    for (const transports of Object.values(WAYS)) {
      const person = await arrive(t, io4, transports);
      assert.deepEqual(await left(), { made: (await left()).made, kept: 1, socketData: 1 });
      person.leave();
      await until(async () => (await left()).kept === 0, 'its data to be destroyed');
    }
    await refused(t, io4, ['websocket'], { auth: { as: 'bare' } });
    assert.equal((await left()).socketData, 0);
    await until(async () => (await left()).kept === 0, 'the data of one that was refused to be destroyed');
    // Who never joins a namespace leaves nothing either.
    const mute = await EngineClient.open(server);
    assert.equal((await left()).kept, 1);
    mute.terminate();
    await until(async () => (await left()).kept === 0, 'the data of one who never joined to be destroyed');
  });

  test('data of a refusal that is no JSON is left out, and no message is Forbidden', async (t) => {
    const broken = await refused(t, io4, ['websocket'], { auth: { as: 'broken' } });
    assert.deepEqual([broken.message, broken.data], ['broken', undefined]);
    assert.equal((await refused(t, io4, ['websocket'], { auth: { as: 'null' } })).message, 'Forbidden');
    assert.equal(server.lines(/data of a refusal in \/ /).length, 1);
  });

  test('a namespace where nobody listens to anything ignores it', async (t) => {
    const client = await EngineClient.open(server);
    t.after(() => client.terminate());
    client.send('0/silent,');
    assert.match(await client.next('CONNECT'), /^0\/silent,/);
    client.send('2/silent,1["anything"]', '0');
    assert.match(await client.next('CONNECT'), /^0\{"sid":/);
  });

  for (const how of ['steps', 'steps-here']) {
    test(`${how}: functions and emits of one thread stay in order, each once`, async (t) => {
      for (const transports of [['websocket'], ['polling']]) {
        const person = await arrive(t, io4, transports);
        const before = await counts(person);
        person.say(how, STEPS);
        for (let i = 0; i < STEPS; i++) {
          assert.deepEqual(await person.hears('step'), [i]);
        }
        const after = await counts(person);
        assert.equal(after.withRun - before.withRun, STEPS / 2);
        assert.equal(after.withGone, before.withGone);
      }
    });

    test(`${how}: functions for a socket that has gone are run all the same, without it`, async (t) => {
      const watcher = await arrive(t, io4, ['websocket']);
      for (let round = 0; round < ROUNDS; round++) {
        const person = await arrive(t, io4, ['websocket']);
        const before = await counts(watcher);
        person.say(`${how}-gone`, 20);
        await until(async () => (await counts(watcher)).withRun === before.withRun + 10, 'all to be run');
        const after = await counts(watcher);
        assert.equal(after.withGone - before.withGone, 5, 'those after it was sent away');
        assert.equal(await person.heard.take(([name]) => name === 'step', 'a step').then(([, n]) => n), 0);
      }
    });
  }

  test('a function may ask for the next: that has its turn behind what was put off before', async (t) => {
    const person = await arrive(t, io4, ['websocket']);
    let at = -1;
    const steps = [];
    person.socket.emit('deeper', () => (at = steps.length));
    while (steps.length < 19) {
      steps.push((await person.hears('step'))[0]);
    }
    const wanted = [0];
    for (let i = 1; i < 10; i++) {
      wanted.push(i, 999 + i);
    }
    assert.deepEqual(steps, wanted);
    assert.ok(at >= 0 && at <= 19, `the answer came after ${at}`);
  });

  test('a function for nobody is run without a socket', async (t) => {
    const person = await arrive(t, io4, ['websocket']);
    const before = await counts(person);
    await person.ask('nobody');
    await until(async () => (await counts(person)).withGone === before.withGone + 2, 'both to be run');
  });

  test('who is refused by the application has come all the same', async () => {
    const door = await startServer('door', { RATE_SESSIONS: '1:3', LIMIT_LOOPBACK: '1' });
    const statuses = [];
    for (let i = 0; i < 5; i++) {
      const headers = { origin: 'http://evil.example' };
      statuses.push((await request(door, { path: target({ EIO: 4, transport: 'polling' }), headers })).status);
    }
    assert.deepEqual(statuses, [403, 403, 403, 429, 429]);
    await door.stop();
  });
}

test('the server ends when told, and nothing is left', async () => {
  const people = await Promise.all(Object.values(WAYS).map((transports) => Person.arrive(io4, server, { transports })));
  const idle = await EngineClient.open(server);
  await server.stop();
  people.forEach((person) => person.leave());
  idle.terminate();
  if (ours) {
    const [made, destroyed, sockets, ran, asked] = /: (\d+) made, (\d+) destroyed, (\d+) of sockets left, (\d+) of (\d+) run/
      .exec(server.output.at(-1)).slice(1).map(Number);
    assert.ok(made > 0 && ran > 0);
    assert.deepEqual([destroyed, sockets, asked], [made, 0, ran]);
    assert.ok(server.lines(/^left: /).length > 0);
  }
});

await run();
