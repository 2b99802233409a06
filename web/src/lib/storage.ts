// Small things kept in localStorage: drafts, the theme, what was read. A browser that refuses keeps them for the visit.

export interface Keep {
  get(key: string): string | null;
  /** An empty or null value removes the key. */
  set(key: string, value: string | null): void;
  /** Another tab has changed the key. Returns what ends it. */
  watch(key: string, changed: (value: string | null) => void): () => void;
}

const PREFIX = 'palaver.';

export class LocalKeep implements Keep {
  readonly #memory = new Map<string, string>();

  get(key: string): string | null {
    try {
      return localStorage.getItem(PREFIX + key);
    } catch {
      return this.#memory.get(key) ?? null;
    }
  }

  set(key: string, value: string | null): void {
    try {
      if (value) localStorage.setItem(PREFIX + key, value);
      else localStorage.removeItem(PREFIX + key);
    } catch {
      if (value) this.#memory.set(key, value);
      else this.#memory.delete(key);
    }
  }

  watch(key: string, changed: (value: string | null) => void): () => void {
    const heard = (event: StorageEvent) => {
      if (event.key === PREFIX + key) changed(event.newValue);
    };
    addEventListener('storage', heard);
    return () => removeEventListener('storage', heard);
  }
}
