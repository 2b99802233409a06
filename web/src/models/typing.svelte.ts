// Who is typing in a room, and telling the others that this guest is.

import { type Entry, type Id, LIMITS, sameId, type User } from '../protocol';

export class Typing {
  /** In the order in which they began. */
  users = $state.raw<readonly User[]>([]);

  readonly #me: Id;
  readonly #tell: () => void;
  readonly #expiry = new Map<string, ReturnType<typeof setTimeout>>();
  #toldAt = -Infinity;

  constructor(me: Id, tell: () => void) {
    this.#me = me;
    this.#tell = tell;
  }

  heard(user: User): void {
    if (sameId(user.id, this.#me)) return; // another tab of the same guest
    const key = String(user.id);
    clearTimeout(this.#expiry.get(key));
    this.#expiry.set(
      key,
      setTimeout(() => this.#stopped(user.id), LIMITS.typing_expires_ms),
    );
    if (!this.users.some((each) => sameId(each.id, user.id))) this.users = [...this.users, user];
  }

  /** What was typed has arrived. */
  learnt(entries: readonly Entry[]): void {
    for (const entry of entries) this.#stopped(entry.author.id);
  }

  /** On each change of the field while there is something in it. */
  typed(now = Date.now()): void {
    if (now - this.#toldAt < LIMITS.typing_every_ms) return;
    this.#toldAt = now;
    this.#tell();
  }

  /** It was sent: the next key tells at once. */
  sent(): void {
    this.#toldAt = -Infinity;
  }

  /** Offline nobody is heard of. */
  clear(): void {
    for (const timer of this.#expiry.values()) clearTimeout(timer);
    this.#expiry.clear();
    this.users = [];
  }

  #stopped(id: Id): void {
    const key = String(id);
    if (!this.#expiry.has(key)) return;
    clearTimeout(this.#expiry.get(key));
    this.#expiry.delete(key);
    this.users = this.users.filter((user) => !sameId(user.id, id));
  }
}
