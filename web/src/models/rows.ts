// What the list draws: a row for each message, with what stands above it. Pure.
//
// A row's height depends on its entry and the one before it alone. So while older entries are not loaded, the oldest loaded
// one is held back as the context of the next: a row that was drawn never changes when older ones come before it. The 'New'
// line is the first unread entry's, so it is not drawn while that one may be among those that are not loaded.

import { dayOf, nextDay } from '../lib/time';
import { type Entry, sameId, type User } from '../protocol';
import type { OutboxItem } from './outbox_store';

export const GROUP_MS = 5 * 60_000;

export interface Row {
  /** The same for an item of the outbox and the entry that it becomes. */
  key: string;
  author: User;
  at: number;
  text: string;
  mine: boolean;
  /** Opens a group: with face and name. */
  first: boolean;
  /** Opens a day: its start. */
  day: number | null;
  /** The 'New' line stands above. */
  fresh: boolean;
  entry: Entry | null;
  item: OutboxItem | null;
}

export interface RowsInput {
  entries: readonly Entry[];
  more: boolean;
  items: readonly OutboxItem[];
  me: User;
  /** Who has written an item of the outbox. */
  writer: (item: OutboxItem) => User;
  newAfter: number | null;
}

export function buildRows({ entries, more, items, me, writer, newAfter }: RowsInput): Row[] {
  const rows: Row[] = [];
  const sent = new Set<string>();
  let before: { author: User; at: number } | null = null;
  let day = 0;
  let dayEnd = 0; // exclusive
  let line = newAfter !== null && (!more || (entries[0]?.seq ?? 0) <= newAfter);

  const push = (row: Omit<Row, 'first' | 'day' | 'fresh'>, fresh: boolean) => {
    // What waits stands below the log, of whatever day it is.
    const newDay = row.entry !== null && (row.at < day || row.at >= dayEnd);
    if (newDay) {
      day = dayOf(row.at);
      dayEnd = nextDay(day);
    }
    const apart = before === null ? Infinity : row.entry ? row.at - before.at : Math.abs(row.at - before.at);
    const sameGroup = before !== null && !newDay && !fresh && sameAuthor(before.author, row.author) && apart < GROUP_MS;
    rows.push({ ...row, first: !sameGroup, day: newDay ? day : null, fresh });
    before = row;
  };

  for (const [i, entry] of entries.entries()) {
    const mine = sameId(entry.author.id, me.id);
    sent.add(keyOf(entry));
    if (i === 0 && more) {
      before = entry;
      day = dayOf(entry.at);
      dayEnd = nextDay(day);
      continue;
    }
    const fresh = line && entry.seq > newAfter! && !mine;
    if (fresh) line = false;
    push({ key: keyOf(entry), author: entry.author, at: entry.at, text: entry.text, mine, entry, item: null }, fresh);
  }
  for (const item of items) {
    const author = writer(item);
    const key = `${author.id}:${item.cid}`;
    if (sent.has(key)) continue;
    const mine = sameId(author.id, me.id);
    push({ key, author, at: item.at, text: item.text, mine, entry: null, item }, false);
  }
  return rows;
}

function keyOf(entry: Entry): string {
  return entry.cid === undefined ? `#${entry.seq}` : `${entry.author.id}:${entry.cid}`;
}

/** Guests of the simplest client share an id, but not a name. */
function sameAuthor(a: User, b: User): boolean {
  return sameId(a.id, b.id) && a.name === b.name;
}
