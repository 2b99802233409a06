// How far this guest has read in a room, and where the 'New' line stands. Kept on this device, shared by its tabs.
//
// Read is what was in sight while the page was visible and focused. The line is set where reading stopped, by the first
// entry that comes unseen, and stays there until the reader leaves having read all, or says so (Esc).

import type { Keep } from '../lib/storage';
import { type Entry, type Id, sameId } from '../protocol';

export class Reading {
  /** The newest entry that was read; null before the first page is there. */
  marker = $state<number | null>(null);
  /** The line stands after this entry. */
  newAfter = $state<number | null>(null);
  /** Entries of others after the marker, as far as they are known. */
  unread = $state(0);

  readonly #keep: Keep;
  readonly #key: string;
  readonly #me: Id;
  readonly #unwatch: () => void;
  #attentive = false;
  #entries: readonly Entry[] = [];

  constructor(keep: Keep, key: string, me: Id) {
    this.#keep = keep;
    this.#key = `read.${key}`;
    this.#me = me;
    this.marker = toSeq(keep.get(this.#key));
    this.#unwatch = keep.watch(this.#key, (value) => {
      const seq = toSeq(value);
      if (seq !== null && this.marker !== null && seq > this.marker) this.#read(seq);
    });
  }

  close(): void {
    this.#unwatch();
  }

  /** The page is visible and has the focus. */
  set attentive(attentive: boolean) {
    if (this.#attentive && !attentive && this.unread === 0) this.newAfter = null;
    this.#attentive = attentive;
  }

  get attentive(): boolean {
    return this.#attentive;
  }

  /** The log as it is now, which ends at `last`. */
  log(entries: readonly Entry[], last: number): void {
    this.#entries = entries;
    // A first visit has nothing unread; nor has a marker beyond the log's end a meaning (another database).
    if (this.marker === null || this.marker > last) {
      this.newAfter = null;
      this.#read(last);
      return;
    }
    this.#count();
    if (this.unread > 0 && this.newAfter === null) this.newAfter = this.marker;
  }

  /** An entry was in sight. */
  saw(seq: number): void {
    if (this.#attentive && this.marker !== null && seq > this.marker) this.#read(seq);
  }

  /** Esc: all of it, and no line any more. */
  readAll(): void {
    const last = this.#entries[this.#entries.length - 1];
    if (last) this.#read(last.seq);
    this.newAfter = null;
  }

  #read(seq: number): void {
    this.marker = seq;
    this.#keep.set(this.#key, String(seq));
    this.#count();
  }

  #count(): void {
    let unread = 0;
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i]!;
      if (this.marker !== null && entry.seq <= this.marker) break;
      if (!sameId(entry.author.id, this.#me)) unread++;
    }
    this.unread = unread;
  }
}

function toSeq(value: string | null): number | null {
  const seq = value === null ? NaN : Number(value);
  return Number.isSafeInteger(seq) && seq >= 0 ? seq : null;
}
