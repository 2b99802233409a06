// Bad input by the numbers of the list of threats, 1 to 22: HTTP. What is refused gets one answer and the connection ends, so
// that nothing behind it can be taken for a request. libsio alone. 23 and further are elsewhere: threats_socketio.mjs has 48 to 64.

import assert from 'node:assert/strict';
import { EngineClient } from './lib/engine.mjs';
import { RawSocket, target } from './lib/http.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until } from './lib/wait.mjs';
import { Guard } from './lib/witness.mjs';

const POLL = { EIO: 4, transport: 'polling' };
const SHAKE = target(POLL);
const EVIL = '42["say","all","","","evil"]'; // the witness would hear it
const EVIL_CHUNK = `${EVIL.length.toString(16)}\r\n${EVIL}\r\n`;
const BEHIND = 'GET /behind HTTP/1.1\r\nHost: x\r\n\r\n';
const MESSAGE_BYTES_MAX = 1000000;
const HEAD_BYTES_MAX = 16384;
const TARGET_BYTES_MAX = 8192;
const HEADERS_MAX = 100;
const TEN_GB = 10 * 2 ** 30;
const ROUNDS = 50;
const MANY = 50;
const HEAD_MS = 10000;
const LATE_MS = 500 * slower; // that a deadline of seconds may be seen later, beside what our own timers are late
const ERRORS = {
  1: '{"code":1,"message":"Session ID unknown"}',
  2: '{"code":2,"message":"Bad handshake method"}',
};

const get = (path = SHAKE, lines = 'Host: x') => `GET ${path} HTTP/1.1\r\n${lines}\r\n\r\n`;

function post(client, lines, body = '') {
  return `POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\n${lines}\r\n\r\n${body}`;
}

async function raw(t, bytes) {
  const began = performance.now();
  const socket = await RawSocket.open(t.server);
  socket.began = began;
  t.after(() => socket.destroy());
  socket.write(bytes);
  return socket;
}

const statuses = (text) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

/** One answer of such a status, not one of Engine.IO's own, and the end, although a request stands behind. */
async function refused(t, bytes, ...allowed) {
  const socket = await raw(t, Buffer.concat([Buffer.from(bytes, 'latin1'), Buffer.from(BEHIND)]));
  const what = `${JSON.stringify(bytes.slice(0, 300))}`;
  const text = await socket.whenClosed().then((all) => all.toString('latin1'), (error) => {
    throw new Error(`${error.message} after ${what}; got ${JSON.stringify(socket.text.slice(0, 300))}`);
  });
  const [status, ...more] = statuses(text);
  assert.ok(allowed.includes(status), `${what} got ${status ?? 'nothing'}, not ${allowed.join(' or ')}`);
  assert.deepEqual(more, [], `${what}: something behind it was answered`);
  assert.doesNotMatch(text, /"code":/, `${what} came as far as Engine.IO`);
  return text;
}

/** A session on polling that has joined `/`, polled by hand; it leaves when the test ends. */
async function session(t) {
  const client = await EngineClient.open(t.server, { transport: 'polling', loop: false });
  t.after(async () => {
    await client.post('1');
    client.close('end of test');
  });
  assert.equal((await client.post('40')).text, 'ok');
  await polled(client, (packet) => packet.startsWith('42["welcome"'));
  return client;
}

/** Polls until there is such a packet. */
function polled(client, fits) {
  return until(async () => (await client.poll()).find(fits), 'a packet by polling');
}

async function isAlive(client) {
  assert.equal((await client.post('427["rooms"]')).text, 'ok');
  await polled(client, (packet) => packet === '437[[]]');
}

/** Each of these requests with a body is refused, and the session for which it was meant has not heard of it. */
async function allRefused(t, requests, ...allowed) {
  const client = await session(t);
  for (const [lines, body] of requests) {
    await refused(t, post(client, lines, body), ...allowed);
    await isAlive(client);
  }
}

const guard = await Guard.start();

guard.threat('threat 1: Content-Length with Transfer-Encoding: 400, and the end', (t) => allRefused(t, [
  [`Content-Length: ${EVIL.length}\r\nTransfer-Encoding: chunked`, EVIL],
  [`Transfer-Encoding: chunked\r\nContent-Length: ${EVIL.length}`, `${EVIL_CHUNK}0\r\n\r\n`],
  ['Content-Length: 0\r\nTransfer-Encoding: chunked', `${EVIL_CHUNK}0\r\n\r\n`],
  ['transfer-encoding: chunked\r\nX-A: b\r\ncontent-length: 4', `${EVIL_CHUNK}0\r\n\r\n`],
], 400));

guard.threat('threat 2: two lengths that differ: 400', (t) => allRefused(t, [
  [`Content-Length: ${EVIL.length}\r\nContent-Length: ${EVIL.length + 1}`, EVIL],
  [`Content-Length: 0\r\nX-A: b\r\ncontent-length: ${EVIL.length}`, EVIL],
  [`Content-Length: ${EVIL.length}, ${EVIL.length + 1}`, EVIL],
  [`Content-Length: ${EVIL.length}\r\nContent-Length: ${EVIL.length}`, EVIL], // docs/http.md: either twice
], 400));

guard.threat('threat 3: a length that is no plain number: 400', (t) => allRefused(t, [
  `+${EVIL.length}`, '+5', '0x5', String(2n ** 64n), String(2n ** 64n + BigInt(EVIL.length)), String(2n ** 63n), '9'.repeat(400),
  '-5', '5.0', '5e1', '5 5', '5_0', '', '"5"', '0x1c', '5;', '\xb2', 'five',
].map((length) => [`Content-Length: ${length}`, EVIL]), 400));

guard.threat('threat 4: a coding that is not just chunked: 400 or 501', (t) => allRefused(t, [
  'Transfer-Encoding: xchunked', 'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: chunkedx', 'Transfer-Encoding: identity', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: "chunked"', 'Transfer-Encoding: chunked;q=1', 'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding:',
  'Transfer-Encoding: ,chunked',
].map((lines) => [lines, `${EVIL_CHUNK}0\r\n\r\n`]), 400, 501));

guard.threat('threat 5: bad chunks: 400', (t) => allRefused(t, [
  `${EVIL.length.toString(16).padStart(17, '0')}\r\n${EVIL}\r\n0\r\n\r\n`,
  `${'f'.repeat(17)}\r\n${EVIL}\r\n0\r\n\r\n`,
  `10000000000000000\r\n${EVIL}\r\n0\r\n\r\n`,
  `${EVIL.length.toString(16)};${'x'.repeat(4096)}\r\n${EVIL}\r\n0\r\n\r\n`,
  `${EVIL.length.toString(16)};a="${'x'.repeat(4096)}"\r\n${EVIL}\r\n0\r\n\r\n`,
  `${EVIL.length.toString(16)}\n${EVIL}\r\n0\r\n\r\n`,
  `${EVIL.length.toString(16)}\r\n${EVIL}\n0\r\n\r\n`,
  `${EVIL_CHUNK}0\n\r\n`, `${EVIL_CHUNK}0\r\n\n`, `${EVIL.length.toString(16)};a\n${EVIL}\r\n0\r\n\r\n`,
  `+${EVIL_CHUNK}0\r\n\r\n`, `0x${EVIL_CHUNK}0\r\n\r\n`, `-1\r\n${EVIL}\r\n0\r\n\r\n`, `\r\n${EVIL}\r\n0\r\n\r\n`, ` ${EVIL_CHUNK}0\r\n\r\n`,
].map((body) => ['Transfer-Encoding: chunked', body]), 400));

guard.threat('threat 6: a space before the colon: 400', async (t) => {
  await allRefused(t, [
    [`Content-Length : ${EVIL.length}`, EVIL], [`Content-Length\t: ${EVIL.length}`, EVIL], ['Transfer-Encoding : chunked', `${EVIL_CHUNK}0\r\n\r\n`],
  ], 400);
  for (const line of ['Name : b', 'Name\t: b', ': b', 'Na me: b', 'Name']) {
    await refused(t, get(SHAKE, `Host: x\r\n${line}`), 400);
  }
  await refused(t, get(SHAKE, 'Host : x'), 400);
});

guard.threat('threat 7: a folded header: 400', async (t) => {
  for (const lines of ['Host: x\r\nX-A: b\r\n c', 'Host: x\r\nX-A: b\r\n\tc', 'Host:\r\n x', ' Host: x',
    'Host: x\r\nX-A: b\r\n \r\nX-C: d', 'Host: x\r\n Content-Length: 5']) {
    await refused(t, get(SHAKE, lines), 400);
  }
});

guard.threat('threat 8: a NUL or a bare CR in a header: 400', async (t) => {
  for (const lines of ['Host: x\r\nX-A: b\0c', 'Host: x\r\nX-\0A: b', 'Host: x\0', 'Host: x\r\nX-A: \0', 'Host: x\r\nX-A: b\rc',
    'Host: x\r\nX-A: b\r\r\nX-C: d', 'Host: x\r\nX-A: b\rX-C: d',
    'Host: x\r\nX\r-A: b', 'Host: x\r\nX-A: b\nX-C: d', 'Host: x\nX-A: b', '\rHost: x']) {
    await refused(t, get(SHAKE, lines), 400);
  }
  for (const bytes of [get(`${SHAKE}&a=\0`), get(`${SHAKE}&a=\r`), `GET ${SHAKE} HTTP/1.1\rHost: x\r\n\r\n`]) {
    await refused(t, bytes, 400);
  }
});

guard.threat('threat 9: no Host, or two: 400', async (t) => {
  for (const lines of ['X-A: b', 'Host: x\r\nHost: y', 'Host: x\r\nHost: x', 'Host: x\r\nX-A: b\r\nhost: y', 'Host: x, y', 'Host: x y']) {
    await refused(t, get(SHAKE, lines), 400);
  }
  await refused(t, get(`http://y${SHAKE}`, 'Host: x'), 400); // another than the target's
});

guard.threat('threat 10: a target over 8 KB: 414', async (t) => {
  const long = (bytes) => `/${'a'.repeat(bytes - 1)}`;
  for (const bytes of [TARGET_BYTES_MAX + 1, 2 * TARGET_BYTES_MAX - 200, 2 * TARGET_BYTES_MAX, 100000]) {
    await refused(t, get(long(bytes)), 414);
  }
  await refused(t, get(`${SHAKE}&a=${'a'.repeat(TARGET_BYTES_MAX)}`), 414);
  const fits = await raw(t, get(long(TARGET_BYTES_MAX)));
  await fits.match(/^HTTP\/1\.1 404 /);
});

guard.threat('threat 11: over 100 headers, or 16 KB of them: 431', async (t) => {
  const headers = (count) => ['Host: x', ...Array.from({ length: count - 1 }, (_, i) => `X-${i}: b`)].join('\r\n');
  for (const count of [HEADERS_MAX + 1, 10 * HEADERS_MAX]) {
    await refused(t, get(SHAKE, headers(count)), 431);
  }
  for (const bytes of [HEAD_BYTES_MAX, 10 * HEAD_BYTES_MAX, 1 << 20]) {
    await refused(t, get(SHAKE, `Host: x\r\nX-A: ${'a'.repeat(bytes)}`), 431);
    await refused(t, get(SHAKE, `Host: x\r\n${'a'.repeat(bytes)}: b`), 431);
  }
  const endless = await raw(t, `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(HEAD_BYTES_MAX)}`);
  await endless.match(/^HTTP\/1\.1 431 /); // without waiting for its end
  const fits = await raw(t, get('/nothing', headers(HEADERS_MAX)));
  await fits.match(/^HTTP\/1\.1 404 /);
});

guard.threat('threat 12: HTTP/0.9, the preface of HTTP/2: 400 or 505', async (t) => {
  for (const bytes of [`GET ${SHAKE}\r\n\r\n`, `GET ${SHAKE}\r\n`, 'GET /\r\n', `GET ${SHAKE} HTTP/0.9\r\nHost: x\r\n\r\n`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', `GET ${SHAKE} HTTP/2.0\r\nHost: x\r\n\r\n`,
    `GET ${SHAKE} HTTP/3\r\nHost: x\r\n\r\n`, `GET ${SHAKE} HTTP/1.10\r\nHost: x\r\n\r\n`,
    `GET ${SHAKE} http/1.1\r\nHost: x\r\n\r\n`, `GET ${SHAKE} HTTP/1.1 \r\nHost: x\r\n\r\n`, `GET  ${SHAKE} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `GET ${SHAKE} X HTTP/1.1\r\nHost: x\r\n\r\n`]) {
    await refused(t, bytes, 400, 505);
  }
});

guard.threat('threat 13: TRACE and CONNECT: 405', async (t) => {
  for (const line of [`TRACE ${SHAKE}`, 'TRACE /', 'CONNECT x:443', 'CONNECT x:80', 'TRACE /nothing']) {
    const host = line.startsWith('CONNECT') ? line.slice('CONNECT '.length) : 'x';
    const socket = await raw(t, `${line} HTTP/1.1\r\nHost: ${host}\r\nX-Secret: told\r\nConnection: close\r\n\r\n`);
    const text = (await socket.whenClosed()).toString();
    assert.deepEqual(statuses(text), [405], line);
    assert.doesNotMatch(text, /told/, 'what was sent is not repeated');
  }
});

guard.threat('threat 14: paths that mean another: 400 or 404', async (t) => {
  const query = SHAKE.slice(SHAKE.indexOf('?'));
  for (const path of ['/%00', '/socket.io/%00', '/socket.io%00/', '/..%2f..%2fetc%2fpasswd', '/x/..%2fsocket.io/', '/x/%2e%2e/socket.io/',
    '/x/../socket.io/', '/socket.io/..%2fsocket.io/', '/%c0%ae%c0%ae/socket.io/', '/socket.io/%c0%ae/', '/%c0%afsocket.io/', '/x\\..\\socket.io/',
    '\\socket.io\\', '/socket.io\\', '/x/..%5csocket.io/', '/socket.io%2f', '/%e0%80%af', '/%', '/%zz', '/../../etc/passwd']) {
    const socket = await raw(t, get(`${path}${query}`, 'Host: x\r\nConnection: close'));
    const text = (await socket.whenClosed()).toString();
    assert.equal(statuses(text).length, 1, path);
    assert.ok([400, 404].includes(statuses(text)[0]), `${path} got ${statuses(text)[0]}`);
    assert.doesNotMatch(text, /"sid"|"code"/, `${path} came as far as Engine.IO`);
  }
});

/** The answers that came on a connection, in order: status, head, body. */
function answers(text) {
  const found = [];
  while (text !== '') {
    const end = text.indexOf('\r\n\r\n') + 4;
    const head = text.slice(0, end);
    const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? 0);
    found.push({ status: statuses(head)[0], head, body: text.slice(end, end + length) });
    text = text.slice(end + length);
  }
  return found;
}

guard.threat('threat 15: pipelined requests: each on its own, as whom it says', async (t) => {
  const [ann, ben] = [await session(t), await session(t)];
  await ann.post('421["join","a"]');
  await ben.post('422["join","b"]');
  const poll = (client) => get(target(client.query4));
  const socket = await raw(t, [
    get(SHAKE, 'Host: x\r\nX-From: ann'), get(SHAKE), poll(ann), get(target({ ...POLL, sid: 'x'.repeat(20) })), poll(ben),
    post(ann, 'Content-Length: 12', '423["rooms"]'), `POST ${SHAKE} HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n424["rooms"]`, poll(ann),
    ...Array.from({ length: 50 }, (_, i) => get(`/nothing/${i}`)), get('/%00'), poll(ben),
  ].join(''));
  const all = answers((await socket.whenClosed()).toString());
  assert.deepEqual(all.map(({ status }) => status), [200, 200, 200, 400, 200, 200, 400, 200, ...Array(50).fill(404), 400]);
  assert.match(all[0].head, /^x-hello: hello ann\r$/im);
  assert.doesNotMatch(all[1].head, /^x-hello/im, 'headers of one request do not count for the next');
  assert.deepEqual(all.slice(2, 8).map(({ body }) => body), ['431[["a"]]', ERRORS[1], '432[["b"]]', 'ok', ERRORS[2], '433[["a"]]']);
  for (const { body } of all.slice(0, 2)) {
    const stray = new EngineClient(t.server, { transport: 'polling' });
    stray.accept(body);
    await stray.post('1');
  }
});

guard.threat('threat 16: Expect with 10 GB announced: 413 or 417, and nothing is waited for', async (t) => {
  const client = await session(t);
  const before = await guard.bytesAskedFor();
  for (const lines of [`Expect: 100-continue\r\nContent-Length: ${TEN_GB}`, `Content-Length: ${TEN_GB}\r\nexpect: 100-Continue`,
    `Content-Length: ${TEN_GB}`, `Expect: 200-ok\r\nContent-Length: ${TEN_GB}`, `Expect: 100-continue\r\nContent-Length: ${2n ** 63n - 1n}`,
    `Expect: 100-continue\r\nContent-Length: ${MESSAGE_BYTES_MAX + 1}`]) {
    await refused(t, post(client, lines), 413, 417); // a 100 would be a second answer
    await isAlive(client);
  }
  // Each is refused, and stands until it has been read.
  const many = await Promise.all(Array.from({ length: MANY }, () => raw(t, post(client, `Expect: 100-continue\r\nContent-Length: ${TEN_GB}`))));
  many.forEach(({ socket }) => socket.pause());
  // What may be, is taken, but costs nothing until it comes.
  const allowed = await Promise.all(Array.from({ length: MANY }, async () => raw(t, post(await session(t), `Expect: 100-continue\r\nContent-Length: ${MESSAGE_BYTES_MAX}`))));
  await Promise.all(allowed.map((socket) => socket.match(/^HTTP\/1\.1 100 /)));
  await isAlive(client);
  const more = (await guard.bytesAskedFor()) - before;
  assert.ok(slower > 1 || more < (MANY * MESSAGE_BYTES_MAX) / 4, `${more} bytes more for what was announced`);
  many.forEach(({ socket }) => socket.resume());
  await Promise.all(many.map((socket) => socket.match(/^HTTP\/1\.1 41[37] /)));
});

/** Writes one piece a second until the connection ends. */
function dribble(t, socket, pieces) {
  let next = 0;
  const timer = setInterval(() => socket.write(pieces[next++ % pieces.length]), 1000);
  t.after(() => clearInterval(timer));
  socket.ended.promise.then(() => clearInterval(timer));
}

/** How late a timer of our own is after that time: so late others may be, too. */
async function lateness(wait_ms) {
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, wait_ms));
  return performance.now() - started - wait_ms;
}

/** The connection gets one of these answers (0: none) and ends when the deadline is over, not sooner and hardly later. */
async function timesOut(socket, what, ...allowed) {
  const late = lateness(HEAD_MS);
  await until(() => socket.closed, `${what} to be ended`, 2 * HEAD_MS);
  const took = performance.now() - socket.began;
  const status = statuses(socket.text).at(-1) ?? 0;
  assert.ok(allowed.includes(status), `${what} got ${status}`);
  assert.ok(took > HEAD_MS - LATE_MS && took < HEAD_MS + LATE_MS + (await late), `${what} was ended after ${Math.round(took)} ms`);
}

Guard.slowThreat('threat 17: headers at a byte a second: 408 by 10 s', async (t) => {
  const bytes = [...get(SHAKE, `Host: x\r\nX-A: ${'a'.repeat(40)}`)];
  const begun = await raw(t, bytes[0]);
  dribble(t, begun, bytes.slice(1));
  const header = await raw(t, `GET ${SHAKE} HTTP/1.1\r\nHost: x\r\n`);
  dribble(t, header, ['X', '-', 'A', ':', 'b', '\r\n']);
  const kept = await raw(t, get('/nothing'));
  await kept.match(/^HTTP\/1\.1 404 /);
  kept.received = Buffer.alloc(0);
  kept.began = performance.now();
  kept.write('G');
  dribble(t, kept, bytes.slice(1));
  const lines = await raw(t, '\r\n');
  dribble(t, lines, ['\r\n']);
  await Promise.all([
    timesOut(begun, 'one that begins slowly', 408),
    timesOut(header, 'one with slow headers', 408),
    timesOut(kept, 'a second request', 408),
    until(() => lines.closed, 'one that sends empty lines to be ended', HEAD_MS),
    timesOut(await raw(t, ''), 'one that says nothing', 0), // docs/limits.md: closed
  ]);
});

Guard.slowThreat('threat 18: a body below the least rate: 408; one above it is taken', async (t) => {
  const slow = await raw(t, post(await session(t), 'Content-Length: 500000', '4'));
  dribble(t, slow, ['x'.repeat(500)]);
  const chunked = await raw(t, post(await session(t), 'Transfer-Encoding: chunked'));
  dribble(t, chunked, ['1\r\n4\r\n']);
  const none = await raw(t, post(await session(t), `Content-Length: ${EVIL.length}`));
  const fine = await session(t);
  const packet = `42["rooms","${'x'.repeat(24000)}"]`;
  const piece = Math.ceil(packet.length / 12); // a second: so it takes longer than one turn of 10 s
  const good = await raw(t, post(fine, `Content-Length: ${packet.length}`));
  dribble(t, good, Array.from({ length: 13 }, (_, i) => packet.slice(i * piece, (i + 1) * piece)));
  await Promise.all([
    timesOut(slow, 'a slow body', 408), timesOut(chunked, 'a slow body in chunks', 408), timesOut(none, 'a body that never begins', 408),
    until(() => good.text.endsWith('ok'), 'the other body to be taken', 1.5 * HEAD_MS),
  ]);
  assert.deepEqual(statuses(good.text), [200]);
});

// Whether the end of a side comes with the request or behind it is up to the kernel: so all of it many times.
guard.threat('threat 19: a connection that is half closed is still answered', async (t) => {
  const client = await session(t);
  const halfClosed = async (...requests) => {
    const socket = await raw(t, requests.join(''));
    socket.socket.end();
    return answers((await socket.whenClosed()).toString());
  };
  for (let i = 0; i < ROUNDS; i++) {
    const shaken = await halfClosed(get());
    assert.deepEqual(shaken.map(({ status }) => status), [200]);
    const other = new EngineClient(t.server, { transport: 'polling' });
    other.accept(shaken[0].body);
    assert.equal((await other.post('1')).text, 'ok');
    assert.deepEqual((await halfClosed(get('/nothing'))).map(({ status }) => status), [404]);
    assert.deepEqual((await halfClosed(get('/a'), get('/b'), get('/%00'))).map(({ status }) => status), [404, 404, 400]);
    const posted = await halfClosed(post(client, 'Content-Length: 12', '425["rooms"]'));
    assert.deepEqual(posted.map(({ status, body }) => [status, body]), [[200, 'ok']]);
    await polled(client, (packet) => packet === '435[[]]');
  }
  for (let i = 0; i < ROUNDS; i++) {
    assert.equal((await client.post(`426${i}["rooms"]`)).text, 'ok');
    const polls = await halfClosed(get(target(client.query4)));
    assert.deepEqual(polls.map(({ status, body }) => [status, body]), [[200, `436${i}[[]]`]], `poll ${i}`);
  }
  await isAlive(client);
});

/** What a TLS client says first, of that version. */
function clientHello(version) {
  const body = Buffer.concat([Buffer.from(version), Buffer.alloc(32, 7), Buffer.from([0, 0, 2, 0, 0x2f, 1, 0])]);
  return Buffer.concat([Buffer.from([0x16, 3, 1, 0, body.length + 4, 1, 0, 0, body.length]), body]);
}

// What a client of TLS says where there is none; tls.mjs has the rest of this number.
guard.threat('threat 20: a ClientHello, whole and in single bytes: 400, and the end', async (t) => {
  const hellos = [[3, 0], [3, 1], [3, 3], [3, 4]].map(clientHello);
  for (const hello of [...hellos, Buffer.from('802e0100020015000000100100800200800300800400800500800600400700c0', 'hex')]) {
    for (const step of [hello.length, 1]) {
      const socket = await raw(t, '');
      for (let at = 0; at < hello.length && !socket.closed; at += step) {
        await socket.write(hello.subarray(at, at + step));
      }
      const answer = (await socket.whenClosed()).toString();
      assert.deepEqual(statuses(answer), [400]);
    }
  }
});

guard.threat('threat 21: a thousand ranges: 200, as if none had been named', async (t) => {
  for (const list of [Array.from({ length: 1000 }, (_, i) => `${i}-${i}`), Array(2000).fill('0-'), ['0-0'], ['5-2', 'x', '']]) {
    const socket = await raw(t, get(SHAKE, `Host: x\r\nRange: bytes=${list.join()}`));
    await socket.match(/"maxPayload":\d+\}$/);
    const [{ status, head, body }] = answers(socket.text);
    assert.equal(status, 200);
    assert.doesNotMatch(head, /content-range/i);
    const client = new EngineClient(t.server, { transport: 'polling' });
    client.accept(body);
    await client.post('1');
  }
});

// 22 is in threats_ws.mjs, which has 21 too: there it can be seen.

test('the server ends without complaints', () => guard.stop());

await run();
