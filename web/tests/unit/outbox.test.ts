// The outbox: stored before it is sent, sent in order and once, by one tab at a time, by nobody but its owner.

import 'fake-indexeddb/auto';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Outbox, type OutboxDeps } from '../../src/models/outbox.svelte';
import { IdbOutboxStore, MemoryOutboxStore, type OutboxItem, type OutboxStore } from '../../src/models/outbox_store';
import { LeaseTurns } from '../../src/models/turns';
import { type Answer, failure } from '../../src/protocol';
import { ANN, entry, FakeLog, QueueTurns, ROOM, texts, Words } from './fake';

let server: FakeLog;
let database = 0;
let store: OutboxStore;
let turns: QueueTurns;
let words: Words;
let boxes: Outbox[];

beforeEach(() => {
  server = new FakeLog();
  store = new IdbOutboxStore(`test-${++database}`);
  turns = new QueueTurns();
  words = new Words();
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

test('nothing is sent before it is stored', async () => {
  const order: string[] = [];
  const slow = new MemoryOutboxStore();
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

test('another guest of the same browser does not see or send it', async () => {
  const ann = open();
  await ann.add(ROOM, 'of Ann');
  const ben = open({ owner: 'e1:3', me: 3 });
  await ben.refresh();
  ben.online();
  expect(ben.items).toEqual([]);
  const restored = open({ owner: 'e2:2' });
  await restored.refresh();
  expect(restored.items).toEqual([]);
  expect(server.calls).toHaveLength(0);
});

test('a browser that keeps nothing: it is sent all the same, and said', async () => {
  const broken = new IdbOutboxStore(`test-${++database}`);
  broken.add = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
  store = broken;
  const box = open();
  box.online();
  await box.add(ROOM, 'not kept');
  expect(box.durable).toBe(false);
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
