// Small things that the browser keeps: drafts, the theme, what was read. One that refuses has them for the visit.

export interface Keep {
  /** All keys that begin so. */
  keys(prefix: string): string[];
  get(key: string): string | null;
  /** An empty or null value removes the key. False: it is had for the visit only. */
  set(key: string, value: string | null): boolean;
  /** Another tab has changed the key. Returns what ends it. */
  watch(key: string, changed: (value: string | null) => void): () => void;
}

const PREFIX = 'palaver.';

export class LocalKeep implements Keep {
  readonly #where: () => Storage;
  readonly #memory = new Map<string, string>();

  /** `where`: localStorage for all tabs, sessionStorage for this one. */
  constructor(where: () => Storage) {
    this.#where = where;
  }

  keys(prefix: string): string[] {
    const kept = [...this.#memory.keys()];
    try {
      const where = this.#where();
      for (let i = 0; i < where.length; i++) {
        const key = where.key(i)!;
        if (key.startsWith(PREFIX)) kept.push(key.slice(PREFIX.length));
      }
    } catch {
      // what is in memory is all there is
    }
    return kept.filter((key) => key.startsWith(prefix));
  }

  get(key: string): string | null {
    try {
      return this.#memory.get(key) ?? this.#where().getItem(PREFIX + key);
    } catch {
      return null;
    }
  }

  set(key: string, value: string | null): boolean {
    try {
      this.#memory.delete(key);
      if (value) this.#where().setItem(PREFIX + key, value);
      else this.#where().removeItem(PREFIX + key);
      return true;
    } catch {
      if (value) this.#memory.set(key, value);
      return false;
    }
  }

  watch(key: string, changed: (value: string | null) => void): () => void {
    const heard = (event: StorageEvent) => {
      if (event.key === PREFIX + key && event.storageArea === this.#where()) changed(event.newValue);
    };
    addEventListener('storage', heard);
    return () => removeEventListener('storage', heard);
  }
}

/**
 * What is called asks the browser, the first time, to keep what is stored here even when the disk runs full. Whatever it answers,
 * there is nothing else to do; and plain HTTP does not have it.
 */
export function askToPersist(where: () => Partial<StorageManager> | undefined): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    try {
      where()
        ?.persist?.()
        .catch(() => undefined);
    } catch {
      // as if it had said no
    }
  };
}
