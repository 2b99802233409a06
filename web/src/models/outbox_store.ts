// Where what is to be sent is kept until the server has it: IndexedDB, one database for all tabs of this origin.
//
// Each function below is one transaction, so that two tabs agree: what one tab deletes, the other cannot send any more.

import { type DBSchema, type IDBPDatabase, openDB } from 'idb';

import type { Keep } from '../lib/storage';
import type { FailureCode, Id } from '../protocol';
import { GuardedStore } from './outbox_guard';

export interface OutboxItem {
  /** UUIDv7: the order of cids is the order of writing. */
  cid: string;
  /** Whose it is: the epoch and the guest's id. Nobody else may send it. */
  owner: string;
  room: Id;
  text: string;
  /** When it was written, by the server's clock as far as it is known. */
  at: number;
  /** It may have reached the server: from now on only an answer or its entry says whether it did. */
  tried: boolean;
  /** It was never sent: the message field of another guest of this browser. */
  draft?: true;
  /** Refused for good. */
  failed?: { error: FailureCode; message: string };
}

export interface Claim {
  item: OutboxItem;
  /** It was claimed before too. */
  again: boolean;
}

export interface OutboxStore {
  /** False: what is kept here does not survive a reload. */
  readonly durable: boolean;
  all(owner: string): Promise<OutboxItem[]>;
  /** What other guests of this browser have left. */
  others(owner: string): Promise<OutboxItem[]>;
  add(item: OutboxItem): Promise<void>;
  /** The oldest one that is to be sent, by whichever tab it was written; marked as tried. */
  claimNext(owner: string): Promise<Claim | null>;
  /** A claim that came to nothing: it is as it was before. */
  unclaim(cid: string): Promise<void>;
  fail(cid: string, failed: { error: FailureCode; message: string }): Promise<void>;
  /** The server has it. */
  remove(cid: string): Promise<void>;
  /** Takes it back, unless it may have been sent. */
  withdraw(cid: string): Promise<boolean>;
  /** A failed one goes, another comes. False: the old one was not there any more. */
  replace(cid: string, item: OutboxItem): Promise<boolean>;
  /** Takes or renews a lease for `ms`; false while another holder has it. For browsers without Web Locks. */
  lease(name: string, holder: string, ms: number): Promise<boolean>;
  release(name: string, holder: string): Promise<void>;
  /** Something went wrong: the next call begins anew. */
  reopen?(): void;
}

interface Schema extends DBSchema {
  outbox: { key: string; value: OutboxItem; indexes: { owner: string } };
  leases: { key: string; value: { name: string; holder: string; until: number } };
}

const DATABASE = 'palaver';
const VERSION = 1;

export class IdbOutboxStore implements OutboxStore {
  readonly durable = true;
  #db: Promise<IDBPDatabase<Schema>> | undefined;
  readonly #name: string;

  constructor(name = DATABASE) {
    this.#name = name;
  }

  /** The browser may close a database at any time (storage pressure, a newer version elsewhere): it is opened again. */
  #open(): Promise<IDBPDatabase<Schema>> {
    this.#db ??= openDB<Schema>(this.#name, VERSION, {
      upgrade(db) {
        db.createObjectStore('outbox', { keyPath: 'cid' }).createIndex('owner', 'owner');
        db.createObjectStore('leases', { keyPath: 'name' });
      },
      blocking: (_current, _blocked, event) => {
        (event.target as IDBDatabase).close();
        this.#db = undefined;
      },
      terminated: () => (this.#db = undefined),
    }).catch((error: unknown) => {
      this.#db = undefined;
      throw error;
    });
    return this.#db;
  }

  reopen(): void {
    this.#db?.then(
      (db) => db.close(), // when what is under way has ended
      () => undefined,
    );
    this.#db = undefined;
  }

  async all(owner: string): Promise<OutboxItem[]> {
    return (await this.#open()).getAllFromIndex('outbox', 'owner', owner);
  }

  async others(owner: string): Promise<OutboxItem[]> {
    return (await (await this.#open()).getAll('outbox')).filter((item) => item.owner !== owner);
  }

  async add(item: OutboxItem): Promise<void> {
    // Strict: it is on the disk when this returns, not only in the system's memory.
    const tx = (await this.#open()).transaction('outbox', 'readwrite', { durability: 'strict' });
    await Promise.all([tx.store.put(item), tx.done]);
  }

  async claimNext(owner: string): Promise<Claim | null> {
    const tx = (await this.#open()).transaction('outbox', 'readwrite', { durability: 'strict' });
    const next = oldestWaiting(await tx.store.index('owner').getAll(owner));
    const claimed = next && { ...next, tried: true };
    if (claimed && !next.tried) await tx.store.put(claimed);
    await tx.done;
    return claimed && { item: claimed, again: next.tried };
  }

  async unclaim(cid: string): Promise<void> {
    const tx = (await this.#open()).transaction('outbox', 'readwrite');
    const item = await tx.store.get(cid);
    if (item) await tx.store.put({ ...item, tried: false });
    await tx.done;
  }

  async fail(cid: string, failed: { error: FailureCode; message: string }): Promise<void> {
    const tx = (await this.#open()).transaction('outbox', 'readwrite');
    const item = await tx.store.get(cid);
    if (item) await tx.store.put({ ...item, failed });
    await tx.done;
  }

  async remove(cid: string): Promise<void> {
    await (await this.#open()).delete('outbox', cid);
  }

  async withdraw(cid: string): Promise<boolean> {
    const tx = (await this.#open()).transaction('outbox', 'readwrite');
    const item = await tx.store.get(cid);
    const free = item !== undefined && (!item.tried || item.failed !== undefined);
    if (free) await tx.store.delete(cid);
    await tx.done;
    return free;
  }

  async replace(cid: string, item: OutboxItem): Promise<boolean> {
    const tx = (await this.#open()).transaction('outbox', 'readwrite', { durability: 'strict' });
    const old = await tx.store.get(cid);
    if (old) await Promise.all([tx.store.delete(cid), tx.store.put(item)]);
    await tx.done;
    return old !== undefined;
  }

  async lease(name: string, holder: string, ms: number): Promise<boolean> {
    const tx = (await this.#open()).transaction('leases', 'readwrite');
    const now = Date.now();
    const held = await tx.store.get(name);
    const free = !held || held.holder === holder || held.until < now || held.until > now + ms;
    if (free) await tx.store.put({ name, holder, until: now + ms });
    await tx.done;
    return free;
  }

  async release(name: string, holder: string): Promise<void> {
    const tx = (await this.#open()).transaction('leases', 'readwrite');
    const held = await tx.store.get(name);
    if (held?.holder === holder) await tx.store.delete(name);
    await tx.done;
  }
}

const KEPT = 'outbox';

/**
 * For a browser that lets this page keep nothing: all is as above, for as long as the page is open. With the tab's own
 * storage also through a reload, under the same cids.
 */
export class MemoryOutboxStore implements OutboxStore {
  readonly durable: boolean = false;
  /** What is here outlives a reload of this tab. */
  kept = false;
  readonly #keep: Keep | undefined;
  readonly #items = new Map<string, OutboxItem>();

  constructor(keep?: Keep) {
    this.#keep = keep;
    for (const item of parseItems(keep?.get(KEPT) ?? null)) this.#items.set(item.cid, item);
    this.#write();
  }

  get items(): OutboxItem[] {
    return [...this.#items.values()];
  }

  put(...items: OutboxItem[]): void {
    for (const item of items) this.#items.set(item.cid, item);
    this.#write();
  }

  clear(): void {
    this.#items.clear();
    this.#write();
  }

  #write(): void {
    this.kept = this.#keep?.set(KEPT, this.#items.size > 0 ? JSON.stringify(this.items) : null) ?? false;
  }

  all(owner: string): Promise<OutboxItem[]> {
    return Promise.resolve([...this.#items.values()].filter((item) => item.owner === owner));
  }

  others(owner: string): Promise<OutboxItem[]> {
    return Promise.resolve([...this.#items.values()].filter((item) => item.owner !== owner));
  }

  add(item: OutboxItem): Promise<void> {
    this.put(item);
    return Promise.resolve();
  }

  claimNext(owner: string): Promise<Claim | null> {
    const next = oldestWaiting([...this.#items.values()].filter((item) => item.owner === owner));
    const claimed = next && { ...next, tried: true };
    if (claimed) this.put(claimed);
    return Promise.resolve(claimed && { item: claimed, again: next.tried });
  }

  unclaim(cid: string): Promise<void> {
    const item = this.#items.get(cid);
    if (item) this.put({ ...item, tried: false });
    return Promise.resolve();
  }

  fail(cid: string, failed: { error: FailureCode; message: string }): Promise<void> {
    const item = this.#items.get(cid);
    if (item) this.put({ ...item, failed });
    return Promise.resolve();
  }

  remove(cid: string): Promise<void> {
    if (this.#items.delete(cid)) this.#write();
    return Promise.resolve();
  }

  withdraw(cid: string): Promise<boolean> {
    const item = this.#items.get(cid);
    const free = item !== undefined && (!item.tried || item.failed !== undefined);
    if (free) void this.remove(cid);
    return Promise.resolve(free);
  }

  replace(cid: string, item: OutboxItem): Promise<boolean> {
    const there = this.#items.delete(cid);
    if (there) this.put(item);
    return Promise.resolve(there);
  }

  lease(): Promise<boolean> {
    return Promise.resolve(true);
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}

function oldestWaiting(items: OutboxItem[]): OutboxItem | null {
  let oldest: OutboxItem | null = null;
  for (const item of items) {
    if (!item.failed && !item.draft && (!oldest || item.cid < oldest.cid)) oldest = item;
  }
  return oldest;
}

/** What a page of before has left there, whatever that is. */
function parseItems(json: string | null): OutboxItem[] {
  try {
    const items: unknown = JSON.parse(json ?? '[]');
    return Array.isArray(items) ? items.filter(isItem) : [];
  } catch {
    return [];
  }
}

function isItem(value: unknown): value is OutboxItem {
  const item = value as Partial<Record<keyof OutboxItem, unknown>> | null;
  return typeof item?.cid === 'string' && typeof item.owner === 'string' && typeof item.text === 'string';
}

const OPEN_MS = 2000;

/** IndexedDB. Where it cannot be written to within a moment it says that it is not durable: the page does not wait for it. */
export async function openOutboxStore(store: OutboxStore = new IdbOutboxStore()): Promise<OutboxStore> {
  const guarded = new GuardedStore(store);
  await guarded.probe(OPEN_MS).catch(() => undefined);
  return guarded;
}
