// Bad input by the numbers of the list of threats, 48 to 64: Engine.IO and Socket.IO, over both transports where both have it.
// libsio alone.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { EngineClient, RawWebSocket } from './lib/engine.mjs';
import { RawSocket, request, SEPARATOR, target } from './lib/http.mjs';
import { Person } from './lib/person.mjs';
import { isError, isErrorOfWebSocket, isGone } from './lib/refused.mjs';
import { run, test } from './lib/tap.mjs';
import { probed } from './lib/upgrade.mjs';
import { slower, until, within } from './lib/wait.mjs';
import { Guard } from './lib/witness.mjs';

const CONNECTS = 100000;
const TRANSPORTS = ['websocket', 'polling'];
const MESSAGE_BYTES_MAX = 1000000;
const PACKETS_MAX = 131072; // in one POST
const MILLION = 1000000;
const SPACES_PER_CLIENT_MAX = 64;
const CHILDREN_MAX = 1024;
const SPACE_BYTES_MAX = 255;
const DEPTH_MAX = 512;
const DEEP = 10000;
const CONNECT_MS = 1000;
const LATE_MS = 500 * slower;
const EVIL = '2["say","all","","","evil"]'; // the witness would hear it
const BYTES = Buffer.from('evil');
const P0 = '{"_placeholder":true,"num":0}';
const BAD_PACKET = 'forced close'; // how Node's server calls the end that its Socket.IO layer makes of one

const short = (what) => JSON.stringify(what).slice(0, 200);

async function opened(t, transport, more = {}) {
  const client = await EngineClient.open(t.server, { transport, ...more });
  t.after(async () => {
    if (client.transport === 'polling' && !client.isClosed) {
      await client.post('1').catch(() => 'it has ended meanwhile');
    }
    client.terminate();
  });
  return client;
}

let names = 0;

/** A client that has joined `/` and read its greeting; `name` is whom the watcher hears of. */
async function joined(t, transport) {
  const client = await opened(t, transport);
  client.name = `client ${++names}`;
  client.send(`0{"name":"${client.name}"}`);
  assert.match(await client.next('CONNECT'), /^0\{"sid":/);
  assert.match(await client.next('welcome'), /^2\["welcome"/);
  return client;
}

async function isAlive(client) {
  client.send('29["rooms"]');
  assert.equal(await client.next('the answer'), '39[[]]');
}

/** Sends that as a client of `/`, whose session ends for that reason. */
async function closes(t, transport, packets, wanted = BAD_PACKET) {
  const client = await joined(t, transport);
  const reason = t.guard.goes(client.name);
  const what = `${transport}: ${short(packets)}`;
  packets.forEach((packet) => client.sendPacket(packet));
  await client.whenClosed().catch((cause) => assert.fail(`${what}: ${cause.message}`));
  const why = await within(reason, `the reason of its end, ${what}`);
  assert.equal(why, wanted, what);
  await isGone(client);
}

/** The same for lists of Socket.IO packets, over both transports. */
async function allClose(t, cases) {
  for (const transport of TRANSPORTS) {
    for (const messages of cases) {
      await closes(t, transport, messages.map((message) => (Buffer.isBuffer(message) ? message : `4${message}`)));
    }
  }
}

const guard = await Guard.start();

guard.threat('threat 48: EIO=3, transport=foo, an unknown sid: 400 with codes 5, 0, 1', async (t) => {
  const sids = ['nobody', 'x'.repeat(20), 'A'.repeat(2000), '__proto__', '../x', '\0'];
  for (const EIO of ['3', '5', '04', '', undefined]) {
    await isError(t.server, 'GET', { EIO, transport: 'polling' }, 5);
    await isErrorOfWebSocket(t.server, { EIO, transport: 'websocket' }, 5);
  }
  for (const transport of ['foo', '', 'Polling', 'webtransport', 'constructor', undefined]) {
    await isError(t.server, 'GET', { EIO: 4, transport }, 0);
    await isError(t.server, 'POST', { EIO: 4, transport }, 0);
    await isErrorOfWebSocket(t.server, { EIO: 4, transport }, 0);
  }
  for (const sid of sids) {
    await isError(t.server, 'GET', { EIO: 4, transport: 'polling', sid }, 1);
    await isError(t.server, 'POST', { EIO: 4, transport: 'polling', sid }, 1);
    await isErrorOfWebSocket(t.server, { EIO: 4, transport: 'websocket', sid }, 1);
  }
});

guard.threat('threat 49: a wrong method, mixed transports: 400 with codes 2, 3', async (t) => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    await isError(t.server, method, { EIO: 4, transport: 'polling' }, 2);
  }
  const [poller, other] = [await joined(t, 'polling'), await joined(t, 'websocket')];
  for (const method of ['GET', 'POST']) {
    await isError(t.server, method, { EIO: 4, transport: 'websocket', sid: poller.sid }, 3);
    await isError(t.server, method, { EIO: 4, transport: 'polling', sid: other.sid }, 3);
    await isError(t.server, method, { EIO: 3, transport: 'polling', sid: poller.sid }, 3);
  }
  await isErrorOfWebSocket(t.server, { EIO: 4, transport: 'polling', sid: other.sid }, 3);
  await isErrorOfWebSocket(t.server, { EIO: 3, transport: 'websocket', sid: poller.sid }, 3);
  await isAlive(poller);
  await isAlive(other);
});

/** Polled by hand, joined, its greeting read. */
async function byHand(t) {
  const client = await opened(t, 'polling', { loop: false });
  client.name = `client ${++names}`;
  assert.equal((await client.post(`40{"name":"${client.name}"}`)).text, 'ok');
  await until(async () => (await client.poll()).some((packet) => packet.startsWith('42["welcome"')), 'welcome');
  return client;
}

async function answersByHand(client) {
  assert.equal((await client.post('427["rooms"]')).text, 'ok');
  await until(async () => (await client.poll()).includes('437[[]]'), 'the answer');
}

guard.threat('threat 50: two polls at once: 400 for the second, the session is closed', async (t) => {
  for (const many of [1, 10]) {
    const client = await byHand(t);
    const reason = guard.goes(client.name);
    const first = client.get();
    await first.sent;
    assert.equal((await client.post('6')).text, 'ok'); // by now the first has come
    const others = await Promise.all(Array.from({ length: many }, () => client.get()));
    others.forEach(({ status }) => assert.equal(status, 400));
    const { status, text } = await first;
    assert.deepEqual([status, text], [200, '1']);
    await within(reason, 'its end');
    await isGone(client);
  }
});

guard.threat('threat 51: a POST over the limit: a bare 413, the session lives on; a WebSocket message: 1009', async (t) => {
  const client = await byHand(t);
  const packet = (bytes) => `427["rooms","${'x'.repeat(bytes - 15)}"]`;
  assert.equal((await client.post(packet(MESSAGE_BYTES_MAX))).text, 'ok');
  await until(async () => (await client.poll()).includes('437[[]]'), 'the answer to the largest');
  for (const bytes of [MESSAGE_BYTES_MAX + 1, 2 * MESSAGE_BYTES_MAX, 30 * MESSAGE_BYTES_MAX]) {
    const socket = await RawSocket.open(t.server);
    t.after(() => socket.destroy());
    socket.write(`POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`);
    socket.write(packet(bytes));
    const [head] = await socket.match(/^HTTP\/1\.1 413 [^]*?\r\n\r\n/);
    assert.match(head, /\r\ncontent-length: 0\r\n/i);
    await answersByHand(client);
    const chunked = await RawSocket.open(t.server);
    t.after(() => chunked.destroy());
    chunked.write(`POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    chunked.write(`${bytes.toString(16)}\r\n${packet(bytes)}`); // which does not end
    await chunked.match(/^HTTP\/1\.1 413 /);
    await answersByHand(client);
  }
  const socket = await RawWebSocket.open(t.server, {});
  t.after(() => socket.terminate());
  socket.send(packet(MESSAGE_BYTES_MAX + 1));
  assert.equal((await socket.whenClosed()).code, 1009);
});

/** How long a POST of that body takes, while the witness is served. */
async function takesWhileOthersAreServed(client, body) {
  let done = false;
  const started = performance.now();
  const posted = client.post(body).catch(() => ({ status: 0 })).finally(() => (done = true)); // where it ends the session: cut, or 400
  let longest = 0;
  while (!done) {
    const asked = performance.now();
    assert.deepEqual(await guard.witness.ask('rooms'), [[]]);
    longest = Math.max(longest, performance.now() - asked);
  }
  assert.ok(longest < 1000 * slower, `the witness waited ${Math.round(longest)} ms`);
  const { status } = await posted;
  return { status, ms: performance.now() - started };
}

guard.threat('threat 52: a million packets in one body: capped, and linear', async (t) => {
  const noops = (count) => `6${SEPARATOR}`.repeat(count - 1) + '6';
  const events = (count) => `42["a"]${SEPARATOR}`.repeat(count - 1) + '42["a"]';
  const fine = await byHand(t);
  const eighth = await takesWhileOthersAreServed(fine, events(12500));
  const whole = await takesWhileOthersAreServed(fine, events(100000));
  assert.deepEqual([eighth.status, whole.status], [200, 200]);
  assert.ok(whole.ms < 16 * eighth.ms + 200 * slower, `${eighth.ms} ms for an eighth of what takes ${whole.ms}`);
  assert.equal((await takesWhileOthersAreServed(fine, noops(PACKETS_MAX))).status, 200);
  await answersByHand(fine);
  const capped = [noops(PACKETS_MAX + 1), noops(MILLION / 2), SEPARATOR.repeat(MILLION - 1), `4${SEPARATOR}`.repeat(MILLION / 2 - 1)];
  for (const body of capped) {
    const client = await byHand(t);
    const reason = guard.goes(client.name);
    const { ms } = await takesWhileOthersAreServed(client, body);
    assert.ok(ms < 2000 * slower, `it took ${ms} ms`);
    const why = await within(reason, `the end of who sent ${short(body.slice(0, 20))}`);
    assert.equal(why, body[0] === '4' ? BAD_PACKET : 'parse error');
    await isGone(client);
  }
});

/** A WebSocket for that session is closed, before it is open or as soon as it probes. */
async function isTurnedAway(t, sid) {
  const socket = new RawWebSocket(t.server, { sid });
  t.after(() => socket.terminate());
  socket.opened.promise.then(() => socket.send('2probe'), () => 'refused');
  await socket.whenClosed();
  assert.ok(!socket.frames.items.includes('3probe'), 'it was let in');
}

guard.threat('threat 53: a wrong probe, a double upgrade, somebody else\'s sid: closed, and the session is unharmed', async (t) => {
  const client = await joined(t, 'polling');
  const wrong = ['2', '2Probe', '2probe ', '2foo', '3probe', '5', '1', '6', '9', '', `4${EVIL}`, 'x'.repeat(5000), BYTES, Buffer.from('2probe')];
  for (const frame of wrong) {
    const socket = await RawWebSocket.open(t.server, { sid: client.sid });
    t.after(() => socket.terminate());
    socket.send(frame);
    await socket.whenClosed().catch((cause) => assert.fail(`after ${short(String(frame))}: ${cause.message}`));
    await isAlive(client);
  }
  for (const frame of [`4${EVIL}`, '2probe', '9', '', BYTES]) {
    const other = await joined(t, 'polling');
    const socket = await probed(t, other);
    socket.send(frame);
    await socket.whenClosed().catch((cause) => assert.fail(`after 2probe and ${short(String(frame))}: ${cause.message}`));
    await isAlive(other);
  }
  const first = await probed(t, client);
  await isTurnedAway(t, client.sid);
  assert.ok(first.isOpen, 'the first upgrade goes on');
  await isAlive(client);
  const upgraded = await joined(t, 'polling');
  await upgraded.upgrade();
  await isTurnedAway(t, upgraded.sid);
  await isError(t.server, 'GET', upgraded.query4, 3);
  await isAlive(upgraded);
  const sid = guard.witness.socket.io.engine.id;
  await isTurnedAway(t, sid);
  for (const method of ['GET', 'POST']) {
    await isError(t.server, method, { EIO: 4, transport: 'polling', sid }, 3);
    await isError(t.server, method, { EIO: 4, transport: 'polling', sid: guard.witness.socket.id }, 1); // Socket.IO's id opens nothing
  }
});

guard.threat('threat 54: a packet of type 9: parse error', async (t) => {
  for (const transport of TRANSPORTS) {
    for (const packet of ['9', '9{}', '9["message"]', '7', '8', 'x']) {
      await closes(t, transport, [packet], 'parse error');
    }
  }
  await allClose(t, [['9'], ['9["say","all","","","evil"]'], ['7'], ['8'], ['x']]);
});

guard.threat('threat 55: events that are none: parse error', (t) => allClose(t, [
  ['2{}'], ['2[]'], ['2[null]'], ['2[{"toString":1}]'], ['2["x"'], ['2[["say"],"all","","","evil"]'], ['2[true]'], ['2"x"'], ['2null'],
  ['2["say","all","","","evil"'], ['2["say","all","","","evil",]'], ['2["say","all","","","evil"]x'], ['21{}'], ['2'],
]));

guard.threat('threat 56: reserved events: parse error', (t) => allClose(t,
  ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'].flatMap((name) => [
    [`2["${name}"]`], [`2["${name}","evil"]`], [`21["${name}"]`], [`51-["${name}",${P0}]`, BYTES],
    [`2["\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}"]`],
  ])));

guard.threat('threat 57: placeholders 99, -1, "splice": parse error', (t) => allClose(t,
  ['99', '-1', '"splice"', '1', '"0"', 'null', '"length"', '"__proto__"', '1e9', '4294967296', '0.5', '[0]'].flatMap((num) => [
    [`51-["say","all","","",{"_placeholder":true,"num":${num}}]`, BYTES],
    [`51-["say","all","","",{"a":[{"_placeholder":true,"num":${num}}]}]`, BYTES],
  ])));

guard.threat('threat 58: 11 attachments, a billion of them: parse error', (t) => allClose(t, [
  [`511-["say","all","","",${P0}]`], [`51000000000-["say","all","","",${P0}]`], [`5${2n ** 32n}-["say"]`], [`5${2n ** 64n + 1n}-["say",${P0}]`],
  ['5-1-["say"]'],
  [`511-["say","all","","",${Array.from({ length: 11 }, (_, num) => `{"_placeholder":true,"num":${num}}`)}]`, ...Array(11).fill(BYTES)],
  [`611-0[${P0}]`], [`61000000000-0[${P0}]`],
]));

guard.threat('threat 59: binary that was not announced: closed', (t) => allClose(t, [
  [BYTES], [Buffer.alloc(0)], [`51-["say","all","nobody","",${P0}]`, BYTES, BYTES], [`51-["say","all","nobody","",${P0}]`, EVIL],
  ['29["rooms"]', BYTES],
]));

guard.threat('threat 60: an acknowledgement id of 2^64: closed; an unknown one: ignored', async (t) => {
  const ids = [2n ** 64n, 2n ** 64n + 1n, 2n ** 53n, '9'.repeat(1000)];
  await allClose(t, ids.flatMap((id) => [[`2${id}["say","all","","","evil"]`], [`3${id}["x"]`], [`61-${id}[${P0}]`, BYTES]]));
  for (const transport of TRANSPORTS) {
    const client = await joined(t, transport);
    client.send('30["x"]', '3999["x"]', `3${2n ** 53n - 1n}[]`, '3999["again"]', `61-999[${P0}]`, BYTES);
    await isAlive(client);
  }
});

/** Asks for namespaces of these names; what each was told, in order. */
async function connects(client, spaces) {
  spaces.forEach((name) => client.send(`0${name},`));
  const told = [];
  while (told.length < spaces.length) {
    const packet = await client.next('what it is told');
    if (!packet.startsWith('2')) { // the greeting of a namespace that it has joined
      told.push(/"message":"([^"]*)"\}$/.exec(packet)?.[1] ?? packet.slice(0, 1));
    }
  }
  return told;
}

const several = (count, name) => Array.from({ length: count }, (_, i) => `${name}${i}`);
const count = (list, what) => list.filter((one) => one === what).length;

guard.threat(`threat 61: a namespace of 10 KB, an unknown one, ${CONNECTS} connects: an error, and capped`, async (t) => {
  for (const transport of TRANSPORTS) {
    for (const bytes of [SPACE_BYTES_MAX + 1, 10240]) {
      await closes(t, transport, [`40/${'n'.repeat(bytes - 1)},`]);
    }
    const client = await joined(t, transport);
    assert.deepEqual(await connects(client, ['/unknown', `/${'n'.repeat(SPACE_BYTES_MAX - 1)}`, '/__proto__', '/child-', '/child-1x', '//']),
      Array(6).fill('Invalid namespace'));
    await isAlive(client);
  }
  const one = await opened(t, 'websocket');
  const unknown = await connects(one, several(CONNECTS, '/n'));
  assert.equal(count(unknown, 'Invalid namespace'), CONNECTS);
  const told = await connects(one, several(CONNECTS, '/child-1'));
  let made = Math.min(CONNECTS, SPACES_PER_CLIENT_MAX);
  assert.equal(count(told, '0'), made);
  assert.equal(count(told, 'Too many namespaces'), CONNECTS - made);
  // Namespaces stay as long as the server: so there is a last one for all of them together.
  for (let i = 0; i * SPACES_PER_CLIENT_MAX < CHILDREN_MAX; i++) {
    const client = await opened(t, 'websocket');
    const more = await connects(client, several(SPACES_PER_CLIENT_MAX, `/child-2${i}000`));
    made += count(more, '0');
    assert.equal(count(more, '0') + count(more, 'Invalid namespace'), SPACES_PER_CLIENT_MAX);
  }
  assert.equal(made, CHILDREN_MAX);
});

const deep = (depth) => [`${'['.repeat(depth)}${']'.repeat(depth)}`, `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`];

/** Others hear these values exactly as they were said, as JSON that a client can read, and each is a value only. */
async function areInert(t, transport, values) {
  const client = await joined(t, transport);
  const listener = await joined(t, 'websocket');
  const official = await Person.arrive(io, t.server, { transports: ['websocket'] });
  t.after(() => official.leave());
  await official.ask('join', 'ears');
  listener.send('28["join","ears"]');
  assert.equal(await listener.next('having joined'), '38[["ears"]]');
  for (const value of values) {
    client.send(`2["say","all","ears","",${value}]`);
    const packet = await listener.next(`what was said, ${value.slice(0, 100)}`);
    assert.equal(packet, `2["said",${value}]`);
    JSON.parse(packet.slice(1));
    assert.equal((await official.hears('said')).length, 1);
  }
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', '\\u0000', '\\ud800']) {
    client.send(`2["${name}",{"__proto__":{"evil":1}}]`); // events of which nobody has heard
  }
  client.send('26["join","__proto__"]');
  assert.equal(await client.next('the answer'), '36[["__proto__"]]');
  client.send('27["leave","__proto__"]');
  assert.equal(await client.next('the answer'), '37[[]]');
  await isAlive(client);
  assert.equal({}.evil, undefined);
}

guard.threat('threat 62: JSON 10,000 deep, 1e999, a lone surrogate, __proto__: refused or inert', async (t) => {
  await allClose(t, [...deep(DEEP), ...deep(DEPTH_MAX + 1)].flatMap((value) => [
    [`2["say","all","","",${value}]`], [`30[${value}]`], [`0/child-1,{"a":${value}}`], [`51-["say","all","","",${P0},${value}]`],
  ]));
  // What would be no JSON for those who hear it.
  const invalid = ['NaN', 'Infinity', '01', '1.', '.5', '+1', '0x1', "'evil'", '"\\ud8"', '"\\x41"', '"\u0001"', '[1,]', '{a:1}', '{"a":1,}', '"a',
    'undefined', '1 2', '', `1${'0'.repeat(1024)}`];
  await allClose(t, invalid.map((value) => [`2["say","all","","",${value}]`]));
  const surrogate = Buffer.concat([Buffer.from('42["say","all","","","'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"]')]);
  const poller = await byHand(t);
  const reason = guard.goes(poller.name);
  await poller.post(surrogate).catch(() => 'it may be cut');
  await within(reason, 'the end of who sends text that is not UTF-8');
  await isGone(poller);
  const other = await joined(t, 'websocket');
  other.socket.ws.send(surrogate, { binary: false });
  assert.equal((await other.socket.whenClosed()).code, 1007);
  for (const transport of TRANSPORTS) {
    await areInert(t, transport, ['1e999', '-1e999', '1e-999', '"\\ud800"', '"\\udc00x"', '"\\ud83d\\ud83d\\ude00"', '{"__proto__":{"evil":1}}',
      '{"constructor":{"prototype":{"evil":1}}}', '{"\\u005f_proto__":{"evil":1}}', '{"a":1,"a":2}', '123456789012345678901234567890',
      '"\\u0000"', '"\u2028"', deep(DEPTH_MAX - 12)[0], `1${'0'.repeat(1000)}`]);
  }
});

guard.threat('threat 63: an event before 40: closed', async (t) => {
  const early = [[EVIL], ['29["rooms"]'], ['1'], ['30["x"]'], [`51-["say","all","","",${P0}]`, BYTES], [BYTES],
    ['2/child-1,["say","all","","","evil"]']];
  for (const transport of TRANSPORTS) {
    for (const messages of early) {
      const client = await opened(t, transport);
      client.send(...messages, '0'); // too late
      await client.whenClosed().catch((cause) => assert.fail(`${transport}: ${short(messages)}: ${cause.message}`));
      assert.deepEqual(client.inbox.items, [], `${transport}: ${short(messages)} was answered`);
      await isGone(client);
    }
  }
});

Guard.slowThreat('threat 64: no 40 until the deadline: closed; who has joined stays', async (t) => {
  const stays = await joined(t, 'websocket');
  const left = await joined(t, 'websocket');
  left.send('1');
  const late = [];
  for (const transport of TRANSPORTS) {
    for (const messages of [[], ['0/unknown,'], ['0{"refuse":1}'], ['0{"wait":60000}']]) {
      const started = performance.now();
      const client = await opened(t, transport);
      client.send(...messages);
      if (transport === 'polling') {
        client.sendPacket('6'); // to be heard of is not to join
      }
      late.push({ client, started, what: `${transport}: ${short(messages)}` });
    }
  }
  await Promise.all(late.map(async ({ client, started, what }) => {
    await client.whenClosed().catch((cause) => assert.fail(`${what}: ${cause.message}`));
    const took = performance.now() - started;
    assert.ok(took > CONNECT_MS - 50 && took < CONNECT_MS + LATE_MS, `${what}: ended after ${Math.round(took)} ms`);
    await isGone(client);
  }));
  await isAlive(stays);
  left.send('0');
  assert.match(await left.next('having joined again'), /^0\{"sid":/);
}, { CONNECT_TIMEOUT: CONNECT_MS });

test('the server ends without complaints', () => guard.stop());

await run();
