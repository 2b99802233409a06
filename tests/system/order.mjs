// Order and completeness under load: clients over all transports talk at once, text and binary, with
// acknowledgements, while some are upgrading. Every message arrives once at everybody, in its sender's order.
// CLIENTS (20) and MESSAGES (200 each) scale it. Polling requests of all sessions share kept-alive connections,
// so that with several threads those of one session arrive on different loops.

import assert from 'node:assert/strict';
import process from 'node:process';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { startServer } from './lib/server.mjs';
import { manyConnections } from './lib/http.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { deferred, slower, within } from './lib/wait.mjs';

const CLIENTS = Number(process.env.CLIENTS ?? 20);
const MESSAGES = Number(process.env.MESSAGES ?? 200);
const WINDOW = 20;
const DEADLINE_MS = 120000;

// Who was heard how far: fails on a gap, a repetition, or a body that is not what was said.
class Ledger {
  constructor(name, senders, total) {
    this.next = new Array(senders).fill(0);
    this.left = senders * total;
    this.name = name;
    this.complete = deferred();
  }

  // One more of each sender: what was repeated comes before it, and fails.
  oneMore() {
    this.left = this.next.length;
    this.complete = deferred();
  }

  note(sender, seq, body) {
    const wanted = this.next[sender];
    if (seq !== wanted) {
      const what = seq < wanted ? 'twice or late' : 'too early';
      this.complete.reject(new Error(`${this.name} heard ${sender}/${seq} ${what}: ${wanted} was next`));
      return;
    }
    if (!sameBody(body, bodyOf(sender, seq))) {
      this.complete.reject(new Error(`${this.name} heard ${sender}/${seq} with a wrong body`));
      return;
    }
    this.next[sender] += 1;
    this.left -= 1;
    if (this.left === 0) {
      this.complete.resolve();
    }
  }
}

function sameBody(a, b) {
  return Buffer.isBuffer(b) ? Buffer.isBuffer(a) && a.equals(b) : a === b;
}

// Every fifth body is binary, sizes vary, some are large enough for compression on polling.
function bodyOf(sender, seq) {
  const size = seq % 50 === 7 ? 3000 : (sender * 31 + seq * 17) % 200;
  return seq % 5 === 0 ? Buffer.alloc(size, seq & 255) : `${sender}/${seq} ü ${'x'.repeat(size)}`;
}

// An official client as a talker.
class Official {
  constructor(io, server, options) {
    this.socket = io(server.url, { forceNew: true, reconnection: false, ...options });
    this.lost = deferred();
    this.socket.on('disconnect', (reason) => this.lost.reject(new Error(`disconnected: ${reason}`)));
    this.socket.on('connect_error', (error) => this.lost.reject(error));
  }

  async ready() {
    const connected = deferred();
    this.socket.on('connect', () => connected.resolve());
    await within(Promise.race([connected.promise, this.lost.promise]), 'a client to connect');
    return this;
  }

  listen(ledger) {
    this.socket.on('message', (sender, seq, body) => ledger.note(sender, seq, body));
  }

  say(sender, seq, body) {
    this.socket.emit('message', sender, seq, body);
  }

  echo(...args) {
    return new Promise((resolve) => this.socket.emit('echo', ...args, (...answer) => resolve(answer)));
  }

  halfWay() {}

  leave() {
    this.socket.off('disconnect');
    this.socket.disconnect();
  }
}

// A raw client that starts on polling and upgrades in the middle of the traffic.
class Upgrader {
  constructor(server, agent) {
    this.server = server;
    this.agent = agent;
    this.lost = deferred();
  }

  async ready() {
    const onEvent = ({ data }) => this.ledger && data[0] === 'message' && (this.ledger.note(...data.slice(1)), true);
    this.client = await SioClient.join(this.server, { transport: 'polling', agent: this.agent, onEvent });
    this.client.end.promise.then((reason) => this.lost.reject(new Error(`ended: ${reason}`)));
    return this;
  }

  listen(ledger) {
    this.ledger = ledger;
  }

  say(...args) {
    this.client.emit('message', ...args);
  }

  echo(...args) {
    return this.client.ask('echo', ...args);
  }

  halfWay() {
    this.client.upgrade().catch((error) => this.lost.reject(error));
  }

  leave() {
    assert.equal(this.client.transport, 'websocket');
    this.client.check();
    this.client.terminate();
  }
}

function cast(server, agent) {
  const kinds = [
    () => new Official(io4, server, { transports: ['websocket'] }),
    () => new Official(io4, server, { transports: ['polling'], agent }),
    () => new Official(io4, server, { transports: ['polling', 'websocket'], agent }),
    () => new Upgrader(server, agent),
    () => new Official(io3, server, { transports: ['polling', 'websocket'] }),
    () => new Official(io3, server, { transports: ['polling'] }),
  ];
  return Array.from({ length: CLIENTS }, (_, i) => kinds[i % kinds.length]());
}

// Says everything, at most WINDOW acknowledgements behind; every seventh message is followed by an echo.
async function talk(talker, sender) {
  const echoes = [];
  for (let seq = 0; seq < MESSAGES; seq++) {
    if (seq === Math.floor(MESSAGES / 3)) {
      talker.halfWay();
    }
    talker.say(sender, seq, bodyOf(sender, seq));
    if (seq % 7 === 0) {
      const value = seq % 2 === 0 ? Buffer.from([seq & 255]) : seq;
      echoes.push(talker.echo(value).then((answer) => assert.deepEqual(answer, [value])));
    }
    if (seq % WINDOW === WINDOW - 1) {
      await echoes.at(-1);
    }
  }
  await Promise.all(echoes);
}

async function conversation(t, env) {
  const server = await startServer('probe', env);
  const agent = manyConnections(16);
  const talkers = await Promise.all(cast(server, agent).map((talker) => talker.ready()));
  const ledgers = talkers.map((_, i) => new Ledger(`client ${i}`, CLIENTS, MESSAGES));
  talkers.forEach((talker, i) => talker.listen(ledgers[i]));
  const failures = Promise.race(talkers.map(({ lost }) => lost.promise));
  const work = Promise.all([
    ...talkers.map((talker, i) => talk(talker, i)),
    ...ledgers.map(({ complete }) => complete.promise),
  ]);
  const started = performance.now();
  await within(Promise.race([work, failures]), 'everybody to hear everything', DEADLINE_MS * slower);
  ledgers.forEach((ledger) => ledger.oneMore());
  talkers.forEach((talker, i) => talker.say(i, MESSAGES, bodyOf(i, MESSAGES)));
  await within(Promise.race([Promise.all(ledgers.map(({ complete }) => complete.promise)), failures]), 'the last of each', DEADLINE_MS * slower);
  t.comment(`${CLIENTS * CLIENTS * MESSAGES} deliveries in ${Math.round(performance.now() - started)} ms`);
  talkers.forEach((talker) => talker.leave());
  agent.destroy();
  await server.stop();
}

for (const SIO_THREADS of [1, 4]) {
  test(`${CLIENTS} clients, ${MESSAGES} messages each, ${SIO_THREADS} threads: all, once, in order`,
    (t) => conversation(t, { SIO_THREADS }), { timeout_ms: DEADLINE_MS + 30000 });
}

await run();
