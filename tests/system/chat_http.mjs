// Commands over HTTP, and the other paths of `palaver serve`: statuses, cookies, what is refused, and sockets by cookie. Origins
// and hosts are in chat_origin.mjs.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { io } from 'socket.io-client';
import {
  api, ends, fails, fileServer, joinChat, joinRoot, LOBBY, member, newCid, newCookie, newToken, ok, range, seqs, TEXT_BYTES_MAX, wholeLog,
} from './lib/chat.mjs';
import { RawSocket, request } from './lib/http.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';

const BODY_BYTES_MAX = 512 * 1024;
const METHODS = ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'];

const server = await fileServer();
const origin = server.url;
const token = await newToken(server, 'Ann');
const bearer = { authorization: `Bearer ${token}` };
const send = (text = 'x', more = {}, headers = bearer) =>
  api(server, 'message.send', { room: LOBBY, cid: newCid(), text, ...more }, headers);

function refused(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  fails(answer.json, code);
}

test('every command is answered with 200, as on a socket', async (t) => {
  const listener = await member(t, server);
  const { status, headers, json } = await api(server, 'hello', { name: 'Bob' });
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.deepEqual(Object.keys(json).sort(), ['epoch', 'now', 'ok', 'rooms', 'token', 'user']);
  const bob = { authorization: `Bearer ${json.token}` };
  const sent = await send('by HTTP', {}, bob);
  assert.equal(sent.status, 200);
  const entry = await listener.hears('entry');
  assert.deepEqual([entry.seq, entry.nonce, entry.at], [sent.json.seq, sent.json.nonce, sent.json.at]);
  assert.deepEqual(entry.author, { id: json.user.id, name: 'Bob' });
  const history = await api(server, 'room.history', { room: LOBBY, limit: 1 }, bob);
  assert.deepEqual([history.status, history.json.entries], [200, [entry]]);
  const sync = await api(server, 'room.sync', { epoch: json.epoch, rooms: { 1: [entry.seq, entry.nonce] } }, bob);
  assert.deepEqual([sync.status, sync.json.rooms[0].entries], [200, []]);
});

test('a guest by cookie: HttpOnly, SameSite=Lax, Path=/, and no token in the answer', async () => {
  const { status, headers, json, text } = await api(server, 'hello', { name: 'Ann', cookie: true }, { origin });
  assert.equal(status, 200);
  assert.equal('token' in json, false);
  assert.equal(headers['set-cookie'].length, 1);
  const [pair, ...flags] = headers['set-cookie'][0].split('; ');
  const [, name, value] = /^(palaver_[0-9a-f]{8})=([A-Za-z0-9_-]{22})$/.exec(pair);
  assert.equal(name, `palaver_${json.epoch.slice(0, 8)}`);
  assert.ok(flags.includes('Max-Age=31536000'), 'a year');
  assert.ok(flags.includes('HttpOnly') && flags.includes('SameSite=Lax') && flags.includes('Path=/'), headers['set-cookie'][0]);
  assert.ok(!flags.some((flag) => /^Domain/i.test(flag)), 'it is for this host alone');
  assert.equal(text.includes(value), false);
  const again = await api(server, 'hello', {}, { origin, cookie: `a=b; ${pair}; c=d` });
  assert.deepEqual([again.status, again.json.user], [200, json.user]);
  assert.deepEqual(again.headers['set-cookie'], headers['set-cookie'], 'for another year');
  assert.equal(again.text.includes(value), false);
  const sent = await send('by cookie', {}, { origin, cookie: pair });
  assert.equal((await wholeLog(server))[sent.json.seq - 1].author.id, json.user.id);
  for (const [body, more] of [[{ token }, {}], [{}, bearer]]) {
    const known = await api(server, 'hello', body, { origin, cookie: pair, ...more });
    assert.deepEqual([known.status, known.headers['set-cookie']], [200, undefined], 'it was not the cookie that was taken');
  }
  refused(await api(server, 'hello', {}, { origin, cookie: `${name}=${'a'.repeat(22)}` }), 401, 'unauthenticated');
  const plain = await api(server, 'hello', { name: 'Ann', cookie: false }, { origin });
  assert.deepEqual([plain.headers['set-cookie'], plain.json.token.length], [undefined, 22]);
});

test('sockets by cookie: hello with nothing else, on both transports and with official clients', async (t) => {
  const cookie = await newCookie(server, 'Cookie');
  const { user } = (await api(server, 'hello', {}, { cookie, origin })).json;
  for (const transport of ['websocket', 'polling']) {
    const client = await member(t, server, {}, { transport, headers: { cookie, origin } });
    assert.deepEqual(client.hello.user, user);
    assert.equal('token' in client.hello, false);
    fails(await (await joinChat(t, server, { transport })).command('hello', {}), 'unauthenticated');
  }
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    const person = await Person.arrive(io, server, { transports, extraHeaders: { cookie, origin } }, '/chat');
    t.after(() => person.leave());
    assert.deepEqual(ok((await person.ask('hello', {}))[0]).user, user);
  }
  const other = await member(t, server, { name: 'Other' }, { headers: { cookie, origin } });
  assert.equal(other.hello.user.name, 'Other');
});

test('the cookie of another program, or one that is none of ours, is nobody', async () => {
  const [name] = (await newCookie(server)).split('=');
  const none = [`${name}=`, `${name}=x`, `x${name}=${token}`, `${name}2=${token}`, `${name}=${token}x`, `a=${name}=${token}`, ';;; =', name,
    `palaver=${token}`, `palaver_00000000=${token}`];
  for (const cookie of none) {
    refused(await api(server, 'hello', {}, { cookie, origin }), 401, 'unauthenticated');
  }
});

test('two servers of one host, each with its data, leave each other their guests: cookies know no ports', async (t) => {
  const other = await startPalaver(t);
  const jar = new Map(); // of a browser, for the host
  const guests = new Map();
  const hello = async (where, body) => {
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ');
    const { headers, json } = await api(where, 'hello', body, { origin: where.url, cookie });
    for (const line of headers['set-cookie'] ?? []) {
      jar.set(...line.split(';')[0].split('='));
    }
    return ok(json).user;
  };
  for (const where of [server, other]) {
    guests.set(where, await hello(where, { name: `Ann of ${where.port}`, cookie: true }));
  }
  for (const where of [server, other, server]) {
    assert.deepEqual(await hello(where, {}), guests.get(where));
  }
});

test('a token by Authorization; without one, or with one that nobody has, 401', async () => {
  for (const authorization of [`Bearer ${token}`, `bearer ${token}`, `BEARER ${token}`]) {
    assert.equal((await send('x', {}, { authorization })).status, 200);
  }
  for (const authorization of ['', 'Bearer', 'Bearer ', `Basic ${token}`, token, `Bearer ${token}x`, `Bearer ${'a'.repeat(22)}`, `Bearer${token}`]) {
    refused(await send('x', {}, { authorization }), 401, 'unauthenticated');
  }
  for (const command of ['message.send', 'room.history', 'room.sync']) {
    const body = { 'message.send': { room: 1, cid: 'a', text: 'x' }, 'room.history': { room: 1 }, 'room.sync': { epoch: '', rooms: {} } };
    refused(await api(server, command, body[command]), 401, 'unauthenticated');
  }
  refused(await api(server, 'hello', {}), 401, 'unauthenticated');
  refused(await api(server, 'hello', { token: 'a'.repeat(22) }), 401, 'unauthenticated');
});

test('errors have their statuses', async () => {
  const cid = newCid();
  assert.equal((await send('one', { cid })).status, 200);
  refused(await send('two', { cid }), 409, 'conflict');
  refused(await send('x', { room: 2 }), 404, 'not_found');
  refused(await send('x'.repeat(TEXT_BYTES_MAX + 1)), 413, 'too_large');
  refused(await send('x', { is_admin: true }), 400, 'invalid');
  refused(await send(''), 400, 'invalid');
  refused(await api(server, 'room.history', { room: 7 }, bearer), 404, 'not_found');
  refused(await api(server, 'hello', { name: 'a'.repeat(33) }), 400, 'invalid');
  refused(await api(server, 'hello', { name: 'Ann', cookie: 1 }), 400, 'invalid');
});

test('an unknown command is 404, typing too: it is for sockets', async () => {
  for (const command of ['', 'nothing', 'hello/', 'hello/x', 'HELLO', 'message', 'message.send/', 'message.sen']) {
    const { status } = await api(server, command, {}, bearer);
    assert.equal(status, 404, command);
  }
  for (const command of ['..', '../hello', 'hello%00', '..%2fhello', 'hello\\']) {
    const { status } = await api(server, command, {}, bearer);
    assert.ok(status === 400 || status === 404, `${command}: ${status}`);
  }
  for (const command of ['nothing', 'typing', 'Hello']) {
    refused(await api(server, command, { room: LOBBY }, bearer), 404, 'unknown_command');
  }
  assert.equal((await request(server, { method: 'POST', path: '/api/v2/hello', body: '{}' })).status, 404);
  assert.equal((await request(server, { method: 'POST', path: '/api', body: '{}' })).status, 404);
});

test('other methods are 405, with Allow: POST', async () => {
  for (const method of METHODS) {
    const { status, headers } = await request(server, { method, path: '/api/v1/hello', headers: { 'content-type': 'application/json' } });
    assert.deepEqual([status, headers.allow], [405, 'POST'], method);
  }
});

test('another content type, or none, is 415', async () => {
  for (const type of ['text/plain', 'text/plain; x=application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x',
    'application/jsonp', 'application/json-patch+json', 'application', 'json', '']) {
    refused(await api(server, 'hello', { name: 'Ann' }, { 'content-type': type }), 415, 'unsupported');
  }
  const bare = await request(server, { method: 'POST', path: '/api/v1/hello', body: '{"name":"Ann"}' });
  assert.equal(bare.status, 415);
  for (const type of ['application/json;charset=utf-8', 'application/json; charset=UTF-8', 'Application/JSON', 'application/json ;x=y']) {
    assert.equal((await api(server, 'hello', { name: 'Ann' }, { 'content-type': type })).status, 200, type);
  }
});

test('a body that is no object of JSON is 400', async () => {
  for (const body of ['', ' ', '{', '{}}', '{} {}', '[]', '"x"', 'null', '1', '{"name":}', "{'name':'Ann'}", '{"name":"Ann",}', '{"name":"\x01"}',
    '{"name":"\\ud800"}', '{"name":"\\x"}', '\ufeff{"name":"Ann"}', '{"name":1e999}', '{"name":"Ann"', 'name=Ann', '[{"name":"Ann"}]']) {
    refused(await api(server, 'hello', body), 400, 'invalid');
  }
  assert.equal((await api(server, 'hello', ' {\r\n\t"name" : "\\u0041nn" } ')).status, 200);
});

test('a body that is not UTF-8 is 400', async () => {
  for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82], [0x80]]) {
    const body = Buffer.concat([Buffer.from('{"name":"a'), Buffer.from(bytes), Buffer.from('"}')]);
    refused(await api(server, 'hello', body), 400, 'invalid');
  }
});

test('a body that is too long is 413; the longest text passes however it is written', async () => {
  const escaped = `{"room":1,"cid":"${newCid()}","text":"${'\\u0078'.repeat(TEXT_BYTES_MAX)}"}`;
  assert.equal((await api(server, 'message.send', escaped, bearer)).status, 200);
  assert.equal((await wholeLog(server)).at(-1).text, 'x'.repeat(TEXT_BYTES_MAX));
  const socket = await RawSocket.open(server);
  await socket.write(`POST /api/v1/hello HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${BODY_BYTES_MAX + 1}\r\n\r\n`);
  await socket.match(/^HTTP\/1.1 413 /);
  socket.destroy();
});

test('many on one connection, also pipelined: each its own answer, in order', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 20; i++) {
    const { status } = await request(server, { path: '/healthz', agent });
    assert.equal(status, 200);
  }
  agent.destroy();
  const socket = await RawSocket.open(server);
  const post = (i, auth) => {
    const body = JSON.stringify({ room: LOBBY, cid: newCid(), text: `pipelined ${i}` });
    return `POST /api/v1/message.send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${auth}Content-Length: ${body.length}\r\n\r\n${body}`;
  };
  const auth = `Authorization: Bearer ${token}\r\n`;
  await socket.write([post(1, auth), post(2, ''), post(3, auth), post(4, '')].join(''));
  await socket.match(/(HTTP\/1.1 (200|401) [^]*?\}){4}/);
  assert.deepEqual(socket.text.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200', 'HTTP/1.1 401']);
  const [one, three] = socket.text.match(/"seq":\d+/g);
  assert.equal(Number(three.slice(6)), Number(one.slice(6)) + 1);
  socket.destroy();
});

test('clients that go before they are answered do no harm', async () => {
  const calls = range(1, 50).map((i) => {
    const call = request(server, {
      method: 'POST', path: '/api/v1/message.send', headers: { ...bearer, 'content-type': 'application/json' },
      body: JSON.stringify({ room: LOBBY, cid: newCid(), text: `gone ${i}` }),
    });
    return call.sent.then(() => call.abort());
  });
  await Promise.all(calls);
  const log = await wholeLog(server);
  assert.equal(new Set(log.map(({ text, seq }) => (text.startsWith('gone') ? text : seq))).size, log.length, 'none twice');
  assert.equal((await send('still here')).status, 200);
});

test('many at once by HTTP and by sockets: dense, each once', async (t) => {
  const before = (await wholeLog(server)).length;
  const [chat, root] = [await member(t, server), await joinRoot(t, server)];
  const answers = await Promise.all(range(1, 60).map((i) => [
    () => send(`mixed ${i}`).then(({ json }) => json), () => chat.say(`mixed ${i}`), () => root.root('message', `mixed ${i}`),
  ][i % 3]()));
  assert.deepEqual(seqs(answers.map(ok)).sort((a, b) => a - b), range(before + 1, before + 60));
});

test('/healthz, / and /chat, by GET and HEAD alone', async () => {
  const health = await request(server, { path: '/healthz' });
  assert.deepEqual([health.status, health.text], [200, 'ok\n']);
  const root = await request(server, { path: '/' });
  assert.deepEqual([root.status, root.headers.location], [302, '/chat']);
  const page = await request(server, { path: '/chat' });
  assert.equal(page.status, 200);
  assert.match(page.headers['content-type'], /^text\/html/);
  for (const path of ['/healthz', '/', '/chat']) {
    const get = await request(server, { path });
    const head = await request(server, { method: 'HEAD', path });
    assert.deepEqual([head.status, head.text], [get.status, ''], path);
    assert.equal(head.headers['content-length'], get.headers['content-length'], path);
    assert.equal(head.headers.location, get.headers.location);
    const post = await request(server, { method: 'POST', path, body: '' });
    assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD'], path);
  }
  assert.equal((await request(server, { path: '/?x=y' })).headers.location, '/chat');
  for (const path of ['/nothing', '/chat/x/y', '/healthz/', '/healthz/x', '/index.html', '/api/']) {
    assert.equal((await request(server, { path })).status, 404, path);
  }
  assert.match((await request(server, { path: '/socket.io/socket.io.js' })).text, /Socket\.IO v4/);
});

ends(server);
await run();
