// The program itself as a child process: `palaver serve` on a free port and a data folder of its own, started, stopped, killed
// and started again on both. `--server PATH` names the executable.
//
//   const server = await startPalaver(t, { args: ['--guests', 'off'], env: { SIO_SENDER: 'plain' } });
//   await server.restart();        stop(), start(), kill() by themselves; `server.url`, `server.data`, `server.output`

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './port.mjs';
import { startProgram, serverPath } from './server.mjs';

const STARTS_MAX = 3;

class Palaver {
  process = null;

  constructor(port, data, args, env) {
    Object.assign(this, { port, data, args, env, url: `http://127.0.0.1:${port}` });
  }

  get output() {
    return this.process.output;
  }

  /** Starts it on its port and folder; resolves when it listens. */
  async start() {
    assert.ok(!this.process || this.process.exited, 'it runs already');
    this.process = await startProgram(serverPath(),
      ['serve', '--listen', `127.0.0.1:${this.port}`, '--data', this.data, ...this.args], this.env, this.port);
    if (!this.process) {
      throw new Error('palaver did not start');
    }
    return this;
  }

  /** As an operator would: SIGTERM; fails unless it ends in order. */
  async stop() {
    await this.process.stop();
  }

  /** SIGKILL; resolves when it is gone. */
  async kill() {
    this.process.child.kill('SIGKILL');
    await this.process.exit;
  }

  async restart() {
    await this.stop();
    await this.start();
  }
}

/** Starts the program; it is stopped, and its folder removed, when the test ends. Rates are not limited unless `args` says so. */
export async function startPalaver(t, { args = ['--rate-limits', 'off'], env = {} } = {}) {
  const data = mkdtempSync(join(tmpdir(), 'palaver-data-'));
  let server = null;
  for (let tries = 1; !server?.process; tries++) {
    server = new Palaver(await freePort(), data, args, env); // somebody else may have taken the port meanwhile
    await server.start().catch((error) => {
      if (tries === STARTS_MAX) {
        throw error;
      }
    });
  }
  t.after(async () => {
    if (!server.process.exited) {
      await server.stop();
    }
    rmSync(data, { recursive: true, force: true });
  });
  return server;
}
