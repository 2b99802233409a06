// Whether anybody else is harmed by what one client does. A guard is a server with a witness who was there before; each of its
// threats is followed by the same look at the others, at new ones, and at the process's descriptors and memory.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { io } from 'socket.io-client';
import { EngineClient } from './engine.mjs';
import { Person } from './person.mjs';
import { startServer } from './server.mjs';
import { test } from './tap.mjs';
import { deferred, slower, until } from './wait.mjs';

const MEMORY_MORE_MAX = 8 << 20;
const WARM_CLIENTS = 20;
const WARM_BYTES = 900000;

/** Bytes of the process that are in memory. */
async function residentBytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
}

async function descriptors(pid) {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

// What a threat is given: cleanups that are done before anybody looks at what is left.
class Attempt {
  #cleanups = [];

  constructor(guard) {
    this.guard = guard;
    this.server = guard.server;
  }

  after(cleanup) {
    this.#cleanups.push(cleanup);
  }

  async finish() {
    for (const cleanup of this.#cleanups.splice(0).reverse()) {
      await cleanup();
    }
  }
}

export class Guard {
  /** A server of its own, with a witness and one who hears why others have gone, and all in use that a server needs once. */
  static async start(env = {}) {
    const guard = new Guard();
    guard.server = await startServer('twin', env);
    guard.pid = guard.server.child.pid;
    const transports = ['websocket'];
    await guard.#warmUp();
    guard.witness = await Person.arrive(io, guard.server, { transports, auth: { name: 'witness' } });
    await guard.witness.hears('welcome');
    guard.watcher = await Person.arrive(io, guard.server, { transports, auth: { name: 'watcher' } });
    await guard.watcher.ask('join', 'watchers');
    return guard;
  }

  // Memory that is asked for once, for the first clients and the first large message, is no harm that a threat does.
  async #warmUp() {
    const idle = await descriptors(this.pid);
    for (const transport of ['polling', 'websocket']) {
      const clients = await Promise.all(Array.from({ length: WARM_CLIENTS }, () => EngineClient.open(this.server, { transport })));
      for (const client of clients) {
        client.send('0');
        await client.next('CONNECT');
        await client.next('welcome');
      }
      clients[0].send(`21["say","all","","","${'x'.repeat(WARM_BYTES)}"]`);
      await clients[0].inbox.take((packet) => packet === '31["ok"]', 'the large message');
      clients.forEach((client) => (transport === 'polling' ? client.sendPacket('1') : client.terminate()));
      await Promise.all(clients.map((client) => client.whenClosed()));
    }
    await until(async () => (await descriptors(this.pid)) <= idle, 'the first clients to have gone');
  }

  async measure() {
    return { descriptors: await descriptors(this.pid), bytes: await residentBytes(this.pid) };
  }

  /** The witness is served and has heard nothing that was forbidden, a new client can join and speak, and nothing is kept. */
  async isUnharmed(before) {
    assert.equal(this.server.exited, null, 'the server has ended');
    assert.deepEqual(await this.witness.ask('rooms'), [[]], 'the witness is served');
    assert.deepEqual(this.witness.heard.items.splice(0), [], 'the witness heard what nobody may say');
    const newcomer = await Person.arrive(io, this.server, { transports: ['websocket'] });
    try {
      await newcomer.hears('welcome');
      assert.deepEqual(await newcomer.ask('rooms'), [[]], 'a new client is served');
    } finally {
      newcomer.leave();
    }
    let now = {};
    const isBack = async () => {
      now = await this.measure();
      // A sanitizer keeps what was freed.
      return now.descriptors <= before.descriptors && (slower > 1 || now.bytes <= before.bytes + MEMORY_MORE_MAX);
    };
    await until(isBack, 'descriptors and memory').catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(before)} before, ${JSON.stringify(now)} now`);
    });
  }

  async run(body) {
    this.witness.heard.items.splice(0); // of a threat that has failed before
    const before = await this.measure();
    const attempt = new Attempt(this);
    try {
      await body(attempt);
    } finally {
      await attempt.finish();
    }
    await this.isUnharmed(before);
  }

  /** A test whose body is a threat to this server. */
  threat(name, body) {
    test(name, () => this.run(body));
  }

  /** The reason that the server had for the end of the client of that name; `goes(name)` is asked before it goes. */
  goes(name) {
    const reason = deferred();
    const listener = (who, why) => {
      if (who === name) {
        this.watcher.socket.off('gone', listener);
        reason.resolve(why);
      }
    };
    this.watcher.socket.on('gone', listener);
    return reason.promise;
  }

  async stop() {
    assert.ok(this.witness.socket.connected, 'the witness is there to the end');
    await this.server.stop();
  }
}

/** A threat that takes its time: it begins now, on a server of its own, and its test waits for it. */
export function slowThreat(name, body, env = {}) {
  const done = Guard.start(env).then(async (guard) => {
    await guard.run(body);
    await guard.stop();
  });
  done.catch(() => {}); // the test says so
  test(name, () => done);
}
