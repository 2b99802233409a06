// A server for the models' tests: a log, and answers that the test can hold back, lose or replace.

import type { Keep } from '../../src/lib/storage';
import { MemoryOutboxStore, type OutboxItem } from '../../src/models/outbox_store';
import type { HelloAnswer, Transport, TransportEvents } from '../../src/models/transport';
import type { OpenWord, Said, Turns } from '../../src/models/turns';
import { type Call, type CommandName, type Entry, type Failure, failure, type User } from '../../src/protocol';

export const ANN: User = { id: 2, name: 'Ann' };
export const BEN: User = { id: 3, name: 'Ben' };
export const ROOM = 1;

export function entry(seq: number, author = BEN, more: Partial<Entry> = {}): Entry {
  const at = 1_000_000 + seq * 1000;
  return { room: ROOM, seq, nonce: 100 + seq, kind: 'message', at, author, text: `text ${seq}`, ...more };
}

/** What an answer may be replaced by: undefined is none. */
type Fault = (command: CommandName, args: never) => Failure | undefined;

export class FakeLog {
  epoch = 'e1';
  entries: Entry[] = [];
  calls: [CommandName, unknown][] = [];
  fault: Fault = () => undefined;
  syncPage = 100;
  pageMax = Infinity;
  /** Called after a command was carried out and before it is answered. */
  between: (command: CommandName) => Promise<void> | void = () => undefined;
  pushed: (entry: Entry) => void = () => undefined;

  fill(count: number, author = BEN): this {
    for (let i = 0; i < count; i++) this.entries.push(entry(this.entries.length + 1, author));
    return this;
  }

  append(author: User, text: string, cid?: string): Entry {
    const made = entry(this.entries.length + 1, author, cid === undefined ? { text } : { text, cid });
    this.entries.push(made);
    return made;
  }

  say(author: User, text: string, cid?: string): Entry {
    const made = this.append(author, text, cid);
    this.pushed(made);
    return made;
  }

  get head(): number {
    return this.entries.length;
  }

  get headNonce(): number {
    return this.entries[this.entries.length - 1]?.nonce ?? 0;
  }

  of(command: CommandName): unknown[] {
    return this.calls.filter(([each]) => each === command).map(([, args]) => args);
  }

  readonly call: Call = async (command, args) => {
    this.calls.push([command, args]);
    const fault = this.fault(command, args as never);
    if (fault) return fault;
    const answer = this.#run(command, args);
    await this.between(command);
    return answer as never;
  };

  #run(command: CommandName, args: unknown): unknown {
    if (command === 'room.history') return this.#history(args as { before?: number; limit?: number });
    if (command === 'room.sync') return this.#sync(args as { epoch: string; rooms: Record<string, [number, number]> });
    if (command === 'message.send') return this.#send(args as { cid: string; text: string });
    if (command === 'typing') return { ok: true };
    return failure('unknown_command');
  }

  #history({ before = Infinity, limit = 50 }: { before?: number; limit?: number }) {
    const older = this.entries.filter((each) => each.seq < before);
    const entries = older.slice(-Math.min(limit, this.pageMax));
    return { ok: true, room: ROOM, entries, as_of: this.head, more: older.length > entries.length };
  }

  #sync({ epoch, rooms }: { epoch: string; rooms: Record<string, [number, number]> }) {
    const [seq, nonce] = rooms[String(ROOM)] ?? [0, 0];
    const known = seq === 0 || this.entries[seq - 1]?.nonce === nonce;
    if (epoch !== this.epoch || !known) {
      return { ok: true, epoch: this.epoch, rooms: [{ ...this.#history({}), reset: true }] };
    }
    const page = this.entries.slice(seq, seq + this.syncPage);
    const more = seq + page.length < this.head;
    return {
      ok: true,
      epoch: this.epoch,
      rooms: [{ room: ROOM, reset: false, entries: page, as_of: this.head, more }],
    };
  }

  #send({ cid, text }: { cid: string; text: string }) {
    const before = this.entries.find((each) => each.cid === cid);
    if (before && before.text !== text) return failure('conflict');
    const { seq, nonce, at } = before ?? this.say(ANN, text, cid);
    return { ok: true, seq, nonce, at };
  }
}

export function hello(log: FakeLog, user = ANN): HelloAnswer {
  const room = { id: ROOM, name: 'lobby', head: log.head, nonce: log.headNonce, first: 1 };
  return { ok: true, user, epoch: log.epoch, now: Date.now(), rooms: [room] };
}

export class FakeTransport implements Transport {
  opens = 0;
  events: TransportEvents | null = null;
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  open(events: TransportEvents): void {
    this.opens++;
    this.events = events;
  }

  close(): void {
    this.events = null;
  }

  /** The connection breaks. */
  lose(): void {
    const events = this.events;
    this.events = null;
    events?.closed('transport close');
  }

  readonly call: Call = async (command, args) => {
    const events = this.events;
    if (!events) return failure('lost');
    const answer = await this.#call(command, args);
    return this.events === events ? answer : failure('lost');
  };
}

export class MemoryKeep implements Keep {
  readonly values = new Map<string, string>();
  readonly #watchers: [string, (value: string | null) => void][] = [];

  keys(prefix: string): string[] {
    return [...this.values.keys()].filter((key) => key.startsWith(prefix));
  }

  get(key: string): string | null {
    return this.values.get(key) ?? null;
  }

  set(key: string, value: string | null): boolean {
    if (value) this.values.set(key, value);
    else this.values.delete(key);
    return true;
  }

  watch(key: string, changed: (value: string | null) => void): () => void {
    this.#watchers.push([key, changed]);
    return () => undefined;
  }

  /** As another tab. */
  change(key: string, value: string | null): void {
    this.set(key, value);
    for (const [each, changed] of this.#watchers) if (each === key) changed(value);
  }
}

/** A disk that works. */
export class FakeDisk extends MemoryOutboxStore {
  override readonly durable: boolean = true;
}

/** Turns among the tabs of one test: first come, first served. */
export class QueueTurns implements Turns {
  #last: Promise<unknown> = Promise.resolve();
  holders = 0;
  most = 0;

  take(_name: string, run: () => Promise<void>): Promise<void> {
    const mine = this.#last.then(async () => {
      this.most = Math.max(this.most, ++this.holders);
      await run().finally(() => this.holders--);
    });
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

/** A BroadcastChannel of one test. */
export class Words {
  readonly #heard: ((said: Said) => void)[] = [];

  readonly open: OpenWord = (heard) => {
    this.#heard.push(heard);
    return {
      tell: (said) => {
        for (const each of this.#heard) if (each !== heard) queueMicrotask(() => each(said));
      },
      close: () => void this.#heard.splice(this.#heard.indexOf(heard), 1),
    };
  };
}

export function texts(items: readonly (Entry | OutboxItem)[]): string[] {
  return items.map(({ text }) => text);
}
