// One tab at a time, and a word to the other tabs. Web Locks where there are any; a page that came over plain HTTP from
// another machine has none, and takes turns by leases in the database instead.

import { uuidv7 } from '../lib/uuid';
import type { OutboxStore } from './outbox_store';

export interface Turns {
  /** Waits for the turn, runs, and gives it back, however `run` ends. */
  take(name: string, run: () => Promise<void>): Promise<void>;
}

export class WebLockTurns implements Turns {
  async take(name: string, run: () => Promise<void>): Promise<void> {
    await navigator.locks.request(name, run);
  }
}

const LEASE_MS = 4000;
const RENEW_MS = 1000;
const ASK_AGAIN_MS = 250;

export class LeaseTurns implements Turns {
  readonly #store: OutboxStore;
  readonly #holder = uuidv7();

  constructor(store: OutboxStore) {
    this.#store = store;
  }

  async take(name: string, run: () => Promise<void>): Promise<void> {
    while (!(await this.#store.lease(name, this.#holder, LEASE_MS))) {
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
    const renew = setInterval(() => {
      this.#store.lease(name, this.#holder, LEASE_MS).catch(() => undefined);
    }, RENEW_MS);
    try {
      await run();
    } finally {
      clearInterval(renew);
      await this.#store.release(name, this.#holder);
    }
  }
}

export function openTurns(store: OutboxStore): Turns {
  return 'locks' in navigator ? new WebLockTurns() : new LeaseTurns(store);
}

/** What tabs tell each other: something of this owner's outbox has changed. */
export interface Word {
  tell(owner: string): void;
  close(): void;
}

export function openWord(heard: (owner: string) => void): Word {
  if (!('BroadcastChannel' in globalThis)) return { tell: () => undefined, close: () => undefined };
  const channel = new BroadcastChannel('palaver.outbox');
  channel.onmessage = (event: MessageEvent<unknown>) => {
    if (typeof event.data === 'string') heard(event.data);
  };
  return {
    tell: (owner) => channel.postMessage(owner),
    close: () => channel.close(),
  };
}
