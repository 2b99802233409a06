// What is in the message field. Kept on this device with each key, so that a reload brings it back; once it is sent it is
// kept until the outbox has it.

import type { Keep } from '../lib/storage';

export class Draft {
  text = $state('');

  readonly #keep: Keep;
  readonly #key: string;
  #sending = 0;

  constructor(keep: Keep, key: string) {
    this.#keep = keep;
    this.#key = `draft.${key}`;
    this.text = keep.get(this.#key) ?? '';
  }

  set(text: string): void {
    this.text = text;
    this.#keep.set(this.#key, text);
  }

  /** Empties the field now, and what is kept when `stored` says that it is safe elsewhere. */
  async sent(stored: Promise<void>): Promise<void> {
    this.text = '';
    this.#sending++;
    try {
      await stored;
    } finally {
      if (--this.#sending === 0) this.#keep.set(this.#key, this.text);
    }
  }
}
