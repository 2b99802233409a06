// A server of TLS alone: official clients by https and wss, what else comes to such a port (number 20 of the list of threats), and the
// end of connections, encrypted. Through a tunnel (TLS=1) tests.toml has `order`, and `clients`, `threats_http` and `drain` in the tier
// torture. Other scripts can be run so too, but not what depends on where the server's connection is cut, as `poll_cut`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { io } from 'socket.io-client';
import { EngineClient } from './lib/engine.mjs';
import { descriptorsOf } from './lib/guard.mjs';
import { RawSocket, target } from './lib/http.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { certificate } from './lib/tls.mjs';
import { slower, until, within } from './lib/wait.mjs';
import { Guard } from './lib/witness.mjs';

const { ca } = certificate();
const guard = await Guard.start({ TLS: '1' });
const WAYS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };
const SHAKE = `GET ${target({ EIO: 4, transport: 'polling' })} HTTP/1.1\r\nHost: x\r\n\r\n`;
const HANDSHAKE_MS = 10000;
const LATE_MS = 1500 * slower;
const ALERT = 21;
const ALERTS = { handshakeFailure: 40, protocolVersion: 70 };
const LEAVERS = 200;
const ROUNDS = 20;
const NOISE = Buffer.concat([Buffer.from([0x17, 3, 3, 0, 64]), Buffer.alloc(64, 5)]); // a record that nobody encrypted
const MANY = 3000; // echoes of a kilobyte: more than any buffer on the way has

const encrypted = () => ({ url: `https://127.0.0.1:${guard.server.tlsPort}` });
const plainSocket = () => RawSocket.open({ port: guard.server.tlsPort });

async function secure(t, options = {}) {
  const socket = connect({ port: guard.server.tlsPort, host: '127.0.0.1', ca, ...options });
  const ticket = new Promise((resolve) => socket.once('session', resolve));
  t.after(() => socket.destroy());
  await within(once(socket, 'secureConnect'), 'the handshake');
  return Object.assign(new RawSocket(socket), { tls: socket, ticket });
}

for (const [way, transports] of Object.entries(WAYS)) {
  test(`socket.io-client by ${way}: it is served, and known to be secure`, async (t) => {
    const person = await Person.arrive(io, encrypted(), { transports, ca });
    t.after(() => person.leave());
    assert.deepEqual(await person.hears('welcome'), ['/', null, null, true, true]);
    assert.deepEqual(await person.ask('rooms'), [[]]);
    await person.ask('join', 'here');
    assert.deepEqual(await person.ask('rooms'), [['here']]);
    if (way === 'upgrade') {
      const { engine } = person.socket.io;
      await within(engine.transport.name === 'websocket' ? null : once(engine, 'upgrade'), 'the upgrade');
      assert.deepEqual(await person.ask('rooms'), [['here']]);
    }
  });
}

test('TLS 1.2 and 1.3, resumed too; HTTP/1.1 is agreed on, and nothing else', async (t) => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const options = { minVersion: version, maxVersion: version, ALPNProtocols: ['h2', 'http/1.1'] };
    const first = await secure(t, options);
    assert.deepEqual([first.tls.getProtocol(), first.tls.alpnProtocol], [version, 'http/1.1']);
    await first.write(SHAKE);
    await first.match(/"maxPayload":\d+\}$/);
    const session = await within(first.ticket, 'a ticket');
    const second = await secure(t, { ...options, session });
    assert.equal(second.tls.isSessionReused(), true);
    await second.write(SHAKE);
    await second.match(/"maxPayload":\d+\}$/);
  }
  await assert.rejects(secure(t, { ALPNProtocols: ['h2'] }), /no application protocol|alert/i);
});

test('what it has decrypted goes with a connection to the loop of its session', async (t) => {
  for (let i = 0; i < 20; i++) {
    const client = await EngineClient.open(guard.server, { transport: 'polling', loop: false });
    t.after(() => client.close('end of test'));
    const socket = await secure(t);
    const post = (body) =>
      `POST ${target(client.query4)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    await socket.write(post('40') + post('420["rooms"]') + SHAKE); // one record
    await socket.match(/ok[^]*\r\n\r\nok[^]*"maxPayload":\d+\}$/);
  }
});

test('who reads slowly gets all, in order, and who ends in the middle of a record harms nobody', async (t) => {
  const socket = await secure(t);
  socket.tls.pause();
  const other = await secure(t);
  const asks = Array.from({ length: MANY }, (_, i) => `GET /${i}${'x'.repeat(1000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const written = socket.write(asks.join(''));
  for (let i = 1; i <= 20; i++) { // others are served meanwhile
    await other.write(SHAKE);
    await until(() => (other.text.match(/"maxPayload"/g) ?? []).length === i, 'an answer');
  }
  socket.tls.resume();
  await written;
  await within((async () => {
    while ((socket.text.match(/HTTP\/1\.1 404 /g) ?? []).length < MANY) {
      await socket.changed.promise;
    }
  })(), 'all answers');
  const half = await plainSocket();
  await half.write(Buffer.from([0x16, 3, 1, 0x40, 0, 1, 2, 3]));
  half.destroy();
});

test('the end is told in TLS before the connection ends', async (t) => {
  const socket = await secure(t);
  await socket.write('GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await within(once(socket.tls, 'end'), 'the end');
  assert.match(socket.text, /^HTTP\/1\.1 404 /);
  await socket.whenClosed();
});

// A session on polling that has joined `/`, and has been told so.
async function session(t) {
  const client = await EngineClient.open(guard.server, { transport: 'polling', loop: false });
  t.after(() => client.close('end of test'));
  const join = await client.post('40');
  assert.equal(join.text, 'ok');
  const head = `GET ${target(client.query4)} HTTP/1.1\r\nHost: x\r\n\r\n`;
  return { client, head };
}

test('a poll whose connection breaks the rules loses nothing, and one that is ended in order repeats nothing', async (t) => {
  for (let i = 0; i < ROUNDS; i++) {
    const { client, head } = await session(t);
    const ended = await secure(t);
    await ended.write(head);
    await ended.match(/42\["welcome"[^]*\]$/);
    ended.tls.end();
    await ended.whenClosed();
    const tcp = connectPlain({ port: guard.server.tlsPort, host: '127.0.0.1' });
    await once(tcp, 'connect');
    const broken = connect({ socket: tcp, ca, host: '127.0.0.1' });
    t.after(() => tcp.destroy());
    broken.on('error', () => {});
    await within(once(broken, 'secureConnect'), 'the handshake');
    const gone = once(tcp, 'close');
    let heard = '';
    broken.on('data', (data) => (heard += data));
    broken.write(head, () => tcp.write(NOISE));
    await client.post(`42${i}["rooms"]`); // answered to that poll, or to the next
    await within(gone, 'the end');
    await client.post('421000["rooms"]');
    const packets = [];
    while (!packets.includes('431000[[]]')) {
      packets.push(...(await client.get(client.query4)).text.split('\x1e'));
    }
    assert.deepEqual(packets.filter((packet) => packet.startsWith('40')), [], 'it has been told of that');
    const answers = packets.filter((packet) => packet === `43${i}[[]]`).length;
    assert.ok(answers === 1 || (answers === 0 && heard.includes(`43${i}[[]]`)), `${answers} answers`);
  }
});

// A stream over a TCP connection that writes in single bytes, `pause_ms` between two.
function inSingleBytes(socket, pause_ms) {
  const stream = new Duplex({
    read() {},
    write(chunk, _, done) {
      let at = 0;
      const next = () => {
        if (at === chunk.length || socket.destroyed) {
          done();
        } else {
          socket.write(chunk.subarray(at, ++at), () => setTimeout(next, pause_ms));
        }
      };
      next();
    },
    final: (done) => socket.end(done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk) => stream.push(chunk));
  socket.on('end', () => stream.push(null));
  socket.on('error', () => stream.destroy());
  return stream;
}

async function singleBytes(t, pause_ms) {
  const socket = connectPlain({ port: guard.server.tlsPort, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const tls = connect({ socket: inSingleBytes(socket, pause_ms), ca, host: '127.0.0.1' });
  t.after(() => tls.destroy());
  tls.on('error', () => {});
  return { socket, tls };
}

/** What a TLS client says first, of that version. */
function clientHello(version) {
  const body = Buffer.concat([Buffer.from(version), Buffer.alloc(32, 7), Buffer.from([0, 0, 2, 0, 0x2f, 1, 0])]);
  return Buffer.concat([Buffer.from([0x16, 3, 1, 0, body.length + 4, 1, 0, 0, body.length]), body]);
}

async function alertAfter(t, bytes) {
  const socket = await plainSocket();
  t.after(() => socket.destroy());
  await socket.write(bytes);
  const answer = await socket.whenClosed();
  return answer.length === 0 ? null : [answer[0], answer.at(-1)];
}

guard.threat('threat 20: plaintext on the TLS port: the end, and no answer', async (t) => {
  for (const bytes of [SHAKE, 'POST / HTTP/1.1\r\n\r\n', 'SSH-2.0-x\r\n', '\r\n\r\n\r\n', Buffer.alloc(5000, 0xff)]) {
    const socket = await plainSocket();
    t.after(() => socket.destroy());
    await socket.write(bytes);
    assert.doesNotMatch((await socket.whenClosed()).toString('latin1'), /HTTP/);
  }
});

guard.threat('threat 20: TLS 1.0, 1.1 and before: an alert, and the end', async (t) => {
  assert.deepEqual(await alertAfter(t, clientHello([3, 0])), [ALERT, ALERTS.handshakeFailure]);
  assert.deepEqual(await alertAfter(t, clientHello([3, 1])), [ALERT, ALERTS.protocolVersion]);
  assert.deepEqual(await alertAfter(t, clientHello([3, 2])), [ALERT, ALERTS.protocolVersion]);
  assert.deepEqual(await alertAfter(t, clientHello([3, 3])), [ALERT, ALERTS.handshakeFailure]); // it has no cipher of ours
  const ssl2 = Buffer.from('802e0100020015000000100100800200800300800400800500800600400700c0', 'hex');
  await alertAfter(t, Buffer.concat([ssl2, Buffer.alloc(30)]));
});

guard.threat('threat 20: a ClientHello in single bytes is served if it comes soon, and closed within 10 s if not', async (t) => {
  const soon = await singleBytes(t, 0);
  await within(once(soon.tls, 'secureConnect'), 'the handshake');
  const began = performance.now();
  const late = await Promise.all([singleBytes(t, 100), singleBytes(t, 1000)]);
  const silent = await plainSocket();
  const begun = await plainSocket();
  await begun.write(clientHello([3, 3]).subarray(0, 20));
  await within(
    Promise.all([...late.map(({ socket }) => once(socket, 'close')), silent.ended.promise, begun.ended.promise]),
    'all to be closed', HANDSHAKE_MS + LATE_MS);
  const took_ms = performance.now() - began;
  assert.ok(took_ms > HANDSHAKE_MS / 2 && (slower > 1 || took_ms < HANDSHAKE_MS), `${took_ms} ms`);
});

guard.threat('after the handshake: noise, and a renegotiation, are refused', async (t) => {
  const port = guard.server.tlsPort;
  const tcp = connectPlain({ port, host: '127.0.0.1' });
  await once(tcp, 'connect');
  const noisy = connect({ socket: tcp, ca, host: '127.0.0.1' });
  t.after(() => tcp.destroy());
  noisy.on('error', () => {});
  await within(once(noisy, 'secureConnect'), 'the handshake');
  tcp.write(NOISE);
  await within(once(tcp, 'close'), 'the end');
  const again = await secure(t, { maxVersion: 'TLSv1.2' });
  const refusal = new Promise((resolve) => again.tls.once('error', resolve));
  again.tls.renegotiate({}, () => {});
  assert.match(String(await within(refusal, 'its refusal')), /no renegotiation/);
});

async function beginAndLeave(t, whenBegun = async () => {}) {
  const hello = clientHello([3, 3]);
  const sockets = await Promise.all(Array.from({ length: LEAVERS }, () => plainSocket()));
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket, i) => socket.write(hello.subarray(0, 1 + (i % (hello.length - 1))))));
  await whenBegun();
  sockets.forEach((socket, i) => (i % 2 ? socket.socket.resetAndDestroy() : socket.socket.end()));
}

// So many at once take some memory, which the process keeps: once. So the first are all there before one leaves, and all gone
// before anybody looks at the memory.
test('handshakes begun and left: two hundred at once, in every way', async (t) => {
  const before = await descriptorsOf(guard.pid);
  const areThere = async () => (await descriptorsOf(guard.pid)) >= before + LEAVERS;
  await beginAndLeave(t, () => until(areThere, 'all handshakes to have begun'));
  await until(async () => (await descriptorsOf(guard.pid)) <= before, 'all handshakes to have been left');
});
guard.threat('handshakes begun and left: once more', beginAndLeave);

test('the server ends without complaints', () => guard.stop());

await run();
