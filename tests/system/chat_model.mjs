// A model of the lobby against what every client saw: clients of all kinds speak, repeat themselves, vanish and come back at
// random. At the end each acknowledged text is in the log once, the log is dense, and what each client has seen, by history, by
// sync and live, is the log from its first entry on. CLIENTS and STEPS scale it; SEED repeats a run.

import assert from 'node:assert/strict';
import process from 'node:process';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { ends, fileServer, newCid, ok, wholeLog } from './lib/chat.mjs';
import { Random } from './lib/random.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, within } from './lib/wait.mjs';
import { Visitor } from './lib/view.mjs';

const CLIENTS = Number(process.env.CLIENTS ?? 18);
const STEPS = Number(process.env.STEPS ?? 60);
const DEADLINE_MS = 60000 + CLIENTS * STEPS * 40;
const TRIES_MAX = 50;

const KINDS = ['/', '/chat'].flatMap((nsp) => [
  { nsp, io: io4, options: { transports: ['websocket'] } },
  { nsp, io: io4, options: { transports: ['polling', 'websocket'] } },
  { nsp, io: io3, options: { transports: ['polling'] } },
  { nsp, io: null, options: { transport: 'websocket' } },
  { nsp, io: null, options: { transport: 'polling' } },
]);

const random = new Random(process.env.SEED);
const server = await fileServer();

// One who acts at random; `said` has what was acknowledged, in order.
class Actor {
  said = [];

  constructor(index) {
    this.random = new Random(random.next());
    this.visitor = new Visitor(server, `actor ${index}`, KINDS[index % KINDS.length]);
    this.reconnects = 0;
    this.repeats = 0;
  }

  async comeBack() {
    this.visitor.go();
    this.reconnects += 1;
    await this.visitor.come();
  }

  // Until it is acknowledged, with the same cid, across connections.
  async speak(step) {
    const text = `${this.visitor.name}, step ${step}${' x'.repeat(this.random.below(200))}`;
    const cid = newCid();
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const asked = this.visitor.say(text, cid);
      asked.catch(() => {});
      if (this.random.below(10) === 0) {
        await this.comeBack(); // without having waited for the answer
        continue;
      }
      const { seq } = ok(await asked);
      this.said.push({ seq, text, cid });
      return;
    }
    throw new Error('never acknowledged');
  }

  async repeat() {
    const { seq, text, cid } = this.random.pick(this.said);
    this.repeats += 1;
    assert.equal(ok(await this.visitor.say(text, cid)).seq, seq, 'a repeated cid has its first number');
  }

  async act(step) {
    const dice = this.random.below(100);
    if (dice < 75) {
      await this.speak(step);
    } else if (dice < 85 && this.said.length > 0) {
      await this.repeat();
    } else if (dice < 93) {
      await this.comeBack();
    } else {
      await this.visitor.catchUp();
    }
  }

  async live() {
    await this.visitor.come();
    for (let step = 0; step < STEPS; step++) {
      await this.act(step);
    }
  }
}

function checkLog(log, actors) {
  const at = new Map(log.map((entry) => [entry.text, entry]));
  assert.equal(at.size, log.length, 'no text is there twice');
  const said = actors.flatMap((actor) => actor.said);
  for (const { text, seq, cid } of said) {
    assert.deepEqual([at.get(text)?.seq, at.get(text)?.cid], [seq, cid], text);
  }
  assert.equal(said.length, log.length, 'nothing that nobody has said');
  for (const actor of actors) {
    const numbers = actor.said.map(({ seq }) => seq);
    assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), 'in the order in which it was said');
  }
}

test(`${CLIENTS} clients, ${STEPS} steps each: what each has seen is the log`, async (t) => {
  t.comment(`SEED=${random.seed}`);
  const actors = Array.from({ length: CLIENTS }, (_, i) => new Actor(i));
  const failures = Promise.race(actors.map(({ visitor }) => visitor.failed.promise));
  const lives = Promise.all(actors.map((actor) => actor.live()));
  await within(Promise.race([lives, failures]), 'all to have lived', DEADLINE_MS * slower);
  const log = await wholeLog(server);
  for (const { visitor } of actors) {
    await visitor.hasAll(log.length);
    visitor.equals(log);
  }
  checkLog(log, actors);
  const sum = (what) => actors.reduce((total, actor) => total + actor[what], 0);
  const gaps = actors.reduce((total, { visitor }) => total + visitor.gaps, 0);
  t.comment(`${log.length} entries, ${sum('reconnects')} reconnects, ${sum('repeats')} repetitions, ${gaps} gaps`);
  assert.ok(sum('reconnects') > 0 && sum('repeats') > 0);
  actors.forEach(({ visitor }) => visitor.go());
}, { timeout_ms: DEADLINE_MS + 30000 });

ends(server);
await run();
