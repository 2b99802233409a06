// Bad input by the numbers of the list of threats, 21 to 47: plain WebSockets. libsio alone: npm's ws tells several of these later, or
// with another code.

import assert from 'node:assert/strict';
import process from 'node:process';
import { allClosed, HallGuard, opened, WsGuard } from './lib/echo.mjs';
import { RawSocket } from './lib/http.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until, within } from './lib/wait.mjs';
import {
  asker, closing, described, echoesOn, fragments, frame, handshake, head, nextAnswer, OP, Peer, PROMPT_MS, rsv,
} from './lib/ws.mjs';

const RESETS = 10000;
const RESETS_AT_ONCE = 20;
const RESET_GROWTH_MAX = 1 << 20;
const MESSAGE_BYTES_MAX = 1000000; // the default
const FRAGMENTS_MAX = 65536; // the default
const LARGE = 16 << 20;
const ANNOUNCED = 100; // messages of the largest size that are announced at once
const HEAD_BYTES_MAX = 16384;
const RANGES = 1000;
const CONNECTIONS_PER_ADDRESS_MAX = 1024; // of others than loopback
const ASKED = 300;
const ASK_S_MAX = 0.001 * slower;
const PINGS = 10000;
const PINGS_PER_S_MAX = 1000;
const CUT_MS = 5000;
const LATE_MS = 1000 * slower; // that the end of 5 s may be seen later
const TAKEN_MAX = 24 << 20; // by the kernels and the server, of what a peer says that does not read
const QUEUE_BYTES_MAX = 2 * MESSAGE_BYTES_MAX; // the default
const SAID = 64 << 10; // in one message of its
const MASKLESS = { mask: Buffer.alloc(4) }; // for much: the bytes stay as they are
const ORIGIN = 'https://ok.tld';

const short = (what) => (typeof what === 'string' ? JSON.stringify(what) : what.toString('hex')).slice(0, 120);
const bytes = (hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

const guard = await WsGuard.start();

// ---- requests

guard.threat('threat 21: a thousand ranges: as if none had been named', async (t) => {
  const { socket, ask } = await asker(t, t.server);
  const lists = [
    Array.from({ length: RANGES }, (_, i) => `${i}-${i}`), Array(RANGES).fill('0-'), Array(2 * RANGES).fill('-1'), ['5-2', '', 'x', '0-99999999999999999999'],
  ];
  for (const path of ['/', '/nothing']) {
    const plain = await ask(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    for (const list of lists) {
      const { status, body, names } = await ask(`GET ${path} HTTP/1.1\r\nHost: x\r\nRange: bytes=${list.join()}\r\n\r\n`);
      assert.deepEqual([status, body], [plain.status, plain.body], path);
      assert.ok(!names.includes('content-range'));
    }
  }
  assert.equal((await ask(handshake({ lines: [`Range: bytes=${lists[0].join()}`] }))).status, 101);
  await echoesOn(socket, 'hello');
});

guard.threat('threat 22: X-Forwarded-For from who is not trusted: ignored', async (t) => {
  // Loopback may have as many connections as it likes. Were it believed, these would be another's, who may not.
  const claims = ['X-Forwarded-For: 203.0.113.77', 'Forwarded: for=203.0.113.77', 'X-Real-IP: 203.0.113.77', 'X-Forwarded-Proto: https'];
  const peers = [];
  while (peers.length <= CONNECTIONS_PER_ADDRESS_MAX) {
    peers.push(...await Promise.all(Array.from({ length: 25 }, () => opened(t, { lines: claims }))));
  }
  await Promise.all(peers.map((peer) => peer.echoes('hello')));
  for (const claim of ['', ',', '203.0.113.77, 127.0.0.1', '::1%lo', '[', '1'.repeat(8000), "' OR 1=1", Array(1000).fill('1.1.1.1').join(), '\xff']) {
    const { socket, ask } = await asker(t, t.server);
    assert.equal((await ask(Buffer.from(handshake({ lines: [`X-Forwarded-For: ${claim}`] }), 'latin1'))).status, 101, claim.slice(0, 40));
    await echoesOn(socket, 'hello');
  }
  assert.deepEqual(t.server.lines(/203\.0\.113/), [], 'it is logged as if it were so');
});

/** Requests that are refused, all on one connection, which then becomes a WebSocket all the same. */
async function refusedAndReusable(t, requests, ...allowed) {
  const { socket, ask } = await asker(t, t.server);
  for (const options of requests) {
    const answer = await ask(handshake(options)).catch((error) => assert.fail(`${JSON.stringify(options).slice(0, 200)}: ${error.message}`));
    assert.ok(allowed.includes(answer.status), `${JSON.stringify(options)} got ${answer.status}`);
    assert.ok(!answer.names.includes('sec-websocket-accept'));
    if (answer.status === 426) {
      assert.equal(answer.headers['sec-websocket-version'], '13'); // RFC 6455, 4.4
      assert.match(answer.headers.upgrade, /^websocket$/i); // RFC 9110, 15.5.22
    }
    if (answer.status === 405) {
      assert.equal(answer.headers.allow, 'GET'); // RFC 9110, 15.5.6
    }
  }
  assert.equal((await ask(handshake())).status, 101, 'the connection is as good as before');
  await echoesOn(socket, 'hello');
}

guard.threat('threat 23: no key, a bad key: 400, and the connection can be used again', (t) => refusedAndReusable(t, [
  { without: ['Sec-WebSocket-Key'] }, { key: '' }, { key: 'x' }, { key: 'dGhlIHNhbXBsZSBub25jZQ' }, { key: 'dGhlIHNhbXBsZSBub25jZQ=' },
  { key: 'dGhlIHNhbXBsZSBub25j' }, { key: 'dGhlIHNhbXBsZSBub25jZSE=' }, { key: 'dGhlIHNhbXBsZSBub25jZXh4' }, { key: '!Ghl!HNhbXBsZSBub25jZQ==' },
  { key: 'dGhlIHNhbXBsZSBu b25jZQ=' }, { key: 'dGhlIHNhbXBsZSBub25j====' }, { key: '========================' }, { key: 'd-hl_HNhbXBsZSBub25jZQ==' },
  { key: 'A'.repeat(2000) }, { lines: ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='] }, { lines: ['sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='] },
], 400));

const version = (...values) => ({ without: ['Sec-WebSocket-Version'], lines: values.map((value) => `Sec-WebSocket-Version: ${value}`) });

guard.threat('threat 24: version 8, or any but 13: 426 with the version that is spoken', async (t) => {
  await refusedAndReusable(t, ['8', '7', '0', '14', '255', '130', '1'].map((value) => version(value)), 426);
  await refusedAndReusable(t, [version(), version(''), version('foo'), version('13, 8'), version('013'), version('+13'), version('13', '8'), version('13', '13'),
    version('13.0'), version('4294967309')], 400, 426);
});

guard.threat('threat 25: an upgrade by POST: 405, and the connection can be used again', (t) => refusedAndReusable(t, [
  { method: 'POST', lines: ['Content-Length: 0'] }, { method: 'PUT', lines: ['Content-Length: 0'] }, { method: 'DELETE' }, { method: 'OPTIONS' },
  { method: 'PATCH', lines: ['Content-Length: 0'] },
], 405));

/** An upgrade with a body is refused, and what stands behind it is neither request nor frame, for the connection ends. */
async function isRefusedAndEnds(t, method, lines, rest, ...allowed) {
  const { socket, ask } = await asker(t, t.server);
  const { status } = await ask(Buffer.from(`${handshake({ method, lines: [lines] })}${rest}`, 'latin1'));
  assert.ok(allowed.includes(status), `${method}, ${lines}: ${status}`);
  await socket.whenClosed().catch((error) => assert.fail(`${method}, ${lines}: ${status}; ${error.message}; then came ${short(socket.text)}`));
  assert.equal(socket.text, '', `${method}, ${lines}: something behind it was answered`);
}

guard.threat('threat 25: an upgrade with a body whose end is not there, or in chunks: 405 or 413, and closed', async (t) => {
  await isRefusedAndEnds(t, 'POST', 'Content-Length: 1000000000000', `hello${handshake()}`, 405, 413);
  await isRefusedAndEnds(t, 'POST', 'Transfer-Encoding: chunked', `5\r\nhello\r\n0\r\n\r\n${handshake()}`, 405);
});

guard.threat('threat 25: an upgrade with a body that is there: 405, and closed', async (t) => {
  await isRefusedAndEnds(t, 'POST', 'Content-Length: 5', `hello${handshake()}`, 405);
});

guard.threat('threat 25: an upgrade by GET with a body, which could be frames: refused, and closed', async (t) => {
  const evil = frame(OP.TEXT, 'evil!').toString('latin1');
  await isRefusedAndEnds(t, 'GET', `Content-Length: ${evil.length}`, evil, 400, 413);
});

const strict = await WsGuard.start({ ORIGIN });
const from = (...lines) => ({ lines });

strict.threat('threat 26: a foreign Origin, null, https://ok.tld.evil, none but a cookie: 403', async (t) => {
  const foreign = ['https://evil.tld', 'null', `${ORIGIN}.evil`, 'https://ok.tl', 'http://ok.tld', `${ORIGIN}:444`, `${ORIGIN}/`, 'https://xok.tld', `${ORIGIN}@evil.tld`,
    'https://evil.tld/?https://ok.tld', 'ok.tld', 'https://', '*', 'https://ok%2etld', 'https://ok.tld, https://evil.tld', 'wss://ok.tld', '', '://'];
  const { socket, ask } = await asker(t, t.server);
  for (const lines of [...foreign.map((origin) => [`Origin: ${origin}`]), ['Cookie: session=1'], ['Origin: null', 'Cookie: session=1'],
    ['Origin: https://evil.tld', 'Cookie: session=1', `Referer: ${ORIGIN}/`, `X-Forwarded-Host: ok.tld`, `Host2: ${ORIGIN}`]]) {
    const { status, names } = await ask(handshake(from(...lines)));
    assert.equal(status, 403, lines.join('; '));
    assert.ok(!names.includes('sec-websocket-accept'));
  }
  assert.equal((await ask(handshake(from(`Origin: ${ORIGIN}`, 'Cookie: session=1')))).status, 101);
  await echoesOn(socket, 'hello');
  for (const lines of [[`Origin: ${ORIGIN}`], []]) {
    const peer = await opened(t, { lines });
    await peer.echoes('hello');
  }
  for (const lines of [[`Origin: ${ORIGIN}`, 'Origin: https://evil.tld'], ['Origin: https://evil.tld', `Origin: ${ORIGIN}`]]) {
    const other = await asker(t, t.server);
    assert.ok([400, 403].includes((await other.ask(handshake(from(...lines)))).status), lines.join('; '));
  }
});

test('26: that server ends without complaints', () => strict.stop());

guard.threat('threat 27: subprotocols of 32 KB: 431, as much as fits is ignored, each in under 1 ms', async (t) => {
  const tokens = Array.from({ length: 5000 }, (_, i) => `p${i}`).join(', ');
  for (const [value, wanted] of [
    [tokens.slice(0, 2 * HEAD_BYTES_MAX), 431], ['x'.repeat(2 * HEAD_BYTES_MAX), 431], [','.repeat(2 * HEAD_BYTES_MAX), 431], [tokens.slice(0, HEAD_BYTES_MAX - 400), 101],
    ['x'.repeat(HEAD_BYTES_MAX - 400), 101], [`a${','.repeat(HEAD_BYTES_MAX - 400)}b`, 101], [`a${' ,'.repeat(HEAD_BYTES_MAX / 2 - 400)}b`, 101],
  ]) {
    const request = handshake({ lines: [`Sec-WebSocket-Protocol: ${value}`] });
    const before = await guard.processorSeconds();
    for (let i = 0; i < ASKED; i++) {
      const socket = await RawSocket.open(t.server);
      socket.write(request);
      const { status, names } = await nextAnswer(socket);
      // A list of nothing is no list: that may be said.
      assert.ok(status === wanted || (status === 400 && value.includes(',,')), `${short(value)} got ${status}`);
      assert.ok(!names.includes('sec-websocket-protocol'), 'one was agreed on');
      socket.destroy();
    }
    const each = ((await guard.processorSeconds()) - before) / ASKED;
    assert.ok(each < ASK_S_MAX, `${short(value)} took ${(each * 1000).toFixed(2)} ms`);
  }
});

// ---- frames

guard.threat('threat 29: a frame that is not masked: 1002', (t) => allClosed(t, [
  ...[OP.TEXT, OP.BINARY, OP.PING, OP.PONG, OP.CONTINUATION].flatMap((opcode) => [
    [`opcode ${opcode}`, frame(opcode, 'evil', { mask: null })], [`opcode ${opcode}, empty`, frame(opcode, '', { mask: null })],
    [`opcode ${opcode}, its head`, head(opcode, 100, { mask: null })],
  ]),
  ['close', frame(OP.CLOSE, closing(1000), { mask: null })],
  ['long', head(OP.BINARY, 70000, { mask: null })],
  ['in a fragmented message', Buffer.concat([frame(OP.TEXT, 'a', { fin: false }), frame(OP.CONTINUATION, 'b', { mask: null })])],
], 1002));

guard.threat('threat 30: reserved bits: 1002', (t) => allClosed(t, [1, 2, 3, 4, 5, 6, 7].flatMap((bits) => [
  ...[OP.TEXT, OP.BINARY, OP.PING, OP.PONG].map((opcode) => [`bits ${bits}, opcode ${opcode}`, rsv(opcode, bits)]),
  [`bits ${bits}, close`, rsv(OP.CLOSE, bits, closing(1000))],
  [`bits ${bits}, its head`, rsv(OP.TEXT, bits, '', { length: 5 })],
  [`bits ${bits}, the first of fragments`, rsv(OP.TEXT, bits, 'x', { fin: false })],
]), 1002));

guard.threat('threat 31: opcodes 3 to 7 and B to F: 1002', (t) => allClosed(t, [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
  [`opcode ${opcode}`, frame(opcode, 'x')], [`opcode ${opcode}, empty`, frame(opcode)], [`opcode ${opcode}, unfinished`, frame(opcode, 'x', { fin: false })],
  [`opcode ${opcode}, between fragments`, Buffer.concat([frame(OP.TEXT, 'a', { fin: false }), frame(opcode)])],
  [`opcode ${opcode}, its head`, head(opcode, 100)],
]), 1002));

guard.threat('threat 32: a control frame over 125 bytes, or in fragments: 1002', (t) => allClosed(t, [OP.CLOSE, OP.PING, OP.PONG].flatMap((opcode) => [
  ...[126, 127, 65535, 65536].map((length) => [`opcode ${opcode} of ${length} bytes, its head`, head(opcode, length)]),
  [`opcode ${opcode} of 126 bytes`, frame(opcode, Buffer.concat([closing(1000), Buffer.alloc(124, 'x')]))],
  [`opcode ${opcode}, unfinished`, frame(opcode, closing(1000), { fin: false })], [`opcode ${opcode}, unfinished and empty`, frame(opcode, '', { fin: false })],
]), 1002));

guard.threat('threat 33: a close of one byte, or with a code that nobody may send: 1002', async (t) => {
  const codes = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32768, 65535];
  await allClosed(t, [
    ['one byte', frame(OP.CLOSE, '\x03')],
    ...codes.flatMap((code) => [[`code ${code}`, frame(OP.CLOSE, closing(code))], [`code ${code} with a reason`, frame(OP.CLOSE, closing(code, 'because'))]]),
  ], 1002);
  await allClosed(t, [
    ['a reason that is not UTF-8', frame(OP.CLOSE, Buffer.concat([closing(1000), bytes('ff')]))],
    ['a reason that ends within a character', frame(OP.CLOSE, Buffer.concat([closing(4000), bytes('e2 82')]))],
  ], 1007);
});

// Each ends with its first bad byte.
const BAD_UTF8 = [
  '80', 'bf', 'c0', 'c1', 'f5', 'f8', 'fc', 'fe', 'ff', 'c3 28', 'c3 c3', 'e0 80', 'e0 9f', 'e2 28', 'e2 82 28', 'e2 82 e2', 'ed a0', 'ed bf', 'f0 80', 'f0 8f', 'f0 9f 98 41',
  'f0 9f 41', 'f4 90', 'f4 bf', '41 00 ff', 'e2 82 ac ac',
].map(bytes);

guard.threat('threat 34: bad UTF-8: 1007 at the first bad byte, inside fragments too', async (t) => {
  const before = [Buffer.alloc(0), Buffer.from('fine ü '), Buffer.alloc(5000, 'long ')];
  // The frames announce more, and are not the last: only these bytes can be what is answered.
  await allClosed(t, before.flatMap((text) => BAD_UTF8.flatMap((bad) => [
    [`${short(bad)} in a frame`, frame(OP.TEXT, Buffer.concat([text, bad]), { length: text.length + 1000 })],
    [`${short(bad)} in the first of fragments`, frame(OP.TEXT, Buffer.concat([text, bad]), { fin: false, length: text.length + 1000 })],
    [`${short(bad)} in a continuation`, Buffer.concat([frame(OP.TEXT, text, { fin: false }), frame(OP.CONTINUATION, bad, { fin: false, length: 1000 })])],
  ])).filter(([, sent]) => sent.length < 1000), 1007);
  const split = BAD_UTF8.filter((bad) => bad.length > 1);
  await allClosed(t, [
    ...split.map((bad) => [`${short(bad)} in two fragments`, Buffer.concat([
      frame(OP.TEXT, bad.subarray(0, -1), { fin: false }), frame(OP.PING, 'between'), frame(OP.CONTINUATION, bad.subarray(-1), { fin: false, length: 1000 }),
    ])]),
    ...split.map((bad) => [`${short(bad)} in single bytes`, fragments(OP.TEXT, bad, 1)]),
    ...['c3', 'e2', 'e2 82', 'f0', 'f0 9f', 'f0 9f 98'].map(bytes).flatMap((cut) => [
      [`the end within ${short(cut)}`, frame(OP.TEXT, cut)],
      [`the end of fragments within ${short(cut)}`, Buffer.concat([frame(OP.TEXT, cut, { fin: false }), frame(OP.CONTINUATION, '')])],
    ]),
  ], 1007);
  for (const bad of BAD_UTF8) {
    const peer = await opened(t);
    peer.write(frame(OP.TEXT, Buffer.concat([before[2], bad]), { length: MESSAGE_BYTES_MAX }));
    await peer.isClosed(1007, `${short(bad)} behind much`);
    const fine = await opened(t);
    await fine.echoes(bad); // as binary
  }
});

guard.threat('threat 35: a length that is not the shortest, or has its top bit set: 1002 by its head', (t) => allClosed(t, [
  ...[0, 1, 5, 125].map((length) => [`${length} in 16 bits`, head(OP.TEXT, length, { form: 2 })]),
  ...[0, 5, 125, 126, 300, 65535].map((length) => [`${length} in 64 bits`, head(OP.BINARY, length, { form: 8 })]),
  ...[0n, 5n, 70000n, 2n ** 63n - 1n].map((length) => [`${length} and the top bit`, head(OP.TEXT, 2n ** 63n + length, { form: 8 })]),
  ['in a continuation', Buffer.concat([frame(OP.TEXT, 'a', { fin: false }), head(OP.CONTINUATION, 5, { form: 2 })])],
], 1002));

guard.threat('threat 36: a length of 2^63 - 1: 1009 before anything is asked for', async (t) => {
  const before = await guard.bytesAskedFor();
  await allClosed(t, [
    ...[2n ** 63n - 1n, 2n ** 62n, 2n ** 53n, 2n ** 32n, 2n ** 32n + 5n, 2n ** 31n, BigInt(MESSAGE_BYTES_MAX + 1)].flatMap((length) => [
      [`${length} bytes of text`, head(OP.TEXT, length)], [`${length} bytes, more to come`, head(OP.BINARY, length, { fin: false })],
      [`${length} bytes behind others`, Buffer.concat([frame(OP.BINARY, 'a', { fin: false }), head(OP.CONTINUATION, length)])],
    ]),
    ['more than the limit together', Buffer.concat([frame(OP.BINARY, 'ab', { fin: false }), head(OP.CONTINUATION, MESSAGE_BYTES_MAX - 1)])],
  ], 1009);
  // What may be, is taken, but costs nothing until it comes.
  const peers = await Promise.all(Array.from({ length: ANNOUNCED }, () => opened(t)));
  await Promise.all(peers.map((peer, i) => peer.write(head(i % 2 ? OP.TEXT : OP.BINARY, MESSAGE_BYTES_MAX))));
  await Promise.all(peers.map((peer) => peer.write('x')));
  await guard.witness.isServed();
  const more = (await guard.bytesAskedFor()) - before;
  assert.ok(slower > 1 || more < (ANNOUNCED * MESSAGE_BYTES_MAX) / 4, `${more} bytes more for what was announced`);
});

/** Writes that again and again until the server has closed with one of the codes; memory stays within what one message may have. */
async function endless(t, first, again, code) {
  const before = await t.guard.measure();
  const peer = await opened(t);
  const end = peer.next('the close frame');
  let stopped = false;
  end.catch(() => 'said below').finally(() => (stopped = true));
  peer.write(first);
  const block = Buffer.concat(Array(5000).fill(again));
  let most = 0;
  while (!stopped) {
    await peer.write(block);
    most = Math.max(most, (await t.guard.measure()).bytes);
  }
  assert.equal(described(await end), `close ${code}`);
  await peer.hasEnded();
  assert.ok(slower > 1 || most < before.bytes + 4 * MESSAGE_BYTES_MAX, `${most - before.bytes} bytes more`);
}

const endlessCases = (opcode) => [frame(opcode, 'x', { fin: false, ...MASKLESS }), frame(OP.CONTINUATION, 'x', { fin: false, ...MASKLESS })];

guard.threat('threat 37: fragments without an end: 1008; a legal message of 65,536 passes, one more does not', async (t) => {
  await endless(t, ...endlessCases(OP.TEXT), 1008);
  await endless(t, ...endlessCases(OP.BINARY), 1008);
  await endless(t, frame(OP.TEXT, '', { fin: false }), frame(OP.CONTINUATION, '', { fin: false }), 1008);
  await endless(t, frame(OP.TEXT, '', { fin: false }), Buffer.concat([frame(OP.CONTINUATION, '', { fin: false }), frame(OP.PONG, '')]), 1008);
  const text = 'ab'.repeat(FRAGMENTS_MAX / 2);
  const peer = await opened(t);
  peer.write(fragments(OP.TEXT, text, 1));
  await peer.hears(text);
  peer.write(fragments(OP.BINARY, text, 1)); // they are counted for each message
  await peer.hears(Buffer.from(text));
  peer.write(fragments(OP.TEXT, `${text}c`, 1));
  await peer.isClosed(1008, 'one fragment more');
});

class LargeGuard extends WsGuard {
  warmBytes = LARGE;
  memoryMoreMax = 2 * LARGE * Number(process.env.SIO_THREADS ?? 1); // the C library keeps what each loop has had for the largest
}

const large = await LargeGuard.start({ MESSAGE_BYTES_MAX: LARGE });
const many = await WsGuard.start({ FRAGMENTS_MAX: 4 * MESSAGE_BYTES_MAX });

many.threat('threat 37: fragments without an end, where their number is no matter: 1009', (t) => endless(t, ...endlessCases(OP.TEXT), 1009));

large.threat('threat 37: a message of 16 MiB passes where it may, whole and in fragments, and one byte more does not', async (t) => {
  const peer = await opened(t);
  const text = 'sixteen '.repeat(LARGE / 8);
  peer.send(text, MASKLESS);
  await peer.hears(text);
  for (const size of [LARGE / FRAGMENTS_MAX, 65521, LARGE - 1]) {
    peer.write(fragments(OP.BINARY, text, size, MASKLESS));
    await peer.hears(Buffer.from(text));
  }
  peer.write(Buffer.concat([frame(OP.TEXT, text.slice(1), { fin: false, ...MASKLESS }), head(OP.CONTINUATION, 2)]));
  await peer.isClosed(1009, 'one byte more');
  const whole = await opened(t);
  whole.write(head(OP.TEXT, LARGE + 1));
  await whole.isClosed(1009, 'one byte more, at once');
});

test('37: those servers end without complaints', () => Promise.all([large.stop(), many.stop()]));

// 28, 38 and 39 are in threats_deflate.mjs.

guard.threat('threat 40: a reserved bit on a continuation: 1002', (t) => allClosed(t, [1, 2, 4, 7].flatMap((bits) => [OP.TEXT, OP.BINARY].flatMap((opcode) => [
  [`bits ${bits}`, Buffer.concat([frame(opcode, 'a', { fin: false }), rsv(OP.CONTINUATION, bits)])],
  [`bits ${bits}, its head`, Buffer.concat([frame(opcode, 'a', { fin: false }), rsv(OP.CONTINUATION, bits, '', { fin: false, length: 9 })])],
])), 1002));

guard.threat('threat 41: 10,000 pings a second: the last is answered, then 1008', async (t) => {
  const pings = (count, first = 0) => Buffer.concat(Array.from({ length: count }, (_, i) => frame(OP.PING, `${first + i}`)));
  const peer = await opened(t);
  peer.write(pings(PINGS_PER_S_MAX));
  await peer.pongs.take(({ payload }) => payload.toString() === `${PINGS_PER_S_MAX - 1}`, 'the pong to the last');
  await peer.echoes('still here');
  peer.write(pings(PINGS));
  assert.equal(described(await peer.next('the close frame', PROMPT_MS)), 'close 1008');
  await peer.hasEnded();
  // None is answered behind its end, nor one that has not been asked for.
  const numbers = peer.pongs.items.map(({ payload }) => Number(payload.toString()));
  assert.ok(numbers.every((number, i) => number < PINGS && (i === 0 || number > numbers[i - 1])), numbers.slice(-5).join());
});

guard.threat('threat 42: data after close: ignored', async (t) => {
  const behind = [frame(OP.TEXT, 'evil'), frame(OP.PING, 'evil'), frame(OP.TEXT, 'evil', { mask: null }), frame(OP.CLOSE, closing(4000)), bytes('ff'.repeat(100)),
    head(OP.BINARY, 2n ** 63n - 1n), Buffer.alloc(1 << 20, 'evil')];
  for (const data of behind) {
    const peer = await opened(t);
    peer.write(Buffer.concat([frame(OP.CLOSE, closing(1000)), data]));
    await peer.isClosed(1000, short(data));
    assert.deepEqual(peer.pongs.items, []);
    // Behind the close frame that the server has sent for a fault, too.
    const bad = await opened(t);
    bad.write(Buffer.concat([frame(3), data]));
    await bad.isClosed(1002, short(data));
    assert.deepEqual(bad.pongs.items, []);
  }
});

guard.threat('threat 43: a ping between fragments: answered at once', async (t) => {
  const peer = await opened(t);
  peer.write(frame(OP.TEXT, 'a'.repeat(1000), { fin: false }));
  await peer.pongsFor('first');
  peer.write(frame(OP.CONTINUATION, 'b'.repeat(1000), { fin: false }));
  await peer.pongsFor('p'.repeat(125));
  // Not only between: the frame behind it has begun.
  peer.write(Buffer.concat([frame(OP.PING, 'third'), frame(OP.CONTINUATION, 'c', { length: 2 })]));
  await peer.hearsPong('third');
  assert.deepEqual(peer.frames.items, []);
  peer.write(Buffer.from([0x63 ^ 0xfa])); // 'c', with the second byte of the mask
  await peer.hears(`${'a'.repeat(1000)}${'b'.repeat(1000)}cc`);
});

guard.threat('threat 44: a new message inside a fragmented one, or a continuation of nothing: 1002', (t) => allClosed(t, [
  ...[OP.TEXT, OP.BINARY].flatMap((first) => [OP.TEXT, OP.BINARY].flatMap((second) => [
    [`${second} in ${first}`, Buffer.concat([frame(first, 'a', { fin: false }), frame(second, 'b')])],
    [`${second} in ${first}, empty and unfinished`, Buffer.concat([frame(first, '', { fin: false }), frame(second, '', { fin: false })])],
    [`${second} in ${first}, its head`, Buffer.concat([frame(first, 'a', { fin: false }), frame(OP.CONTINUATION, 'b', { fin: false }), head(second, 10)])],
  ])),
  ['a continuation of nothing', frame(OP.CONTINUATION, 'a')], ['the beginning of one', frame(OP.CONTINUATION, 'a', { fin: false })],
  ['its head', head(OP.CONTINUATION, 100)],
], 1002));

// ---- peers that do not do their part

/** The server has ended the connection; its descriptor goes by 5 s, whatever the peer does. */
WsGuard.slowThreat('threat 45: a peer that never closes: cut within 5 s', async (t) => {
  const before = await t.guard.measure();
  const stubborn = async (bytesSent, code, then = () => {}) => {
    const peer = await opened(t, { allowHalfOpen: true });
    peer.write(bytesSent);
    assert.equal(described(await peer.next('the close frame')), `close ${code}`);
    await peer.hasEnded();
    then(peer);
    return peer;
  };
  // It goes on talking, or begins something that never ends, or says nothing.
  const goesOn = (peer) => {
    const timer = setInterval(() => peer.write(frame(OP.TEXT, 'still here')), 50);
    t.after(() => clearInterval(timer));
  };
  const peers = await Promise.all([
    stubborn(frame(3), 1002), stubborn(frame(OP.CLOSE, closing(1000)), 1000), stubborn(frame(OP.TEXT, bytes('ff')), 1007), stubborn(head(OP.TEXT, 2 ** 31), 1009),
    stubborn(frame(OP.CLOSE), 1005, goesOn), stubborn(frame(3), 1002, goesOn), stubborn(frame(OP.CLOSE), 1005, (peer) => peer.write(head(OP.BINARY, 1000))),
  ]);
  assert.ok(peers.every((peer) => !peer.socket.writableEnded));
  await t.guard.isBack(before, CUT_MS + LATE_MS);
});

/** Says so much, and reads nothing, until no more of it is taken; how many messages were written, and how many bytes were taken. */
async function saysUntilNobodyListens(peer, message) {
  let count = 0;
  let taken = 0;
  for (;;) {
    const written = peer.write(message).then(() => true);
    count += 1;
    // Nothing tells that the server has stopped reading but that nothing is taken for a while.
    const quiet = new Promise((resolve) => setTimeout(resolve, 300 * slower, false));
    if (!(await Promise.race([written, quiet]))) {
      return { count, taken };
    }
    taken += message.length;
    assert.ok(taken < TAKEN_MAX, `${taken} bytes were taken of a peer that does not read`);
  }
}

guard.threat('threat 46: a peer that never reads is not read either, at the cost of its queue; when it reads, nothing is lost', async (t) => {
  const before = await guard.measure();
  const peer = await opened(t);
  peer.socket.pause();
  const text = 'x'.repeat(SAID);
  const { count, taken } = await saysUntilNobodyListens(peer, frame(OP.TEXT, text, MASKLESS));
  const { bytes: now } = await guard.measure();
  assert.ok(slower > 1 || now - before.bytes < 4 * MESSAGE_BYTES_MAX, `${now - before.bytes} bytes more for ${taken} that were taken`);
  await guard.witness.isServed();
  peer.socket.resume();
  for (let i = 0; i < count; i++) {
    await peer.hears(text);
  }
  await peer.echoes('caught up');
  t.comment(`${taken} bytes were taken, at the cost of ${now - before.bytes}`);
});

const said = (i) => Buffer.from(`${i} `.padEnd(SAID, 'x'));

/** Somebody says that much, one after the other, until the queues of so many who do not read are full; how often it was said. */
async function isSaidUntilFull(t, deaf) {
  const before = await t.guard.measure();
  const speaker = await opened(t);
  let count = 0;
  let most = 0;
  for (; t.server.lines(/^closed queue overflow 1013$/).length < deaf; count++) {
    assert.ok(count * SAID < 2 * TAKEN_MAX, `${count * SAID} bytes wait for who does not read`);
    speaker.send(said(count), MASKLESS);
    const { payload } = await speaker.frames.take((one) => one.payload.length === SAID, 'what was said');
    assert.ok(payload.equals(said(count)));
    most = Math.max(most, (await t.guard.measure()).bytes);
  }
  assert.ok(slower > 1 || most < before.bytes + QUEUE_BYTES_MAX + t.guard.memoryMoreMax, `${most - before.bytes} bytes more`);
  assert.equal(t.server.lines(/^lagging$/).length, deaf);
  return count;
}

HallGuard.slowThreat('threat 46: peers that never read what others say: their queues\' limit, and cut; the others hear it all', async (t) => {
  const before = await t.guard.measure();
  const deaf = [await opened(t, { allowHalfOpen: true }), await opened(t)];
  deaf.forEach((peer) => peer.socket.pause());
  await isSaidUntilFull(t, deaf.length);
  await t.guard.isBack({ ...before, descriptors: before.descriptors + 1 }, CUT_MS + LATE_MS); // but for who speaks
});

HallGuard.slowThreat('threat 46: one that reads again after its queue was full hears the beginning without a gap, and 1013', async (t) => {
  const peer = await opened(t);
  peer.socket.pause();
  const count = await isSaidUntilFull(t, 1);
  peer.socket.resume();
  let heard = 0;
  let last = null;
  do {
    last = await peer.next('what was said').catch((error) => assert.fail(`${error.message}, behind ${heard} whole messages of ${count}`));
    if (last.payload.length === SAID) {
      assert.ok(last.payload.equals(said(heard)), `${described(last)} is not the ${heard}th`);
      heard += 1;
    }
  } while (last.opcode !== OP.CLOSE);
  assert.equal(described(last), 'close 1013');
  assert.ok(heard > 0 && heard < count, `${heard} of ${count}`);
  await peer.hasEnded();
});

guard.threat(`threat 47: ${RESETS} connections that are reset in mid-frame: nothing is left`, async (t) => {
  const halves = [
    bytes('81'), bytes('81 fe 10'), bytes('81 ff 00 00'), frame(OP.TEXT, 'x', { length: 100 }), frame(OP.TEXT, 'part', { fin: false }),
    Buffer.concat([frame(OP.BINARY, 'part', { fin: false }), frame(OP.CONTINUATION, 'x'.repeat(5000), { length: 90000 })]),
    frame(OP.PING, 'ping', { length: 9 }), frame(OP.CLOSE, '\x03', { length: 2 }), frame(OP.TEXT, bytes('e2 82'), { fin: false }),
    Buffer.concat([frame(OP.TEXT, 'said'), frame(OP.TEXT, 'x', { length: 70000 })]), Buffer.alloc(0), frame(OP.BINARY, Buffer.alloc(30000), { length: 60000 }),
  ];
  const idle = await guard.measure();
  const reset = async (i) => {
    const peer = await Peer.open(t.server);
    await peer.write(halves[i % halves.length]);
    peer.reset();
    await within(peer.ended.promise, 'the reset');
  };
  let warm = null;
  for (let i = 0; i < RESETS; i += RESETS_AT_ONCE) {
    await Promise.all(Array.from({ length: RESETS_AT_ONCE }, (_, j) => reset(i + j)));
    if (!warm && i >= RESETS / 10) {
      await until(async () => (await guard.measure()).descriptors <= idle.descriptors, 'all to be gone');
      warm = await guard.measure();
    }
  }
  await until(async () => (await guard.measure()).descriptors <= idle.descriptors, 'all to be gone');
  const { bytes: now } = await guard.measure();
  t.comment(`${now - warm.bytes} bytes more`);
  assert.ok(slower > 1 || now - warm.bytes < RESET_GROWTH_MAX, `${now - warm.bytes} bytes more`);
});

test('the server ends without complaints', () => guard.stop());

await run();
