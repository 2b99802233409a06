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
//
// What other guests of this browser have left is drawn too, and sent only if somebody says so: as a new one, of this guest.
// A browser that cannot keep (any more) what was written is no reason not to send it: then it goes on from memory, with the
// tab's own storage behind it, and back to the database when that works again.

import { Backoff } from '../lib/backoff';
import type { Keep } from '../lib/storage';
import { afterUuid, uuidv7 } from '../lib/uuid';
import { type Answer, type Entry, type Failure, type FailureCode, type Id, sameId } from '../protocol';
import { MemoryOutboxStore, type OutboxItem, type OutboxStore } from './outbox_store';
import type { OpenWord, Said, Turns, Word } from './turns';

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
/** With these the server says that it has done nothing: what was claimed for the first time can be taken back again. */
const NOT_DONE: readonly FailureCode[] = ['busy', 'rate_limited', 'unavailable', 'unauthenticated'];
const DONE_MAX = 1000;
const RETRY = { first_ms: 500, max_ms: 20_000 };
const DISK_AGAIN = { first_ms: 5000, max_ms: 60_000 };

/** What outlives what waits here: the tab (it is in the database), a reload of the tab, or nothing. */
export type Kept = 'device' | 'tab' | 'page';

/** An owner is an epoch and this. */
export function ownerId(owner: string): Id {
  return owner.slice(owner.lastIndexOf(':') + 1);
}

export interface Sent {
  seq: number;
  nonce: number;
  at: number;
}

export interface OutboxDeps {
  owner: string;
  /** Whose messages these are. */
  me: Id;
  store: OutboxStore;
  /** Something is written: the browser is to keep it. Called for each, before it is stored. */
  persist: () => void;
  /** This tab's own storage, for what the store does not take. */
  tab: Keep;
  turns: Turns;
  /** Opens the word to other tabs. */
  word: OpenWord;
  send: (item: OutboxItem) => Promise<Answer<'message.send'>>;
  /** The server has committed it under this number. True: the log is past it, there is nothing more to draw. */
  sent: (item: OutboxItem, answer: Sent) => boolean;
  /** What the store has is known anew: some of it may be in the log already. */
  read?: () => void;
  now?: () => number;
}

export class Outbox {
  /** To be drawn, in the order of writing: waiting, failed, and answered but not yet in the log. */
  items = $state.raw<readonly OutboxItem[]>([]);
  kept = $state<Kept>('device');
  /** Why the oldest one is not sent yet, as far as the server has said. */
  problem = $state.raw<Failure | null>(null);

  readonly owner: string;
  readonly #deps: OutboxDeps;
  readonly #memory: MemoryOutboxStore;
  #store: OutboxStore; // the one in `deps`, or memory while that one does not work
  readonly #gone = new Set<string>(); // meanwhile, and perhaps still in the one that does not work
  readonly #diskAgain = new Backoff(DISK_AGAIN);
  #diskTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #word: Word;
  readonly #adding = new Map<string, OutboxItem>();
  readonly #keeping = new Map<string, Promise<void>>();
  readonly #stored = new Map<string, OutboxItem>();
  readonly #foreign = new Map<string, OutboxItem>();
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
    this.#memory = new MemoryOutboxStore(deps.tab);
    this.#store = deps.store;
    this.#word = deps.word((said) => this.#heard(said));
    if (!deps.store.durable) this.#fallBack();
  }

  /** Of another guest: it goes out only as a new one. */
  isForeign(item: OutboxItem): boolean {
    return item.owner !== this.owner || item.draft === true;
  }

  /** How many go out by themselves. */
  get waiting(): number {
    return this.items.filter((item) => !item.failed && !this.isForeign(item)).length;
  }

  /** Reads what an earlier page, or another tab, has left. */
  async refresh(): Promise<void> {
    try {
      if (this.#store !== this.#memory) await this.#toDisk(); // what this tab had to keep by itself before a reload
      await this.#read();
      this.#pump();
    } catch {
      this.#fallBack();
    }
  }

  /** Drawn at once; the promise is for when it is kept. */
  async add(room: Id, text: string): Promise<void> {
    const item = this.#make(room, text);
    this.#adding.set(item.cid, item);
    this.#draw();
    this.#deps.persist();
    const kept = this.#keep(item);
    this.#keeping.set(item.cid, kept);
    await kept;
    this.#keeping.delete(item.cid);
  }

  /** A failed one, or another guest's, once more: as a new message, in this room. */
  async retry(cid: string, room?: Id): Promise<void> {
    const own = this.#stored.get(cid);
    const old = own?.failed ? own : this.#foreign.get(cid);
    if (!old) return;
    const item = this.#make(room ?? old.room, old.text);
    this.#forget(cid);
    this.#adding.set(item.cid, item);
    this.#draw();
    try {
      const there = await this.#store.replace(cid, item);
      if (this.#adding.delete(item.cid) && there) this.#put(item);
    } catch {
      this.#fallBack();
    }
    this.#cleared(cid);
    this.#changed();
  }

  /** Takes it back. Null: it may have been sent already. */
  async withdraw(cid: string): Promise<OutboxItem | null> {
    await this.#keeping.get(cid); // just written: there is nothing to take back before
    const item = this.#stored.get(cid) ?? this.#foreign.get(cid);
    if (!item) return null;
    const take = async () => {
      if (!this.isForeign(item)) return this.#store.withdraw(cid);
      await this.#store.remove(cid);
      return true;
    };
    const taken = await take().catch(() => {
      this.#fallBack();
      return take();
    });
    if (!taken) return null;
    this.#forget(cid);
    this.#cleared(cid);
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
    const seen = new Set<string>();
    for (const entry of entries) {
      if (entry.cid === undefined) continue;
      const foreign = this.#foreign.get(entry.cid);
      const item = foreign ?? this.#stored.get(entry.cid) ?? this.#adding.get(entry.cid);
      const author = foreign ? ownerId(foreign.owner) : this.#deps.me;
      if ((!item && !this.#answered.has(entry.cid)) || !sameId(entry.author.id, author)) continue;
      seen.add(entry.cid);
      if (item) this.#word.tell({ kind: 'sent', item, answer: entry });
    }
    for (const [cid, { seq }] of this.#answered) if (seq <= last) seen.add(cid);
    if (seen.size === 0) return;
    for (const cid of seen) {
      this.#forget(cid);
      this.#remove(cid).catch(() => undefined);
    }
    this.#draw();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#diskTimer);
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
      this.#fallBack();
      return;
    }
    if (this.#adding.delete(item.cid)) this.#put(item);
    this.#changed();
  }

  /** The database does not work (any more): what is on the page goes on from memory. */
  #fallBack(): void {
    if (this.#store === this.#memory) return;
    this.#store = this.#memory;
    const items = [...this.#stored.values(), ...this.#adding.values()].filter((item) => !this.#done.has(item.cid));
    this.#memory.put(...this.#foreign.values(), ...items);
    for (const item of this.#memory.items) {
      if (this.isForeign(item)) this.#foreign.set(item.cid, item);
      else this.#put(item);
    }
    this.#adding.clear();
    this.#changed();
    this.#comeBackLater();
  }

  #comeBackLater(): void {
    clearTimeout(this.#diskTimer);
    if (!this.#closed) this.#diskTimer = setTimeout(() => void this.#comeBack(), this.#diskAgain.next());
  }

  /** To the database, if that works again. */
  async #comeBack(): Promise<void> {
    try {
      await this.#deps.store.lease('probe', 'probe', 0);
      if (this.#closed) return;
      if (!this.#deps.store.durable) throw new Error('it does not work yet, or there is none');
      for (const cid of this.#gone) {
        await this.#deps.store.remove(cid);
        this.#gone.delete(cid);
      }
      await this.#toDisk();
      this.#diskAgain.reset();
      await this.refresh();
      this.#changed();
    } catch {
      this.#comeBackLater();
    }
  }

  /** What only this tab has goes to the database, also what changes meanwhile; then the database is what counts. */
  async #toDisk(): Promise<void> {
    const saved = new Set<OutboxItem>();
    for (;;) {
      const item = this.#memory.items.find((each) => !saved.has(each) && !this.#gone.has(each.cid));
      if (!item) break;
      await this.#deps.store.add(item);
      saved.add(item);
    }
    this.#store = this.#deps.store;
    if (saved.size > 0) this.#memory.clear();
  }

  /** From wherever it is kept. */
  async #remove(cid: string): Promise<void> {
    if (this.#store === this.#memory) this.#lift(cid);
    await this.#store.remove(cid);
  }

  /** From the database too, as soon as that works. */
  #lift(cid: string): void {
    this.#gone.add(cid);
    if (this.#gone.size > DONE_MAX) this.#gone.delete(this.#gone.values().next().value!); // an old one, sent long ago
    void this.#deps.store.remove(cid).then(
      () => this.#gone.delete(cid),
      () => undefined,
    );
  }

  /** Taken back or replaced: nobody has it any more. */
  #cleared(cid: string): void {
    if (this.#store === this.#memory) this.#lift(cid);
    this.#word.tell({ kind: 'gone', cid });
  }

  #heard(said: Said): void {
    if (said.kind === 'outbox') {
      void this.refresh();
    } else if (said.kind === 'gone') {
      if (!this.#stored.has(said.cid) && !this.#foreign.has(said.cid)) return;
      this.#forget(said.cid);
      void this.#memory.remove(said.cid);
      this.#draw();
    } else if (said.kind === 'sent') {
      const { item, answer } = said;
      if (item.owner === this.owner) this.#answer(item, answer);
      else this.#forget(item.cid);
      void this.#memory.remove(item.cid);
      this.#draw();
    }
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
    const items = [...this.#foreign.values(), ...this.#adding.values(), ...this.#stored.values()];
    for (const [cid, { item }] of this.#answered) if (!this.#stored.has(cid)) items.push(item);
    this.items = items.sort((a, b) => (a.cid < b.cid ? -1 : 1));
    this.kept = this.#store !== this.#memory ? 'device' : this.#memory.kept ? 'tab' : 'page';
  }

  #changed(): void {
    this.#draw();
    this.#word.tell({ kind: 'outbox', owner: this.owner });
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
        const drain = async () => void (wait_ms = await this.#drain());
        // From memory it goes without the others: what two tabs send under one cid is one message.
        if (this.#store !== this.#memory) await this.#deps.turns.take(`palaver.outbox.${this.owner}`, drain);
        else await drain();
      } catch {
        if (this.#store !== this.#memory) this.#fallBack();
        else wait_ms = this.#backoff.next();
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
        const items = await this.#store.all(this.owner);
        this.#take(this.#stored, new Map(items.filter((item) => !item.draft).map((item) => [item.cid, item])));
        const foreign = [...items.filter((item) => item.draft), ...(await this.#store.others(this.owner))];
        this.#take(this.#foreign, new Map(foreign.map((item) => [item.cid, item])));
      } while (this.#readAgain);
    } finally {
      this.#reading = false;
    }
    this.#deps.read?.();
    this.#draw();
  }

  #take(known: Map<string, OutboxItem>, items: Map<string, OutboxItem>): void {
    for (const cid of known.keys()) if (!items.has(cid) && !this.#touched.has(cid)) known.delete(cid);
    for (const [cid, item] of items) {
      afterUuid(cid);
      if (!this.#touched.has(cid) && !this.#done.has(cid) && !this.#answered.has(cid)) known.set(cid, item);
    }
  }

  #put(item: OutboxItem): void {
    this.#touched.add(item.cid);
    this.#stored.set(item.cid, item);
  }

  #drop(cid: string): void {
    this.#touched.add(cid);
    this.#stored.delete(cid);
    this.#foreign.delete(cid);
  }

  /** Sends one after the other, also what other tabs have written. Returns how long to wait before the next try. */
  async #drain(): Promise<number> {
    const store = this.#store;
    while (this.#online && !this.#closed && store === this.#store) {
      const claim = await store.claimNext(this.owner);
      if (!claim) {
        await this.#read(); // nothing to send: then nothing is drawn as if there were
        return 0;
      }
      const { item, again } = claim;
      if (this.#done.has(item.cid)) {
        await this.#remove(item.cid); // its entry was seen a moment ago
        continue;
      }
      // Meanwhile the connection may be gone, or another guest's.
      if (!this.#online || this.#closed) {
        if (!again) await this.#store.unclaim(item.cid);
        return 0;
      }
      this.#put(item);
      this.#draw();
      const answer = await this.#deps.send(item);
      if (answer.ok) {
        this.#backoff.reset();
        this.problem = null;
        await this.#sent(item, answer);
      } else if (FOR_GOOD.includes(answer.error)) {
        this.problem = null;
        await this.#failed(item, { error: answer.error, message: answer.message });
      } else if (this.#stored.has(item.cid)) {
        if (!again && (answer.unsent || NOT_DONE.includes(answer.error))) await this.#unclaim(item);
        this.problem = answer.error === 'lost' ? null : answer;
        return Math.max(answer.retry_ms ?? 0, this.#backoff.next());
      }
    }
    return 0;
  }

  async #unclaim(item: OutboxItem): Promise<void> {
    await this.#store.unclaim(item.cid);
    if (this.#stored.has(item.cid)) this.#put({ ...item, tried: false });
    this.#draw();
  }

  async #sent(item: OutboxItem, answer: Sent): Promise<void> {
    this.#answer(item, answer);
    this.#draw();
    this.#word.tell({ kind: 'sent', item, answer });
    await this.#remove(item.cid);
  }

  /** It is in the server's log: drawn until it is in this one too. */
  #answer(item: OutboxItem, answer: Sent): void {
    this.#adding.delete(item.cid);
    this.#drop(item.cid);
    if (this.#done.has(item.cid) || this.#answered.has(item.cid)) return;
    this.#answered.set(item.cid, { item, seq: answer.seq });
    if (this.#closed || this.#deps.sent(item, answer)) this.#forget(item.cid);
  }

  async #failed(item: OutboxItem, failed: { error: FailureCode; message: string }): Promise<void> {
    if (this.#stored.has(item.cid)) this.#put({ ...item, failed });
    this.#draw();
    await this.#store.fail(item.cid, failed);
    this.#word.tell({ kind: 'outbox', owner: this.owner });
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
