// A store with a time limit on each call, and a second try on a database that is opened anew: a disk may fail once, and may
// never answer. Used by the outbox, which goes on from memory when this gives up.

import type { Claim, OutboxItem, OutboxStore } from './outbox_store';

export const STORE_DEADLINE_MS = 5000;

class Late extends Error {}

export class GuardedStore implements OutboxStore {
  /** False: the last call came to nothing. */
  durable = true;
  readonly #store: OutboxStore;

  constructor(store: OutboxStore) {
    this.#store = store;
  }

  /** Writes, to see whether that works now. */
  async probe(ms = STORE_DEADLINE_MS): Promise<void> {
    await this.#run(async () => {
      await this.#store.lease('probe', 'probe', 0);
      await this.#store.release('probe', 'probe');
    }, ms);
  }

  all(owner: string): Promise<OutboxItem[]> {
    return this.#run(() => this.#store.all(owner));
  }

  others(owner: string): Promise<OutboxItem[]> {
    return this.#run(() => this.#store.others(owner));
  }

  add(item: OutboxItem): Promise<void> {
    return this.#run(() => this.#store.add(item));
  }

  claimNext(owner: string): Promise<Claim | null> {
    return this.#run(() => this.#store.claimNext(owner));
  }

  unclaim(cid: string): Promise<void> {
    return this.#run(() => this.#store.unclaim(cid));
  }

  fail(cid: string, failed: NonNullable<OutboxItem['failed']>): Promise<void> {
    return this.#run(() => this.#store.fail(cid, failed));
  }

  remove(cid: string): Promise<void> {
    return this.#run(() => this.#store.remove(cid));
  }

  withdraw(cid: string): Promise<boolean> {
    return this.#run(() => this.#store.withdraw(cid));
  }

  replace(cid: string, item: OutboxItem): Promise<boolean> {
    return this.#run(() => this.#store.replace(cid, item));
  }

  lease(name: string, holder: string, ms: number): Promise<boolean> {
    return this.#run(() => this.#store.lease(name, holder, ms));
  }

  release(name: string, holder: string): Promise<void> {
    return this.#run(() => this.#store.release(name, holder));
  }

  async #run<T>(work: () => Promise<T>, ms = STORE_DEADLINE_MS): Promise<T> {
    const result = await within(ms, work)
      .catch((error: unknown) => {
        this.#store.reopen?.();
        // What is late may still be done: only what has failed is done again.
        if (error instanceof Late) throw error;
        return within(ms, work);
      })
      .catch((error: unknown) => {
        this.durable = false;
        throw error;
      });
    this.durable = true;
    return result;
  }
}

function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Late('the database does not answer')), ms);
    work()
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}
