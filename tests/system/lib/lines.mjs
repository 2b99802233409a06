// Talking by lines of JSON with a client in another process (peers/line_client.*), binary included.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import process from 'node:process';
import { Inbox } from './wait.mjs';

export const PYTHON = '/usr/bin/python3';

function toPlain(value) {
  if (Buffer.isBuffer(value)) {
    return { $binary: value.toString('base64') };
  }
  if (Array.isArray(value)) {
    return value.map(toPlain);
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toPlain(item)]));
  }
  return value;
}

function fromPlain(value) {
  if (Array.isArray(value)) {
    return value.map(fromPlain);
  }
  if (value !== null && typeof value === 'object') {
    return typeof value.$binary === 'string'
      ? Buffer.from(value.$binary, 'base64')
      : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromPlain(item)]));
  }
  return value;
}

export function toLine(value) {
  return JSON.stringify(toPlain(value));
}

export function fromLine(line) {
  return fromPlain(JSON.parse(line));
}

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

const PROGRAMS = { js: 'line_client.mjs', py: 'line_client.py', 'py-async': 'line_client_async.py' };

// A client in another process, its language one of PROGRAMS; `auth` is the handshake's.
export class LineClient {
  lines = new Inbox();
  acks = new Inbox();

  constructor(language, server, transport, auth = null) {
    const program = fileURLToPath(new URL(`../peers/${PROGRAMS[language]}`, import.meta.url));
    const command = language === 'js' ? process.execPath : PYTHON;
    this.child = spawn(command, [program, server.url, transport, JSON.stringify(auth)], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.add(this.child);
    createInterface({ input: this.child.stdout }).on('line', (text) => {
      const line = fromLine(text);
      (line.ack ? this.acks : this.lines).push(line);
    });
    this.child.on('exit', (code) => {
      children.delete(this.child);
      for (const inbox of [this.lines, this.acks]) {
        inbox.end(`the ${language} client ended with ${code}`);
      }
    });
  }

  static async arrive(language, server, transport, auth) {
    const client = new LineClient(language, server, transport, auth);
    await client.lines.take((line) => line.connected, 'the client to connect');
    return client;
  }

  tell(command) {
    this.child.stdin.write(`${toLine(command)}\n`);
  }

  say(...args) {
    this.tell({ emit: args });
  }

  async ask(...args) {
    this.tell({ ask: args });
    return (await this.acks.next('the acknowledgement')).ack;
  }

  /** The arguments of the next event of that name. */
  async hears(name) {
    const { event } = await this.lines.take((line) => line.event?.[0] === name, `the event ${name}`);
    return event.slice(1);
  }

  leave() {
    this.child.stdin.end();
  }
}
