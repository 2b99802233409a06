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

// A client in another process: language 'js' or 'py'.
export class LineClient {
  lines = new Inbox();

  constructor(language, server, transport) {
    const program = fileURLToPath(new URL(`../peers/line_client.${language === 'py' ? 'py' : 'mjs'}`, import.meta.url));
    const command = language === 'py' ? PYTHON : process.execPath;
    this.child = spawn(command, [program, server.url, transport], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.add(this.child);
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(fromLine(line)));
    this.child.on('exit', (code) => {
      children.delete(this.child);
      this.lines.end(`the ${language} client ended with ${code}`);
    });
  }

  static async arrive(language, server, transport) {
    const client = new LineClient(language, server, transport);
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
    return (await this.lines.take((line) => line.ack, 'the acknowledgement')).ack;
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
