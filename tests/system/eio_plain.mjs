// Engine.IO alone, at a path of its own, by npm's engine.io-client and by hand; and bad input by the numbers of the list of threats,
// 48 to 54. The server echoes. What it has in common with Socket.IO's is looked at more closely in engineio_raw.mjs and engineio_ws.mjs.

import assert from 'node:assert/strict';
import { EioGuard } from './lib/echo.mjs';
import { decodeBody, encodeBody, EngineClient, RawWebSocket } from './lib/engine.mjs';
import { RawSocket, request, SEPARATOR, target } from './lib/http.mjs';
import { descriptorsOf } from './lib/guard.mjs';
import { Official } from './lib/official.mjs';
import { allErrors, isError, isErrorOfWebSocket, isGone } from './lib/refused.mjs';
import { startServer } from './lib/server.mjs';
import { run, test } from './lib/tap.mjs';
import { probed } from './lib/upgrade.mjs';
import { slower, until, within } from './lib/wait.mjs';
import { closing, described, fragments, frame, OP, Peer } from './lib/ws.mjs';

const MAX_PAYLOAD = 10000;
const MESSAGE_BYTES_MAX = 1000000; // the default
const PACKETS_MAX = 131072; // in one POST
const MILLION = 1000000;
const PING_INTERVAL = 200;
const PING_TIMEOUT = 150;
const UPGRADE_TIMEOUT = 250;
const EARLY_MS = 20; // that a deadline may be seen before it is due, by another clock
const LATE_MS = 150 * slower;
const MANY = 200;
const TRANSPORTS = ['websocket', 'polling'];
const WAYS = [['polling'], ['websocket'], ['polling', 'websocket']];
const TEXT = 'x ü 日本語 👩‍👩‍👧 \u0000 \u001e \u{10ffff}';
const POLL = { EIO: 4, transport: 'polling' };
const short = (what) => JSON.stringify(what).slice(0, 100);

const guard = await EioGuard.start();
const { server } = guard;
const small = await startServer('eio_echo', { MAX_PAYLOAD, PING_INTERVAL: 12345, PING_TIMEOUT: 6789 });
const beating = await startServer('eio_echo', { PING_INTERVAL, PING_TIMEOUT, UPGRADE_TIMEOUT });

// ---- the official client

const bytesOf = (length) => Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length) & 255));

WAYS.forEach((transports) => test(`engine.io-client by ${transports}: texts and binaries come back, in order`, async (t) => {
  const client = await Official.arrive(t, transports, server);
  const said = ['ü 日本語 👩‍👩‍👧 \u0000 \u{10ffff}', 'x'.repeat(70000), bytesOf(0), bytesOf(1), bytesOf(2), bytesOf(3), bytesOf(70000)];
  said.push(...Array.from({ length: MANY }, (_, i) => (i % 3 ? `message ${i}` : Buffer.from(`binary ${i}`))));
  said.forEach((one) => client.socket.send(one)); // an upgrade goes on meanwhile
  for (const one of said) {
    await client.hears(one);
  }
  if (transports.length > 1) {
    await within(client.upgraded.promise, 'the upgrade');
    assert.equal(client.socket.transport.name, 'websocket');
  }
  client.socket.send('x'.repeat(MESSAGE_BYTES_MAX - 1)); // with its type
  await client.hears('x'.repeat(MESSAGE_BYTES_MAX - 1));
}));

WAYS.forEach((transports) => test(`engine.io-client by ${transports}: a close by the client`, async (t) => {
  const client = await Official.arrive(t, transports, server);
  client.socket.send('last');
  await client.hears('last');
  if (transports.length > 1) {
    await within(client.upgraded.promise, 'the upgrade');
  }
  const { sid } = client;
  client.socket.close();
  assert.equal(await within(client.closed.promise, 'the end'), 'forced close');
  await isGone({ server, sid });
}));

/** A poll of the client's waits at the server, if it polls: who has none there when a server stops may find nobody. */
async function isPolling(where, client) {
  if (client.socket.transport.name === 'polling') {
    const established = async () => (await descriptorsOf(where.child.pid)) > where.idle;
    await until(established, 'its poll');
    const path = target({ ...POLL, sid: client.sid }, where.path);
    for (let i = 0; i < 3; i++) { // each a round trip behind its poll
      await request(where, { method: 'POST', path, body: '6' });
    }
  }
}

WAYS.forEach((transports) => test(`engine.io-client by ${transports}: a close by the server`, async (t) => {
  const stopping = await startServer('eio_echo');
  stopping.idle = await descriptorsOf(stopping.child.pid);
  const client = await Official.arrive(t, transports, stopping);
  client.socket.send('last');
  await client.hears('last');
  if (transports.length > 1) {
    await within(client.upgraded.promise, 'the upgrade');
  }
  await isPolling(stopping, client);
  const stopped = stopping.stop();
  const reason = await within(client.closed.promise, 'the end');
  await t.deviates('who polls may find nobody there', async () => assert.equal(reason, 'transport close'));
  await stopped;
}));

test('engine.io-client: pings are answered, and the session lives on', async (t) => {
  await Promise.all(WAYS.map(async (transports) => {
    const client = await Official.arrive(t, transports, beating);
    for (let i = 0; i < 3; i++) {
      await within(new Promise((resolve) => client.socket.once('ping', resolve)), 'a ping');
    }
    client.socket.send('still here');
    await client.hears('still here');
  }));
});

// ---- by hand: handshake, polling

function ask(method, query, more = {}) {
  return request(server, { method, path: target(query, server.path), ...more });
}

async function opened(t, transport, more = {}) {
  const client = await EngineClient.open(more.on ?? server, { transport, ...more });
  t.after(async () => {
    if (client.transport === 'polling' && !client.isClosed) {
      await client.post('1').catch(() => 'it has ended meanwhile');
    }
    client.terminate();
  });
  return client;
}

const byHand = (t, on = server) => opened(t, 'polling', { loop: false, on });

async function echoes(client, text = 'alive') {
  client.send(text);
  assert.equal(await client.next('the echo'), text);
}

/** The same of a session that is polled by hand. */
async function pollsOn(client, text = 'alive') {
  assert.equal((await client.post(`4${text}`)).text, 'ok');
  await until(async () => (await client.poll()).includes(`4${text}`), 'the echo by polling');
}

/** Polls until so many packets have come. */
async function polled(client, count) {
  const packets = [];
  await until(async () => {
    packets.push(...(await client.poll()));
    return packets.length >= count;
  }, `${count} packets`);
  return packets;
}

// A poll that waits: by the answers to the POSTs behind it the server has seen it, though another of its loops may have taken it.
async function pendingPoll(client) {
  const answer = client.get();
  await answer.sent;
  for (let i = 0; i < 3; i++) {
    assert.equal((await client.post('6')).text, 'ok');
  }
  return { answer };
}

test('handshake: keys, their order, defaults, headers', async (t) => {
  const { status, headers, text } = await ask('GET', POLL);
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/plain; charset=UTF-8');
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(headers['set-cookie'], undefined);
  assert.equal(headers['access-control-allow-origin'], undefined);
  const wanted = /^0\{"sid":"[A-Za-z0-9_-]{20}","upgrades":\["websocket"\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$/;
  assert.match(text, wanted);
  const client = await opened(t, 'websocket');
  assert.match(JSON.stringify(client.handshake), /^\{"sid":"[A-Za-z0-9_-]{20}","upgrades":\[\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$/);
  const told = await request(small, { path: target(POLL, small.path) });
  assert.match(told.text, /"pingInterval":12345,"pingTimeout":6789,"maxPayload":10000\}$/);
  const leaving = new EngineClient(server, { transport: 'polling' });
  leaving.accept(text);
  await leaving.post('1');
});

test('it is at its path alone', async () => {
  for (const path of ['/socket.io/', '/', '/engine.io', '/engine.iox/', '/x/engine.io/', '/Engine.IO/']) {
    const { status } = await request(server, { path: target(POLL, path) });
    assert.equal(status, 404, path);
  }
});

test('errors: code, message, status, and the order of the checks', async (t) => {
  const client = await byHand(t);
  await allErrors(server, client.sid);
  await isErrorOfWebSocket(server, { EIO: 4, transport: 'foo' }, 0);
  await isErrorOfWebSocket(server, { EIO: 4, transport: 'websocket', sid: 'nobody' }, 1);
  await isErrorOfWebSocket(server, { EIO: 3, transport: 'websocket', sid: client.sid }, 3);
  await t.deviates('EIO=3 is refused only after the 101', () => isErrorOfWebSocket(server, { EIO: 3, transport: 'websocket' }, 5));
  await pollsOn(client);
});

test('POST and poll: bodies, headers, packets in order', async (t) => {
  const client = await byHand(t);
  const { answer: pending } = await pendingPoll(client);
  const posted = await client.post('4ü');
  assert.deepEqual([posted.status, posted.text], [200, 'ok']);
  assert.equal(posted.headers['content-type'], 'text/html');
  assert.equal(posted.headers['cache-control'], 'no-store');
  const answer = await pending;
  assert.equal(answer.text, '4ü');
  assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
  assert.equal(answer.headers['cache-control'], 'no-store');
  const all = Array.from({ length: 40 }, (_, i) => (i % 4 ? `4${i}` : Buffer.from([i])));
  assert.equal((await client.post(encodeBody(all))).text, 'ok');
  assert.deepEqual(await polled(client, all.length), all);
});

test('messages by polling: empty ones, binaries of every length around the padding', async (t) => {
  const client = await byHand(t);
  for (const length of [0, 1, 2, 3, 4, 255, 3000]) {
    const body = `b${bytesOf(length).toString('base64')}`;
    assert.equal((await client.post(body)).text, 'ok');
    assert.equal((await client.get()).text, body);
  }
  assert.equal((await client.post(['4', '4x', '4'].join(SEPARATOR))).text, 'ok');
  assert.deepEqual(await polled(client, 3), ['4', '4x', '4']);
});

test('a body over maxPayload: a bare 413, and the session lives on; a WebSocket message: 1009', async (t) => {
  const client = await byHand(t, small);
  await pollsOn(client, 'x'.repeat(MAX_PAYLOAD - 1));
  for (const body of [`4${'x'.repeat(MAX_PAYLOAD)}`, `4${'ü'.repeat(MAX_PAYLOAD / 2)}`]) {
    const { status, text } = await client.post(body);
    assert.deepEqual([status, text], [413, '']);
  }
  await pollsOn(client);
  const other = await opened(t, 'websocket', { on: small });
  await echoes(other, 'x'.repeat(MAX_PAYLOAD - 1));
  other.send('x'.repeat(MAX_PAYLOAD));
  assert.equal((await other.socket.whenClosed()).code, 1009);
});

test('a poll that the client aborts loses nothing', async (t) => {
  const client = await byHand(t);
  await t.deviates('an aborted poll ends the session', async () => {
    for (let i = 0; i < 10; i++) {
      (await pendingPoll(client)).answer.abort();
      assert.equal((await client.post(`4kept ${i}`)).text, 'ok');
      assert.deepEqual(await client.poll(), [`4kept ${i}`]);
    }
  });
});

test('a close by polling: the poll that waits gets 6', async (t) => {
  const client = await byHand(t);
  const { answer: pending } = await pendingPoll(client);
  assert.equal((await client.post('1')).text, 'ok');
  assert.equal((await pending).text, '6');
  await isGone(client);
});

test('application/octet-stream: 400 and the end', async (t) => {
  const client = await byHand(t);
  const { answer: pending } = await pendingPoll(client);
  assert.equal((await client.post('4x', { 'content-type': 'application/octet-stream' })).status, 400);
  assert.equal((await pending).text, '1');
  await isGone(client);
});

test('answers of 1024 bytes and more are compressed where the client accepts it', async (t) => {
  const client = await byHand(t);
  for (const [accepted, bytes, wanted] of [['gzip', 1024, 'gzip'], ['deflate', 1024, 'deflate'], ['gzip', 1023, undefined], [undefined, 1024, undefined]]) {
    const text = 'ab'.repeat(bytes).slice(1, bytes);
    await client.post(`4${text}`);
    client.headers = accepted ? { 'accept-encoding': accepted } : {};
    const answer = await client.get();
    client.headers = {};
    assert.equal(answer.headers['content-encoding'], wanted, `${accepted}, ${bytes} bytes`);
    assert.equal(answer.text, `4${text}`);
    assert.equal(answer.body.length, bytes);
  }
});

// ---- by hand: WebSockets, the upgrade, the heartbeat

const webSocketPath = (query) => target({ EIO: 4, transport: 'websocket', ...query }, server.path);

/** Frame by frame: the open packet has come. */
async function frameByFrame(t) {
  const peer = await Peer.open(server, { path: webSocketPath({}) });
  t.after(() => peer.destroy());
  const { opcode, payload } = await peer.next('the open packet');
  assert.equal(opcode, OP.TEXT);
  assert.match(payload.toString(), /^0\{/);
  peer.sid = JSON.parse(payload.toString().slice(1)).sid;
  return peer;
}

test('frames: texts are packets, binaries are messages, a close frame is answered', async (t) => {
  const peer = await frameByFrame(t);
  await peer.echoes(`4${TEXT}`);
  await peer.echoes('4');
  await peer.echoes(bytesOf(0));
  await peer.echoes(bytesOf(70000));
  peer.write(Buffer.concat([fragments(OP.TEXT, `4${TEXT}`, 3), fragments(OP.BINARY, bytesOf(20), 7), frame(OP.TEXT, '6'), frame(OP.TEXT, '3'), frame(OP.TEXT, '4z')]));
  await peer.hears(`4${TEXT}`);
  await peer.hears(bytesOf(20));
  await peer.hears('4z');
  await peer.pongsFor('a WebSocket ping');
  peer.write(frame(OP.CLOSE, closing(1000)));
  await peer.isClosed(1000);
  await isGone({ server, sid: peer.sid });
});

test('faults of WebSockets are those of any: 1002, 1007', async (t) => {
  for (const [sent, code] of [[frame(OP.TEXT, '4x', { mask: null }), 1002], [frame(OP.TEXT, '4x', { rsv: 4 }), 1002], [frame(3), 1002],
    [frame(OP.TEXT, Buffer.from([0x34, 0xff])), 1007]]) {
    const peer = await frameByFrame(t);
    peer.write(sent);
    const last = await peer.next('the close frame');
    assert.equal(described(last), `close ${code}`);
    await peer.hasEnded();
    await isGone({ server, sid: peer.sid });
  }
});

test('a client says 1 over a WebSocket: closed at once', async (t) => {
  const client = await opened(t, 'websocket');
  await t.deviates('the websocket lingers after the client said 1', async () => {
    client.socket.send('1');
    await client.socket.whenClosed();
    await isGone(client);
  });
});

test('a ping of the client\'s ends the session, whatever it carries', async (t) => {
  for (const transport of TRANSPORTS) {
    for (const packet of ['2', '2probe', '2x']) {
      const client = await opened(t, transport);
      client.sendPacket(packet);
      await client.whenClosed();
      await isGone(client);
    }
  }
});

test('upgrade: the probe, 6 to the poll that waits, what waits is flushed behind 5, then polls get 400', async (t) => {
  const client = await byHand(t);
  const { answer: pending } = await pendingPoll(client);
  const socket = await probed(t, client);
  assert.equal((await pending).text, '6');
  const all = Array.from({ length: 20 }, (_, i) => (i % 2 ? `4${i}` : Buffer.from([i])));
  assert.equal((await client.post(encodeBody(all.slice(0, 10)))).text, 'ok');
  const before = [];
  await until(async () => {
    before.push(...(await client.poll()).filter((packet) => packet !== '6'));
    return before.length === 10;
  }, 'what was said before 5, by polling');
  assert.equal((await client.post(encodeBody(all.slice(10)))).text, 'ok');
  socket.send('5');
  for (const one of all.slice(10)) {
    assert.deepEqual(await socket.next('what was flushed'), one);
  }
  assert.deepEqual(before, all.slice(0, 10));
  for (const method of ['GET', 'POST']) {
    await isError(server, method, client.query4, 3);
  }
  socket.send('4upgraded');
  assert.equal(await socket.next('the echo'), '4upgraded');
});

test('an upgrade that stops is given up after upgradeTimeout, and the session polls on', (t) => t.measured(async () => {
  const client = await opened(t, 'polling', { on: beating });
  const started = performance.now();
  const socket = await probed(t, client);
  await socket.whenClosed();
  const took = performance.now() - started;
  assert.ok(took > UPGRADE_TIMEOUT - EARLY_MS && took < UPGRADE_TIMEOUT + LATE_MS, `given up after ${Math.round(took)} ms`);
  await echoes(client);
}));

test('heartbeat: the first ping after pingInterval, the next as long after the pong, the end pingTimeout after a ping', (t) => t.measured(async () => {
  const near = (took, wanted, what) => assert.ok(took > wanted - EARLY_MS && took < wanted + LATE_MS, `${what} after ${Math.round(took)} ms`);
  await Promise.all(TRANSPORTS.map(async (transport) => {
    let since = performance.now();
    const client = await opened(t, transport, { on: beating });
    client.autoPong = false;
    for (let i = 0; i < 3; i++) {
      assert.equal(await client.control.take((packet) => packet[0] === '2', 'a ping'), '2');
      near(performance.now() - since, PING_INTERVAL, `${transport}: a ping`);
      if (i < 2) {
        since = performance.now();
        client.sendPacket('3');
      }
    }
    await client.whenClosed();
    near(performance.now() - since, PING_INTERVAL + PING_TIMEOUT, `${transport}: the end`); // from the last pong: a ping may be seen late
    await isGone(client);
  }));
}));

// ---- bad input

guard.threat('threat 48: EIO=3, transport=foo, an unknown sid: 400 with codes 5, 0, 1', async (t) => {
  for (const EIO of ['3', '5', '04', '', undefined]) {
    await isError(server, 'GET', { EIO, transport: 'polling' }, 5);
    await t.deviates('EIO=3 is refused only after the 101', () => isErrorOfWebSocket(server, { EIO, transport: 'websocket' }, 5));
  }
  for (const transport of ['foo', '', 'Polling', 'webtransport', 'constructor', undefined]) {
    await isError(server, 'GET', { EIO: 4, transport }, 0);
    await isError(server, 'POST', { EIO: 4, transport }, 0);
    await isErrorOfWebSocket(server, { EIO: 4, transport }, 0);
  }
  for (const sid of ['nobody', 'x'.repeat(20), 'A'.repeat(2000), '__proto__', '../x', '\0']) {
    await isError(server, 'GET', { EIO: 4, transport: 'polling', sid }, 1);
    await isError(server, 'POST', { EIO: 4, transport: 'polling', sid }, 1);
    await isErrorOfWebSocket(server, { EIO: 4, transport: 'websocket', sid }, 1);
  }
});

guard.threat('threat 49: a wrong method, mixed transports: 400 with codes 2, 3', async (t) => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    await isError(server, method, POLL, 2);
  }
  const [poller, other] = [await opened(t, 'polling'), await opened(t, 'websocket')];
  for (const method of ['GET', 'POST']) {
    await isError(server, method, { EIO: 4, transport: 'websocket', sid: poller.sid }, 3);
    await isError(server, method, { EIO: 4, transport: 'polling', sid: other.sid }, 3);
    await isError(server, method, { EIO: 3, transport: 'polling', sid: poller.sid }, 3);
  }
  await t.deviates('a WebSocket may say polling', () => isErrorOfWebSocket(server, { EIO: 4, transport: 'polling', sid: other.sid }, 3));
  await isErrorOfWebSocket(server, { EIO: 3, transport: 'websocket', sid: poller.sid }, 3);
  await echoes(poller);
  await echoes(other);
});

guard.threat('threat 50: two polls at once, or two POSTs: 400 for the second, the session is closed', async (t) => {
  for (const many of [1, 10]) {
    const client = await byHand(t);
    const { answer: first } = await pendingPoll(client);
    const answers = await Promise.all([first, ...Array.from({ length: many }, () => client.get())]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(many).fill(400)]);
    assert.equal(answers.find(({ status }) => status === 200).text, '1');
    await isGone(client);
  }
  // The poll may be on its way to another thread, and come when all is over: then it is tried again.
  await until(async () => {
    const client = await byHand(t);
    const { answer: pending } = await pendingPoll(client);
    const slow = await RawSocket.open(server);
    t.after(() => slow.destroy());
    await slow.write(`POST ${target(client.query4, server.path)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4half a mess`);
    // Which of the two came first is up to the kernel: so it is asked until the second has been refused.
    await until(async () => (await client.post('6')).status === 400, 'a POST to be refused');
    await isGone(client);
    return (await pending).text === '1';
  }, 'a poll that waits to be told');
});

guard.threat('threat 51: a POST over the limit: a bare 413, the session lives on', async (t) => {
  const client = await byHand(t);
  await pollsOn(client, 'x'.repeat(MESSAGE_BYTES_MAX - 1));
  for (const bytes of [MESSAGE_BYTES_MAX, 2 * MESSAGE_BYTES_MAX, 30 * MESSAGE_BYTES_MAX]) {
    const body = `4${'x'.repeat(bytes)}`;
    for (const rest of [`Content-Length: ${body.length}\r\n\r\n${body}`, `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}`]) {
      const socket = await RawSocket.open(server);
      t.after(() => socket.destroy());
      socket.write(`POST ${target(client.query4, server.path)} HTTP/1.1\r\nHost: x\r\n${rest}`);
      await socket.match(/^HTTP\/1\.1 413 /);
      await pollsOn(client);
    }
  }
});

/** How long a POST of that body takes, and its status; where it ends the session, 400, or it is cut. */
async function takes(client, body) {
  const started = performance.now();
  const { status } = await client.post(body).catch(() => ({ status: 0 }));
  return { status, ms: performance.now() - started };
}

guard.threat('threat 52: a million packets in one body: capped, and linear', async (t) => {
  const noops = (count) => `6${SEPARATOR}`.repeat(count - 1) + '6';
  const fine = await byHand(t);
  const eighth = await takes(fine, noops(PACKETS_MAX / 8));
  const whole = await takes(fine, noops(PACKETS_MAX));
  assert.deepEqual([eighth.status, whole.status], [200, 200]);
  assert.ok(whole.ms < 16 * eighth.ms + 200 * slower, `${eighth.ms} ms for an eighth of what takes ${whole.ms}`);
  await pollsOn(fine);
  const ends = async (body, isEnded) => {
    const client = await byHand(t);
    const { ms } = await takes(client, body);
    assert.ok(ms < 2000 * slower, `it took ${ms} ms`);
    await isEnded(client);
  };
  for (const body of [noops(PACKETS_MAX + 1), noops(MILLION / 2)]) {
    await ends(body, (client) => t.deviates('a body may have any number of packets', () => isGone(client)));
  }
  await ends(SEPARATOR.repeat(MILLION - 1), isGone);
});

/** A WebSocket for that session is closed, before it is open or as soon as it probes. */
async function isTurnedAway(t, sid) {
  const socket = new RawWebSocket(server, { sid });
  t.after(() => socket.terminate());
  socket.opened.promise.then(() => socket.send('2probe'), () => 'refused');
  await socket.whenClosed();
  assert.ok(!socket.frames.items.includes('3probe'), 'it was let in');
}

guard.threat('threat 53: a wrong probe, a double upgrade, another session\'s sid: closed, and the session is unharmed', async (t) => {
  const client = await opened(t, 'polling');
  const wrong = ['2', '2Probe', '2probe ', '3probe', '1', '6', '9', '', '4evil', 'x'.repeat(5000), Buffer.from('2probe')];
  for (const frameSent of wrong) {
    const socket = await RawWebSocket.open(server, { sid: client.sid });
    t.after(() => socket.terminate());
    socket.send(frameSent);
    await socket.whenClosed().catch((cause) => assert.fail(`after ${short(String(frameSent))}: ${cause.message}`));
    await echoes(client);
  }
  for (const frameSent of ['4evil', '9', '', Buffer.from('5'), '2probe']) {
    const other = await opened(t, 'polling');
    const socket = await probed(t, other);
    socket.send(frameSent);
    const closes = () => socket.whenClosed().catch((cause) => assert.fail(`after 2probe and ${short(String(frameSent))}: ${cause.message}`));
    await (frameSent === '2probe' ? t.deviates('a second probe is answered', closes) : closes());
    socket.terminate();
    await echoes(other);
  }
  await probed(t, client);
  await isTurnedAway(t, client.sid);
  await echoes(client);
  const upgraded = await opened(t, 'polling');
  await upgraded.upgrade();
  await isTurnedAway(t, upgraded.sid);
  await isError(server, 'GET', upgraded.query4, 3);
  await echoes(upgraded);
  const begunThere = await opened(t, 'websocket');
  await t.deviates('a websocket session lets itself be upgraded again', () => isTurnedAway(t, begunThere.sid));
  await t.deviates('5 without a probe upgrades', async () => {
    const other = await opened(t, 'polling');
    const socket = await RawWebSocket.open(server, { sid: other.sid });
    t.after(() => socket.terminate());
    socket.send('5');
    await socket.whenClosed();
    await echoes(other);
  });
});

guard.threat('threat 54: a packet of type 9, or of no type: the session ends', async (t) => {
  for (const transport of TRANSPORTS) {
    for (const packet of ['9', '9{}', '7', '8', 'x', ' 4', 'B', '\u0000']) {
      const client = await opened(t, transport);
      client.sendPacket(packet);
      await client.whenClosed().catch((cause) => assert.fail(`${transport}, ${short(packet)}: ${cause.message}`));
      assert.deepEqual(client.inbox.items, []);
      await isGone(client);
    }
  }
  const client = await byHand(t);
  await client.post('').catch(() => 'it may be cut');
  await isGone(client);
  const loose = async (body, what) => {
    const other = await byHand(t);
    await other.post(body).catch(() => 'it may be cut');
    await t.deviates(what, () => isGone(other));
  };
  for (const body of ['bA', 'b!!!!', 'bAQ==A', 'bAQI=AQI=', 'b====']) {
    await loose(body, 'base64 is read as far as it goes');
  }
  await loose(Buffer.from([0x34, 0xff]), 'text need not be UTF-8');
});

test('the servers end without complaints', async () => {
  await guard.stop();
  await small.stop();
  await beating.stop();
});

await run();
