// A room as it is looked at: its log, its share of the outbox, who types, what is read, the draft.

import { cleanText, utf8Bytes } from '../lib/text';
import type { Keep } from '../lib/storage';
import { type Call, type Entry, LIMITS, type RoomInfo, sameId, type User } from '../protocol';
import { Draft } from './draft.svelte';
import { RoomLog, type Where } from './log.svelte';
import { type Outbox, ownerId } from './outbox.svelte';
import type { OutboxItem } from './outbox_store';
import { Reading } from './reading.svelte';
import { buildRows, type Row } from './rows';
import { Typing } from './typing.svelte';

const CONTEXT = 20; // read entries above the first unread one

export class Room {
  readonly info: RoomInfo;
  readonly me: User;
  readonly log: RoomLog;
  readonly typing: Typing;
  readonly reading: Reading;
  readonly draft: Draft;
  readonly outbox: Outbox;
  readonly rows: readonly Row[] = $derived.by(() => this.#rows());
  /** Bytes that the draft has too many. */
  readonly excess: number = $derived.by(() => Math.max(0, utf8Bytes(this.draft.text) - LIMITS.text_bytes_max));
  readonly left: number = $derived.by(() => LIMITS.text_bytes_max - utf8Bytes(this.draft.text));
  /** Raised by each send of this tab: the list goes to its end. */
  sends = $state(0);

  readonly #keep: Keep;

  constructor(info: RoomInfo, me: User, outbox: Outbox, call: Call, keep: Keep, tabKeep: Keep) {
    this.info = info;
    this.me = me;
    this.outbox = outbox;
    this.#keep = keep;
    const key = `${outbox.owner}.${info.id}`;
    this.draft = new Draft(keep, tabKeep, key);
    this.reading = new Reading(keep, key, me.id);
    this.typing = new Typing(me.id, () => void call('typing', { room: info.id }));
    this.log = new RoomLog(
      info.id,
      call,
      { learnt: (entries, where) => this.#learnt(entries, where) },
      this.#firstPage(),
    );
  }

  get name(): string {
    return this.info.name;
  }

  /** What was written is on its way; the draft is empty. False: there is nothing to send, or too much. */
  send(): boolean {
    const text = cleanText(this.draft.text);
    if (text === '' || utf8Bytes(text) > LIMITS.text_bytes_max) return false;
    void this.draft.sent(this.outbox.add(this.info.id, text));
    this.typing.sent();
    this.sends++;
    return true;
  }

  /** What waits comes back into the field, before what is there. */
  async edit(cid: string): Promise<void> {
    const item = await this.outbox.withdraw(cid);
    if (!item) return;
    this.draft.set(this.draft.text === '' ? item.text : `${item.text}\n${this.draft.text}`);
  }

  /** Who wrote it: this guest, or one of this browser's before, without a name where nobody knows it. */
  writer(item: OutboxItem): User {
    if (item.owner === this.outbox.owner) return this.me;
    return { id: ownerId(item.owner), name: this.#keep.get(`guest.${item.owner}`) ?? '' };
  }

  write(text: string): void {
    this.draft.set(text);
    if (text.trim() !== '') this.typing.typed();
  }

  close(): void {
    this.log.lost();
    this.typing.clear();
    this.reading.close();
    this.draft.close();
  }

  #firstPage(): number {
    const marker = this.reading.marker;
    const unread = marker === null ? 0 : Math.max(0, this.info.head - marker);
    return Math.min(LIMITS.history_max, Math.max(LIMITS.history_default, unread + CONTEXT));
  }

  #learnt(entries: readonly Entry[], where: Where): void {
    if (where === 'after') this.typing.learnt(entries);
    this.outbox.learnt(entries, this.log.lastSeq);
    this.reading.log(this.log.entries, this.log.lastSeq, where, this.log.more);
  }

  #rows(): Row[] {
    return buildRows({
      entries: this.log.entries,
      more: this.log.more,
      items: this.outbox.items.filter((item) => this.outbox.isForeign(item) || sameId(item.room, this.info.id)),
      me: this.me,
      writer: (item) => this.writer(item),
      newAfter: this.reading.newAfter,
    });
  }
}
