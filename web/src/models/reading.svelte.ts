// How far this guest has read in a room, and where the 'New' line stands. Kept on this device, shared by its tabs.
//
// Read is what was in sight while the page was visible and focused, and what was passed over on the way down. But where entries
// after the marker are not even loaded, nothing is until the reader has been up at the first of them; or passes over them
// knowingly (Esc, the jump to the latest, all the way down by hand, a message of one's own). The line is set where reading
// stopped, by the first entry that comes unseen, and stays there until the reader leaves having read all, or says so (Esc).

import type { Keep } from '../lib/storage';
import { type Entry, type Id, sameId } from '../protocol';
import type { Where } from './log.svelte';

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
  #last = 0; // the log's
  #more = false; // there are entries before those that are known
  #far = false; // some that are not read were not loaded, and the first of them has not been in sight since
  #before: number; // markers beyond this one are of after the log was asked for

  constructor(keep: Keep, key: string, me: Id) {
    this.#keep = keep;
    this.#key = `read.${key}`;
    this.#me = me;
    this.marker = toSeq(keep.get(this.#key));
    this.#before = this.marker ?? 0;
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

  /** The log as it is now, which ends at `last`; `where` it has grown; `more`: there are older ones. */
  log(entries: readonly Entry[], last: number, where: Where, more: boolean): void {
    const known = this.#last;
    this.#entries = entries;
    this.#last = last;
    this.#more = more;
    // A first visit has nothing unread. A marker beyond the end is another tab's, which is ahead of this log; only where the
    // log was fetched anew, and the marker was there before, is it that of another database.
    const before = where === 'anew' ? this.#before : null;
    if (where === 'anew') this.#before = Infinity;
    if (this.marker === null || (before !== null && this.marker > last && this.marker <= before)) {
      this.newAfter = null;
      this.#read(last);
      return;
    }
    if (where === 'after') this.unread += this.#unreadAfter(Math.max(known, this.marker));
    else if (where === 'anew') this.#count();
    else this.unread = Math.max(this.unread, this.#unreadAfter(this.marker));
    if (this.unread > 0 && this.newAfter === null) this.newAfter = this.marker;
    this.#far ||= this.#isBeyond();
  }

  /** Entries were in sight, from the first to the last. `over`: those before them that were not are passed over. */
  saw(first: number, last: number, over = false): void {
    if (!this.#attentive || this.marker === null) return;
    if (this.#far && !this.#isBeyond()) this.#far = first > this.#nextAfter(this.marker);
    if (last > this.marker && (over || !this.#far)) this.#read(last);
  }

  /** An entry that is not read, as far as is known. */
  isUnread(entry: Entry): boolean {
    return this.marker !== null && entry.seq > this.marker && !sameId(entry.author.id, this.#me);
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
    this.#far = this.#isBeyond();
    this.#count();
  }

  /** What comes after the marker is not all loaded. */
  #isBeyond(): boolean {
    return this.#more && this.marker !== null && (this.#entries[0]?.seq ?? 0) > this.marker;
  }

  #nextAfter(seq: number): number {
    return this.#entries.find((entry) => entry.seq > seq)?.seq ?? Infinity;
  }

  #count(): void {
    this.unread = this.marker === null ? 0 : this.#unreadAfter(this.marker);
  }

  /** Entries of others after this one, as far as they are in the window. */
  #unreadAfter(seq: number): number {
    let unread = 0;
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i]!;
      if (entry.seq <= seq) break;
      if (!sameId(entry.author.id, this.#me)) unread++;
    }
    return unread;
  }
}

function toSeq(value: string | null): number | null {
  const seq = value === null ? NaN : Number(value);
  return Number.isSafeInteger(seq) && seq >= 0 ? seq : null;
}
