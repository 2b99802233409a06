// The outbox: stored before it is sent, sent in order and once, by one tab at a time, by nobody but its owner.

import 'fake-indexeddb/auto';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Outbox, type OutboxDeps } from '../../src/models/outbox.svelte';
import { IdbOutboxStore, openOutboxStore, type OutboxItem, type OutboxStore } from '../../src/models/outbox_store';
import { GuardedStore, STORE_DEADLINE_MS } from '../../src/models/outbox_guard';
import { LeaseTurns } from '../../src/models/turns';
import { type Answer, failure } from '../../src/protocol';
import { ANN, entry, FakeDisk, FakeLog, MemoryKeep, QueueTurns, ROOM, texts, Words } from './fake';

let server: FakeLog;
let database = 0;
let store: OutboxStore;
let turns: QueueTurns;
let words: Words;
let tab: MemoryKeep;
let boxes: Outbox[];

beforeEach(() => {
  server = new FakeLog();
  store = new IdbOutboxStore(`test-${++database}`);
  turns = new QueueTurns();
  words = new Words();
  tab = new MemoryKeep();
  boxes = [];
});
afterEach(() => {
  for (const box of boxes) box.close();
});

function open(more: Partial<OutboxDeps> = {}): Outbox {
  const box = new Outbox({
    owner: 'e1:2',
    me: ANN.id,
    store,
    persist: () => undefined,
    tab,
    turns,
    word: words.open,
    send: (item) => server.call('message.send', { room: item.room, cid: item.cid, text: item.text }),
    sent: () => true,
    ...more,
  });
  boxes.push(box);
  return box;
}

function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  return vi.waitFor(
    async () => {
      if (!(await condition())) throw new Error('not yet');
    },
    { timeout: 5000, interval: 5 },
  );
}

const stored = async (): Promise<OutboxItem[]> => store.all('e1:2');
const empty = async (): Promise<boolean> => (await stored()).length === 0;

test('it is drawn at once, stored, sent, and gone when it is answered', async () => {
  const box = open();
  const kept = box.add(ROOM, 'hello');
  expect(texts(box.items)).toEqual(['hello']);
  await kept;
  expect(texts(await stored())).toEqual(['hello']);
  expect(server.calls).toHaveLength(0); // not online
  box.online();
  await until(empty);
  expect(box.items).toEqual([]);
  expect(texts(server.entries)).toEqual(['hello']);
});

test('the browser is asked to keep what is stored when the first message is written, and not before', async () => {
  const persist = vi.fn();
  const box = open({ persist });
  await box.refresh();
  box.online();
  expect(persist).not.toHaveBeenCalled();
  const kept = box.add(ROOM, 'hello');
  expect(persist).toHaveBeenCalledTimes(1); // while the key is still down: some browsers want that
  await kept;
  await until(empty);
  expect(texts(server.entries)).toEqual(['hello']);
});

test('nothing is sent before it is stored', async () => {
  const order: string[] = [];
  const slow = new FakeDisk();
  const add = slow.add.bind(slow);
  slow.add = async (item) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    await add(item);
    order.push('stored');
  };
  store = slow;
  const box = open({
    send: (item) => {
      order.push('sent');
      return server.call('message.send', { room: item.room, cid: item.cid, text: item.text });
    },
  });
  box.online();
  await box.add(ROOM, 'hello');
  await until(() => order.length === 2);
  expect(order).toEqual(['stored', 'sent']);
});

test('in the order of writing, one at a time', async () => {
  const box = open();
  let flying = 0;
  let most = 0;
  server.between = async () => {
    most = Math.max(most, ++flying);
    await new Promise((resolve) => setTimeout(resolve, 2));
    flying--;
  };
  box.online();
  const wanted = Array.from({ length: 20 }, (_, i) => `text ${i}`);
  await Promise.all(wanted.map((text) => box.add(ROOM, text)));
  await until(empty);
  expect(texts(server.entries)).toEqual(wanted);
  expect(most).toBe(1);
});

test('the next page sends what the last one left', async () => {
  const before = open();
  await before.add(ROOM, 'one');
  await before.add(ROOM, 'two');
  before.close();
  const box = open();
  await box.refresh();
  expect(texts(box.items)).toEqual(['one', 'two']);
  box.online();
  await until(empty);
  expect(texts(server.entries)).toEqual(['one', 'two']);
});

test('an answer that is lost: the same cid again, and the message is there once', async () => {
  const box = open();
  let lose = 2;
  const send = async (item: OutboxItem): Promise<Answer<'message.send'>> => {
    const answer = await server.call('message.send', { room: item.room, cid: item.cid, text: item.text });
    return lose-- > 0 ? failure('unknown') : answer;
  };
  box.close();
  const other = open({ send });
  other.online();
  await other.add(ROOM, 'once');
  await until(empty);
  expect(texts(server.entries)).toEqual(['once']);
  const cids = server.of('message.send').map((args) => (args as { cid: string }).cid);
  expect(cids).toHaveLength(3);
  expect(new Set(cids).size).toBe(1);
});

test.each(['unknown', 'busy', 'unavailable', 'timeout', 'lost'] as const)(
  '%s is tried again by itself',
  async (error) => {
    let times = 1;
    server.fault = () => (times-- > 0 ? failure(error) : undefined);
    const box = open();
    box.online();
    await box.add(ROOM, 'later');
    expect(box.items[0]?.failed).toBeUndefined();
    await until(empty);
    expect(texts(server.entries)).toEqual(['later']);
  },
);

test('rate_limited waits as long as the server says', async () => {
  let times = 1;
  const at: number[] = [];
  server.fault = () => {
    at.push(performance.now());
    return times-- > 0 ? failure('rate_limited', '', 700) : undefined;
  };
  const box = open();
  box.online();
  await box.add(ROOM, 'slowly');
  await until(empty);
  expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(695);
});

test.each(['invalid', 'too_large', 'conflict', 'not_found'] as const)(
  '%s fails for good, and what comes after goes on',
  async (error) => {
    server.fault = (_command, args: { text: string }) => (args.text === 'bad' ? failure(error, 'why') : undefined);
    const box = open();
    box.online();
    await box.add(ROOM, 'bad');
    await box.add(ROOM, 'good');
    await until(() => server.entries.length === 1);
    await until(() => box.items.length === 1 && box.items[0]!.failed !== undefined);
    expect(box.items[0]!.failed).toEqual({ error, message: 'why' });
    expect((await stored())[0]?.failed?.error).toBe(error); // survives a reload
    server.fault = () => undefined;
    await box.retry(box.items[0]!.cid);
    await until(empty);
    expect(texts(server.entries)).toEqual(['good', 'bad']);
  },
);

test('deleted while it is being stored', async () => {
  const box = open();
  const kept = box.add(ROOM, 'just written');
  expect((await box.withdraw(box.items[0]!.cid))?.text).toBe('just written');
  await kept;
  expect(box.items).toEqual([]);
  expect(await empty()).toBe(true);
});

test('a failed one can be deleted', async () => {
  server.fault = () => failure('invalid');
  const box = open();
  box.online();
  await box.add(ROOM, 'bad');
  await until(() => box.items[0]?.failed !== undefined);
  expect(await box.withdraw(box.items[0]!.cid)).not.toBe(null);
  expect(box.items).toEqual([]);
  expect(await empty()).toBe(true);
});

test('what waits can be taken back, what may have been sent cannot', async () => {
  const box = open();
  await box.add(ROOM, 'one');
  await box.add(ROOM, 'two');
  expect((await box.withdraw(box.items[1]!.cid))?.text).toBe('two');
  server.fault = () => failure('lost');
  box.online();
  await until(() => server.calls.length > 0);
  box.offline();
  await until(() => box.items[0]!.tried);
  expect(await box.withdraw(box.items[0]!.cid)).toBe(null);
  expect(texts(box.items)).toEqual(['one']);
});

test('the entry is as good as the answer', async () => {
  const box = open({ send: () => new Promise(() => undefined) });
  box.online();
  await box.add(ROOM, 'seen');
  await until(() => box.items[0]!.tried);
  const cid = box.items[0]!.cid;
  box.learnt([entry(7, { id: 3, name: 'Ben' }, { cid, text: 'somebody else may use the same cid' })], 7);
  expect(box.items).toHaveLength(1);
  box.learnt([entry(8, ANN, { cid, text: 'seen' })], 8);
  expect(box.items).toEqual([]);
  await until(empty);
});

test('answered but not yet in the log: still drawn, and never sent again', async () => {
  const box = open({ sent: () => false });
  box.online();
  await box.add(ROOM, 'ahead of the log');
  await until(empty);
  expect(texts(box.items)).toEqual(['ahead of the log']);
  await box.refresh();
  expect(texts(box.items)).toEqual(['ahead of the log']);
  box.learnt([], 1);
  expect(box.items).toEqual([]);
  expect(server.of('message.send')).toHaveLength(1);
});

test('two tabs: both draw, one sends at a time, everything once and in order', async () => {
  const one = open();
  const two = open({ store: store });
  server.between = () => new Promise((resolve) => setTimeout(resolve, 1));
  one.online();
  two.online();
  for (let i = 0; i < 10; i++) {
    await one.add(ROOM, `one ${i}`);
    await two.add(ROOM, `two ${i}`);
  }
  await until(empty);
  expect(turns.most).toBe(1);
  expect(texts(server.entries)).toEqual(Array.from({ length: 10 }, (_, i) => [`one ${i}`, `two ${i}`]).flat());
  await until(() => one.items.length === 0 && two.items.length === 0);
  expect(new Set(server.of('message.send').map((args) => (args as { cid: string }).cid)).size).toBe(20);
});

test('a tab without a connection lets the other one send for it', async () => {
  const away = open();
  const here = open();
  here.online();
  await away.add(ROOM, 'from the tab that is away');
  await until(empty);
  expect(texts(server.entries)).toEqual(['from the tab that is away']);
  await until(() => away.items.length === 0);
});

test('what one tab takes back the other does not send', async () => {
  const one = open();
  await one.add(ROOM, 'taken back');
  const two = open();
  await two.refresh();
  await one.withdraw(one.items[0]!.cid);
  two.online();
  await until(() => two.items.length === 0);
  expect(server.entries).toEqual([]);
});

test('another guest of the same browser sees it, and does not send it by itself', async () => {
  const ann = open();
  await ann.add(ROOM, 'of Ann');
  const ben = open({ owner: 'e1:3', me: 3 });
  await ben.refresh();
  ben.online();
  expect(texts(ben.items)).toEqual(['of Ann']);
  expect(ben.isForeign(ben.items[0]!)).toBe(true);
  expect(ben.waiting).toBe(0);
  const restored = open({ owner: 'e2:2' });
  await restored.refresh();
  expect(restored.isForeign(restored.items[0]!)).toBe(true);
  expect(server.calls).toHaveLength(0);
  const other = open({ owner: 'e1:3', me: 3 }); // another tab of the same
  await other.refresh();
  await Promise.all([ben.retry(ben.items[0]!.cid, 1), other.retry(other.items[0]!.cid, 1)]);
  await until(() => server.entries.length > 0 && ben.items.length === 0 && other.items.length === 0);
  expect(texts(server.entries)).toEqual(['of Ann']);
  expect(await store.others('e9:9')).toEqual([]);
});

test('what another guest has left can be deleted, and goes when its entry is seen', async () => {
  const ann = open();
  await ann.add(ROOM, 'one');
  await ann.add(ROOM, 'two');
  ann.close();
  const ben = open({ owner: 'e1:3', me: 3 });
  await ben.refresh();
  const [one, two] = ben.items;
  expect((await ben.withdraw(one!.cid))?.text).toBe('one');
  ben.learnt([entry(1, { id: 3, name: 'Ben' }, { cid: two!.cid })], 1);
  expect(texts(ben.items)).toEqual(['two']);
  ben.learnt([entry(2, ANN, { cid: two!.cid })], 2);
  expect(ben.items).toEqual([]);
  await until(empty);
});

test.each(['claimNext', 'all', 'remove', 'fail', 'lease'] as const)(
  'a disk that fails at %s does not stop what is sent',
  async (what) => {
    const box = open(what === 'lease' ? { turns: new LeaseTurns(store) } : {});
    await box.add(ROOM, 'one');
    await box.add(ROOM, 'two');
    Object.assign(store, { [what]: () => Promise.reject(new DOMException('full', 'QuotaExceededError')) });
    if (what === 'fail')
      server.fault = (_command, { text }: { text: string }) => (text === 'one' ? failure('invalid') : undefined);
    box.online();
    await until(() => server.entries.length === (what === 'fail' ? 1 : 2));
    expect(texts(server.entries)).toEqual(what === 'fail' ? ['two'] : ['one', 'two']);
    await until(() => box.items.length === (what === 'fail' ? 1 : 0));
  },
);

test('from memory: what is deleted there is not sent later from the disk', async () => {
  const box = open();
  await box.add(ROOM, 'one');
  await box.add(ROOM, 'two');
  const add = store.add;
  store.add = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
  await box.add(ROOM, 'three');
  expect(box.kept).toBe('tab');
  store.add = add;
  expect(await box.withdraw(box.items[0]!.cid)).not.toBe(null);
  await until(async () => (await stored()).length === 1);
  box.close();
  const next = open();
  await next.refresh();
  next.online();
  await until(empty);
  expect(texts(server.entries)).toEqual(['two', 'three']);
});

test('a retry that cannot be stored keeps the message', async () => {
  server.fault = () => failure('invalid');
  const box = open();
  box.online();
  await box.add(ROOM, 'bad');
  await until(() => box.items[0]?.failed !== undefined);
  store.replace = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
  box.offline();
  await box.retry(box.items[0]!.cid);
  expect(texts(box.items)).toEqual(['bad']);
  server.fault = () => undefined;
  box.online();
  await until(() => server.entries.length === 1);
});

test('sent by another tab: drawn until its own log has it', async () => {
  let last = 0;
  const away = open({ sent: (_item, { seq }) => seq <= last });
  const here = open();
  await away.add(ROOM, 'of the tab that is away');
  here.online();
  await until(empty);
  await away.refresh();
  expect(texts(away.items)).toEqual(['of the tab that is away']);
  last = 1;
  away.learnt([], 1);
  expect(away.items).toEqual([]);
});

test('a claim that comes back after the connection went sends nothing, and can be taken back', async () => {
  const box = open();
  const claim = store.claimNext.bind(store);
  store.claimNext = async (owner) => {
    const claimed = await claim(owner);
    box.offline();
    return claimed;
  };
  await box.add(ROOM, 'not yet');
  box.online();
  await until(async () => (await stored())[0]?.tried === false && turns.holders === 0);
  expect(server.calls).toHaveLength(0);
  await box.refresh();
  expect((await box.withdraw(box.items[0]!.cid))?.text).toBe('not yet');
});

test.each(['busy', 'rate_limited', 'unavailable'] as const)(
  '%s: the reason is told, and it can be taken back',
  async (error) => {
    server.fault = () => failure(error, '', 5000);
    const box = open();
    box.online();
    await box.add(ROOM, 'not now');
    await until(() => box.problem !== null && !box.items[0]!.tried);
    expect(box.problem?.error).toBe(error);
    expect((await box.withdraw(box.items[0]!.cid))?.text).toBe('not now');
  },
);

test('an IndexedDB that does not answer is not waited for', async () => {
  vi.useFakeTimers();
  store.lease = () => new Promise(() => undefined);
  const opened = openOutboxStore(store);
  await vi.advanceTimersByTimeAsync(2000);
  vi.useRealTimers();
  expect((await opened).durable).toBe(false);
});

test('written after a clock was set back: still behind what was written before', async () => {
  const later = '0fffffff-0000-7fff-8000-000000000000';
  await store.add({ cid: later, owner: 'e1:2', room: ROOM, text: 'before', at: 1, tried: false });
  const box = open();
  await box.refresh();
  await box.add(ROOM, 'after');
  expect(texts(box.items)).toEqual(['before', 'after']);
});

test('a browser that keeps nothing: it is sent all the same, and said', async () => {
  const broken = new IdbOutboxStore(`test-${++database}`);
  broken.add = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
  store = broken;
  const box = open();
  box.online();
  await box.add(ROOM, 'not kept');
  expect(box.kept).toBe('tab');
  await until(() => server.entries.length === 1);
  await until(() => box.items.length === 0);
});

test('leases, where there are no locks: one holder at a time, and a dead one is outlived', async () => {
  const a = new LeaseTurns(store);
  const b = new LeaseTurns(store);
  const order: string[] = [];
  await Promise.all([
    a.take('x', async () => {
      order.push('a in');
      await new Promise((resolve) => setTimeout(resolve, 50));
      order.push('a out');
    }),
    b.take('x', async () => void order.push('b')),
  ]);
  expect(order.join()).toMatch(/^(a in,a out,b|b,a in,a out)$/);
  expect(await store.lease('y', 'dead', 30)).toBe(true);
  expect(await store.lease('y', 'living', 1000)).toBe(false);
  await until(() => store.lease('y', 'living', 1000));
});

test('one error is none: the database is opened again and asked once more', async () => {
  const disk = new FakeDisk() as OutboxStore & FakeDisk;
  const reopened = vi.fn();
  disk.reopen = reopened;
  const add = disk.add.bind(disk);
  disk.add = () => {
    disk.add = add;
    return Promise.reject(new DOMException('closing', 'InvalidStateError'));
  };
  const box = open({ store: new GuardedStore(disk) });
  await box.add(ROOM, 'hello');
  expect(box.kept).toBe('device');
  expect(reopened).toHaveBeenCalledTimes(1);
  expect(texts(await disk.all('e1:2'))).toEqual(['hello']);
});

test('a database that works again is used again, with all that was kept in the tab meanwhile', async () => {
  vi.useFakeTimers();
  try {
    const disk = new FakeDisk();
    const box = open({ store: new GuardedStore(disk) });
    await box.add(ROOM, 'one');
    await box.add(ROOM, 'two');
    const works = { add: disk.add.bind(disk), remove: disk.remove.bind(disk), lease: disk.lease.bind(disk) };
    const full = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
    Object.assign(disk, { add: full, remove: full, lease: full });
    await box.add(ROOM, 'three');
    expect(box.kept).toBe('tab');
    expect(box.waiting).toBe(3);
    expect(await box.withdraw(box.items[0]!.cid)).not.toBe(null); // it stays in the database for now
    await vi.advanceTimersByTimeAsync(60_000);
    expect(box.kept).toBe('tab');
    Object.assign(disk, works);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(box.kept).toBe('device');
    expect(texts(await disk.all('e1:2'))).toEqual(['two', 'three']);
    expect(tab.keys('outbox')).toEqual([]);
    box.online();
    await vi.advanceTimersByTimeAsync(0);
    expect(texts(server.entries)).toEqual(['two', 'three']);
    expect(await disk.all('e1:2')).toEqual([]);
  } finally {
    vi.useRealTimers();
  }
});

test.each(['add', 'claimNext', 'all', 'remove', 'lease'] as const)(
  'a database that does not answer at %s holds nobody up for long',
  async (what) => {
    vi.useFakeTimers();
    try {
      const disk = new FakeDisk();
      const guarded = new GuardedStore(disk);
      const box = open(what === 'lease' ? { store: guarded, turns: new LeaseTurns(guarded) } : { store: guarded });
      Object.assign(disk, { [what]: () => new Promise(() => undefined) });
      void box.refresh();
      box.online();
      void box.add(ROOM, 'one');
      await vi.advanceTimersByTimeAsync(2 * STORE_DEADLINE_MS);
      expect(texts(server.entries)).toEqual(['one']);
      expect(box.items).toEqual([]);
      expect(turns.holders).toBe(0);
      void box.add(ROOM, 'two');
      await vi.advanceTimersByTimeAsync(2 * STORE_DEADLINE_MS);
      expect(texts(server.entries)).toEqual(['one', 'two']);
    } finally {
      vi.useRealTimers();
    }
  },
);

test('where nothing is kept, neither in the database nor in the tab, that is said', async () => {
  tab.set = () => false;
  store.add = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
  const box = open();
  expect(box.kept).toBe('device');
  await box.add(ROOM, 'hello');
  expect(box.kept).toBe('page');
});
