// The whole of it against a server: coming in, talking, being cut off, and being somebody else.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { GuardedStore, STORE_DEADLINE_MS } from '../../src/models/outbox_guard';
import type { OutboxStore } from '../../src/models/outbox_store';
import { Session } from '../../src/models/session.svelte';
import type { HelloAnswer } from '../../src/models/transport';
import { failure, type Failure, type User } from '../../src/protocol';
import { ANN, BEN, FakeDisk, FakeLog, FakeTransport, hello, MemoryKeep, QueueTurns, Words } from './fake';

let server: FakeLog;
let transport: FakeTransport;
let keep: MemoryKeep;
let tabKeep: MemoryKeep;
let store: OutboxStore;
let turns: QueueTurns;
let words: Words;
let http: (name?: string) => HelloAnswer | Failure;
let user: User;
let session: Session;
let asked: number; // the browser, to keep what is stored

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeLog().fill(3);
  keep = new MemoryKeep();
  tabKeep = new MemoryKeep();
  turns = new QueueTurns();
  words = new Words();
  store = new FakeDisk();
  asked = 0;
  user = ANN;
  http = () => hello(server);
  make();
});
afterEach(() => {
  session.connection.stop();
  vi.useRealTimers();
});

function make(): void {
  transport = new FakeTransport((command, args) =>
    command === 'hello' ? Promise.resolve(hello(server, user) as never) : server.call(command, args),
  );
  server.pushed = (entry) => transport.events?.pushed('entry', entry);
  session = new Session({
    transport,
    httpHello: (name) => Promise.resolve(http(name)),
    keep,
    tabKeep,
    store: () => Promise.resolve(store),
    persist: () => void asked++,
    turns: () => turns,
    word: words.open,
  });
}

const soon = () => vi.advanceTimersByTimeAsync(0);

async function arrive(): Promise<void> {
  session.start();
  await soon();
  transport.events?.opened();
  await soon();
}

function drawn(): string[] {
  return session.room!.rows.map(({ text }) => text);
}

function write(text: string): void {
  session.room!.write(text);
  expect(session.room!.send()).toBe(true);
}

test('without a guest: the first page, a name, the room', async () => {
  http = (name) => (name === undefined ? failure('unauthenticated') : hello(server, { id: 2, name }));
  session.start();
  await soon();
  expect(session.stage).toBe('welcome');
  expect(session.refused).toBe(null);
  expect(await session.join('Ann')).toBe(null);
  transport.events?.opened();
  await soon();
  expect(session.stage).toBe('room');
  expect(session.me?.name).toBe('Ann');
  expect(drawn()).toEqual(['text 1', 'text 2', 'text 3']);
});

test('a name that is refused: the reason, and still at the door', async () => {
  http = (name) => failure(name === undefined ? 'unauthenticated' : 'invalid', 'too long');
  session.start();
  await soon();
  expect(await session.join('x')).toMatchObject({ error: 'invalid', message: 'too long' });
  expect(session.stage).toBe('welcome');
});

test('guests are not let in: said at the door', async () => {
  http = () => failure('guests_refused');
  session.start();
  await soon();
  expect(session.stage).toBe('welcome');
  expect(session.refused?.error).toBe('guests_refused');
});

test('a message is drawn at once and stays one when its entry and its answer come', async () => {
  await arrive();
  expect(asked).toBe(0);
  write('hello');
  expect(asked).toBe(1);
  expect(drawn()).toEqual(['text 1', 'text 2', 'text 3', 'hello']);
  const key = session.room!.rows[3]!.key;
  await soon();
  expect(drawn()).toEqual(['text 1', 'text 2', 'text 3', 'hello']);
  expect(session.room!.rows[3]!.item).toBe(null);
  expect(session.room!.rows[3]!.key).toBe(key);
  expect(session.room!.draft.text).toBe('');
  expect(await store.all('e1:2')).toEqual([]);
});

test('an answer without its push is enough to know the entry', async () => {
  await arrive();
  server.pushed = () => undefined;
  write('hello');
  await soon();
  expect(session.room!.log.last).toMatchObject({ seq: 4, text: 'hello', author: ANN });
  expect(session.room!.outbox.items).toEqual([]);
});

test('cut off between commit and answer: exactly once after the reconnect', async () => {
  await arrive();
  server.between = (command) => {
    if (command === 'message.send') transport.lose();
  };
  server.pushed = () => undefined;
  write('once');
  await soon();
  server.between = () => undefined;
  expect(session.connection.phase).toBe('waiting');
  expect(drawn().filter((text) => text === 'once')).toHaveLength(1);
  server.append(BEN, 'meanwhile');
  await vi.advanceTimersByTimeAsync(1000);
  transport.events?.opened();
  await vi.advanceTimersByTimeAsync(2000);
  expect(drawn()).toEqual(['text 1', 'text 2', 'text 3', 'once', 'meanwhile']);
  expect(session.room!.outbox.items).toEqual([]);
  expect(server.entries.filter(({ text }) => text === 'once')).toHaveLength(1);
});

test('written offline, sent later, in order, behind what others said meanwhile', async () => {
  await arrive();
  transport.lose();
  write('one');
  write('two');
  server.append(BEN, 'meanwhile');
  await vi.advanceTimersByTimeAsync(1000);
  transport.events?.opened();
  await soon();
  expect(drawn().slice(3)).toEqual(['meanwhile', 'one', 'two']);
});

test('the draft survives a reload, also one between sending and storing', async () => {
  await arrive();
  session.room!.write('not yet sent');
  expect(keep.get('draft.e1:2.1')).toBe('not yet sent');
  const add = store.add.bind(store);
  let stored: () => void = () => undefined;
  store.add = (item) => new Promise((resolve) => (stored = () => void add(item).then(resolve)));
  session.room!.send();
  await soon();
  expect(session.room!.draft.text).toBe('');
  expect(keep.get('draft.e1:2.1')).toBe('not yet sent');
  stored();
  await soon();
  expect(keep.get('draft.e1:2.1')).toBe(null);
});

test('what waits can be edited: it comes back into the field', async () => {
  await arrive();
  transport.lose();
  write('one');
  await soon();
  await session.room!.edit(session.room!.outbox.items[0]!.cid);
  expect(session.room!.draft.text).toBe('one');
  expect(session.room!.outbox.items).toEqual([]);
});

test('nothing is sent of blanks, nor of too much', async () => {
  await arrive();
  session.room!.write(' \n ');
  expect(session.room!.send()).toBe(false);
  session.room!.write('ü'.repeat(32769));
  expect(session.room!.excess).toBe(2);
  expect(session.room!.send()).toBe(false);
  expect(session.room!.draft.text).not.toBe('');
});

test('signed out: at the door with a reason; another guest does not send what was left', async () => {
  await arrive();
  transport.lose();
  write('of Ann');
  await soon();
  http = (name) => (name === undefined ? failure('unauthenticated') : hello(server, BEN));
  transport.close();
  await vi.advanceTimersByTimeAsync(1000);
  transport.events!.closed('websocket error');
  await vi.advanceTimersByTimeAsync(2000);
  expect(session.stage).toBe('welcome');
  expect(session.refused?.error).toBe('unauthenticated');
  user = BEN;
  await session.join('Ben');
  transport.events?.opened();
  await soon();
  expect(drawn()).toEqual(['text 1', 'text 2', 'text 3', 'of Ann']);
  const room = session.room!;
  expect(room.outbox.isForeign(room.rows[3]!.item!)).toBe(true);
  expect(room.rows[3]).toMatchObject({ author: { name: 'Ann' }, mine: false });
  expect(server.of('message.send')).toEqual([]);
  expect(await store.all('e1:2')).toHaveLength(1);
  await room.outbox.retry(room.rows[3]!.item!.cid, room.info.id);
  await soon();
  expect(server.entries.at(-1)).toMatchObject({ text: 'of Ann' });
  expect(room.outbox.items).toEqual([]);
});

test('the draft of another guest of this browser is shown as theirs, once', async () => {
  keep.set('draft.e1:9.1', 'half a thought');
  keep.set('guest.e1:9', 'Zoe');
  tabKeep.set('draft.e1:9.1', '=half a thought');
  await arrive();
  expect(drawn().slice(3)).toEqual(['half a thought']);
  expect(session.room!.rows[3]!.author).toEqual({ id: '9', name: 'Zoe' });
  expect(session.room!.draft.text).toBe('');
  expect(keep.keys('draft.')).toEqual([]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(server.of('message.send')).toEqual([]);
  await session.room!.edit(session.room!.rows[3]!.item!.cid);
  expect(session.room!.draft.text).toBe('half a thought');
});

test('two tabs at the door: one guest, and the other tab comes in by itself', async () => {
  let cookie: User | null = null;
  const names: string[] = [];
  http = (name) => {
    if (name !== undefined) {
      names.push(name);
      cookie = { id: 2, name };
    }
    return cookie ? hello(server, cookie) : failure('unauthenticated');
  };
  session.start();
  await soon();
  const first = session;
  make();
  session.start();
  await soon();
  const second = session;
  make();
  session.start();
  await soon();
  expect(await Promise.all([first.join('Ann'), second.join('Bob')])).toEqual([null, null]);
  await soon();
  expect(names).toEqual(['Ann']);
  expect([first.me?.name, second.me?.name, session.me?.name]).toEqual(['Ann', 'Ann', 'Ann']);
  expect(session.stage).toBe('room');
  first.connection.stop();
  second.connection.stop();
});

test('a draft of another tab is not touched by what this one sends', async () => {
  await arrive();
  session.room!.write('a draft of tab A');
  const a = session;
  const tabA = tabKeep;
  tabKeep = new MemoryKeep();
  make();
  await arrive();
  expect(session.room!.draft.text).toBe('a draft of tab A'); // a new tab has the newest
  write('ok');
  await soon();
  keep.change('draft.e1:2.1', null); // as the first tab hears of it
  expect(tabA.get('draft.e1:2.1')).toBe('=a draft of tab A');
  expect(keep.get('draft.e1:2.1')).toBe('a draft of tab A');
  a.connection.stop();
  tabKeep = tabA;
  session.connection.stop();
  make();
  await arrive();
  expect(session.room!.draft.text).toBe('a draft of tab A');
});

test('a draft that a second tab has from the first, and has not touched, goes when the first has sent it', async () => {
  await arrive();
  session.room!.write('a draft of tab A');
  const a = session;
  tabKeep = new MemoryKeep();
  make();
  await arrive();
  expect(session.room!.draft.text).toBe('a draft of tab A');
  a.room!.send();
  await soon();
  expect(keep.get('draft.e1:2.1')).toBe(null);
  keep.change('draft.e1:2.1', null); // as the second tab hears of it
  expect(session.room!.draft.text).toBe('');
  expect(keep.get('draft.e1:2.1')).toBe(null);
  session.room!.write('touched');
  keep.change('draft.e1:2.1', null);
  expect(session.room!.draft.text).toBe('touched');
  expect(keep.get('draft.e1:2.1')).toBe('touched');
  a.connection.stop();
});

test('a database that does not answer keeps neither the log nor what is written', async () => {
  const disk = store;
  store = new GuardedStore(disk);
  for (const what of ['all', 'add', 'claimNext'] as const) disk[what] = () => new Promise<never>(() => undefined);
  await arrive();
  expect(drawn()).toEqual(['text 1', 'text 2', 'text 3']);
  write('hello');
  await vi.advanceTimersByTimeAsync(STORE_DEADLINE_MS);
  expect(drawn().at(-1)).toBe('hello');
  expect(session.room!.outbox.items).toEqual([]);
  expect(server.entries.at(-1)?.text).toBe('hello');
});

test('what is kept in this tab only comes back with a reload, as the same message, and is no draft', async () => {
  await arrive();
  transport.lose();
  store.add = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
  write('not in the database');
  await soon();
  expect(session.room!.outbox.kept).toBe('tab');
  const { cid } = session.room!.outbox.items[0]!;
  expect(keep.keys('draft.')).toEqual([]);
  session.connection.stop();
  store = new FakeDisk();
  make();
  await arrive();
  expect(session.room!.draft.text).toBe('');
  expect(session.room!.outbox.kept).toBe('device');
  expect(server.entries.filter((each) => each.cid === cid).map(({ text }) => text)).toEqual(['not in the database']);
  expect(tabKeep.keys('outbox')).toEqual([]);
});

test('what is typed while a message is being stored does not cost what is not stored yet', async () => {
  await arrive();
  store.add = () => new Promise(() => undefined);
  write('not stored yet');
  session.room!.write('next');
  expect(keep.get('draft.e1:2.1')).toBe('not stored yet\nnext');
  expect(session.room!.draft.text).toBe('next');
});

test('typing: told at most every three seconds, heard, and over after five or with the message', async () => {
  server.fill(97);
  await arrive();
  const room = session.room!;
  room.write('h');
  room.write('he');
  await vi.advanceTimersByTimeAsync(2999);
  room.write('hel');
  expect(server.of('typing')).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  room.write('hell');
  expect(server.of('typing')).toHaveLength(2);
  transport.events?.pushed('typing', { room: 1, user: BEN });
  transport.events?.pushed('typing', { room: 1, user: ANN });
  expect(room.typing.users).toEqual([BEN]);
  await vi.advanceTimersByTimeAsync(4999);
  expect(room.typing.users).toEqual([BEN]);
  await vi.advanceTimersByTimeAsync(1);
  expect(room.typing.users).toEqual([]);
  transport.events?.pushed('typing', { room: 1, user: BEN });
  await room.log.loadOlder(); // what Ben has said long ago does not end it
  expect(room.typing.users).toEqual([BEN]);
  server.say(BEN, 'there');
  expect(room.typing.users).toEqual([]);
});

test('unread: counted while away, with a line that stays until all was read and left', async () => {
  session.attentive = true;
  await arrive();
  const { reading } = session.room!;
  expect(reading.unread).toBe(0);
  session.attentive = false;
  server.say(BEN, 'four');
  server.say(BEN, 'five');
  expect(reading.unread).toBe(2);
  expect(session.room!.rows.filter(({ fresh }) => fresh).map(({ text }) => text)).toEqual(['four']);
  session.attentive = true;
  reading.saw(1, 5);
  expect(reading.unread).toBe(0);
  expect(reading.newAfter).toBe(3); // still there
  session.attentive = false;
  expect(reading.newAfter).toBe(null);
  server.say(BEN, 'six');
  keep.change('read.e1:2.1', '6'); // read in another tab
  expect(reading.unread).toBe(0);
});

test('read further in another tab, which is ahead: it does not come back as unread', async () => {
  await arrive();
  const { reading } = session.room!;
  server.append(BEN, 'four');
  server.append(BEN, 'five');
  keep.change('read.e1:2.1', '5');
  transport.events?.pushed('entry', server.entries[3]!);
  expect(keep.get('read.e1:2.1')).toBe('5');
  transport.events?.pushed('entry', server.entries[4]!);
  expect(reading.unread).toBe(0);
  expect(keep.get('read.e1:2.1')).toBe('5');
});

test('a marker beyond the end of a log that is fetched anew is that of another one', async () => {
  keep.set('read.e1:2.1', '50');
  await arrive();
  expect(keep.get('read.e1:2.1')).toBe('3');
  server.say(BEN, 'four');
  expect(session.room!.reading.unread).toBe(1);
});

test('more unread than is loaded: nothing is read, and no line drawn, before the first of them was in sight', async () => {
  server.fill(400);
  keep.set('read.e1:2.1', '3');
  await arrive();
  const { log, reading, rows } = session.room!;
  session.attentive = true;
  expect(log.firstSeq).toBe(204);
  expect(reading.isUnread(rows[0]!.entry!)).toBe(true);
  expect(rows.some(({ fresh }) => fresh)).toBe(false);
  reading.saw(395, 403);
  expect(reading.marker).toBe(3);
  while (log.more) await log.loadOlder();
  expect(session.room!.rows.find(({ fresh }) => fresh)?.entry?.seq).toBe(4);
  reading.saw(6, 12); // on the way up, short of the first
  expect(reading.marker).toBe(3);
  reading.saw(1, 3); // and beyond it
  expect(reading.marker).toBe(3);
  reading.saw(6, 12);
  expect(reading.marker).toBe(12);
  reading.saw(290, 300); // the others are passed over, on the way down
  expect(reading.marker).toBe(300);
});

test('who jumps over what is not loaded has read it', async () => {
  server.fill(400);
  keep.set('read.e1:2.1', '3');
  await arrive();
  session.attentive = true;
  session.room!.reading.saw(395, 403, true);
  expect(session.room!.reading.unread).toBe(0);
});

test('the next visit opens at the first unread entry', async () => {
  keep.set('read.e1:2.1', '1');
  await arrive();
  expect(session.room!.reading.unread).toBe(2);
  expect(session.room!.rows.find(({ fresh }) => fresh)?.text).toBe('text 2');
  session.room!.reading.readAll();
  expect(session.room!.reading.unread).toBe(0);
  expect(session.room!.rows.some(({ fresh }) => fresh)).toBe(false);
});
