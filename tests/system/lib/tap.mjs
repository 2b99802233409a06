// A small TAP producer for the system tests: one program, one plan, tests in the order they are written.
// Every test has a deadline; none is ever skipped. On failure the server's output is printed as comments.
//
//   test('name', async (t) => { t.after(cleanup); assert... });
//   await run();                        prints the plan and sets the exit code

import process from 'node:process';
import { liveServers, serverIsNode } from './server.mjs';
import { limits, slower } from './wait.mjs';

const tests = [];
let stray = [];

process.on('unhandledRejection', (error) => stray.push(error));
process.on('uncaughtException', (error) => stray.push(error));

/** Registers a test. timeout_ms is a deadline, not a duration: tests wait for conditions. */
export function test(name, body, { timeout_ms = 30000 } = {}) {
  tests.push({ name, body, timeout_ms });
}

function comment(text) {
  for (const line of String(text).trimEnd().split('\n')) {
    console.log(`# ${line}`);
  }
}

function printServers() {
  for (const server of liveServers()) {
    comment(`--- output of server on port ${server.port} (last 40 lines)`);
    comment(server.output.slice(-40).join('\n'));
  }
}

// What a test is given: cleanups, comments, and the one way to say that npm's server is known to differ.
class Context {
  cleanups = [];

  after(fn) {
    this.cleanups.push(fn);
  }

  comment(text) {
    comment(text);
  }

  // Times are measured once. Node's are given three tries: a busy machine delays it, and only what it does otherwise is asked.
  async measured(body) {
    for (let left = serverIsNode() ? 2 : 0; ; left--) {
      try {
        return await body();
      } catch (error) {
        if (left === 0) {
          throw error;
        }
        comment(`measured again: ${error.message}`);
      }
    }
  }

  // Runs the assertion. Where the server under test is npm's own, a failure is reported as a known
  // deviation from the specification and the test goes on; for ours a failure is a failure.
  async deviates(what, body) {
    const full_ms = limits.wait_ms;
    if (serverIsNode()) {
      limits.wait_ms = Math.min(full_ms, 700);
    }
    try {
      await body();
      if (serverIsNode()) {
        comment(`npm agrees [${what}]`);
      }
    } catch (error) {
      if (!serverIsNode()) {
        throw error;
      }
      comment(`npm deviates [${what}]: ${String(error.message).split('\n')[0]}`);
    } finally {
      limits.wait_ms = full_ms;
    }
  }
}

async function runCleanups(context) {
  for (const cleanup of context.cleanups.reverse()) {
    try {
      await cleanup();
    } catch (error) {
      stray.push(error);
    }
  }
}

async function runOne({ name, body, timeout_ms }) {
  const context = new Context();
  const limit_ms = timeout_ms * slower;
  let timer;
  stray = [];
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${limit_ms} ms`)), limit_ms);
  });
  try {
    await Promise.race([body(context), deadline]);
  } finally {
    clearTimeout(timer);
    await runCleanups(context);
  }
  if (stray.length > 0) {
    throw stray[0];
  }
}

/** Runs all registered tests, prints the plan and ends the process. */
export async function run() {
  const only = process.env.ONLY ? new RegExp(process.env.ONLY) : null;
  const chosen = tests.filter(({ name }) => !only || only.test(name));
  let failed = 0;
  console.log('TAP version 13');
  for (const [index, entry] of chosen.entries()) {
    const started = Date.now();
    try {
      await runOne(entry);
      console.log(`ok ${index + 1} - ${entry.name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${index + 1} - ${entry.name}`);
      comment(error?.stack ?? error);
      printServers();
    }
    if (process.env.TIMES) {
      comment(`${Date.now() - started} ms`);
    }
  }
  console.log(`1..${chosen.length}`);
  process.exit(failed > 0 ? 1 : 0);
}
