// What one client has seen of the lobby, over all its connections, checked as it comes: what is pushed is dense from hello's head
// on (on `/` from its first number on), nothing is pushed that an answer had before, and what comes twice is the same.

import assert from 'node:assert/strict';
import { LOBBY, newCid, ok, Raw } from './chat.mjs';
import { deferred, until, within } from './wait.mjs';

class View {
  entries = new Map();
  last = null; // the entry up to which, from its first on, it has all

  constructor(name) {
    this.name = name;
  }

  /** A new connection; `head`: the first pushed entry is the one after it, null if that is not known. */
  begin(head) {
    this.next = head === null ? null : head + 1;
    this.answered = 0;
    this.heard = 0;
  }

  keep(entry) {
    const known = this.entries.get(entry.seq);
    if (known) {
      assert.deepEqual(entry, known, `${this.name} has ${entry.seq} in two versions`);
    }
    this.entries.set(entry.seq, entry);
  }

  pushed(entry) {
    assert.equal(entry.seq, this.next ?? entry.seq, `${this.name} heard ${entry.seq}, not ${this.next}`);
    assert.ok(entry.seq > this.answered, `${this.name} heard ${entry.seq}, which an answer had up to ${this.answered}`);
    this.next = entry.seq + 1;
    this.heard += 1;
    this.keep(entry);
  }

  /** A page of an answer: dense in itself. */
  page(entries) {
    entries.forEach((entry, i) => assert.equal(entry.seq, entries[0].seq + i, `${this.name}: a page with a gap`));
    entries.forEach((entry) => this.keep(entry));
    this.answered = Math.max(this.answered, entries.at(-1)?.seq ?? 0);
  }

  /** The last entry before the first gap. */
  advance() {
    let entry = this.last ?? this.entries.get(Math.min(...this.entries.keys()));
    for (let next = entry; next; next = this.entries.get(entry.seq + 1)) {
      entry = next;
    }
    this.last = entry ?? null;
    return this.last;
  }

  /** Dense from its first entry to the log's head, and the log itself. */
  equals(log, plain) {
    const first = Math.min(...this.entries.keys());
    const wanted = log.slice(first - 1).map(plain);
    assert.deepEqual([...this.entries.values()].sort((a, b) => a.seq - b.seq), wanted, `what ${this.name} has seen`);
  }
}

/** An entry as `/` has it. */
export const plainEntry = ({ seq, at, author, name, text }) => ({ seq, at, name: name ?? author.name, text });

// An official client's connection: ask(), and an end that fails what is under way.
class OfficialLink {
  constructor(io, server, nsp, options, onEvent) {
    this.end = deferred();
    this.opened = deferred();
    this.socket = io(server.url + nsp, { forceNew: true, reconnection: false, ...options });
    this.socket.onAny(onEvent);
    this.socket.on('connect', () => this.opened.resolve());
    this.socket.on('connect_error', (error) => this.opened.reject(error));
    this.socket.on('disconnect', (reason) => this.end.reject(new Error(`ended: ${reason}`)));
  }

  async ready() {
    await within(this.opened.promise, 'a client to connect').catch((error) => {
      this.close();
      throw error;
    });
    return this;
  }

  ask(...args) {
    const answer = deferred();
    this.socket.emit(...args, (value) => answer.resolve(value));
    return within(Promise.race([answer.promise, this.end.promise]), `the answer to ${args[0]}`);
  }

  close() {
    this.socket.disconnect();
    this.socket.io.engine?.close();
    this.end.reject(new Error('ended: closed here'));
  }
}

// The same on a raw client, which goes without a word.
class RawLink {
  constructor(client, nsp) {
    Object.assign(this, { client, nsp });
  }

  static async open(server, nsp, options, auth, onEvent) {
    const listener = ({ nsp: from, data }) => {
      assert.equal(from, nsp);
      onEvent(...data);
      return true;
    };
    return new RawLink(await Raw.join(server, { ...options, onEvent: listener }, nsp, auth), nsp);
  }

  async ask(...args) {
    return (await this.client.askIn(this.nsp, ...args))[0];
  }

  close() {
    this.client.terminate();
  }
}

/**
 * Somebody in the lobby who may come and go. kind: { nsp: '/' or '/chat', io: a client library or null for a raw client,
 * options: of the client }.
 */
export class Visitor {
  link = null;
  token = null;
  gaps = 0;

  constructor(server, name, kind) {
    Object.assign(this, { server, name, kind });
    this.view = new View(name);
    this.failed = deferred();
  }

  #hear(event, ...args) {
    try {
      if (event === 'entry') {
        this.view.pushed(args[0]);
      } else if (event === 'message') {
        this.view.pushed({ ...args[1], text: args[0] });
      } else {
        assert.equal(event, 'gap');
        this.#mend();
      }
    } catch (error) {
      this.failed.reject(error);
    }
  }

  // It was too slow: what comes next is not the next, and what lies between is asked for.
  #mend() {
    this.gaps += 1;
    this.view.next = null;
    this.catchUp().catch((error) => {
      if (error.code === 'ERR_ASSERTION') {
        this.failed.reject(error);
      } // else it has gone, and asks when it is back
    });
  }

  async #open() {
    const { nsp, io, options } = this.kind;
    let mine = true;
    const onEvent = (...event) => mine && this.#hear(...event);
    const auth = nsp === '/' ? { name: this.name } : undefined;
    this.view.begin(null);
    this.link = io
      ? await new OfficialLink(io, this.server, nsp, { ...options, auth }, onEvent).ready()
      : await RawLink.open(this.server, nsp, options, auth, onEvent);
    this.forget = () => (mine = false);
  }

  /** Connects, says hello, and gets what it has missed; the first time the newest page. */
  async come() {
    await this.#open();
    if (this.kind.nsp === '/') {
      await this.catchUp();
      return;
    }
    const greeting = this.token ? { token: this.token } : { name: this.name };
    const asked = this.link.ask('hello', greeting);
    const hello = ok(await asked);
    const { head } = hello.rooms[0];
    /* What was pushed since the answer came follows its head. */
    assert.equal(this.view.next ?? head + 1 + this.view.heard, head + 1 + this.view.heard, `${this.name}: the first entry after head ${head}`);
    this.view.next ??= head + 1;
    this.token ??= hello.token;
    this.epoch = hello.epoch;
    this.head = head;
    await this.catchUp();
  }

  async catchUp() {
    await (this.view.last && this.kind.nsp === '/chat' ? this.#sync() : this.#history());
    this.view.advance();
  }

  async #sync() {
    let { last } = this.view;
    for (let more = true; more;) {
      const answer = ok(await this.link.ask('room.sync', { epoch: this.epoch, rooms: { [LOBBY]: [last.seq, last.nonce] } }));
      const [page] = answer.rooms;
      assert.equal(page.reset, false);
      assert.equal(page.entries[0]?.seq ?? last.seq + 1, last.seq + 1);
      this.view.page(page.entries);
      last = page.entries.at(-1) ?? last;
      more = page.more;
    }
  }

  // Backwards until what is known, or one page where nothing is.
  async #history() {
    const known = this.view.last?.seq ?? null;
    for (let before = null; ;) {
      const args = { ...(before === null ? {} : { before }), limit: 200 };
      const { entries } = ok(this.kind.nsp === '/' ? await this.link.ask('history', args)
        : await this.link.ask('room.history', { room: LOBBY, ...args }));
      assert.equal(entries.at(-1)?.seq ?? 0, before === null ? entries.at(-1)?.seq ?? 0 : before - 1);
      this.view.page(entries);
      before = entries[0]?.seq ?? 1;
      if (known === null || before <= known + 1) {
        return;
      }
    }
  }

  say(text, cid = newCid()) {
    return this.kind.nsp === '/' ? this.link.ask('message', text, { cid }) : this.link.ask('message.send', { room: LOBBY, cid, text });
  }

  go() {
    this.forget?.();
    this.link?.close();
    this.link = null;
  }

  /** Resolves when it has everything up to the number; fails if anything was wrong. */
  async hasAll(seq) {
    await Promise.race([this.failed.promise, until(() => (this.view.advance()?.seq ?? 0) >= seq, `${this.name} to have ${seq}`)]);
  }

  equals(log) {
    this.view.equals(log, this.kind.nsp === '/' ? plainEntry : (entry) => entry);
  }
}
