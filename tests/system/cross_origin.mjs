// What answers say to pages of other origins, the session's cookie, and further headers of handshakes.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { startServer } from './lib/server.mjs';
import { EngineClient } from './lib/engine.mjs';
import { RawSocket, request, target } from './lib/http.mjs';
import { run, test } from './lib/tap.mjs';
import { nextAnswer } from './lib/ws.mjs';

const ONE = 'http://one.example';
const TWO = 'http://two.example';
const OTHERS = ['http://three.example', 'http://one.example.evil.tld', 'null', 'http://one.example:80', 'HTTP://ONE.EXAMPLE'];
const POLLING = { EIO: 4, transport: 'polling' };
const MESSAGE_BYTES_MAX = 1000000; // the default
const none = {};

// Those of a response's headers that speak of other origins.
function said(headers) {
  const names = Object.keys(headers).filter((name) => name.startsWith('access-control-') || name === 'vary');
  return Object.fromEntries(names.sort().map((name) => [name.replace('access-control-', ''), headers[name]]));
}

const ask = (server, { method = 'GET', query = POLLING, ...headers } = {}) =>
  request(server, { method, path: target(query), headers });

async function serve(t, env) {
  const server = await startServer('twin', env);
  t.after(() => server.stop());
  return server;
}

const unnamed = { 'allow-credentials': 'true', vary: 'Origin' };
const named = (origin) => ({ 'allow-origin': origin, ...unnamed });

test('off, nothing is said, and a preflight is a bad method', async (t) => {
  const server = await serve(t, {});
  assert.deepEqual(said((await ask(server, { origin: ONE })).headers), none);
  const { status, text, headers } = await ask(server, { method: 'OPTIONS', origin: ONE, 'access-control-request-method': 'POST' });
  assert.deepEqual([status, JSON.parse(text).code, said(headers)], [400, 2, none]);
});

test('any origin: all answers say so, errors too', async (t) => {
  const server = await serve(t, { CORS: 'any' });
  const any = { 'allow-origin': '*' };
  for (const origin of [ONE, OTHERS[0]]) {
    const client = await EngineClient.open(server, { transport: 'polling', loop: false, headers: { origin } });
    client.send('0');
    const polled = await client.get();
    assert.deepEqual([polled.status, said(polled.headers)], [200, any]);
    const posted = await client.post('41');
    assert.deepEqual([posted.status, said(posted.headers)], [200, any]);
  }
  for (const query of [{ ...POLLING, sid: 'nobody' }, { ...POLLING, transport: 'foo' }, { ...POLLING, EIO: 3 }]) {
    const { status, headers } = await ask(server, { query, origin: ONE });
    assert.deepEqual([status, said(headers)], [400, any]);
  }
});

test('who posts too much can read that', async (t) => {
  const server = await serve(t, { CORS: 'named' });
  const body = Buffer.alloc(MESSAGE_BYTES_MAX + 1, '4');
  for (const [origin, wanted] of [[ONE, named(ONE)], [OTHERS[0], unnamed]]) {
    for (const [line, sent] of [
      [`Content-Length: ${body.length}`, [body]], ['Transfer-Encoding: chunked', [`${body.length.toString(16)}\r\n`, body, '\r\n0\r\n\r\n']],
    ]) {
      const client = await EngineClient.open(server, { transport: 'polling', loop: false });
      const socket = await RawSocket.open(server);
      t.after(() => socket.destroy());
      socket.write(`POST ${target({ ...POLLING, sid: client.sid })} HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\n${line}\r\n\r\n`);
      for (const part of sent) {
        socket.write(part);
      }
      const { status, headers, names } = await nextAnswer(socket);
      assert.deepEqual([status, said(headers)], [413, wanted]);
      assert.deepEqual(names, [...new Set(names)]);
    }
  }
});

test('named origins: those alone, with their cookies', async (t) => {
  const server = await serve(t, { CORS: 'named' });
  for (const origin of [ONE, TWO]) {
    const client = await EngineClient.open(server, { transport: 'polling', loop: false, headers: { origin } });
    client.send('0');
    assert.deepEqual(said((await client.get()).headers), named(origin));
    const pending = client.get();
    assert.deepEqual(said((await client.post('42["rooms"]')).headers), named(origin));
    client.sendPacket('1');
    assert.deepEqual(said((await pending).headers), named(origin));
  }
  for (const origin of OTHERS) {
    const { status, headers } = await ask(server, { origin });
    assert.equal(status, 200);
    assert.deepEqual(said(headers), unnamed, origin);
  }
  assert.deepEqual(said((await ask(server)).headers), unnamed);
});

test('one connection, several origins: each request has its own answer', async (t) => {
  const server = await serve(t, { CORS: 'named' });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const sockets = new Set();
  agent.on('free', (socket) => sockets.add(socket));
  for (const [origin, allowed] of [[ONE, ONE], [OTHERS[0], undefined], [TWO, TWO], [undefined, undefined]]) {
    const headers = origin ? { origin } : {};
    const { headers: answered } = await request(server, { path: target(POLLING), headers, agent });
    assert.equal(answered['access-control-allow-origin'], allowed, origin);
  }
  assert.equal(sockets.size, 1);
});

test('a preflight is answered, and goes no further', async (t) => {
  const preflight = { method: 'OPTIONS', 'access-control-request-method': 'POST' };
  const any = await serve(t, { CORS: 'any' });
  const plain = await ask(any, { ...preflight, origin: ONE, 'access-control-request-headers': 'x-one, content-type' });
  assert.deepEqual([plain.status, plain.text, plain.headers['content-length'] ?? '0'], [204, '', '0']);
  assert.deepEqual(said(plain.headers), {
    'allow-origin': '*',
    'allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE',
    'allow-headers': 'x-one, content-type',
    vary: 'Access-Control-Request-Headers',
  });
  const all = await serve(t, { CORS: 'all' });
  const full = await ask(all, { ...preflight, origin: TWO, 'access-control-request-headers': 'x-three' });
  const expected = { 'allow-methods': 'GET,POST', 'allow-headers': 'X-One,X-Two', 'max-age': '600' };
  assert.deepEqual(said(full.headers), { ...named(TWO), ...expected, 'expose-headers': 'X-Hello' });
  assert.equal(full.status, 204);
  const foreign = await ask(all, { ...preflight, origin: OTHERS[0], query: { ...POLLING, sid: 'nobody' } });
  assert.deepEqual([foreign.status, said(foreign.headers)], [204, { ...unnamed, ...expected, 'expose-headers': 'X-Hello' }]);
  assert.deepEqual(said((await ask(all, { origin: ONE })).headers), { ...named(ONE), 'expose-headers': 'X-Hello' });
});

// The head of the answer to a WebSocket handshake.
async function upgradeHead(server, headers) {
  const socket = await RawSocket.open(server);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  await socket.write(`GET ${target({ EIO: 4, transport: 'websocket' })} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n` +
    `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${lines.join('')}\r\n`);
  await socket.match(/\r\n\r\n/);
  socket.destroy();
  return socket.text;
}

test('the cookie is set by a handshake by polling, and by nothing else', async (t) => {
  const server = await serve(t, { COOKIE: '1' });
  const { headers, text } = await ask(server);
  const { sid } = JSON.parse(text.slice(1));
  assert.deepEqual(headers['set-cookie'], [`io=${sid}; Path=/; HttpOnly; SameSite=Lax`]);
  assert.equal((await ask(server, { method: 'POST', query: { ...POLLING, sid } })).headers['set-cookie'], undefined);
  assert.doesNotMatch(await upgradeHead(server, {}), /set-cookie/i);
});

test('further headers of handshakes, on either transport', async (t) => {
  const server = await serve(t, { COOKIE: '1', CORS: 'all' });
  const first = await ask(server, { 'x-from': 'Ulm', origin: ONE });
  assert.equal(first.headers['x-hello'], 'hello Ulm');
  assert.equal(first.headers['set-cookie'].length, 1);
  assert.deepEqual(said(first.headers), { ...named(ONE), 'expose-headers': 'X-Hello' });
  assert.equal((await ask(server)).headers['x-hello'], undefined);
  const head = await upgradeHead(server, { 'X-From': 'Ulm' });
  assert.match(head, /^HTTP\/1.1 101 [^]*\r\nX-Hello: hello Ulm\r\n/);
  assert.match(head, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i);
  assert.doesNotMatch(await upgradeHead(server, {}), /X-Hello: /);
  const client = await EngineClient.open(server, { headers: { 'x-from': 'x'.repeat(40) } });
  t.after(() => client.terminate());
  client.send('0');
  assert.match(await client.next('CONNECT'), /^0/);
});

await run();
