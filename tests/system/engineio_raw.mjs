// Engine.IO by hand: handshake, errors and their order, and HTTP long-polling. WebSockets are in engineio_ws.mjs.

import assert from 'node:assert/strict';
import { startServer } from './lib/server.mjs';
import { decodeBody, EngineClient } from './lib/engine.mjs';
import { RawSocket, request, SEPARATOR, target } from './lib/http.mjs';
import { allErrors, error, isErrorOfWebSocket, isGone, UPGRADE } from './lib/refused.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until } from './lib/wait.mjs';

const MAX_PAYLOAD = 10000;

const server = await startServer('probe');
const small = await startServer('probe', { MAX_PAYLOAD, PING_INTERVAL: 12345, PING_TIMEOUT: 6789 });
// Hears what others say; every test asks it whether the server is still well.
const watcher = await SioClient.join(server);

const POLL = { EIO: 4, transport: 'polling' };

function ask(method, query, more = {}) {
  return request(server, { method, path: target(query), ...more });
}

// A polling session polled by hand, in the namespace /, with the greeting consumed.
async function session(t, on = server) {
  const client = await EngineClient.open(on, { transport: 'polling', loop: false });
  t.after(() => client.close('end of test'));
  assert.equal((await client.post('40')).text, 'ok');
  const greeting = [];
  await until(async () => {
    greeting.push(...(await client.poll()));
    return greeting.length >= 3;
  }, 'the greeting');
  assert.match(greeting[0], /^40\{"sid":"/);
  return client;
}

// The session still takes and gives messages.
async function isAlive(client) {
  const pending = client.get();
  assert.equal((await client.post('4299["echo","alive"]')).text, 'ok');
  const packets = decodeBody((await pending).text);
  await until(async () => {
    if (packets.includes('4399["alive"]')) {
      return true;
    }
    packets.push(...(await client.poll()));
    return false;
  }, 'the session to answer');
}

// Sends a GET that stays pending: a POST of a noop behind it says that the server has had time to see it.
async function pendingPoll(client) {
  const answer = client.get();
  await answer.sent;
  assert.equal((await client.post('6')).text, 'ok');
  return { answer };
}

async function othersAreWell() {
  watcher.check();
  assert.deepEqual(await watcher.ask('echo', 'well'), ['well']);
}

test('handshake by polling: the keys, their order, the headers', async () => {
  const { status, headers, text } = await ask('GET', POLL);
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/plain; charset=UTF-8');
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(headers['set-cookie'], undefined);
  assert.equal(headers['access-control-allow-origin'], undefined);
  const wanted = /^0\{"sid":"[A-Za-z0-9_-]{20}","upgrades":\["websocket"\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$/;
  assert.match(text, wanted);
});

test('handshake by websocket: no upgrades are offered', async (t) => {
  const client = await EngineClient.open(server);
  t.after(() => client.terminate());
  const keys = ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload'];
  assert.deepEqual(Object.keys(client.handshake), keys);
  assert.match(client.sid, /^[A-Za-z0-9_-]{20}$/);
  assert.deepEqual(client.handshake.upgrades, []);
});

test('handshake: options are told, forms of the query are understood', async () => {
  const told = await request(small, { path: target(POLL) });
  assert.match(told.text, /"pingInterval":12345,"pingTimeout":6789,"maxPayload":10000\}$/);
  for (const query of ['transport=polling&EIO=4', 'EIO=4&transport=%70olling&t=abc', 'x=%C3%BC&&EIO=4&transport=polling&sid=']) {
    const { status, text } = await request(server, { path: `/socket.io/?${query}` });
    assert.equal(status, 200, query);
    assert.match(text, /^0\{"sid":/);
  }
});

test('session ids differ', async () => {
  const ids = new Set();
  for (let i = 0; i < 200; i++) {
    const { text } = await ask('GET', POLL);
    ids.add(JSON.parse(text.slice(1)).sid);
  }
  assert.equal(ids.size, 200);
});

test('errors: code, message, status, and the order of the checks', async (t) => {
  const client = await session(t);
  await allErrors(server, client.sid);
  await isAlive(client);
});

test('what is there twice in a query is as unknown, in whatever spelling', async (t) => {
  const client = await session(t);
  const refused = async (more, code) => {
    const socket = await RawSocket.open(server);
    t.after(() => socket.destroy());
    await socket.write(`GET ${target(POLL)}&${more} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const answer = (await socket.whenClosed()).toString();
    assert.match(answer, /^HTTP\/1\.1 400 /, more);
    assert.ok(answer.includes(error(code)), `${more}: ${answer}`);
  };
  await refused('EIO=3', 5);
  await refused(`%73id=${'x'.repeat(70)}`, 1);
  await t.deviates('the last one counts', () => refused('transport=polling', 0));
  await t.deviates('the last one counts', () => refused(`sid=${client.sid}&%73id=`, 1));
  await isAlive(client);
});

test('JSONP is refused', async (t) => {
  for (const j of ['0', '12', 'x'.repeat(100)]) {
    await t.deviates('JSONP is answered as a script', async () => {
      const { status, text } = await ask('GET', { ...POLL, j });
      assert.deepEqual([status, text], [400, error(3)]);
    });
  }
  assert.equal((await ask('GET', { ...POLL, j: '' })).status, 200);
});

test('a handshake with two versions of WebSocket is refused', async () => {
  const socket = await RawSocket.open(server);
  await socket.write(`GET ${target({ EIO: 4, transport: 'websocket' })} HTTP/1.1\r\n${UPGRADE}\r\n`
    + 'Sec-WebSocket-Version: 8\r\n\r\n');
  assert.match((await socket.whenClosed()).toString(), /^HTTP\/1\.1 400 /);
});

test('an Origin with characters that no header may have is refused', async () => {
  for (const origin of ['http://a\x01b', 'http://a\x7fb']) {
    const socket = await RawSocket.open(server);
    await socket.write(`GET ${target(POLL)} HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\nConnection: close\r\n\r\n`);
    await socket.match(/^HTTP\/1\.1 400 /);
    socket.destroy();
  }
});

test('a method other than GET and POST harms no session', async (t) => {
  const client = await session(t);
  for (const method of ['PUT', 'DELETE', 'PATCH']) {
    const { status, text } = await ask(method, client.query4);
    await t.deviates('a method that a session does not have is a 500', () => assert.deepEqual([status, text], [400, error(2)]));
  }
  await isAlive(client);
});

test('a websocket handshake that is refused gets 400 and the message as a page', async (t) => {
  const client = await session(t);
  await isErrorOfWebSocket(server, { EIO: 4, transport: 'foo' }, 0);
  await isErrorOfWebSocket(server, { EIO: 4 }, 0);
  await isErrorOfWebSocket(server, { EIO: 4, transport: 'websocket', sid: 'nobody' }, 1);
  await isErrorOfWebSocket(server, { EIO: 3, transport: 'websocket', sid: client.sid }, 3);
  await t.deviates('EIO=3 is refused only after the 101', () =>
    isErrorOfWebSocket(server, { EIO: 3, transport: 'websocket' }, 5));
  await isAlive(client);
});

test('POST and poll: bodies and headers', async (t) => {
  const client = await session(t);
  const pending = client.get();
  const posted = await client.post('421["echo","ü"]');
  assert.equal(posted.status, 200);
  assert.equal(posted.text, 'ok');
  assert.equal(posted.headers['content-type'], 'text/html');
  assert.equal(posted.headers['content-length'], '2');
  assert.equal(posted.headers['cache-control'], 'no-store');
  const polled = await pending;
  assert.equal(polled.text, '431["ü"]');
  assert.equal(polled.headers['content-type'], 'text/plain; charset=UTF-8');
  assert.equal(polled.headers['content-length'], String(polled.body.length));
  assert.equal(polled.headers['cache-control'], 'no-store');
  assert.equal(polled.headers['content-encoding'], undefined);
});

test('several packets in one body, both ways, in order', async (t) => {
  const client = await session(t);
  const ids = Array.from({ length: 40 }, (_, i) => i);
  await client.post(ids.map((i) => `42${i}["echo",${i}]`).join(SEPARATOR));
  const packets = [];
  await until(async () => {
    packets.push(...(await client.poll()));
    return packets.length >= ids.length;
  }, 'all acknowledgements');
  assert.deepEqual(packets, ids.map((i) => `43${i}[${i}]`));
});

test('a body in chunks that split characters and packets', async (t) => {
  const client = await session(t);
  const body = Buffer.from(`421["echo","日本語 ü 👩‍👩‍👧"]${SEPARATOR}422["echo","zwei"]`);
  const socket = await RawSocket.open(server);
  await socket.write(`POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  for (const byte of body) {
    await socket.write(Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')]));
  }
  await socket.write('0\r\n\r\n');
  await socket.match(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
  socket.destroy();
  const packets = await client.poll();
  if (packets.length < 2) {
    packets.push(...(await client.poll()));
  }
  assert.deepEqual(packets, ['431["日本語 ü 👩‍👩‍👧"]', '432["zwei"]']);
});

test('binary in polling: b and base64, every length around the padding', async (t) => {
  const client = await session(t);
  for (const length of [0, 1, 2, 3, 4, 255, 3000]) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length) & 255));
    const base64 = `b${bytes.toString('base64')}`;
    await client.post(`451-7["echo",{"_placeholder":true,"num":0}]${SEPARATOR}${base64}`);
    const answer = await client.get();
    assert.equal(answer.text, `461-7[{"_placeholder":true,"num":0}]${SEPARATOR}${base64}`);
  }
});

test('decoding a body stops at the first bad packet, which closes the session', async (t) => {
  const client = await session(t);
  const before = watcher.packets.items.length;
  const body = ['42["others","fine"]', '9bad', '42["others","too late"]'].join(SEPARATOR);
  await client.post(body).catch(() => 'the connection may be cut');
  await isGone(client);
  watcher.emit('message', 'barrier');
  await until(() => watcher.packets.items.some(({ data }) => data?.[1] === 'barrier'), 'the barrier');
  const heard = watcher.packets.items.slice(before).map(({ data }) => data?.[1]);
  assert.ok(!heard.includes('too late'));
  await othersAreWell();
});

test('an empty body is a bad packet', async (t) => {
  const client = await session(t);
  await client.post('').catch(() => 'the connection may be cut');
  await isGone(client);
});

test('a POST over maxPayload: a bare 413, and the session lives on', async (t) => {
  const client = await session(t, small);
  const packet = (bytes) => `421["echo","${'x'.repeat(bytes - 14)}"]`;
  assert.equal(Buffer.byteLength(packet(MAX_PAYLOAD)), MAX_PAYLOAD);
  assert.equal((await client.post(packet(MAX_PAYLOAD))).text, 'ok');
  assert.equal((await client.poll())[0].length, MAX_PAYLOAD - 7);
  const tooLong = await client.post(packet(MAX_PAYLOAD + 1));
  assert.equal(tooLong.status, 413);
  assert.equal(tooLong.text, '');
  await isAlive(client);
  // Bytes are counted, not characters.
  const wide = `421["echo","${'ü'.repeat(MAX_PAYLOAD / 2)}"]`;
  assert.equal((await client.post(wide)).status, 413);
  await isAlive(client);
  const chunked = await RawSocket.open(small);
  await chunked.write(`POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  await chunked.write(`${(MAX_PAYLOAD + 1).toString(16)}\r\n${packet(MAX_PAYLOAD + 1)}\r\n0\r\n\r\n`);
  await chunked.match(/^HTTP\/1\.1 413 /);
  chunked.destroy();
  await isAlive(client);
});

test('what else is wrong with a POST is told before that it is too long', async (t) => {
  const client = await session(t, small);
  for (const [query, code] of [[{ EIO: 4, transport: 'polling', sid: 'nobody' }, 1], [{ EIO: 4, transport: 'polling' }, 2]]) {
    const socket = await RawSocket.open(small);
    await socket.write(`POST ${target(query)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${10 * MAX_PAYLOAD}\r\n\r\n`);
    await socket.match(new RegExp(`^HTTP/1\\.1 400 [^]*"code":${code},`));
    socket.destroy();
  }
  await isAlive(client);
});

test('application/octet-stream: 400, the session closes, the pending poll gets 1', async (t) => {
  const client = await session(t);
  const { answer: pending } = await pendingPoll(client);
  const { status } = await client.post('4binary', { 'content-type': 'application/octet-stream' });
  assert.equal(status, 400);
  assert.equal((await pending).text, '1');
  await isGone(client);
});

test('two polls at once: the second gets 400, the first 1, the session closes', async (t) => {
  const client = await session(t);
  const { answer: first } = await pendingPoll(client);
  const second = await client.get();
  assert.equal(second.status, 400);
  const answer = await first;
  assert.equal(answer.status, 200);
  assert.equal(answer.text, '1');
  await isGone(client);
  await othersAreWell();
});

test('a second POST at once: 400 and the session closes', async (t) => {
  const half = (client) => `POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42["mess`;
  for (const whole of [true, false]) {
    const client = await session(t);
    const { answer: pending } = await pendingPoll(client);
    const slow = await RawSocket.open(server);
    await slow.write(half(client));
    const other = await RawSocket.open(server);
    await other.write(whole ? `POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n6` : half(client));
    await other.match(/^HTTP\/1\.1 400 /);
    assert.ok(!other.text.includes('{'), other.text);
    assert.equal((await pending).text, '1');
    await isGone(client);
    slow.destroy();
    other.destroy();
  }
  await othersAreWell();
});

test('a POST that is cut in its body closes nothing else and delivers nothing', async (t) => {
  const client = await session(t);
  const slow = await RawSocket.open(server);
  const whole = '42["others","of half a body"]'; // what has come of it would do
  await slow.write(`POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 * whole.length}\r\n\r\n${whole}\x1e`);
  assert.equal((await client.get({ EIO: 4, transport: 'polling' })).status, 200); // it has been read
  slow.socket.resetAndDestroy();
  await t.deviates('a POST that is given up ends the session', () => isAlive(client));
  watcher.emit('message', 'barrier 2');
  const heard = await watcher.packets.take(({ data }) => ['barrier 2', 'of half a body'].includes(data?.[1]));
  assert.equal(heard.data[1], 'barrier 2');
  await othersAreWell();
});

test('a poll that the client aborts loses nothing', async (t) => {
  const client = await session(t);
  await t.deviates('an aborted poll ends the session', async () => {
    for (let i = 0; i < 20; i++) {
      const { answer: pending } = await pendingPoll(client);
      pending.abort();
      watcher.emit('others', 'kept', i);
      await watcher.ask('echo', 'barrier');
      const packets = await client.poll();
      assert.deepEqual(packets, [`42["others","kept",${i}]`]);
    }
  });
});

test('packets wait for the next poll', async (t) => {
  const client = await session(t);
  for (let i = 0; i < 10; i++) {
    watcher.emit('others', 'later', i);
  }
  await watcher.ask('echo', 'barrier');
  const packets = [];
  while (packets.length < 10) {
    packets.push(...(await client.poll()));
  }
  assert.deepEqual(packets, Array.from({ length: 10 }, (_, i) => `42["others","later",${i}]`));
});

test('client close by polling: the pending poll gets 6', async (t) => {
  const client = await session(t);
  const { answer: pending } = await pendingPoll(client);
  const { text } = await client.post('1');
  assert.equal(text, 'ok');
  assert.equal((await pending).text, '6');
  await isGone(client);
});

test('client close by polling without a pending poll', async (t) => {
  const client = await session(t);
  assert.equal((await client.post('1')).status, 200);
  await isGone(client);
  await othersAreWell();
});

// Polls until the session's end is told: the packets before it, without the noop that Node says before it.
async function untilClose(client, first = []) {
  const packets = [...first];
  await until(async () => {
    if (!packets.includes('1')) {
      packets.push(...(await client.poll()));
    }
    return packets.includes('1');
  }, 'the close packet');
  return packets.filter((packet) => packet !== '6');
}

test('server close with a poll pending: DISCONNECT, then 1', async (t) => {
  const client = await session(t);
  const { answer: pending } = await pendingPoll(client);
  await client.post('42["kick-close"]');
  const packets = await untilClose(client, decodeBody((await pending).text));
  assert.deepEqual(packets, ['41', '1']);
  await isGone(client);
});

test('server close without a poll pending: told on the next one', async (t) => {
  const client = await session(t);
  await client.post('42["kick-close"]');
  assert.deepEqual(await untilClose(client), ['41', '1']);
  await isGone(client);
});

test('bodies of 1024 bytes and more are compressed where the client accepts it', async (t) => {
  const client = await session(t);
  const cases = [
    ['gzip', 1024, 'gzip'],
    ['gzip, deflate, br', 1024, 'gzip'],
    ['deflate', 1024, 'deflate'],
    ['gzip;q=0, deflate', 1024, 'deflate'],
    ['gzip', 1023, undefined],
    ['deflate', 1023, undefined],
    ['identity', 1024, undefined],
    ['gzip;q=0', 1024, undefined],
    [undefined, 1024, undefined],
  ];
  for (const [accepted, bytes, wanted] of cases) {
    const text = 'ab'.repeat(bytes).slice('431[""]'.length, bytes);
    await client.post(`421["echo","${text}"]`);
    client.headers = accepted ? { 'accept-encoding': accepted } : {};
    const answer = await client.get();
    client.headers = {};
    assert.equal(answer.headers['content-encoding'], wanted, `${accepted}, ${bytes} bytes`);
    assert.equal(answer.text, `431["${text}"]`);
    assert.equal(answer.body.length, bytes);
    assert.equal(answer.wire < 300, wanted !== undefined);
  }
});

test('a body of more than 64 KiB is not compressed', async (t) => {
  const client = await session(t);
  client.headers = { 'accept-encoding': 'gzip' };
  for (const [bytes, wanted] of [[65536, 'gzip'], [65537, undefined]]) {
    const text = 'a'.repeat(bytes - '431[""]'.length);
    await client.post(`421["echo","${text}"]`);
    const answer = await client.get();
    assert.equal(answer.text, `431["${text}"]`);
    if (wanted) {
      assert.equal(answer.headers['content-encoding'], wanted);
    } else {
      await t.deviates('long bodies are compressed too', async () => assert.equal(answer.headers['content-encoding'], wanted));
    }
  }
});

test('a body of half a million packets is dealt with in linear time', async (t) => {
  const client = await session(t);
  const body = `6${SEPARATOR}`.repeat(499999) + '6';
  const started = performance.now();
  const { status } = await client.post(body).catch(() => ({ status: 0 }));
  assert.ok([0, 200, 400, 413].includes(status), `status ${status}`);
  await othersAreWell();
  assert.ok(performance.now() - started < 5000 * slower);
});

test('pipelined polls and posts on one connection are answered in turn', async (t) => {
  const client = await session(t);
  const socket = await RawSocket.open(server);
  const body = '421["echo","piped"]';
  const post = `POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  await socket.write(`${post}GET ${target(client.query4)} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await socket.match(/ok(?:\r\n)?HTTP\/1\.1 200 OK\r\n[^]*431\["piped"\]$/);
  socket.destroy();
});

test('other clients were not disturbed, and the servers end without complaints', async () => {
  await othersAreWell();
  assert.equal(watcher.isClosed, false);
  await server.stop();
  await small.stop();
});

await run();
