// A small server that speaks docs/chat.md, for the browser's checks and for working on the page without the real one. It
// keeps everything in memory, serves dist/ under the real server's headers, and has switches for what goes wrong.
//
//	node tests/server/server.mjs [PORT]

import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import process from 'node:process';

import { Server } from 'socket.io';

import { freePort } from '../../../tests/system/lib/port.mjs';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const LOBBY = 1;
const PAGE_BYTES_MAX = 64 << 10;
const TEXT_BYTES_MAX = 65536;
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
export const CSP =
  "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; " +
  "img-src 'self' blob: data:; require-trusted-types-for 'script'; trusted-types svelte-trusted-html palaver";
const STATUS = {
  invalid: 400,
  unauthenticated: 401,
  guests_refused: 403,
  not_found: 404,
  rate_limited: 429,
  unavailable: 503,
};

const refuse = (error, message = error, more = {}) => ({ ok: false, error, message, ...more });

export class FakeServer {
  epoch = randomBytes(8).toString('hex');
  users = new Map(); // token -> user
  entries = []; // entries[i].seq === i + 1
  /** What goes wrong: a function of (command, args, user) that returns an answer, null for none at all, or undefined. */
  fault = () => undefined;
  /** How long each answer takes. */
  delay_ms = 0;
  /** Entries are not pushed while this is set. */
  mute = false;
  calls = []; // [command, args]
  #nextUser = 2;
  #cookie = `palaver_${this.epoch.slice(0, 8)}`; // a host's cookies go to all its ports

  addUser(name) {
    const token = randomBytes(16).toString('hex');
    const user = { id: this.#nextUser++, name };
    this.users.set(token, user);
    return { token, user };
  }

  /** Puts an entry into the log without pushing it. */
  append(author, text, { at = Date.now(), cid } = {}) {
    const entry = {
      room: LOBBY,
      seq: this.entries.length + 1,
      nonce: randomInt(1, 2 ** 32),
      kind: 'message',
      at,
      author,
      text,
    };
    if (cid !== undefined) entry.cid = cid;
    this.entries.push(entry);
    return entry;
  }

  /** As if somebody had said it now. */
  say(author, text, options) {
    const entry = this.append(author, text, options);
    this.push('entry', entry);
    return entry;
  }

  push(event, data) {
    if (!this.mute) this.io.of('/chat').to('hello').emit(event, data);
  }

  get head() {
    return this.entries[this.entries.length - 1];
  }

  hello(user) {
    const head = this.head;
    const room = { id: LOBBY, name: 'lobby', head: head?.seq ?? 0, nonce: head?.nonce ?? 0, first: 1 };
    return { ok: true, user, epoch: this.epoch, now: Date.now(), rooms: [room] };
  }

  page(entries, fromEnd) {
    const kept = [];
    let bytes = 0;
    for (const entry of fromEnd ? entries.toReversed() : entries) {
      bytes += Buffer.byteLength(JSON.stringify(entry));
      if (kept.length > 0 && bytes > PAGE_BYTES_MAX) break;
      kept.push(entry);
    }
    if (fromEnd) kept.reverse();
    return { entries: kept, cut: kept.length < entries.length };
  }

  history({ room, before = Infinity, limit = 50 }) {
    if (room !== LOBBY) return refuse('not_found');
    const older = this.entries.filter((entry) => entry.seq < before);
    const wanted = older.slice(-Math.min(limit, 200));
    const { entries, cut } = this.page(wanted, true);
    return { ok: true, room, entries, as_of: this.entries.length, more: cut || wanted.length < older.length };
  }

  sync({ epoch, rooms }) {
    const answers = Object.entries(rooms).map(([id, [seq, nonce]]) => {
      const known = seq === 0 ? nonce === 0 : this.entries[seq - 1]?.nonce === nonce;
      if (epoch !== this.epoch || !known) {
        const newest = this.history({ room: Number(id) });
        return { room: Number(id), reset: true, entries: newest.entries, as_of: newest.as_of, more: newest.more };
      }
      const { entries, cut } = this.page(this.entries.slice(seq, seq + 200), false);
      const more = cut || seq + 200 < this.entries.length;
      return { room: Number(id), reset: false, entries, as_of: this.entries.length, more };
    });
    return { ok: true, epoch: this.epoch, rooms: answers };
  }

  send(user, { room, cid, text }) {
    if (room !== LOBBY) return refuse('not_found');
    if (text.trim() === '') return refuse('invalid', 'A message has something to be seen in it.');
    if (Buffer.byteLength(text) > TEXT_BYTES_MAX) return refuse('too_large');
    const before = this.entries.find((entry) => entry.author.id === user.id && entry.cid === cid);
    if (before && before.text !== text) return refuse('conflict');
    const entry = before ?? this.say(user, text, { cid });
    return { ok: true, seq: entry.seq, nonce: entry.nonce, at: entry.at };
  }

  run(command, args, user, socket) {
    this.calls.push([command, args]);
    const fault = this.fault(command, args, user);
    if (fault !== undefined) return fault;
    if (command === 'room.history') return this.history(args);
    if (command === 'room.sync') return this.sync(args);
    if (command === 'message.send') return this.send(user, args);
    if (command === 'typing') {
      socket.to('hello').emit('typing', { room: args.room, user });
      return { ok: true };
    }
    return refuse('unknown_command');
  }

  #userOf(cookie = '') {
    const pair = cookie.split('; ').find((text) => text.startsWith(`${this.#cookie}=`));
    return pair && this.users.get(pair.slice(this.#cookie.length + 1));
  }

  #connect(socket) {
    let user;
    const answer = (ack, value) => {
      if (value === null || typeof ack !== 'function') return;
      setTimeout(() => ack(value), this.delay_ms);
    };
    socket.on('hello', (_args, ack) => {
      const fault = this.fault('hello', {}, undefined);
      if (fault !== undefined) return answer(ack, fault);
      user = this.#userOf(socket.handshake.headers.cookie);
      if (!user) return answer(ack, refuse('unauthenticated'));
      void socket.join('hello');
      return answer(ack, this.hello(user));
    });
    socket.onAny((command, args, ack) => {
      if (command === 'hello') return;
      answer(ack, user ? this.run(command, args, user, socket) : refuse('unauthenticated'));
    });
  }

  async #http(request, response) {
    const { pathname } = new URL(request.url, 'http://host');
    const json = (value, headers = {}) => {
      const status = value.ok ? 200 : (STATUS[value.error] ?? 500);
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    };
    if (pathname === '/api/v1/hello' && request.method === 'POST') {
      let body = '';
      for await (const part of request) body += part;
      const args = JSON.parse(body);
      const fault = this.fault('http.hello', args, undefined);
      if (fault !== undefined) return json(fault);
      if (args.name === undefined) {
        const user = this.#userOf(request.headers.cookie);
        return json(user ? this.hello(user) : refuse('unauthenticated'));
      }
      const length = [...args.name].length;
      if (length < 1 || length > 32) return json(refuse('invalid', 'A name has 1 to 32 characters.'));
      const { token, user } = this.addUser(args.name);
      return json(this.hello(user), { 'set-cookie': `${this.#cookie}=${token}; Path=/; HttpOnly; SameSite=Lax` });
    }
    const file = pathname === '/chat' ? 'index.html' : /^\/chat\/(assets\/[\w.-]+)$/.exec(pathname)?.[1];
    const content = file && (await readFile(join(DIST, file)).catch(() => null));
    if (!content) return response.writeHead(404).end();
    return response
      .writeHead(200, {
        'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
        'content-security-policy': CSP,
        'x-content-type-options': 'nosniff',
        'cache-control': file === 'index.html' ? 'no-cache' : 'public, max-age=31536000, immutable',
      })
      .end(content);
  }

  /** On this port, or on one that nobody has. */
  async start(port) {
    for (;;) {
      this.port = port ?? (await freePort());
      try {
        return await this.#listen();
      } catch (error) {
        if (port !== undefined || error.code !== 'EADDRINUSE') throw error;
      }
    }
  }

  async #listen() {
    this.http = createServer((request, response) => {
      this.#http(request, response).catch((error) => response.writeHead(500).end(String(error)));
    });
    this.io = new Server(this.http, { serveClient: false });
    this.io.of('/chat').on('connection', (socket) => this.#connect(socket));
    await once(this.http.listen(this.port, '127.0.0.1'), 'listening');
    return this;
  }

  /** Gone, as a server that was stopped; start(port) brings it back with its log. */
  async stop() {
    this.io.of('/chat').disconnectSockets(true);
    this.http.closeAllConnections();
    await this.io.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await new FakeServer().start(Number(process.argv[2] ?? 3000));
  process.stdout.write(`http://127.0.0.1:${server.port}/chat\n`);
}
