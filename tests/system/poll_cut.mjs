// Poll responses that are cut in flight: 200 responses, spread in size, each cut at byte positions that together
// cover every position (all positions of every response with POSITIONS=all). After a cut the session polls again,
// and the packets of the cut response come again: none lost, none twice, in order.
//
//   queue packets ─> GET, read k bytes, reset ─> GET, read k' bytes, reset ─> ... ─> GET, read whole
//
// RESPONSES and POSITIONS (cuts per response, or `all`) scale it; SEED is printed and taken back.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import process from 'node:process';
import { startServer, serverIsNode } from './lib/server.mjs';
import { decodeBody, EngineClient } from './lib/engine.mjs';
import { target } from './lib/http.mjs';
import { Random } from './lib/random.mjs';
import { run, test } from './lib/tap.mjs';
import { deferred, until, within } from './lib/wait.mjs';

const RESPONSES = Number(process.env.RESPONSES ?? 200);
const POSITIONS = process.env.POSITIONS ?? '16';
const BIG = Number(process.env.BIG ?? 8);
const random = new Random(process.env.SEED);

const server = await startServer('probe');

// Reads a response until `limit` bytes are there or it is complete; never takes more than `limit` from the kernel.
class CutPoll {
  // With `last` the server is asked to end the connection behind its answer.
  constructor(client, limit, connection = null, last = false) {
    this.limit = limit;
    const wish = last ? 'Connection: close\r\n' : '';
    this.head = `GET ${target(client.query4)} HTTP/1.1\r\nHost: 127.0.0.1\r\n${wish}\r\n`;
    this.received = Buffer.alloc(0);
    this.done = deferred();
    this.socket = connection ?? this.#open();
    this.socket.cut = this;
  }

  // One byte at a time where the cut is near, so that what lies behind it stays unread in the kernel.
  #open() {
    const poll = () => this.socket?.cut ?? this;
    const socket = connect({
      port: server.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: () => Buffer.alloc(Math.max(1, Math.min(65536, poll().limit - poll().received.length))),
        callback: (length, buffer) => poll().take(buffer.subarray(0, length)),
      },
    });
    socket.on('error', (error) => poll().done.reject(error));
    socket.on('close', () => poll().done.reject(new Error('the server closed the connection')));
    return socket;
  }

  take(bytes) {
    this.received = Buffer.concat([this.received, bytes]);
    if (this.received.length >= this.limit || this.body() !== null) {
      this.done.resolve();
      return this.body() !== null;
    }
    return true;
  }

  // The body if the response is complete, else null.
  body() {
    const text = this.received.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    const length = end < 0 ? null : /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end + 2));
    if (!length || this.received.length < end + 4 + Number(length[1])) {
      return null;
    }
    const body = this.received.subarray(end + 4).toString();
    return text.startsWith('HTTP/1.1 200 ') ? body : assert.fail(`poll answered ${text.split('\r\n')[0]} ${body}`);
  }

  // Sends the request and waits for the cut; resolves with the body, or null if the response was cut.
  async read(keep) {
    this.socket.write(this.head);
    await within(this.done.promise, `${this.limit} bytes of a poll's response`);
    const body = this.body();
    if (body === null) {
      this.#cut();
    } else if (!keep) {
      this.socket.end();
    }
    return body;
  }

  // The two ways of a client's sudden end: resetting outright, and closing with bytes unread, where there are any.
  #cut() {
    if (this.limit % 2 === 0) {
      this.socket.resetAndDestroy();
    } else {
      this.socket.destroy();
    }
  }
}

class Session {
  kept = null;
  got = [];
  sent = 0;
  cuts = 0;

  static async open() {
    const session = new Session();
    session.client = await EngineClient.open(server, { transport: 'polling', loop: false });
    await session.client.post('40');
    const greeting = [];
    await until(async () => {
      greeting.push(...(await session.client.poll()));
      return greeting.length >= 3;
    }, 'the greeting');
    return session;
  }

  // Queues messages for this session by saying them to all; the one POST makes them one response.
  async queue(count, bytes) {
    const packets = Array.from({ length: count }, () => `42["message",${this.sent++},"${'x'.repeat(bytes)}"]`);
    assert.equal((await this.client.post(packets.join('\x1e'))).text, 'ok');
  }

  // One poll cut after `limit` bytes; true if it was complete after all.
  async poll(limit, last = false) {
    const keep = limit === Infinity && this.sent % 2 === 0 && !last;
    const cut = new CutPoll(this.client, limit, this.kept, last);
    const body = await cut.read(keep);
    this.kept = body !== null && keep ? cut.socket : null;
    if (body === null) {
      this.cuts += 1;
      return false;
    }
    for (const packet of decodeBody(body)) {
      const match = /^42\["message",(\d+),"x*"\]$/.exec(packet);
      assert.ok(match, `unexpected packet ${packet.slice(0, 80)}`);
      this.got.push(Number(match[1]));
    }
    return true;
  }

  async drain() {
    while (this.got.length < this.sent) {
      await this.poll(Infinity);
    }
  }

  // Nothing lost, nothing twice, in order. A last message behind everything proves that nothing more comes.
  async check() {
    await this.queue(1, 0);
    await this.drain();
    assert.deepEqual(this.got, Array.from({ length: this.sent }, (_, i) => i));
  }
}

// The positions at which response i of the given size is cut: strided, so that the responses together cover all.
function positions(index, size) {
  if (POSITIONS === 'all') {
    return Array.from({ length: size }, (_, k) => k);
  }
  const count = Math.min(Number(POSITIONS), size);
  const stride = Math.max(1, Math.floor(size / count));
  return Array.from({ length: count }, (_, n) => (n * stride + index) % size).sort((a, b) => a - b);
}

async function cutAndReadAgain(index, count, bytes) {
  const session = await Session.open();
  await session.queue(count, bytes);
  // The size of the response is not known beforehand; a little more than its packets is tried as well.
  const size = 200 + count * (bytes + 18);
  for (const k of positions(index, size)) {
    if (await session.poll(k)) {
      break;
    }
  }
  await session.drain();
  await session.check();
  session.client.close('done');
  return session.cuts;
}

function placeholder(num) {
  return `{"_placeholder":true,"num":${num}}`;
}

// npm's server loses these packets and the session; here it only has to run.
async function survives(t, body) {
  await t.deviates('packets of a cut poll response are lost', body);
}

test(`${RESPONSES} small poll responses cut, in all at every position: none lost, none twice`, async (t) => {
  t.comment(`SEED=${random.seed} RESPONSES=${RESPONSES} POSITIONS=${POSITIONS}`);
  let cuts = 0;
  await survives(t, async () => {
    for (let i = 0; i < RESPONSES; i++) {
      cuts += await cutAndReadAgain(i, 1 + (i % 4), (i * 7) % 160);
    }
    assert.ok(cuts >= RESPONSES, `${cuts} were cut`);
  });
  t.comment(`${cuts} cuts`);
}, { timeout_ms: 1800000 });

test('large poll responses cut anywhere: none lost, none twice', async (t) => {
  t.comment(`SEED=${random.seed} BIG=${BIG}`);
  await survives(t, async () => {
    for (let i = 0; i < BIG; i++) {
      const session = await Session.open();
      await session.queue(3, 20000 + random.below(60000));
      for (let n = 0; n < 12; n++) {
        if (await session.poll(random.below(200000))) {
          break;
        }
      }
      await session.drain();
      await session.check();
    }
  });
}, { timeout_ms: 120000 });

for (const last of [false, true]) {
  const how = last ? ', each poll the last of its connection' : '';
  test(`one session, cut again and again while more is said${how}`, async (t) => {
    t.comment(`SEED=${random.seed}`);
    await survives(t, async () => {
      const session = await Session.open();
      for (let i = 0; i < 150; i++) {
        await session.queue(1 + random.below(3), random.below(300));
        await session.poll(random.below(500), last);
      }
      await session.drain();
      await session.check();
    });
  }, { timeout_ms: 60000 });
}

test('complete responses are not sent again: next poll on the same and on another connection', async () => {
  const session = await Session.open();
  for (let i = 0; i < 60; i++) {
    await session.queue(1 + (i % 2), i * 11);
    await session.drain();
  }
  await session.check();
});

test('complete responses are not sent again: with Connection: close, binary included', async () => {
  const { client } = await Session.open();
  for (let i = 0; i < 200; i++) {
    const bytes = Buffer.alloc((i * 37) % 5000, i);
    const body = `452-${i}["echo",${i},${placeholder(0)},${placeholder(1)}]\x1eb${bytes.toString('base64')}\x1eb`;
    assert.equal((await client.post(body)).text, 'ok');
    const { text } = await client.get();
    assert.equal(text, `462-${i}[${i},${placeholder(0)},${placeholder(1)}]\x1eb${bytes.toString('base64')}\x1eb`);
  }
});

test('the server ends when told, without complaints', () => server.stop());

await run();
