// Ending and starting again: SIGTERM under load and a restart on the same data, clients that come back by themselves, a folder that
// is in use, exit codes and options.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { LOBBY, member, newCid, newToken, ok, range, UNLIMITED, wholeLog } from './lib/chat.mjs';
import { request } from './lib/http.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { serverPath } from './lib/server.mjs';
import { run, test } from './lib/tap.mjs';
import { deferred, limits, until, within } from './lib/wait.mjs';

const CLIENTS = Number(process.env.CLIENTS ?? 12);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const ACKS_A_ROUND = 30; // of all, before the next end
const DRAIN_MS = 300;
const AGAIN = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 300, timeout: 5000, forceNew: true };

// An official client on `/chat` that reconnects by itself, speaks without end, and repeats what was not acknowledged.
class Person {
  entries = new Map();
  acked = new Map();
  last = [0, 0];
  comings = 0;
  over = false;
  failed = deferred();

  constructor(server, index) {
    this.name = `person ${index}`;
    const transports = [['websocket'], ['polling'], ['polling', 'websocket']][index % 3];
    this.socket = (index % 2 ? io3 : io4)(`${server.url}/chat`, { ...AGAIN, transports });
    this.socket.on('connect', () => this.#guard(() => this.#come()));
    this.socket.on('entry', (entry) => this.#guard(() => this.#keep(entry)));
    this.socket.on('gap', () => this.#guard(() => this.#fetch(Infinity)));
    this.ready = deferred();
  }

  #guard(what) {
    Promise.resolve().then(what).catch((error) => this.failed.reject(error));
  }

  #keep(entry) {
    const known = this.entries.get(entry.seq);
    assert.ok(!known || known.nonce === entry.nonce, `${this.name}: ${entry.seq} has changed`);
    this.entries.set(entry.seq, entry);
  }

  // The answer; null if the connection was lost before it.
  #ask(...args) {
    const answer = deferred();
    const gone = () => answer.resolve(null);
    this.socket.once('disconnect', gone);
    this.socket.emit(...args, (value) => answer.resolve(value));
    return answer.promise.finally(() => this.socket.off('disconnect', gone));
  }

  async #come() {
    const hello = await this.#ask('hello', this.token ? { token: this.token } : { name: this.name });
    if (!hello) {
      return;
    }
    this.token ??= ok(hello).token;
    this.epoch = hello.epoch;
    if (await this.#fetch(hello.rooms[0].head)) {
      this.comings += 1;
      this.ready.resolve();
    }
  }

  // What lies between the last one known and this number, behind which all is pushed. False: the connection was lost.
  async #fetch(head) {
    for (let more = true; more && this.last[0] < head;) {
      const answer = await this.#ask('room.sync', { epoch: this.epoch, rooms: { [LOBBY]: this.last } });
      if (!answer) {
        return false;
      }
      const [page] = ok(answer).rooms;
      assert.equal(page.reset, false, `${this.name}: it knows what the server knows`);
      page.entries.forEach((entry) => this.#keep(entry));
      const end = page.entries.at(-1);
      this.last = end && end.seq > this.last[0] ? [end.seq, end.nonce] : this.last;
      more = page.more;
    }
    return true;
  }

  async speak() {
    await this.ready.promise;
    for (let i = 0; !this.over; i++) {
      const text = `${this.name} says ${i}`;
      const cid = newCid();
      let answer = null;
      while (!answer?.ok) {
        await until(() => this.socket.connected, `${this.name} to be connected`);
        answer = await this.#ask('message.send', { room: LOBBY, cid, text });
        /* Before its hello has been answered; or it ended while it was being said. */
        assert.ok(!answer || answer.ok || ['unauthenticated', 'unavailable', 'unknown', 'busy'].includes(answer.error), JSON.stringify(answer));
      }
      this.acked.set(text, answer.seq);
    }
  }
}

const acks = (people) => people.reduce((sum, { acked }) => sum + acked.size, 0);

// How long it takes from the start until somebody is answered.
async function startTimed(server) {
  const started = performance.now();
  const starting = server.start();
  await until(() => request(server, { path: '/healthz' }).then(({ status }) => status === 200, () => false), 'the first answer');
  const took = performance.now() - started;
  await starting;
  return took;
}

test(`SIGTERM under load and a restart, ${ROUNDS} times: clients come back by themselves, nothing is missing or twice`, async (t) => {
  const server = await startPalaver(t, { args: [...UNLIMITED, '--drain-ms', String(DRAIN_MS)] });
  const people = range(1, CLIENTS).map((i) => new Person(server, i));
  t.after(() => people.forEach(({ socket }) => socket.disconnect()));
  const failures = Promise.race(people.map(({ failed }) => failed.promise));
  const speeches = Promise.all(people.map((person) => person.speak()));
  const work = async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const before = acks(people);
      await until(() => acks(people) >= before + ACKS_A_ROUND, 'everybody to speak');
      const ending = performance.now();
      await server.stop();
      const ended = performance.now() - ending;
      const wanted = people.map(({ comings }) => comings + 1); // while nobody can come
      const took = await startTimed(server);
      await until(() => people.every(({ comings }, i) => comings >= wanted[i]), 'all to be back');
      t.comment(`ended in ${Math.round(ended)} ms; first answer ${Math.round(took)} ms after the start; all back ${Math.round(performance.now() - ending)} ms after SIGTERM`);
    }
    people.forEach((person) => (person.over = true));
    await speeches;
  };
  await Promise.race([work(), failures, speeches.then(() => new Promise(() => {}))]);
  const log = await wholeLog(server);
  const texts = new Map(log.map(({ text, seq }) => [text, seq]));
  assert.equal(texts.size, log.length, 'none is there twice');
  for (const person of people) {
    for (const [text, seq] of person.acked) {
      assert.equal(texts.get(text), seq, text);
    }
    await until(() => person.entries.size === log.length, `${person.name} to have all ${log.length}, it has ${person.entries.size}`);
    assert.deepEqual(range(1, log.length).map((seq) => person.entries.get(seq)), log, person.name);
  }
  assert.equal(acks(people), log.length, 'and nothing else');
}, { timeout_ms: 120000 });

test('what was asked before SIGTERM is answered, or said to be unavailable; what was acknowledged is there', async (t) => {
  const server = await startPalaver(t, { args: UNLIMITED });
  const clients = await Promise.all(range(1, 8).map((i) => member(t, server, { name: `Client ${i}` }, { transport: i % 2 ? 'websocket' : 'polling' })));
  const asked = clients.flatMap((client, i) => range(1, 40).map((j) => client.say(`${i} ${j}`).then(
    (answer) => ({ text: `${i} ${j}`, answer }), () => ({ text: `${i} ${j}`, answer: null }))));
  await Promise.race(asked);
  await server.stop();
  const answers = await Promise.all(asked);
  await server.start();
  const log = await wholeLog(server);
  const fine = answers.filter(({ answer }) => answer?.ok);
  for (const { text, answer } of fine) {
    assert.equal(log[answer.seq - 1].text, text);
  }
  assert.equal(new Set(log.map(({ text }) => text)).size, log.length);
  t.comment(`${fine.length} of ${answers.length} were acknowledged, ${log.length} are in the log`);
});

test('a restart of an idle server: same epoch, same log, same guests', async (t) => {
  const server = await startPalaver(t);
  const ann = await member(t, server);
  ok(await ann.say('before'));
  const log = await wholeLog(server);
  for (const end of ['stop', 'kill']) {
    await server[end]();
    t.comment(`after ${end}: first answer ${Math.round(await startTimed(server))} ms after the start`);
    const again = await member(t, server, { token: ann.hello.token });
    assert.deepEqual([again.hello.user, again.hello.epoch], [ann.hello.user, ann.hello.epoch]);
    assert.deepEqual(await wholeLog(server), log);
  }
});

// Runs the program to its end: { code, out, err }.
async function runs(args, env = {}) {
  const child = spawn(serverPath(), args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stdout.on('data', (data) => (said.out += data));
  child.stderr.on('data', (data) => (said.err += data));
  const closed = once(child, 'close');
  try {
    const [code, signal] = await within(closed, `the end of palaver ${args.join(' ')}`, limits.wait_ms);
    return { code, signal, ...said };
  } finally {
    child.kill('SIGKILL');
  }
}

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'palaver-run-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function fails(args, pattern, env = {}) {
  const { code, out, err } = await runs(args, env);
  assert.equal(code, 1, `palaver ${args.join(' ')}: ${err}`);
  assert.match(err, pattern, `palaver ${args.join(' ')}`);
  assert.equal(out, '');
}

// The log is JSON where nobody reads it on a terminal: then so is why it could not start, in one line.
async function failsToStart(args, pattern) {
  const { code, out, err } = await runs(args);
  assert.deepEqual([code, out], [1, '']);
  const told = err.trimEnd().split('\n').map((line) => JSON.parse(line)).filter(({ event }) => event === 'not_started');
  assert.deepEqual(told.map(({ level }) => level), ['error'], err);
  assert.match(told[0].why, pattern);
}

test('a second process on the same folder says so and ends; the first goes on', async (t) => {
  const server = await startPalaver(t);
  const token = await newToken(server);
  for (let i = 0; i < 3; i++) {
    const { code, out, err } = await runs(['serve', '--listen', '127.0.0.1:0', '--data', server.data, '--log-level', 'off']);
    assert.equal(code, 1);
    assert.equal(out, '');
    assert.match(err, /^palaver: .*(lock|use|another|process)/m);
    assert.ok(err.includes(server.data), `it names the folder: ${err}`);
  }
  ok(await (await member(t, server, { token })).say('still here'));
  await server.restart();
  assert.equal((await wholeLog(server)).length, 1);
});

test('the folder is made, for its owner alone', async (t) => {
  const parent = folder(t);
  const server = await startPalaver(t);
  await server.stop();
  server.data = join(parent, 'a', 'b', 'palaver');
  await server.start();
  assert.equal(statSync(server.data).mode & 0o777, 0o700);
  assert.equal(statSync(join(server.data, 'palaver.db')).mode & 0o077, 0);
  await server.stop();
});

test('an address that is in use, or is none, says so', async (t) => {
  const data = folder(t);
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  await failsToStart(['serve', '--listen', `127.0.0.1:${other.address().port}`, '--data', data], /in use|listen/i);
  for (const listen of ['127.0.0.1', '127.0.0.1:x', '127.0.0.1:65536', '127.0.0.1:-1', ':::', '300.0.0.1:80', '127.0.0.1:']) {
    await failsToStart(['serve', '--listen', listen, '--data', data], /./);
    await fails(['serve', '--listen', listen, '--data', data, '--log-format', 'text'], /^palaver: \S.*$/m);
    await fails(['serve', '--listen', listen, '--data', data, '--log-level', 'off'], /^palaver: \S.*\n$/);
  }
});

test('a folder that cannot be had, or with something else in it, says so', async (t) => {
  const data = folder(t);
  writeFileSync(join(data, 'file'), 'x');
  await failsToStart(['serve', '--listen', '127.0.0.1:0', '--data', join(data, 'file')], /file/);
  await failsToStart(['serve', '--listen', '127.0.0.1:0', '--data', join(data, 'file', 'below')], /file/);
  const damaged = join(data, 'damaged');
  mkdirSync(damaged, { mode: 0o700 });
  writeFileSync(join(damaged, 'palaver.db'), 'this is no database'.repeat(1000));
  await failsToStart(['serve', '--listen', '127.0.0.1:0', '--data', damaged], /is damaged/);
});

test('options that are wrong end it with 1, and say which', async (t) => {
  const data = folder(t);
  const wrong = [
    ['--no-such', 'x'], ['--threads', 'x'], ['--threads', '-1'], ['--threads', '1000000'], ['--threads', ''], ['--guests', 'yes'], ['--guests', 'ON'],
    ['--log-level', 'loud'], ['--log-format', 'xml'], ['--drain-ms', '4001'], ['--drain-ms', '-1'], ['--rate-limits', 'maybe'], ['--limit-send', '10'],
    ['--limit-send', '0:1'], ['--limit-send', '1:0'], ['--limit-send', 'x:y'], ['--limit-send', '1:2:3'], ['--origin', 'ok.tld'], ['--origin', 'https://ok.tld/'],
    ['--data', ''], ['--listen', ''],
  ];
  for (const [option, value] of wrong) {
    const pattern = new RegExp(`^palaver: .*${option}`, 'm');
    await fails(['serve', '--data', data, option, value], pattern);
    await fails(['serve', '--data', data, `${option}=${value}`], pattern);
  }
  await fails(['serve', '--data'], /--data/);
  await fails(['serve', 'x'], /x/);
  await fails(['serve', '-x'], /-x/);
  await fails(['serve', '--data', data], /PALAVER_GUESTS/, { PALAVER_GUESTS: 'yes' });
});

test('help and version are said and are no failure; nothing, or an unknown command, is one', async () => {
  for (const args of [['--help'], ['help'], ['-h'], ['serve', '--help'], ['serve', '-h']]) {
    const { code, out, err } = await runs(args);
    assert.deepEqual([code, err], [0, ''], args.join(' '));
    assert.match(out, /serve/);
  }
  for (const args of [['--version'], ['version'], ['serve', '--version']]) {
    const { code, out } = await runs(args);
    assert.equal(code, 0);
    assert.match(out, /^palaver \d+\.\d+\.\d+\S*\n$/);
  }
  await fails([], /serve/);
  await fails(['sing'], /sing/);
});

test('options are taken from the environment, and from the command line before that', async (t) => {
  const server = await startPalaver(t, { args: [], env: { PALAVER_GUESTS: 'off', PALAVER_RATE_LIMITS: 'off' } });
  await assert.rejects(newToken(server), /guests_refused/);
  await server.stop();
  server.args = ['--guests', 'local'];
  await server.start();
  await newToken(server);
});

test('SIGINT ends it as SIGTERM does, at once when nobody is there', async (t) => {
  const server = await startPalaver(t);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    server.process.child.kill(signal);
    const { code } = await within(server.process.exit, `the end after ${signal}`);
    assert.equal(code, 0, signal);
    await server.start();
  }
});

await run();
