// Connections that break at random, while others talk: who comes back has heard everything that was said in its rooms, once, and of each
// talker in order. SEEDS rounds, each of a seed that it says; SEED repeats one.

import assert from 'node:assert/strict';
import process from 'node:process';
import { io } from 'socket.io-client';
import { Random } from './lib/random.mjs';
import { startServer } from './lib/server.mjs';
import { run, test } from './lib/tap.mjs';
import { deferred, slower, until, within } from './lib/wait.mjs';
import { Wire } from './lib/wire.mjs';

const SEEDS = Number(process.env.SEEDS ?? 8);
const FIRST = process.env.SEED ? Number(process.env.SEED) : Date.now() % 1000000;
const ROOMS = ['a', 'b', 'c'];
const GUESTS = 6;
const TALKERS = 3;
const WORDS = 40;
const CUTS = 4;
const WAYS = [['websocket'], ['polling'], ['polling', 'websocket']];
const HOW = ['reset', 'end', 'half'];

// A client whose upgrade breaks half-way waits for its ping timeout: that is npm's, and let it be short.
const server = await startServer('keeper', { PING_INTERVAL: 400, PING_TIMEOUT: 300 * slower });

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function ask(socket, ...args) {
  const answer = deferred();
  socket.emit(...args, (...values) => answer.resolve(values));
  return within(answer.promise, `the answer to ${args[0]}`);
}

class Guest {
  heard = [];
  recovered = [];

  static async arrive(random) {
    const guest = new Guest();
    guest.wire = await Wire.to(server);
    guest.socket = io(guest.wire.url, {
      forceNew: true, transports: random.pick(WAYS), reconnectionDelay: 5, reconnectionDelayMax: 20,
    });
    guest.socket.on('said', (word) => guest.heard.push(word));
    // What came before a CONNECT that never did: npm's client keeps it, says its old offset, and would hear it twice.
    guest.socket.on('disconnect', () => guest.forget());
    guest.socket.io.on('close', () => guest.forget());
    guest.socket.on('connect', () => guest.recovered.push(guest.socket.recovered));
    await until(() => guest.recovered.length === 1, 'the first connect');
    guest.rooms = ROOMS.filter(() => random.below(2) === 1);
    for (const room of guest.rooms) {
      await ask(guest.socket, 'join', room);
    }
    return guest;
  }

  forget() {
    this.socket.receiveBuffer = [];
  }

  async suffer(random) {
    for (let i = 0; i < CUTS; i++) {
      await pause(random.below(60));
      // A poll's answer that has arrived, and whose connection is then reset by who passed it on, counts as lost: docs/engineio.md.
      const polls = this.socket.io.engine?.transport?.name !== 'websocket';
      this.wire.cut(random.pick(polls ? HOW.slice(1) : HOW));
    }
  }

  leave() {
    this.socket.disconnect();
    this.wire.close();
  }
}

// One after the other, some at once, each into a room or to all.
async function talk(socket, name, random, said) {
  for (let i = 0; i < WORDS; i++) {
    const room = random.below(4) === 0 ? '' : random.pick(ROOMS);
    const word = [name, i];
    said.push({ room, word });
    const done = ask(socket, 'say', room, '', word);
    if (random.below(3) > 0) {
      await done;
      await pause(random.below(8));
    }
  }
}

async function round(seed) {
  const random = new Random(seed);
  const guests = await Promise.all(Array.from({ length: GUESTS }, () => Guest.arrive(random)));
  const talkers = Array.from({ length: TALKERS }, () => io(server.url, { forceNew: true, transports: ['websocket'] }));
  await until(() => talkers.every(({ connected }) => connected), 'the talkers');
  const said = talkers.map(() => []);
  await Promise.all([
    ...talkers.map((socket, i) => talk(socket, i, random, said[i])),
    ...guests.map((guest) => guest.suffer(random)),
  ]);
  for (const guest of guests) {
    const wanted = said.map((words) => words
      .filter(({ room }) => room === '' || guest.rooms.includes(room)).map(({ word }) => word[1]));
    const count = wanted.flat().length;
    await until(() => guest.heard.length >= count, `${count} to be heard`).catch(() => {});
    const heard = talkers.map((_, i) => guest.heard.filter(([talker]) => talker === i).map(([, n]) => n));
    assert.deepEqual(heard, wanted, `seed ${seed}, recovered: ${guest.recovered}`);
    assert.ok(guest.recovered.slice(1).every((recovered) => recovered), `seed ${seed}: ${guest.recovered}`);
  }
  guests.forEach((guest) => guest.leave()); // those of many rounds would be too many for this program
  talkers.forEach((socket) => socket.disconnect());
  return guests.reduce((sum, { recovered }) => sum + recovered.length - 1, 0);
}

test(`${SEEDS} rounds from seed ${FIRST}: nothing is lost, nothing comes twice`, async (t) => {
  let back = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    back += await round(seed);
  }
  t.comment(`${back} times somebody came back`);
  assert.ok(back > SEEDS * GUESTS, 'hardly anybody was cut off');
}, { timeout_ms: 20000 + 4000 * SEEDS });

test('the server ends without complaints', () => server.stop());

await run();
