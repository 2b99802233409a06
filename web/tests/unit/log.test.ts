// The log without gaps: what is pushed, what is missed, what is older, and a server whose log is another one.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { FAILING_SHOWN_AFTER_MS, MISSED_MAX, RoomLog, WINDOW_MAX } from '../../src/models/log.svelte';
import { type Entry, failure } from '../../src/protocol';
import { entry, FakeLog, ROOM } from './fake';

let server: FakeLog;
let learnt: Entry[];

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeLog();
  learnt = [];
});
afterEach(() => vi.useRealTimers());

function open(): RoomLog {
  const log = new RoomLog(ROOM, server.call, { learnt: (entries) => learnt.push(...entries) });
  server.pushed = (each) => log.receive(each);
  return log;
}

async function online(log: RoomLog): Promise<void> {
  log.resume(server.epoch, server.head, server.headNonce);
  await vi.advanceTimersByTimeAsync(0);
}

function seqs(log: RoomLog): number[] {
  return log.entries.map(({ seq }) => seq);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

test('the newest page comes first, older ones on demand', async () => {
  server.fill(120);
  const log = open();
  await online(log);
  expect(seqs(log)).toEqual(range(71, 120));
  expect(log.more).toBe(true);
  await log.loadOlder();
  await log.loadOlder();
  expect(seqs(log)).toEqual(range(1, 120));
  expect(log.more).toBe(false);
  await log.loadOlder();
  expect(server.of('room.history')).toHaveLength(3);
});

test('two demands for older ones at once are one', async () => {
  server.fill(120);
  const log = open();
  await online(log);
  await Promise.all([log.loadOlder(), log.loadOlder()]);
  expect(seqs(log)).toEqual(range(21, 120));
});

test('what is pushed while the first page is on its way is neither lost nor twice', async () => {
  server.fill(10);
  const log = open();
  server.between = () => {
    server.between = () => undefined;
    server.fill(1);
    log.receive(server.entries[9]!); // in the page as well
    log.receive(server.entries[10]!);
  };
  await online(log);
  expect(seqs(log)).toEqual(range(1, 11));
});

test('a number that is not the next is fetched with what lies between', async () => {
  server.fill(3);
  const log = open();
  await online(log);
  server.fill(4);
  log.receive(server.entries[6]!);
  expect(seqs(log)).toEqual([1, 2, 3]);
  await vi.advanceTimersByTimeAsync(0);
  expect(seqs(log)).toEqual(range(1, 7));
  expect(server.of('room.sync')).toEqual([{ epoch: 'e1', rooms: { 1: [3, 103] } }]);
});

test('what is pushed twice is there once', async () => {
  server.fill(2);
  const log = open();
  await online(log);
  server.fill(1);
  log.receive(server.entries[2]!);
  log.receive(server.entries[2]!);
  expect(seqs(log)).toEqual([1, 2, 3]);
  expect(learnt.map(({ seq }) => seq)).toEqual([1, 2, 3]);
});

test('gap: all that was missed is fetched, page by page', async () => {
  server.fill(1);
  server.syncPage = 3;
  const log = open();
  await online(log);
  server.fill(8);
  log.gap();
  await vi.advanceTimersByTimeAsync(0);
  expect(seqs(log)).toEqual(range(1, 9));
  expect(server.of('room.sync')).toHaveLength(3);
});

test('entries that arrive during a sync wait for it', async () => {
  server.fill(3);
  const log = open();
  await online(log);
  log.lost();
  server.fill(3);
  server.between = () => {
    server.between = () => undefined;
    server.fill(1);
    log.receive(server.entries[6]!);
  };
  await online(log);
  expect(seqs(log)).toEqual(range(1, 7));
});

test('after a reconnect nothing is asked if nothing was missed', async () => {
  server.fill(3);
  const log = open();
  await online(log);
  log.lost();
  await online(log);
  expect(server.of('room.sync')).toHaveLength(0);
});

test('a restored backup: same number, other nonce: the client forgets and starts from the newest page', async () => {
  server.fill(5);
  const log = open();
  await online(log);
  log.lost();
  server.entries[4] = entry(5, undefined, { nonce: 999, text: 'another history' });
  await online(log);
  expect(log.generation).toBe(1);
  expect(log.last?.text).toBe('another history');
});

test('a pushed entry with the number of a known one and another nonce is a reason to ask', async () => {
  server.fill(5);
  const log = open();
  await online(log);
  server.entries[4] = entry(5, undefined, { nonce: 999 });
  log.receive(server.entries[4]!);
  await vi.advanceTimersByTimeAsync(0);
  expect(log.last?.nonce).toBe(999);
});

test('another database: reset', async () => {
  server.fill(5);
  const log = open();
  await online(log);
  log.lost();
  server.entries = [];
  server.fill(2);
  server.epoch = 'e2';
  await online(log);
  expect(seqs(log)).toEqual([1, 2]);
  log.lost();
  server.fill(1);
  await online(log);
  expect(seqs(log)).toEqual([1, 2, 3]);
  expect(log.generation).toBe(1);
});

test('a log that became shorter', async () => {
  server.fill(5);
  const log = open();
  await online(log);
  log.lost();
  server.entries = server.entries.slice(0, 3);
  await online(log);
  expect(seqs(log)).toEqual([1, 2, 3]);
});

test('who has missed very much starts from the newest page', async () => {
  server.fill(5);
  const log = open();
  await online(log);
  log.lost();
  server.fill(MISSED_MAX + 1);
  await online(log);
  expect(seqs(log)).toEqual(range(server.head - 49, server.head));
  expect(log.generation).toBe(1);
});

test('an empty room fills', async () => {
  const log = open();
  await online(log);
  expect(log.loaded).toBe(true);
  server.say({ id: 3, name: 'Ben' }, 'first');
  expect(seqs(log)).toEqual([1]);
});

test('a busy server is asked again, not before the time that it names', async () => {
  server.fill(2);
  server.fault = () => failure('rate_limited', '', 5000);
  const log = open();
  await online(log);
  expect(log.loaded).toBe(false);
  server.fault = () => undefined;
  await vi.advanceTimersByTimeAsync(4900);
  expect(log.loaded).toBe(false);
  await vi.advanceTimersByTimeAsync(200);
  expect(seqs(log)).toEqual([1, 2]);
});

test('a connection that is lost while a sync waits: the next one goes on', async () => {
  server.fill(2);
  const log = open();
  await online(log);
  log.lost();
  server.fill(2);
  server.fault = () => failure('busy');
  await online(log);
  log.lost();
  server.fault = () => undefined;
  await online(log);
  expect(seqs(log)).toEqual([1, 2, 3, 4]);
});

test('a hint that nobody can explain does not make it ask without end', async () => {
  server.fill(2);
  const log = open();
  await online(log);
  log.receive(entry(50));
  await vi.advanceTimersByTimeAsync(2000);
  expect(server.of('room.sync').length).toBeLessThan(6);
});

test('older messages that did not come are asked for again by hand', async () => {
  server.fill(60);
  const log = open();
  await online(log);
  server.fault = () => failure('unavailable');
  await log.loadOlder();
  expect(log.olderFailed?.error).toBe('unavailable');
  server.fault = () => undefined;
  await log.loadOlder();
  expect(log.olderFailed).toBe(null);
  expect(seqs(log)).toEqual(range(1, 60));
});

test('a long window is cut at its start, and its start comes back on demand', async () => {
  server.fill(1);
  const log = open();
  await online(log);
  for (let i = 0; i < WINDOW_MAX; i++) server.say({ id: 3, name: 'Ben' }, 'x');
  log.trim(log.lastSeq);
  expect(log.entries.length).toBe(750);
  expect(log.lastSeq).toBe(server.head);
  expect(log.more).toBe(true);
  const first = log.firstSeq;
  await log.loadOlder();
  expect(log.firstSeq).toBe(first - 50);
});

test('unread entries stay in a long window', async () => {
  server.fill(1);
  const log = open();
  await online(log);
  for (let i = 0; i < 3000; i++) server.say({ id: 3, name: 'Ben' }, 'x');
  log.trim(1001);
  expect(log.firstSeq).toBe(982);
  log.trim(0);
  expect(log.firstSeq).toBe(982);
  for (let i = 0; i < 6000; i++) server.say({ id: 3, name: 'Ben' }, 'x');
  log.trim(1001);
  expect(log.entries.length).toBe(5000);
});

test('a page of one entry, the largest there is, brings the one before it', async () => {
  server.fill(3);
  server.pageMax = 1;
  const log = open();
  await online(log);
  await vi.advanceTimersByTimeAsync(0);
  expect(seqs(log)).toEqual([2, 3]);
});

test('older ones: a busy server is waited for, a lost connection goes on with the next', async () => {
  server.fill(120);
  const log = open();
  await online(log);
  server.fault = () => failure('rate_limited', '', 3000);
  void log.loadOlder();
  await vi.advanceTimersByTimeAsync(2000);
  expect(log.olderFailed).toBe(null);
  expect(log.loadingOlder).toBe(true);
  server.fault = () => undefined;
  await vi.advanceTimersByTimeAsync(2000);
  expect(seqs(log)).toEqual(range(21, 120));
  log.lost();
  await log.loadOlder();
  expect(log.olderFailed).toBe(null);
  await online(log);
  expect(seqs(log)).toEqual(range(1, 120));
});

test('older ones that failed: the next connection takes the note away', async () => {
  server.fill(120);
  const log = open();
  await online(log);
  server.fault = () => failure('unavailable');
  await log.loadOlder();
  expect(log.olderFailed?.error).toBe('unavailable');
  log.lost();
  server.fault = () => undefined;
  await online(log);
  expect(log.olderFailed).toBe(null);
});

test('what is pushed between hello and resume is kept', async () => {
  server.fill(3);
  const log = open();
  await online(log);
  log.lost();
  const { head, headNonce } = server;
  server.fill(2);
  log.receive(server.entries[4]!); // ahead of 4
  log.resume(server.epoch, head, headNonce);
  await vi.advanceTimersByTimeAsync(0);
  expect(seqs(log)).toEqual(range(1, 5));
});

test('a sync that says that the room is not there', async () => {
  server.fill(3);
  const log = open();
  await online(log);
  server.fault = (command) =>
    command === 'room.sync'
      ? ({ ok: true, epoch: 'e1', rooms: [{ room: ROOM, error: 'not_found' }] } as never)
      : undefined;
  log.gap();
  await vi.advanceTimersByTimeAsync(0);
  expect(log.gone?.error).toBe('not_found');
});

test('an answer that makes no sense is asked for again', async () => {
  server.fill(3);
  const log = open();
  await online(log);
  server.fault = (command) => (command === 'room.sync' ? ({ ok: true } as never) : undefined);
  server.fill(1);
  log.gap();
  await vi.advanceTimersByTimeAsync(0);
  server.fault = () => undefined;
  await vi.advanceTimersByTimeAsync(2000);
  expect(seqs(log)).toEqual(range(1, 4));
});

test('a room that is gone is not asked for any more', async () => {
  server.fault = () => failure('not_found');
  const log = open();
  await online(log);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.gone?.error).toBe('not_found');
  expect(server.of('room.history')).toHaveLength(1);
});

test.each(['room.history', 'room.sync'] as const)(
  'a %s that goes on failing is told, and can be tried at once',
  async (what) => {
    server.fill(2);
    const log = open();
    if (what === 'room.sync') await online(log);
    server.fill(1);
    server.fault = (command) => (command === what ? failure('unavailable', '', 60_000) : undefined);
    await online(log);
    await vi.advanceTimersByTimeAsync(FAILING_SHOWN_AFTER_MS - 1);
    expect(log.failing).toBe(null);
    await vi.advanceTimersByTimeAsync(1);
    expect(log.failing?.error).toBe('unavailable');
    server.fault = () => undefined;
    log.retry();
    await vi.advanceTimersByTimeAsync(0);
    expect(log.failing).toBe(null);
    expect(seqs(log)).toEqual([1, 2, 3]);
  },
);

test("a single failure is nobody's business, and one of a connection that is gone neither", async () => {
  server.fill(2);
  const log = open();
  server.fault = () => {
    server.fault = () => undefined;
    return failure('unavailable');
  };
  await online(log);
  await vi.advanceTimersByTimeAsync(FAILING_SHOWN_AFTER_MS);
  expect(log.failing).toBe(null);
  expect(seqs(log)).toEqual([1, 2]);
  server.fault = () => failure('unavailable');
  log.gap();
  await vi.advanceTimersByTimeAsync(FAILING_SHOWN_AFTER_MS);
  expect(log.failing).not.toBe(null);
  log.lost();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.failing).toBe(null);
});
