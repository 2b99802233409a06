// Who is let in: Origins at every handshake and over HTTP (threats 26, 72), Hosts and forwarding headers for guests, and the
// options --guests and --origin.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { api, ends, fails, fileServer, newCookie, newToken, ok, Raw, UNLIMITED } from './lib/chat.mjs';
import { EngineClient } from './lib/engine.mjs';
import { RawSocket, request, target } from './lib/http.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';

const ALLOWED = ['https://ok.tld', 'http://other.tld:8080'];
const FOREIGN = [
  'http://evil.tld', 'null', 'https://ok.tld.evil', 'https://ok.tld.evil:443', 'http://ok.tld', 'https://ok.tld:444', 'ok.tld', 'https://ok.tld/',
  'https://sub.ok.tld', 'https://xok.tld', 'http://other.tld', 'https://other.tld:8080', 'file://', 'chrome-extension://abc', 'localhost', '*',
  'http://127.0.0.1.evil.tld', 'http://localhost.evil.tld', 'http://127.evil.tld', 'http://127.0.0.1@evil.tld', 'http://localhost:1@evil.tld',
  'http://[::1].evil.tld', 'http://[::1]@evil.tld', 'http://localhost:80.evil.tld', 'http://10.0.0.1', 'http://0.0.0.0', 'http://[::2]', 'http://',
  'ws://127.0.0.1', 'https://ok.tld, http://127.0.0.1', ' ', 'http://evil.tld http://127.0.0.1',
];
const FORWARDED = [
  'forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'x-forwarded-server', 'x-forwarded-scheme',
  'x-forwarded-ssl', 'x-original-forwarded-for', 'x-real-ip', 'x-client-ip', 'x-cluster-client-ip', 'true-client-ip', 'cf-connecting-ip',
  'fastly-client-ip',
];
const LOCAL_HOSTS = ['localhost', 'LocalHost:3000', '127.0.0.1', '127.1.2.3:80', '[::1]', '[::1]:3000'];
const FOREIGN_HOSTS = [
  'evil.tld', 'localhost.evil.tld', '127.0.0.1.evil.tld', '127.0.0.1.', 'xlocalhost', '10.0.0.1', '0.0.0.0', '[::2]', '127.1', '128.0.0.1',
];
const ODD_HOSTS = ['[::1', '[::1].evil.tld', 'localhost:80.evil.tld', 'localhost:', 'a@localhost', 'localhost,evil.tld'];

const server = await fileServer({ args: [...UNLIMITED, ...ALLOWED.flatMap((url) => ['--origin', url])] });
const token = await newToken(server);
const cookie = await newCookie(server);

// The status of an Engine.IO handshake by polling, or of a WebSocket's.
async function polling(headers, where = server, query = {}) {
  const { status, text } = await request(where, { path: target({ EIO: 4, transport: 'polling', ...query }), headers });
  return { status, text };
}

async function websocket(headers, where = server, query = {}) {
  const socket = await RawSocket.open(where);
  const lines = [headers].flat().flatMap((some) => Object.entries(some)).map(([name, value]) => `${name}: ${value}\r\n`);
  await socket.write(`GET ${target({ EIO: 4, transport: 'websocket', ...query })} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`
    + `${lines.some((line) => /^host:/i.test(line)) ? '' : `Host: 127.0.0.1:${where.port}\r\n`}`
    + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${lines.join('')}\r\n`);
  const [, status] = await socket.match(/^HTTP\/1\.1 (\d+) /);
  socket.destroy();
  return Number(status);
}

const hello = (headers, where = server) => api(where, 'hello', { token }, headers);

test('threat 26: a foreign Origin is 403, at polling, at a WebSocket, and over HTTP', async () => {
  for (const origin of FOREIGN) {
    if (origin.trim() !== '') {
      assert.equal((await polling({ origin })).status, 403, `polling: ${origin}`);
      assert.equal((await hello({ origin })).status, 403, `hello: ${origin}`);
      fails((await hello({ origin })).json, 'forbidden');
      assert.equal(await websocket({ origin }), 403, `websocket: ${origin}`);
      assert.equal(await websocket({ origin, cookie }), 403, `websocket with a cookie: ${origin}`);
    }
  }
});

test('threat 26: a WebSocket with a cookie must have an Origin; so must a command', async () => {
  assert.equal(await websocket({ cookie }), 403);
  assert.equal(await websocket({ cookie, origin: '' }), 403);
  assert.equal(await websocket({ cookie, origin: server.url }), 101);
  assert.equal(await websocket({}), 101);
  fails((await api(server, 'hello', {}, { cookie })).json, 'forbidden');
  assert.equal((await api(server, 'hello', {}, { cookie })).status, 403);
  assert.equal((await api(server, 'room.history', { room: 1 }, { cookie, authorization: `Bearer ${token}` })).status, 403);
  assert.equal((await api(server, 'hello', {}, { cookie, origin: server.url })).status, 200);
  assert.equal((await polling({ cookie })).status, 200, 'browsers send none with their own GET');
});

test('threat 26: a session that was opened by polling is not upgraded from a foreign Origin, nor by a cookie alone', async (t) => {
  const client = await EngineClient.open(server, { transport: 'polling', loop: false });
  t.after(() => client.terminate());
  const query = { sid: client.sid };
  assert.equal(await websocket({ origin: 'http://evil.tld' }, server, query), 403);
  assert.equal(await websocket({ cookie }, server, query), 403);
  assert.equal(await websocket({ origin: server.url }, server, query), 101);
});

test("the Origin of the Host that was asked for, those of --origin, and loopback's are let in", async () => {
  const right = [...ALLOWED, 'HTTPS://OK.TLD', server.url, `http://localhost:${server.port}`, 'http://localhost:5173', 'http://127.0.0.1', 'http://[::1]:80',
    'https://localhost'];
  for (const origin of right) {
    assert.equal((await polling({ origin })).status, 200, origin);
    assert.equal(await websocket({ origin }), 101, origin);
    assert.equal(await websocket({ origin, cookie }), 101, origin);
  }
  for (const [host, origin, status] of [['chat.tld', 'http://chat.tld', 101], ['chat.tld', 'https://CHAT.tld', 101], ['chat.tld:81', 'http://chat.tld:81', 101],
    ['chat.tld:81', 'http://chat.tld', 403], ['chat.tld', 'http://chat.tld:81', 403], ['chat.tld', 'http://localhost', 403], ['localhost', 'http://chat.tld', 403]]) {
    assert.equal(await websocket({ host, origin }), status, `${host} ${origin}`);
    assert.equal((await polling({ host, origin })).status, status === 101 ? 200 : status, `${host} ${origin}`);
  }
});

test('threat 72: what a foreign page can POST without asking is refused and does nothing', async () => {
  const body = JSON.stringify({ room: 1, cid: 'csrf', text: 'csrf' });
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    const foreign = { 'content-type': type, origin: 'http://evil.tld', cookie };
    assert.equal((await api(server, 'message.send', body, foreign)).status, 403);
    assert.equal((await api(server, 'message.send', body, { ...foreign, origin: server.url })).status, 415);
    assert.ok([403, 415].includes((await api(server, 'message.send', body, { 'content-type': type, cookie })).status));
  }
  assert.equal((await api(server, 'message.send', body, { origin: 'http://evil.tld', cookie })).status, 403);
  assert.equal((await api(server, 'message.send', body, { origin: 'null', cookie })).status, 403);
  const { json } = await api(server, 'room.history', { room: 1 }, { authorization: `Bearer ${token}` });
  assert.deepEqual(json.entries, []);
});

test('a preflight from a foreign page gets no leave', async () => {
  for (const path of ['/api/v1/hello', target({ EIO: 4, transport: 'polling' })]) {
    const headers = { origin: 'http://evil.tld', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
    const answer = await request(server, { method: 'OPTIONS', path, headers });
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
  }
});

test('guests local: a Host that is not loopback refuses guests, whoever they say they are', async () => {
  for (const host of LOCAL_HOSTS) {
    assert.equal((await hello({ host })).status, 200, host);
  }
  for (const host of ODD_HOSTS) {
    const { status } = await hello({ host });
    assert.ok(status === 400 || status === (host === 'localhost:' ? 200 : 403), `${host}: ${status}`);
  }
  for (const host of FOREIGN_HOSTS) {
    const answer = await hello({ host });
    assert.equal(answer.status, 403, host);
    fails(answer.json, 'guests_refused');
    assert.equal((await api(server, 'room.history', { room: 1 }, { host, authorization: `Bearer ${token}` })).status, 403, host);
    const client = await EngineClient.open(server, { transport: 'polling', headers: { host } });
    client.send('0', '0/chat,', '2/chat,1["hello",{"name":"Ann"}]');
    assert.match(await client.next('a refusal'), /^4\{.*"error":"guests_refused"/, host);
    assert.match(await client.next('CONNECT'), /^0\/chat,/);
    assert.match(await client.next('the answer'), /^3\/chat,1\[\{"ok":false,"error":"guests_refused"/, host);
    client.terminate();
  }
});

test('guests local: what came through a proxy refuses guests', async () => {
  for (const name of FORWARDED) {
    for (const value of ['127.0.0.1', 'for=127.0.0.1', '']) {
      const answer = await hello({ [name]: value });
      assert.equal(answer.status, 403, name);
      fails(answer.json, 'guests_refused');
    }
    const refusal = await Raw.join(server, { headers: { [name]: '127.0.0.1' } }).then(() => null, (error) => error);
    assert.deepEqual(refusal?.data, { error: 'guests_refused' }, name);
  }
});

test('guests local: an Origin that is let in but is not loopback refuses guests', async () => {
  for (const origin of ALLOWED) {
    fails((await hello({ origin })).json, 'guests_refused');
  }
});

test('guests on: from wherever the Origin fits', async (t) => {
  const open = await startPalaver(t, { args: [...UNLIMITED, '--guests', 'on', '--origin', ALLOWED[0]] });
  const name = { name: 'Ann' };
  for (const headers of [{}, { host: 'chat.tld' }, { 'x-forwarded-for': '1.2.3.4' }, { host: 'chat.tld', origin: 'https://chat.tld' }, { origin: ALLOWED[0] }]) {
    ok((await api(open, 'hello', name, headers)).json);
  }
  for (const headers of [{ origin: ALLOWED[1] }, { host: 'chat.tld', origin: 'https://evil.tld' }, { origin: 'null' }]) {
    fails((await api(open, 'hello', name, headers)).json, 'forbidden');
  }
});

test('official clients: a foreign Origin is a connect_error', async () => {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    await assert.rejects(Person.arrive(io, server, { transports, extraHeaders: { origin: 'http://evil.tld' } }), /error/);
    const person = await Person.arrive(io, server, { transports, extraHeaders: { origin: server.url } });
    person.leave();
  }
});

ends(server);
await run();
