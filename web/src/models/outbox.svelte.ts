// What was written and is not yet known to be in the log. One outbox for all tabs of a guest; the store is the truth, this
// is a tab's view of it.
//
//	add --stored--> waiting --claimed, sent--> (answered) --> gone, and in the log
//	                   ^           |
//	                   |-- later --|--refused for good--> failed --retry--> a new one
//
// An item is stored before it is sent, and leaves the store only when its answer or its entry has been seen. Whichever tab
// has the turn sends the oldest waiting item, waits for its answer, and then sends the next; an answer that is missing is
// asked for again with the same cid, which the server answers as the first time.

import { Backoff } from '../lib/backoff';
import { uuidv7 } from '../lib/uuid';
import { type Answer, type Entry, type FailureCode, type Id, sameId } from '../protocol';
import { MemoryOutboxStore, type OutboxItem, type OutboxStore } from './outbox_store';
import type { Turns, Word } from './turns';

/** These are answers for good; after all others the same cid is tried again. */
const FOR_GOOD: readonly FailureCode[] = [
  'invalid',
  'too_large',
  'conflict',
  'not_found',
  'unknown_command',
  'unsupported',
  'forbidden',
  'guests_refused',
];
const DONE_MAX = 1000;
const RETRY = { first_ms: 500, max_ms: 20_000 };

export interface OutboxDeps {
  owner: string;
  /** Whose messages these are. */
  me: Id;
  store: OutboxStore;
  turns: Turns;
  /** Opens the word to other tabs. */
  word: (heard: (owner: string) => void) => Word;
  send: (item: OutboxItem) => Promise<Answer<'message.send'>>;
  /** The server has committed it under this number. True: the log is past it, there is nothing more to draw. */
  sent: (item: OutboxItem, answer: { seq: number; nonce: number; at: number }) => boolean;
  now?: () => number;
}

export class Outbox {
  /** To be drawn, in the order of writing: waiting, failed, and answered but not yet in the log. */
  items = $state.raw<readonly OutboxItem[]>([]);
  /** False: what waits is lost by a reload. */
  durable = $state(true);

  readonly owner: string;
  readonly #deps: OutboxDeps;
  #store: OutboxStore;
  readonly #word: Word;
  readonly #adding = new Map<string, OutboxItem>();
  readonly #stored = new Map<string, OutboxItem>();
  readonly #answered = new Map<string, { item: OutboxItem; seq: number }>();
  readonly #done = new Set<string>(); // a list that was read a moment ago may still have them
  readonly #backoff = new Backoff(RETRY);
  #online = false;
  readonly #touched = new Set<string>(); // since the last read began
  #reading = false;
  #readAgain = false;
  #pumping = false;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
    this.owner = deps.owner;
    this.#store = deps.store;
    this.durable = deps.store.durable;
    this.#word = deps.word((owner) => {
      if (owner === this.owner) void this.refresh();
    });
  }

  /** Reads what an earlier page, or another tab, has left. */
  async refresh(): Promise<void> {
    try {
      await this.#read();
      this.#pump();
    } catch {
      await this.#fallBack();
    }
  }

  /** Drawn at once; the promise is for when it is kept. */
  async add(room: Id, text: string): Promise<void> {
    const item = this.#make(room, text);
    this.#adding.set(item.cid, item);
    this.#draw();
    await this.#keep(item);
  }

  /** A failed one, once more, as a new message. */
  async retry(cid: string): Promise<void> {
    const old = this.#stored.get(cid);
    if (!old?.failed) return;
    const item = this.#make(old.room, old.text);
    this.#drop(cid);
    this.#done.add(cid);
    this.#adding.set(item.cid, item);
    this.#draw();
    const there = await this.#store.replace(cid, item).catch(() => false);
    this.#adding.delete(item.cid);
    if (there) this.#put(item);
    this.#changed();
  }

  /** Takes it back. Null: it may have been sent already. */
  async withdraw(cid: string): Promise<OutboxItem | null> {
    const item = this.#stored.get(cid);
    if (!item || !(await this.#store.withdraw(cid).catch(() => false))) return null;
    this.#forget(cid);
    this.#changed();
    return item;
  }

  online(): void {
    this.#online = true;
    this.#backoff.reset();
    this.#wake?.();
    this.#pump();
  }

  offline(): void {
    this.#online = false;
    this.#wake?.();
  }

  /** Entries that are in the log now, which ends with number `last`. */
  learnt(entries: readonly Entry[], last: number): void {
    const seen: string[] = [];
    for (const entry of entries) {
      if (entry.cid === undefined || !sameId(entry.author.id, this.#deps.me)) continue;
      if (this.#stored.has(entry.cid) || this.#adding.has(entry.cid) || this.#answered.has(entry.cid))
        seen.push(entry.cid);
    }
    for (const [cid, { seq }] of this.#answered) if (seq <= last) seen.push(cid);
    if (seen.length === 0) return;
    for (const cid of seen) {
      this.#forget(cid);
      this.#store.remove(cid).then(
        () => this.#word.tell(this.owner),
        () => undefined,
      );
    }
    this.#draw();
  }

  close(): void {
    this.#closed = true;
    this.offline();
    this.#word.close();
  }

  #make(room: Id, text: string): OutboxItem {
    return { cid: uuidv7(), owner: this.owner, room, text, at: this.#deps.now?.() ?? Date.now(), tried: false };
  }

  async #keep(item: OutboxItem): Promise<void> {
    try {
      await this.#store.add(item);
    } catch {
      await this.#fallBack();
      return;
    }
    if (this.#adding.delete(item.cid)) this.#put(item);
    this.#changed();
  }

  /** The browser keeps nothing (any more): what is on the page goes on from memory. */
  async #fallBack(): Promise<void> {
    if (!this.#store.durable) return;
    this.#store = new MemoryOutboxStore();
    this.durable = false;
    for (const item of [...this.#stored.values(), ...this.#adding.values()]) {
      await this.#store.add(item);
      this.#put(item);
    }
    this.#adding.clear();
    this.#changed();
  }

  #forget(cid: string): void {
    this.#adding.delete(cid);
    this.#drop(cid);
    this.#answered.delete(cid);
    this.#done.add(cid);
    if (this.#done.size > DONE_MAX) this.#done.delete(this.#done.values().next().value!);
  }

  /** After each change of the maps. */
  #draw(): void {
    const items = [...this.#adding.values(), ...this.#stored.values()];
    for (const [cid, { item }] of this.#answered) if (!this.#stored.has(cid)) items.push(item);
    this.items = items.sort((a, b) => (a.cid < b.cid ? -1 : 1));
  }

  #changed(): void {
    this.#draw();
    this.#word.tell(this.owner);
    this.#pump();
  }

  #next(): OutboxItem | undefined {
    let next: OutboxItem | undefined;
    for (const item of this.#stored.values()) {
      if (!item.failed && (!next || item.cid < next.cid)) next = item;
    }
    return next;
  }

  #pump(): void {
    if (this.#pumping || !this.#online || this.#closed || !this.#next()) return;
    this.#pumping = true;
    void this.#run().finally(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** Takes turns with the other tabs until there is nothing to send, or nobody to send it to. */
  async #run(): Promise<void> {
    while (this.#online && !this.#closed && this.#next()) {
      let wait_ms = 0;
      try {
        await this.#deps.turns.take(`palaver.outbox.${this.owner}`, async () => {
          wait_ms = await this.#drain();
        });
      } catch {
        wait_ms = this.#backoff.next();
      }
      if (wait_ms > 0 && this.#online) await this.#pause(wait_ms); // without the turn: another tab may do better
    }
  }

  /** Makes `stored` what the store has, but for what this tab changes while it is read. */
  async #read(): Promise<void> {
    if (this.#reading) {
      this.#readAgain = true;
      return;
    }
    this.#reading = true;
    try {
      do {
        this.#readAgain = false;
        this.#touched.clear();
        const items = new Map((await this.#store.all(this.owner)).map((item) => [item.cid, item]));
        for (const cid of this.#stored.keys()) {
          if (!items.has(cid) && !this.#touched.has(cid)) this.#stored.delete(cid);
        }
        for (const [cid, item] of items) {
          if (!this.#touched.has(cid) && !this.#done.has(cid) && !this.#answered.has(cid)) this.#stored.set(cid, item);
        }
      } while (this.#readAgain);
    } finally {
      this.#reading = false;
    }
    this.#draw();
  }

  #put(item: OutboxItem): void {
    this.#touched.add(item.cid);
    this.#stored.set(item.cid, item);
  }

  #drop(cid: string): void {
    this.#touched.add(cid);
    this.#stored.delete(cid);
  }

  /** Sends one after the other, also what other tabs have written. Returns how long to wait before the next try. */
  async #drain(): Promise<number> {
    while (this.#online && !this.#closed) {
      const item = await this.#store.claimNext(this.owner);
      if (!item) {
        await this.#read(); // nothing to send: then nothing is drawn as if there were
        return 0;
      }
      if (this.#done.has(item.cid)) {
        await this.#store.remove(item.cid); // its entry was seen a moment ago
        continue;
      }
      this.#put(item);
      this.#draw();
      const answer = await this.#deps.send(item);
      if (answer.ok) {
        this.#backoff.reset();
        await this.#sent(item, answer);
      } else if (FOR_GOOD.includes(answer.error)) {
        await this.#failed(item, { error: answer.error, message: answer.message });
      } else if (this.#stored.has(item.cid)) {
        return Math.max(answer.retry_ms ?? 0, this.#backoff.next());
      }
    }
    return 0;
  }

  async #sent(item: OutboxItem, answer: { seq: number; nonce: number; at: number }): Promise<void> {
    this.#drop(item.cid);
    if (!this.#done.has(item.cid)) {
      this.#answered.set(item.cid, { item, seq: answer.seq });
      if (this.#deps.sent(item, answer)) this.#forget(item.cid);
    }
    this.#draw();
    await this.#store.remove(item.cid);
    this.#word.tell(this.owner);
  }

  async #failed(item: OutboxItem, failed: { error: FailureCode; message: string }): Promise<void> {
    if (this.#stored.has(item.cid)) this.#put({ ...item, failed });
    this.#draw();
    await this.#store.fail(item.cid, failed);
    this.#word.tell(this.owner);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = done;
    });
  }
}
