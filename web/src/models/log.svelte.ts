// A room's log as far as this page knows it: a window of entries without a gap, that ends at the newest known one. What is
// pushed is only believed if its number is the next; everything else is fetched by number (docs/chat.md).
//
//	entries:  [first ............ last]      waiting: {last+3, last+4, ...} until what lies between is there
//	    older <- room.history       room.sync ->

import { Backoff } from '../lib/backoff';
import { type Call, type Entry, failure, type Failure, type FailureCode, type Id, LIMITS, sameId } from '../protocol';

/** So many entries behind the head, a client starts anew from the newest page. */
export const MISSED_MAX = 1000;
/** Entries beyond the first number are forgotten down to the second, but for unread ones: the page's memory stays flat. */
export const WINDOW_MAX = 1500;
const WINDOW_KEPT = 750;
const UNREAD_KEPT = 5000;
const WAITING_MAX = 1000;
const READ_KEPT = 20; // read ones above the first unread one
/** What the server answers when it will be able to later. */
const NOT_NOW: readonly FailureCode[] = ['busy', 'rate_limited'];
const RETRY = { first_ms: 500, max_ms: 15_000 };
/** So long it goes on trying before people are told. */
export const FAILING_SHOWN_AFTER_MS = 2000;

export type Where = 'after' | 'before' | 'anew';

export interface LogEvents {
  /** Entries that are in the log now: after those that were known, before them, or all that is known now. */
  learnt(entries: readonly Entry[], where: Where): void;
}

export class RoomLog {
  /** In the order of seq, without a gap. */
  entries = $state.raw<readonly Entry[]>([]);
  /** There are older ones. */
  more = $state(false);
  /** The newest page is there. */
  loaded = $state(false);
  /** The room is gone, or is not for us. */
  gone = $state<Failure | null>(null);
  loadingOlder = $state(false);
  olderFailed = $state<Failure | null>(null);
  /** Why newer entries have not come for a while; it goes on trying. */
  failing = $state<Failure | null>(null);
  /** Raised when all was forgotten: what was drawn has nothing to do with what comes. */
  generation = $state(0);

  readonly room: Id;
  readonly #call: Call;
  readonly #events: LogEvents;
  readonly #waiting = new Map<number, Entry>();
  readonly #backoff = new Backoff(RETRY);
  #epoch = ''; // of the entries that are known
  #helloEpoch = '';
  #online = false;
  #running = false;
  #again = false;
  readonly #wakes = new Set<() => void>();
  #olderWanted = false; // could not be asked for
  #problem: Failure | null = null; // of the last try
  #failingTimer: ReturnType<typeof setTimeout> | undefined;
  #firstPage: number;

  /** `firstPage`: how many entries to begin with. */
  constructor(room: Id, call: Call, events: LogEvents, firstPage: number = LIMITS.history_default) {
    this.room = room;
    this.#call = call;
    this.#events = events;
    this.#firstPage = firstPage;
  }

  get last(): Entry | undefined {
    return this.entries[this.entries.length - 1];
  }

  get lastSeq(): number {
    return this.last?.seq ?? 0;
  }

  get firstSeq(): number {
    return this.entries[0]?.seq ?? 0;
  }

  /** Connected: entries after `head` will be pushed; those before it are fetched here. */
  resume(epoch: string, head: number, nonce: number): void {
    this.#online = true;
    for (const seq of this.#waiting.keys()) if (seq <= head) this.#waiting.delete(seq); // fetched, as they are now
    this.olderFailed = null;
    if (this.loaded && epoch === this.#epoch) {
      this.#helloEpoch = epoch;
      if (head === this.lastSeq && nonce === (this.last?.nonce ?? 0)) {
        this.#drain();
        if (this.#waiting.size > 0) this.#catchUp();
        this.#olderAgain();
        return;
      }
      if (head - this.lastSeq > MISSED_MAX) this.#forget();
    }
    this.#helloEpoch = epoch;
    this.#catchUp();
    this.#olderAgain();
  }

  lost(): void {
    this.#online = false;
    this.#waiting.clear(); // the next connection brings them, or others in their place
    this.#failed(null);
    this.retry();
  }

  /** By hand: what waits for its next try is tried now. */
  retry(): void {
    for (const wake of this.#wakes) wake();
  }

  /** An entry that was pushed, or that an answer tells of. */
  receive(entry: Entry): void {
    if (!sameId(entry.room, this.room)) return;
    if (!this.loaded) {
      this.#wait(entry);
      return;
    }
    if (entry.seq <= this.lastSeq) {
      // The same number with another nonce: the server's log is not the one that we know.
      const known = this.entries[entry.seq - this.firstSeq];
      if (known && known.nonce !== entry.nonce) this.#catchUp();
      return;
    }
    if (this.#running || entry.seq !== this.lastSeq + 1) {
      this.#wait(entry);
      if (!this.#running) this.#catchUp();
      return;
    }
    this.#append([entry]);
  }

  /** The server could not push everything. */
  gap(): void {
    this.#catchUp();
  }

  async loadOlder(): Promise<void> {
    if (!this.more || this.loadingOlder || !this.loaded) return;
    if (!this.#online) {
      this.#olderWanted = true;
      return;
    }
    const generation = this.generation;
    const before = this.firstSeq;
    this.loadingOlder = true;
    this.olderFailed = null;
    this.#olderWanted = false;
    const backoff = new Backoff(RETRY);
    const ask = () => this.#call('room.history', { room: this.room, before, limit: LIMITS.history_default });
    const same = () => generation === this.generation && before === this.firstSeq;
    let answer = await ask();
    while (!answer.ok && NOT_NOW.includes(answer.error) && this.#online && same()) {
      await this.#pause(Math.max(answer.retry_ms ?? 0, backoff.next()));
      if (this.#online) answer = await ask();
    }
    this.loadingOlder = false;
    if (!same()) {
      this.#startWithTwo();
      return;
    }
    if (!answer.ok) {
      // Without a connection there is nothing to say but that; with the next one it goes on.
      this.#olderWanted = !this.#online || answer.error === 'lost';
      if (!this.#olderWanted) this.olderFailed = answer;
      else if (this.#online) this.#olderAgain();
      return;
    }
    const older = ascending(answer.entries).filter((entry) => entry.seq < before);
    this.more = answer.more && older.length > 0;
    this.entries = [...older, ...this.entries];
    this.#events.learnt(older, 'before');
  }

  /** Forgets the oldest of a long window, what is not read (after `read`) last. Only where its end is in sight. */
  trim(read: number): void {
    if (this.entries.length <= WINDOW_MAX || this.loadingOlder) return;
    const kept = Math.min(UNREAD_KEPT, Math.max(WINDOW_KEPT, this.lastSeq - read + READ_KEPT));
    if (this.entries.length - kept < WINDOW_MAX - WINDOW_KEPT) return; // not for a few
    this.entries = this.entries.slice(-kept);
    this.more = true;
  }

  /** The oldest entry is not drawn while there are older ones: alone it would leave the room empty. */
  #startWithTwo(): void {
    if (this.entries.length === 1) void this.loadOlder();
  }

  #olderAgain(): void {
    if (this.#olderWanted) void this.loadOlder();
    else this.#startWithTwo();
  }

  #wait(entry: Entry): void {
    if (this.#waiting.size < WAITING_MAX) this.#waiting.set(entry.seq, entry);
  }

  #catchUp(): void {
    this.#again = true;
    if (!this.#running && this.#online) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    this.#backoff.reset();
    while (this.#online && this.#again && !this.gone) {
      this.#again = false;
      const before = this.lastSeq;
      const asked = this.loaded ? this.#sync() : this.#firstHistory();
      const problem = await asked.catch(() => failure('unknown')); // an answer that makes no sense
      this.#failed(this.#online ? problem : null);
      if (!problem) this.#drain();
      if (problem || this.#waiting.size > 0) this.#again = true;
      // Neither an error nor an answer that does not help is asked again at once.
      const stuck = problem !== null || (this.#waiting.size > 0 && this.lastSeq === before);
      if (stuck && this.#online) await this.#pause(Math.max(problem?.retry_ms ?? 0, this.#backoff.next()));
    }
    this.#running = false;
  }

  /** Told only when it lasts. */
  #failed(problem: Failure | null): void {
    this.#problem = problem;
    if (problem === null) {
      clearTimeout(this.#failingTimer);
      this.#failingTimer = undefined;
      this.failing = null;
    } else if (this.failing) {
      this.failing = problem;
    } else {
      this.#failingTimer ??= setTimeout(() => (this.failing = this.#problem), FAILING_SHOWN_AFTER_MS);
    }
  }

  async #firstHistory(): Promise<Failure | null> {
    const answer = await this.#call('room.history', { room: this.room, limit: this.#firstPage });
    if (!answer.ok) return this.#unlessGone(answer);
    this.#epoch = this.#helloEpoch;
    this.#replace(ascending(answer.entries), answer.more);
    return null;
  }

  async #sync(): Promise<Failure | null> {
    const last = this.last;
    const answer = await this.#call('room.sync', {
      epoch: this.#epoch,
      rooms: { [String(this.room)]: last ? [last.seq, last.nonce] : [0, 0] },
    });
    if (!answer.ok) {
      if (answer.error === 'invalid') this.#forget(); // what we know is not even understood: start anew
      return this.#unlessGone(answer);
    }
    this.#epoch = answer.epoch;
    const page = answer.rooms.find((each) => sameId(each.room, this.room));
    if (!page) return null;
    if ('error' in page) {
      this.gone = failure(page.error);
      return null;
    }
    if (page.reset) {
      this.#forget();
      this.#replace(ascending(page.entries), page.more);
      return null;
    }
    const known = this.lastSeq;
    this.#append(ascending(page.entries).filter((entry) => entry.seq > known));
    if (page.more) this.#again = true;
    return null;
  }

  #unlessGone(answer: Failure): Failure | null {
    if (answer.error !== 'not_found') return answer;
    this.gone = answer;
    return null;
  }

  #replace(entries: Entry[], more: boolean): void {
    this.entries = entries;
    this.more = more;
    this.loaded = true;
    this.#events.learnt(entries, 'anew');
    this.#startWithTwo();
  }

  #forget(): void {
    this.entries = [];
    this.more = false;
    this.loaded = false;
    this.olderFailed = null;
    this.#olderWanted = false;
    this.generation++;
  }

  /** What was pushed meanwhile and is next now. */
  #drain(): void {
    const next: Entry[] = [];
    for (let seq = this.lastSeq + 1; this.#waiting.has(seq); seq++) next.push(this.#waiting.get(seq)!);
    if (next.length > 0) this.#append(next);
    for (const seq of this.#waiting.keys()) if (seq <= this.lastSeq) this.#waiting.delete(seq);
  }

  #append(entries: Entry[]): void {
    if (entries.length === 0) return;
    this.entries = [...this.entries, ...entries];
    this.#events.learnt(entries, 'after');
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wakes.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wakes.add(done);
    });
  }
}

function ascending(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => a.seq - b.seq);
}
