// Plain WebSockets, byte by byte: what a program that uses them may rely on. The server echoes. Bad input is in threats_ws.mjs.

import assert from 'node:assert/strict';
import { startServer } from './lib/server.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until, within } from './lib/wait.mjs';
import {
  ACCEPT, asker, closing, described, echoesOn, fragments, frame, handshake, head, MASK, OP, Peer,
} from './lib/ws.mjs';

const MESSAGE_BYTES_MAX = 1000000; // the default
const PING_INTERVAL = 200;
const PING_TIMEOUT = 150;
const EARLY_MS = 20; // that a deadline may be seen before it is due, by another clock
const LATE_MS = 150 * slower;
const MANY = 1000;
const PEERS = 50;
const SECOND_MS = 1000;
const PINGS = 1500;
const PINGS_PER_S = 750;
const PINGS_AT_ONCE = 25;
const TEXT = 'x ü 日本語 👩‍👩‍👧 \u0000 \u{10ffff} \ufeff';

const server = await startServer('ws_echo');
const beating = await startServer('ws_echo', { PING_INTERVAL, PING_TIMEOUT });

async function opened(t, options = {}, on = server) {
  const peer = await Peer.open(on, options);
  t.after(() => peer.destroy());
  return peer;
}

const text = (bytes) => 'The quick brown fox. '.repeat(bytes / 21 + 1).slice(0, bytes);
const binary = (bytes) => Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 7 + bytes) & 255));

// ---- the handshake

test('handshake: 101, the answer to the key, and no more than was asked for', async (t) => {
  const { socket, ask } = await asker(t, server);
  const { status, headers, names } = await ask(handshake());
  assert.equal(status, 101);
  assert.match(headers.upgrade, /^websocket$/i);
  assert.match(headers.connection, /^upgrade$/i);
  assert.equal(headers['sec-websocket-accept'], ACCEPT);
  for (const name of ['sec-websocket-protocol', 'sec-websocket-extensions', 'content-length', 'transfer-encoding']) {
    assert.ok(!names.includes(name), name);
  }
  await echoesOn(socket, 'hello');
});

test('handshake: names and words in any case, lists, a query, a page of any origin', async (t) => {
  const usual = { without: ['Connection', 'Upgrade'] };
  for (const options of [
    { ...usual, lines: ['connection: keep-alive, Upgrade', 'UPGRADE: WebSocket'] }, { ...usual, lines: ['Connection: UPGRADE', 'Upgrade: WEBSOCKET'] },
    { path: '/?a=b&c=%20' }, { lines: ['Origin: https://anywhere.example'] }, { lines: ['Origin: null', 'Cookie: a=b'] },
    { lines: ['X-Other: 1', 'User-Agent: test'] },
  ]) {
    const { socket, ask } = await asker(t, server);
    const { status } = await ask(handshake(options));
    assert.equal(status, 101, JSON.stringify(options));
    await echoesOn(socket, 'hello');
  }
});

test('handshake: in single bytes, and with frames directly behind it', async (t) => {
  const { socket, ask } = await asker(t, server);
  for (const byte of Buffer.from(handshake()).subarray(0, -1)) {
    await socket.write(Buffer.from([byte]));
  }
  assert.equal((await ask('\n')).status, 101);
  await echoesOn(socket, 'slowly');
  const peer = await opened(t, { behind: Buffer.concat([frame(OP.TEXT, 'one'), frame(OP.BINARY, 'two'), frame(OP.PING, 'three')]) });
  await peer.hears('one');
  await peer.hears(Buffer.from('two'));
  await peer.hearsPong('three');
});

test('requests that ask for no WebSocket get 426 with what is served, other paths 404, and the connection stays', async (t) => {
  const { socket, ask } = await asker(t, server);
  for (const path of ['/', '/?a=b']) {
    const { status, headers } = await ask(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal(status, 426);
    assert.match(headers.upgrade, /^websocket$/i); // RFC 9110, 15.5.22
  }
  assert.equal((await ask('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n')).status, 404);
  await t.deviates('400 for a WebSocket at another path', async () => {
    assert.equal((await ask(handshake({ path: '/nothing' }))).status, 404);
    assert.equal((await ask(handshake())).status, 101);
    await echoesOn(socket, 'hello');
  });
});

// ---- messages

test('echo of texts and binaries of every length around the forms of a length', async (t) => {
  const peer = await opened(t);
  for (const bytes of [0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537, MESSAGE_BYTES_MAX]) {
    await peer.echoes(text(bytes));
    await peer.echoes(binary(bytes));
  }
  await peer.echoes(TEXT);
});

test('a message of one byte more than the limit: 1009', async (t) => {
  for (const data of [text(MESSAGE_BYTES_MAX + 1), binary(MESSAGE_BYTES_MAX + 1)]) {
    const peer = await opened(t);
    await peer.echoes('before');
    peer.send(data);
    await peer.isClosed(1009);
  }
});

test('what was wrong with a frame is said behind the code', async (t) => {
  for (const [bytes, code, reason] of [
    [frame(OP.TEXT, 'x', { mask: null }), 1002, 'frame not masked'], [frame(3), 1002, 'unknown opcode'], [frame(OP.CLOSE, 'x'), 1002, 'close of one byte'],
    [frame(OP.TEXT, Buffer.from([0xff])), 1007, 'not UTF-8'], [head(OP.BINARY, MESSAGE_BYTES_MAX + 1), 1009, 'message too big'],
  ]) {
    const peer = await opened(t);
    peer.write(bytes);
    const close = await peer.next('the close frame');
    assert.equal(described(close), `close ${code}`);
    await t.deviates('a fault is told by its code alone', async () => assert.equal(close.payload.toString('utf8', 2), reason));
    await peer.hasEnded(reason);
  }
});

test('any key masks', async (t) => {
  const peer = await opened(t);
  for (const key of ['00000000', 'ffffffff', '00ff00ff', '01020304', '000000ff']) {
    for (const bytes of [1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 1001]) {
      peer.send(text(bytes), { mask: Buffer.from(key, 'hex') });
      await peer.hears(text(bytes));
    }
  }
});

test('a conversation that comes in two pieces, cut at each place, and in single bytes', async (t) => {
  const bytes = Buffer.concat([
    frame(OP.TEXT, TEXT), frame(OP.PING, 'ping'), frame(OP.BINARY, binary(130)), fragments(OP.TEXT, TEXT, 5), frame(OP.PONG, 'unasked'), frame(OP.TEXT, ''),
  ]);
  const isAnswered = async (peer) => {
    await peer.hears(TEXT);
    await peer.hearsPong('ping');
    await peer.hears(binary(130));
    await peer.hears(TEXT);
    await peer.hears('');
  };
  const peer = await opened(t);
  for (let at = 1; at < bytes.length; at++) {
    await peer.write(bytes.subarray(0, at));
    await peer.write(bytes.subarray(at));
    await isAnswered(peer);
  }
  for (const byte of bytes) {
    await peer.write(Buffer.from([byte]));
  }
  await isAnswered(peer);
});

test('fragments make one message, wherever they cut its characters, with empty ones among them', async (t) => {
  const peer = await opened(t);
  for (const bytes of [1, 2, 3, 5, 126, 65536]) {
    for (const [opcode, data] of [[OP.TEXT, TEXT], [OP.BINARY, binary(700)], [OP.TEXT, text(700)]]) {
      peer.write(fragments(opcode, data, bytes));
      await peer.hears(data);
    }
  }
  const part = (opcode, payload, fin = false) => frame(opcode, payload, { fin });
  peer.write(Buffer.concat([
    part(OP.TEXT, ''), part(OP.CONTINUATION, ''), part(OP.CONTINUATION, 'a'), part(OP.CONTINUATION, ''), part(OP.CONTINUATION, 'b'),
    part(OP.CONTINUATION, '', true),
  ]));
  await peer.hears('ab');
  peer.write(Buffer.concat([part(OP.BINARY, ''), part(OP.CONTINUATION, '', true)]));
  await peer.hears(Buffer.alloc(0));
  peer.write(fragments(OP.BINARY, binary(MESSAGE_BYTES_MAX), 65521));
  await peer.hears(binary(MESSAGE_BYTES_MAX));
});

test('many messages in one write: all come back, in order', async (t) => {
  const peer = await opened(t);
  const all = Array.from({ length: MANY }, (_, i) => `message ${i}`);
  peer.write(Buffer.concat(all.map((one, i) => (i % 10 ? frame(OP.TEXT, one) : fragments(OP.TEXT, one, 2)))));
  for (const one of all) {
    await peer.hears(one);
  }
});

test('each hears what it has said itself, and nothing else', async (t) => {
  const peers = await Promise.all(Array.from({ length: PEERS }, () => opened(t)));
  for (let round = 0; round < 5; round++) {
    await Promise.all(peers.map((peer, i) => peer.echoes(`peer ${i}, ${round}`)));
  }
  peers.forEach((peer) => assert.deepEqual(peer.frames.items, []));
});

// ---- pings and pongs

test('pings are answered with what they carry, also between fragments, and pongs that nobody asked for are ignored', async (t) => {
  const peer = await opened(t);
  for (const payload of ['', 'x', 'p'.repeat(125), Buffer.from([0, 255, 128])]) {
    await peer.pongsFor(payload);
  }
  peer.write(frame(OP.TEXT, 'frag', { fin: false }));
  await peer.pongsFor('between');
  peer.write(Buffer.concat([frame(OP.PONG, 'unasked'), frame(OP.PONG, '')]));
  peer.write(frame(OP.CONTINUATION, 'mented'));
  await peer.hears('fragmented');
});

// What is tested is a rate, so here time is what is waited for; it begins now, and its test waits for it.
const patient = (async () => {
  const peer = await Peer.open(server);
  for (let sent = 0; sent < PINGS; sent += PINGS_AT_ONCE) {
    const rested = new Promise((resolve) => setTimeout(resolve, (SECOND_MS * PINGS_AT_ONCE) / PINGS_PER_S));
    peer.write(Buffer.concat(Array(PINGS_AT_ONCE - 1).fill(frame(OP.PING, 'one of many'))));
    peer.write(frame(OP.PING, `${sent}`));
    await peer.pongs.take(({ payload }) => payload.toString() === `${sent}`, 'the pong');
    await rested;
  }
  await peer.echoes('still here');
  peer.destroy();
})();
patient.catch(() => {});

test('as many pings a second as are allowed go on and on', () => patient);

test('the server pings: so long after the beginning, and so long after each pong', (t) => t.measured(async () => {
  let since = performance.now();
  const peer = await opened(t, { answersPings: false }, beating);
  for (let i = 0; i < 3; i++) {
    const ping = await peer.pings.next('a ping');
    const took = performance.now() - since;
    assert.ok(took > PING_INTERVAL - EARLY_MS && took < PING_INTERVAL + LATE_MS, `pinged after ${Math.round(took)} ms`);
    since = performance.now();
    await peer.write(frame(OP.PONG, ping.payload));
  }
}));

test('who answers pings stays, and is served meanwhile', async (t) => {
  const peer = await opened(t, {}, beating);
  for (let i = 0; i < 4; i++) {
    await peer.pings.next('a ping');
    await peer.echoes(`after ping ${i}`);
  }
});

test('who has a message half sent and goes on with pongs alone is closed with 1008; who goes on with it is not', async (t) => {
  const [idle, unasked, slow] = await Promise.all(Array.from({ length: 3 }, () => opened(t, {}, beating)));
  const part = 'y'.repeat(3 * PING_INTERVAL); // more than a byte a millisecond
  await idle.write(frame(OP.TEXT, 'x', { fin: false }));
  await unasked.write(frame(OP.TEXT, 'x', { fin: false }));
  const pongs = setInterval(() => unasked.write(frame(OP.PONG, '')), PING_INTERVAL / 4);
  t.after(() => clearInterval(pongs));
  await slow.write(frame(OP.TEXT, part, { fin: false }));
  for (let i = 0; i < 6; i++) {
    await slow.pings.next('a ping');
    await slow.write(frame(OP.CONT, part, { fin: false }));
  }
  await slow.write(frame(OP.CONT, 'z'));
  await slow.hears(`${part.repeat(7)}z`);
  await t.deviates('a message half sent is kept as long as pings are answered', async () => {
    for (const peer of [idle, unasked]) {
      assert.equal((await within(peer.frames.next('its end'), 'its end', 10 * PING_INTERVAL * slower)).payload.readUInt16BE(), 1008);
    }
  });
});

test('who says nothing is cut pingTimeout after its ping', async (t) => {
  const mute = async () => {
    const peer = await opened(t, { answersPings: false }, beating);
    await peer.pings.next('a ping');
    const pinged = performance.now();
    await peer.hasEnded('its silence');
    const took = performance.now() - pinged;
    assert.ok(took > PING_TIMEOUT - EARLY_MS && took < PING_TIMEOUT + LATE_MS, `cut after ${Math.round(took)} ms`);
    assert.ok(peer.frames.items.every(({ opcode }) => opcode === OP.CLOSE), peer.frames.items.map(described).join());
  };
  await Promise.all(Array.from({ length: 5 }, mute));
});

// ---- the end

const CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];

test('a close frame is answered with its code, one without a code with none; then the connection ends', async (t) => {
  for (const code of CODES) {
    for (const reason of ['', 'because ü', 'r'.repeat(123)]) {
      const peer = await opened(t);
      await peer.echoes('before');
      peer.write(frame(OP.CLOSE, closing(code, reason)));
      await peer.isClosed(code, `close ${code}, ${reason.length} bytes of a reason`);
    }
  }
  const peer = await opened(t);
  peer.write(frame(OP.CLOSE));
  await peer.isClosed(1005);
});

test('what was said before a close frame is answered before it', async (t) => {
  const peer = await opened(t);
  peer.write(Buffer.concat([frame(OP.TEXT, 'one'), frame(OP.TEXT, 'two'), frame(OP.CLOSE, closing(1000))]));
  await peer.hears('one');
  await peer.hears('two');
  await peer.isClosed(1000);
});

test('who ends its side without a close frame, or in the middle of something, is ended', async (t) => {
  for (const bytes of ['', frame(OP.TEXT, 'half', { length: 10 }), frame(OP.TEXT, 'part', { fin: false }), MASK.subarray(0, 1)]) {
    const peer = await opened(t, { allowHalfOpen: true });
    await peer.echoes('before');
    peer.write(bytes);
    peer.socket.end();
    await peer.hasEnded('the end of the other side');
  }
});

test('a stop: all are told 1012, and the server ends without complaints', async (t) => {
  const peers = await Promise.all(Array.from({ length: 5 }, () => opened(t)));
  await Promise.all(peers.map((peer) => peer.echoes('hello')));
  const stopped = server.stop();
  await Promise.all(peers.map(async (peer) => {
    assert.equal(described(await peer.next('the close frame')), 'close 1012');
    peer.write(frame(OP.CLOSE, closing(1012)));
    await peer.hasEnded('a stop');
    assert.deepEqual(peer.frames.items, []);
  }));
  await stopped;
  await beating.stop();
  await until(() => peers.every((peer) => peer.closed), 'all to be gone');
});

await run();
