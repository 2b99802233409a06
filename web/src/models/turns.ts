// One tab at a time, and a word to the other tabs. Web Locks where there are any; a page that came over plain HTTP from
// another machine has none, and takes turns by leases in the database instead.

import { uuidv7 } from '../lib/uuid';
import type { OutboxItem, OutboxStore } from './outbox_store';

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

/** What tabs tell each other. */
export type Said =
  /** There is a guest now: whoever stands at the door may come in. */
  | { kind: 'guest' }
  /** This guest's outbox has changed: read it again. */
  | { kind: 'outbox'; owner: string }
  /** Sent: it is drawn until one's own log has it. */
  | { kind: 'sent'; item: OutboxItem; answer: { seq: number; nonce: number; at: number } }
  /** Taken back. */
  | { kind: 'gone'; cid: string };

export interface Word {
  tell(said: Said): void;
  close(): void;
}

export type OpenWord = (heard: (said: Said) => void) => Word;

export const openWord: OpenWord = (heard) => {
  if (!('BroadcastChannel' in globalThis)) return { tell: () => undefined, close: () => undefined };
  let channel: BroadcastChannel | null = new BroadcastChannel('palaver.tabs');
  channel.onmessage = (event: MessageEvent<unknown>) => {
    if (typeof event.data === 'object' && event.data !== null && 'kind' in event.data) heard(event.data as Said);
  };
  return {
    tell: (said) => channel?.postMessage(said),
    close: () => {
      channel?.close();
      channel = null;
    },
  };
};
