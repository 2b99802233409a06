// Starts the server under test as a child process on a free port of 127.0.0.1, and ends it.
// `--server PATH` names an executable; `--server node` (the default) takes the twin in peers/ on npm's socket.io. `--KIND PATH` names that
// of one kind, for a test that has several.
// The server is told by environment: PORT, SIO_THREADS, SIO_SENDER, PING_INTERVAL, and so on; it prints a line with
// 'listening' when it is ready. TLS: it speaks nothing else, on `tlsPort`, and `port` leads there through a tunnel; so
// scripts that know nothing of it can be run with it.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { freePort } from './port.mjs';
import { tlsEnv, tunnel } from './tls.mjs';
import { slower, until, within } from './wait.mjs';

const START_MS = 20000 * slower;
const STOP_MS = 10000 * slower;
const STARTS_MAX = 5;
const LINES_MAX = 2000;
// Where each kind has its Engine.IO, if not where Socket.IO has it.
const PATHS = { eio_echo: '/engine.io/' };
const FAULT = /Sanitizer|runtime error:|[Aa]ssertion|panic/;

const running = new Set();
let latest = [];

process.on('exit', () => {
  for (const server of running) {
    server.child.kill('SIGKILL');
  }
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(130));
}

function argument(name) {
  const at = process.argv.indexOf(name);
  return at > 0 ? process.argv[at + 1] : undefined;
}

/** The value of `--server`, 'node' if not given. */
export function serverPath() {
  return argument('--server') ?? process.env.SERVER ?? 'node';
}

export function serverIsNode() {
  return serverPath() === 'node';
}

/** Servers whose output may explain a failure: the running ones, and the last that ended. */
export function liveServers() {
  return [...new Set([...running, ...latest])];
}

class Server {
  path = undefined; // of its Engine.IO, if another
  tlsPort = undefined; // where it speaks TLS; then `port` is a tunnel's
  tunnel = undefined;
  output = [];
  stopping = false;
  exited = null;

  constructor(child, port) {
    this.child = child;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.exit = new Promise((resolve) => {
      child.on('exit', (code, signal) => resolve((this.exited = { code, signal })));
      child.on('error', (error) => resolve((this.exited = { code: -1, signal: null, error })));
    });
    this.exit.then(() => {
      running.delete(this);
      this.tunnel?.close();
      latest = [this];
    });
  }

  moveTo(port, tlsPort) {
    this.port = port;
    this.tlsPort = tlsPort;
    this.url = `http://127.0.0.1:${port}`;
  }

  log(line) {
    this.output.push(line);
    if (this.output.length > LINES_MAX) {
      this.output.splice(0, LINES_MAX / 2);
    }
  }

  lines(pattern) {
    return this.output.filter((line) => pattern.test(line));
  }

  // Ends the server as an operator would, and fails if it had died, did not end, or reported a fault.
  async stop() {
    const early = this.exited;
    if (!early) {
      this.child.kill('SIGTERM');
      await within(this.exit, 'the server to end after SIGTERM', STOP_MS).catch((error) => {
        this.child.kill('SIGKILL');
        throw error;
      });
    }
    const { code, signal } = this.exited;
    if (early || !(code === 0 || signal === 'SIGTERM' || (code === 143 && !signal))) {
      throw new Error(`server ended ${early ? 'by itself' : 'badly'}: code ${code}, signal ${signal}`);
    }
    const fault = this.output.find((line) => FAULT.test(line));
    if (fault) {
      throw new Error(`server reported: ${fault}`);
    }
  }
}

// The server says in its first line how many loops it has and by what it sends: it must be what the test asked for.
async function usesWhatWasAsked(server, env) {
  const sender = { plain: 'plain', uring: 'io_uring' }[env.SIO_SENDER];
  const loops = env.SIO_THREADS ? `${env.SIO_THREADS} loop` : '';
  const said = await until(() => server.lines(/sends by .*connections/).at(0), 'its first line', START_MS);
  if ((sender && !said.includes(`sends by ${sender},`)) || !said.includes(loops)) {
    throw new Error(`asked for ${env.SIO_SENDER} and ${env.SIO_THREADS} threads, the server says: ${said}`);
  }
}

/** Starts a program and waits until it says that it is listening; null if it ends before that. */
export async function startProgram(command, args, env, port) {
  const child = spawn(command, args, {
    env: { ...process.env, ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const server = new Server(child, port);
  running.add(server);
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        server.log(line);
        if (/listening/i.test(line)) {
          resolve('ready');
        }
      });
    }
  });
  const first = await within(Promise.race([ready, server.exit]), 'the server to listen', START_MS);
  return first === 'ready' ? server : null;
}

async function startOnce(kind, port, env) {
  const node = serverIsNode();
  const twin = fileURLToPath(new URL(`../peers/${kind}.mjs`, import.meta.url));
  const [command, args] = node ? [process.execPath, [twin]] : [argument(`--${kind}`) ?? serverPath(), []];
  const encrypted = Boolean(env.TLS ?? process.env.TLS);
  const own = encrypted ? await freePort() : port;
  const server = await startProgram(command, args, encrypted ? { ...env, ...tlsEnv() } : env, own);
  if (server && encrypted) {
    server.moveTo(port, own);
  }
  if (server) {
    server.path = PATHS[kind];
  }
  if (server && !node) {
    await usesWhatWasAsked(server, { ...process.env, ...env });
  }
  return server;
}

/** Starts the `kind` of server ('probe' or 'broadcast'); env adds to the environment, port is free if not given. */
export async function startServer(kind, env = {}, port = 0) {
  for (let i = 0; i < STARTS_MAX; i++) {
    const server = await startOnce(kind, port || (await freePort()), env);
    if (server && server.tlsPort) {
      server.tunnel = await tunnel(server.port, server.tlsPort);
    }
    if (server) {
      return server;
    }
  }
  throw new Error(`the server did not start: ${liveServers().at(-1)?.output.join('\n')}`);
}
