// Mutated packets: attackers send what used to be valid packets after flips, cuts, splices and repetitions, over both
// transports. Whatever other clients then receive is sound for JSON.parse and the official Decoder, and none of them
// is disconnected. MUTATIONS (10,000) scales it; SEED is printed and taken back; mutation i depends on SEED and i only.

import assert from 'node:assert/strict';
import process from 'node:process';
import { io as io4 } from 'socket.io-client';
import { startServer } from './lib/server.mjs';
import { EngineClient, encodeBody } from './lib/engine.mjs';
import { Person } from './lib/person.mjs';
import { Random } from './lib/random.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { within } from './lib/wait.mjs';

const MUTATIONS = Number(process.env.MUTATIONS ?? 10000);
const ATTACKERS = 6;
const ROUND = 250;
const seed = new Random(process.env.SEED).seed;

const P0 = '{"_placeholder":true,"num":0}';
const P1 = '{"_placeholder":true,"num":1}';
const BYTES = Buffer.from([0, 1, 0x1e, 0x62, 0xff]);
// A packet is a list of Engine.IO messages; strings have their type digit.
const CORPUS = [
  ['42["message","hello",1]'],
  ['42["message",{"a":[1,2.5e-3,null,true],"b":{"c":"\\u00e9\\n\\"x\\""}}]'],
  ['42["message","日本語 👩‍👩‍👧‍👦 ü"]'],
  ['42["others",[[[[]]]],{"":{}}]'],
  ['42["say-all","red",{"x":-0.0}]'],
  ['42["say","red","text"]'],
  ['4217["echo","x",{"y":[]}]'],
  ['42["join","red"]'],
  ['42/custom,["message","there",{"z":0}]'],
  ['42/custom,12["echo"]'],
  ['40/custom,{"token":"x"}'],
  ['41/custom,'],
  ['40'],
  ['41'],
  ['430["answer",1]'],
  [`451-["message",${P0}]`, BYTES],
  [`452-["message",{"a":${P0},"b":[${P1}]}]`, BYTES, Buffer.alloc(40, 7)],
  [`451-/custom,["message",${P0}]`, BYTES],
  [`451-9["echo",${P0}]`, BYTES],
  [`461-0[${P0}]`, BYTES],
  ['42["message",{"_placeholder":true,"num":0}]'],
  ['42["message","__proto__",{"__proto__":{"x":1}}]'],
  ['3'],
  ['6'],
];
const TOKENS = ['"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '1e999', 'null', '\\u0000', '\\ud800', '\x00', '\x1e',
  '99999999999999999999', '/', '/custom,', '_placeholder', '"num":', '__proto__', '\u2028', 'b', '4', '2', '5', '51-'];

function cut(random, bytes) {
  const from = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + random.below(8))]);
}

function insert(random, bytes, what) {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), what, bytes.subarray(at)]);
}

const MUTATORS = [
  (random, bytes) => {
    const copy = Buffer.from(bytes);
    if (copy.length > 0) {
      copy[random.below(copy.length)] ^= 1 << random.below(8);
    }
    return copy;
  },
  (random, bytes) => cut(random, bytes),
  (random, bytes) => bytes.subarray(0, random.below(bytes.length + 1)),
  (random, bytes) => insert(random, bytes, Buffer.from(random.pick(TOKENS))),
  (random, bytes) => insert(random, bytes, Buffer.from([random.below(256)])),
  (random, bytes) => insert(random, bytes, bytes.subarray(random.below(bytes.length + 1))),
  (random, bytes) => {
    const other = Buffer.from(random.pick(CORPUS)[0]);
    return Buffer.concat([bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length))]);
  },
  (random, bytes) => {
    const digits = [...bytes.keys()].filter((i) => bytes[i] >= 0x30 && bytes[i] <= 0x39);
    const copy = Buffer.from(bytes);
    if (digits.length > 0) {
      copy[random.pick(digits)] = 0x30 + random.below(10);
    }
    return copy;
  },
];

// The i-th mutated packet: messages as { bytes, binary }.
function mutation(i) {
  const random = new Random(seed ^ Math.imul(i + 1, 0x9e3779b1));
  const messages = random.pick(CORPUS).map((message) => ({
    bytes: Buffer.from(message),
    binary: Buffer.isBuffer(message),
  }));
  for (let n = 1 + random.below(3); n > 0; n--) {
    const target = random.below(8) === 0 ? random.pick(messages) : messages[0];
    target.bytes = random.pick(MUTATORS)(random, target.bytes);
  }
  switch (random.below(12)) {
    case 0:
      messages.pop();
      break;
    case 1:
      messages.push(messages.at(0));
      break;
    case 2:
      messages[0].binary = !messages[0].binary;
      break;
    default:
  }
  return messages;
}

// A client that sends mutations and comes back whenever it has been thrown out.
class Attacker {
  constructor(server, transport) {
    Object.assign(this, { server, transport });
    this.opened = 0;
  }

  async ready() {
    if (!this.client || this.client.isClosed) {
      this.client = await EngineClient.open(this.server, { transport: this.transport, loop: false });
      this.opened += 1;
      if (this.transport === 'websocket') {
        this.client.send('0');
        await this.client.next('CONNECT');
        this.client.inbox.push = () => {};
      } else {
        await this.client.post('40');
        await this.client.poll();
      }
    }
  }

  // Sends mutation i and waits until the server has dealt with it: by an answer to what is sent behind it, or the end.
  async send(i) {
    await this.ready();
    const messages = mutation(i);
    if (this.transport === 'websocket') {
      await this.#sendFrames(messages);
    } else if (!(await this.#post(messages))) {
      await this.ready();
      await this.#post(messages);
    }
  }

  async #sendFrames(messages) {
    const { ws } = this.client.socket;
    const pong = new Promise((resolve) => ws.once('pong', resolve));
    for (const { bytes, binary } of messages) {
      ws.send(bytes, { binary }, () => {});
    }
    ws.ping(undefined, undefined, () => {});
    await within(Promise.race([pong, this.client.end.promise]), 'a pong or the end');
  }

  // False if the session had ended before.
  async #post(messages) {
    const parts = messages.map(({ bytes, binary }) => (binary ? bytes : bytes.toString('latin1')));
    const body = Buffer.from(encodeBody(parts), 'latin1');
    const answer = await this.client.post(body).catch((error) => ({ status: 0, text: error.message }));
    if (answer.status !== 200) {
      this.client.close(`post answered ${answer.status}`);
    }
    return !answer.text.includes('Session ID unknown');
  }

  leave() {
    this.client?.terminate();
  }
}

// Reads everything with the official Decoder (SioClient) or the official client, in / and /custom.
async function watchers(server) {
  const raw = [];
  for (const transport of ['websocket', 'polling']) {
    const watcher = await SioClient.join(server, { transport, keepAll: true });
    await watcher.connectTo('/custom');
    assert.deepEqual(await watcher.ask('join', 'red'), ['ok']);
    raw.push(watcher);
  }
  const official = await Person.arrive(io4, server, { transports: ['websocket'] });
  assert.deepEqual(await official.ask('join', 'red'), ['ok']);
  return { raw, official };
}

async function areWell({ raw, official }, round) {
  for (const watcher of raw) {
    for (const nsp of ['/', '/custom']) {
      assert.deepEqual(await watcher.askIn(nsp, 'echo', round, BYTES), [round, BYTES]);
    }
    watcher.check();
    watcher.packets.items = [];
  }
  assert.equal(official.socket.connected, true);
  assert.deepEqual(await official.ask('echo', round), [round]);
  return official.heard.items.splice(0).length;
}

test(`${MUTATIONS} mutated packets: others receive only sound packets and stay connected`, async (t) => {
  t.comment(`SEED=${seed} MUTATIONS=${MUTATIONS}`);
  const server = await startServer('probe');
  const watching = await watchers(server);
  const first = watching.official.socket.id;
  const attackers = Array.from({ length: ATTACKERS },
    (_, i) => new Attacker(server, i % 3 === 2 ? 'polling' : 'websocket'));
  let heard = 0;
  for (let from = 0; from < MUTATIONS; from += ROUND) {
    const work = attackers.map(async (attacker, a) => {
      for (let i = from + a; i < Math.min(from + ROUND, MUTATIONS); i += ATTACKERS) {
        await attacker.send(i).catch((error) => {
          throw new Error(`mutation ${i}: ${error.message}`);
        });
      }
    });
    await Promise.all(work);
    heard += await areWell(watching, from);
  }
  assert.ok(heard > 0, 'no mutation was still a message');
  t.comment(`${heard} events got through to others`);
  assert.equal(watching.official.socket.id, first);
  t.comment(`${attackers.reduce((sum, { opened }) => sum + opened, 0)} attacking connections`);
  attackers.forEach((attacker) => attacker.leave());
  watching.official.leave();
  watching.raw.forEach((watcher) => watcher.terminate());
  await server.stop();
}, { timeout_ms: 600000 });

await run();
