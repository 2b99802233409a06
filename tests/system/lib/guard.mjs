// Whether anybody else is harmed by what one client does. A guard is a server with a witness who was there before; each of its
// threats is followed by the same look at the others, at new ones, and at the process's descriptors and memory. Who the witness is
// depends on the server: witness.mjs has that of Socket.IO, echo.mjs those of plain WebSockets and of Engine.IO alone.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { serverIsNode, startServer } from './server.mjs';
import { test } from './tap.mjs';
import { slower, until } from './wait.mjs';

// A sanitizer keeps what was freed, and Node collects when it likes.
const MEMORY_TELLS = slower === 1 && !serverIsNode();

async function statusBytes(pid, field) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) * 1024;
}

/** How many descriptors the process has. */
export async function descriptorsOf(pid) {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

// What a threat is given: cleanups that are done before anybody looks at what is left, and the context of its test.
class Attempt {
  #cleanups = [];

  constructor(guard, context) {
    this.guard = guard;
    this.server = guard.server;
    this.context = context;
  }

  after(cleanup) {
    this.#cleanups.push(cleanup);
  }

  comment(text) {
    this.context?.comment(text);
  }

  deviates(what, body) {
    return this.context.deviates(what, body);
  }

  async finish() {
    for (const cleanup of this.#cleanups.splice(0).reverse()) {
      await cleanup();
    }
  }
}

// What a kind of guard has:
//
//   kind              the server
//   async warmUp()    uses all that a server needs once, and has left
//   async enter()     the witness comes, and stays
//   async begin()     a threat begins: what was seen before it does not count
//   async isServed()  the witness is, and has seen nothing that was forbidden, and so is a new client
export class Guard {
  memoryMoreMax = 8 << 20;

  static async start(env = {}) {
    const guard = new this();
    guard.server = await startServer(this.kind, env);
    guard.pid = guard.server.child.pid;
    const idle = await descriptorsOf(guard.pid);
    await guard.warmUp();
    await until(async () => (await descriptorsOf(guard.pid)) <= idle, 'the first clients to have gone');
    await guard.enter();
    return guard;
  }

  async measure() {
    return { descriptors: await descriptorsOf(this.pid), bytes: await statusBytes(this.pid, 'VmRSS') };
  }

  /** Bytes that the process has asked for, touched or not. */
  bytesAskedFor() {
    return statusBytes(this.pid, 'VmData');
  }

  /** Seconds of a processor that the process has used, to 10 ms. */
  async processorSeconds() {
    const stat = await readFile(`/proc/${this.pid}/stat`, 'utf8');
    const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13);
    return (Number(user) + Number(system)) / 100;
  }

  /** Waits until there are as many descriptors as `before`, or fewer, and hardly more memory. */
  async isBack(before, wait_ms = undefined) {
    let now = {};
    const isSo = async () => {
      now = await this.measure();
      return now.descriptors <= before.descriptors && (!MEMORY_TELLS || now.bytes <= before.bytes + this.memoryMoreMax);
    };
    await until(isSo, 'descriptors and memory', wait_ms).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(before)} before, ${JSON.stringify(now)} now`);
    });
  }

  /** The witness is served and has heard nothing that was forbidden, a new client can come and speak, and nothing is kept. */
  async isUnharmed(before) {
    assert.equal(this.server.exited, null, 'the server has ended');
    await this.isServed();
    await this.isBack(before);
  }

  async run(body, context) {
    await this.begin();
    const before = await this.measure();
    const attempt = new Attempt(this, context);
    try {
      await body(attempt);
    } finally {
      await attempt.finish();
    }
    await this.isUnharmed(before);
  }

  /** A test whose body is a threat to this server. */
  threat(name, body, options) {
    test(name, (context) => this.run(body, context), options);
  }

  /** A threat that takes its time: it begins now, on a server of its own, and its test waits for it. */
  static slowThreat(name, body, env = {}) {
    const done = this.start(env).then(async (guard) => {
      await guard.run(body);
      await guard.stop();
    });
    done.catch(() => {}); // the test says so
    test(name, () => done);
  }

  async stop() {
    await this.server.stop();
  }
}
