// HTTP of the application's own: paths, answers that come later and from elsewhere, clients that go, and assets.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { startServer } from './lib/server.mjs';
import { RawSocket, request, target } from './lib/http.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const server = await startServer('door');
const BODY_BYTES_MAX = 1000;
const HELD = 100;
const MANY = 500;
const IDLE = 64; // with four loops, one of them has none of them in one run of 25 million

const get = (path, more = {}) => request(server, { path, ...more });
const heldIs = (count) => until(async () => (await get('/held/count')).text === String(count), `${count} to be held`);

async function raw(t, text) {
  const socket = await RawSocket.open(server);
  t.after(() => socket.destroy());
  await socket.write(text);
  return socket;
}

test('a handler answers at once, with its headers', async () => {
  const { status, headers, text } = await get('/now');
  assert.deepEqual([status, text], [200, '{"now":true}']);
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers['x-served-by'], 'door');
  assert.deepEqual(headers['set-cookie'], ['a=b']);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['content-length'], '12');
});

test('HEAD is GET without the body', async () => {
  const { status, headers, text } = await get('/now', { method: 'HEAD' });
  assert.deepEqual([status, text, headers['content-length']], [200, '', '12']);
  const later = await get('/later/x', { method: 'HEAD' });
  assert.deepEqual([later.status, later.text, later.headers['content-length']], [200, '', String('GET /later/x ? - '.length)]);
});

test('a handler is asked with any method, and may refuse it', async () => {
  const { status, headers, text } = await get('/now', { method: 'DELETE' });
  assert.deepEqual([status, headers.allow, text], [405, 'GET, HEAD', '']);
  assert.equal((await get('/later/a', { method: 'PURGE' })).text, 'PURGE /later/a ? - ');
});

test('another thread answers, with all that was asked', async () => {
  const { status, headers, text } = await get('/later/a%20b/c?x=%20y', { method: 'PUT', body: 'ünï', headers: { 'X-HEADER': 'here' } });
  assert.equal(status, 200);
  assert.equal(text, 'PUT /later/a b/c ?x=%20y here ünï');
  assert.equal(headers['x-from'], 'another thread');
  assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(headers['cache-control'], 'no-store');
});

test('just that path, else the longest that it is below, else 404', async () => {
  assert.equal((await get('/')).text, 'the root alone');
  assert.equal((await get('/later/')).text, 'GET /later/ ? - ');
  assert.equal((await get('/later/page')).text, 'just this one');
  assert.equal((await get('/later/page/')).text, 'GET /later/page/ ? - ');
  assert.equal((await get('/later/deeper/x')).text, 'the longer one');
  for (const path of ['/later', '/nothing', '/now/', '/now/x', '/held/', '/assets/', '/assets/app.js/', '/below/x']) {
    assert.equal((await get(path)).status, 404, path);
  }
  assert.equal((await get('/below/')).text, 'identity');
  assert.equal(JSON.parse((await get(target({ EIO: 4, transport: 'foo' }))).text).code, 0);
});

test('bodies up to the limit of their path, and none where none is wanted', async (t) => {
  const post = (path, bytes) => get(path, { method: 'POST', body: 'x'.repeat(bytes) });
  assert.equal((await post('/later/', BODY_BYTES_MAX)).text.length, 'POST /later/ ? - '.length + BODY_BYTES_MAX);
  assert.equal((await post('/later/', BODY_BYTES_MAX + 1)).status, 413);
  assert.equal((await post('/held/count', 1)).status, 413);
  assert.equal((await post('/held/count', 0)).status, 200);
  const chunked = (path, chunk) => raw(t, `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`);
  await (await chunked('/later/', '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n')).match(/ 200 OK[^]*POST \/later\/ \? - abcde$/);
  await (await chunked('/later/', `${(BODY_BYTES_MAX + 1).toString(16)}\r\n`)).match(/ 413 /);
  await (await chunked('/held/count', '1\r\na')).match(/ 413 /);
});

test('what cannot be sent is refused, and the exchange is still to be answered', async () => {
  assert.equal((await get('/wrong')).status, 204);
});

test('requests behind one that waits are answered after it, in their order', async (t) => {
  const socket = await raw(t, ['/held', '/later/1', '/now', '/later/2', '/nothing', '/later/3']
    .map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
  await heldIs(1);
  assert.equal(socket.text, '');
  assert.equal((await get('/release')).text, '1 held, 0 gone, 0 answered twice');
  await socket.match(/released[^]*\/later\/1[^]*"now"[^]*\/later\/2[^]*not found[^]*\/later\/3 /);
  assert.equal(socket.text.match(/HTTP\/1.1 /g).length, 6);
});

test('many are held, and all are answered', async () => {
  const answers = Array.from({ length: HELD }, () => get('/held'));
  await heldIs(HELD);
  assert.equal((await get('/release')).text, `${HELD} held, 0 gone, 0 answered twice`);
  for (const { status, text } of await Promise.all(answers)) {
    assert.deepEqual([status, text], [200, 'released']);
  }
});

test('clients that go while they wait harm nobody, and an old exchange is never another', async () => {
  const gone = Array.from({ length: HELD }, () => get('/held'));
  await heldIs(HELD);
  for (const call of gone) {
    call.abort();
    await assert.rejects(call);
  }
  // Others come, in the places that may be free now.
  const answers = Array.from({ length: HELD }, () => get('/held'));
  await heldIs(2 * HELD);
  const { text } = await get('/release');
  assert.match(text, new RegExp(`^${2 * HELD} held, \\d+ gone, 0 answered twice$`));
  for (const answer of await Promise.all(answers)) {
    assert.equal(answer.text, 'released');
  }
});

test('a client that has ended its side is answered all the same', async (t) => {
  const socket = await raw(t, 'GET /held HTTP/1.1\r\nHost: a\r\n\r\n');
  await heldIs(1);
  socket.socket.end();
  await get('/now');
  await get('/release');
  await socket.match(/ 200 OK\r\n[^]*\r\n\r\nreleased$/);
  await socket.whenClosed();
});

test('kept connections are used again and again, by answers of other threads too', async (t) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => agent.destroy());
  const answers = await Promise.all(Array.from({ length: MANY }, (_, i) => get(i % 2 ? `/later/${i}` : '/now', { agent })));
  for (const [i, { status, text }] of answers.entries()) {
    assert.deepEqual([status, text], [200, i % 2 ? `GET /later/${i} ? - ` : '{"now":true}']);
  }
});

test('an asset: the best encoding, 304, HEAD, 405; its policy with each but the last', async () => {
  const asset = (encoding, more = {}, method = 'GET') =>
    get('/assets/app.js', { method, headers: { 'accept-encoding': encoding, ...more } });
  const policed = ({ headers }) => {
    assert.equal(headers['content-security-policy'], "default-src 'self'");
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.equal(headers.vary, 'Accept-Encoding');
  };
  for (const [encoding, etag, length] of [['identity', '"v1"', '8'], ['br;q=0.5', '"v1-br"', '4']]) {
    const answer = await asset(encoding, {}, 'HEAD');
    policed(answer);
    assert.deepEqual([answer.status, answer.headers.etag, answer.headers['content-length']], [200, etag, length]);
    const again = await asset(encoding, { 'if-none-match': `W/"x", ${etag}` });
    policed(again);
    assert.deepEqual([again.status, again.text], [304, '']);
  }
  const whole = await asset('identity');
  policed(whole);
  assert.deepEqual([whole.status, whole.text, whole.headers['content-type']], [200, 'identity', 'text/javascript; charset=utf-8']);
  assert.equal((await asset('gzip, br', {}, 'HEAD')).headers['content-encoding'], 'br');
  assert.equal((await asset('gzip', {}, 'HEAD')).headers['content-encoding'], 'gzip');
  const refused = await asset('identity', {}, 'POST');
  assert.deepEqual([refused.status, refused.headers.allow, refused.headers['content-security-policy']], [405, 'GET, HEAD', undefined]);
});

test('at a stop, who waits is answered before the end', async (t) => {
  const stopping = await startServer('door');
  const waiting = await RawSocket.open(stopping);
  const idle = await Promise.all(Array.from({ length: IDLE }, () => RawSocket.open(stopping)));
  const teller = await RawSocket.open(stopping);
  const releaser = await RawSocket.open(stopping);
  t.after(() => [waiting, ...idle, teller, releaser].forEach((socket) => socket.destroy()));
  await Promise.all(idle.map((socket) => socket.write('GET /now HTTP/1.1\r\nHost: a\r\n\r\n')));
  await Promise.all(idle.map((socket) => socket.match(/"now"/)));
  await waiting.write('GET /held HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(async () => (await request(stopping, { path: '/held/count' })).text === '1', 'it to be held');
  await teller.write('POST /later/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n');
  await releaser.write('GET /release HTTP/1.1\r\nHost: a\r\n');
  await until(async () => (await request(stopping, { path: '/now' })).status === 200, 'what was written to have come');
  const ended = stopping.stop();
  await Promise.all(idle.map((socket) => socket.whenClosed())); // each loop has been told
  assert.equal(waiting.closed, undefined);
  await teller.write('x');
  await teller.match(/Connection: close\r\n[^]*POST \/later\//);
  await teller.whenClosed();
  assert.equal(waiting.text, '');
  await releaser.write('\r\n');
  await releaser.match(/1 held, 0 gone/);
  await waiting.match(/\r\nConnection: close\r\n\r\nreleased$/);
  await waiting.whenClosed();
  await ended;
});

test('the server ends when told, without complaints', () => server.stop());

await run();
