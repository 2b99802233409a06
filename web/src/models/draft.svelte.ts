// What is in the message field. Kept with each key, so that a reload brings it back; once it is sent it is kept until the
// outbox has it.
//
// Each tab keeps its own, under its own storage. Beside it stands the newest of all tabs, for a tab that is new: whoever
// sends takes away only its own text from there, and a tab that still has one puts it back. A text that a new tab has from
// there is the other one's for as long as nobody touches it here: it goes when it goes there.

import type { Keep } from '../lib/storage';

const OWN = '='; // before a tab's own text: the empty one is a text too

export class Draft {
  text = $state('');

  readonly #keep: Keep;
  readonly #tab: Keep;
  readonly #key: string;
  readonly #unwatch: () => void;
  readonly #sending: { text: string }[] = []; // not yet in the outbox
  #inherited: boolean; // another tab's, not touched here

  /** `keep` is shared by all tabs, `tab` is this one's. */
  constructor(keep: Keep, tab: Keep, key: string) {
    this.#keep = keep;
    this.#tab = tab;
    this.#key = `draft.${key}`;
    const own = tab.get(this.#key);
    this.text = own === null ? (keep.get(this.#key) ?? '') : own.slice(OWN.length);
    this.#inherited = own === null;
    this.#unwatch = keep.watch(this.#key, (value) => {
      if (value !== null) return;
      if (this.#inherited) this.text = '';
      else if (this.#kept() !== '') this.#keep.set(this.#key, this.#kept());
    });
  }

  close(): void {
    this.#unwatch();
  }

  set(text: string): void {
    this.#inherited = false;
    this.#replace(() => (this.text = text));
  }

  /** Empties the field now, and what is kept when `stored` says that it is safe elsewhere. */
  async sent(stored: Promise<void>): Promise<void> {
    this.#inherited = false;
    const sending = { text: this.text };
    this.#sending.push(sending);
    this.text = '';
    try {
      await stored;
    } finally {
      this.#replace(() => this.#sending.splice(this.#sending.indexOf(sending), 1));
    }
  }

  /** All that a reload would have to bring back. */
  #kept(): string {
    return [...this.#sending.map(({ text }) => text), this.text].filter((text) => text !== '').join('\n');
  }

  #replace(change: () => void): void {
    const before = this.#kept();
    change();
    const now = this.#kept();
    this.#tab.set(this.#key, OWN + now);
    // Emptied: the newest of all tabs may be another one's.
    if (now !== '' || this.#keep.get(this.#key) === before) this.#keep.set(this.#key, now);
  }
}
