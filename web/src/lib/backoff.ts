// How long to wait before the next try: doubling, capped, with jitter so that a crowd does not come back at once.

export interface BackoffOptions {
  first_ms: number;
  max_ms: number;
  random?: () => number;
}

export class Backoff {
  #failures = 0;
  readonly #options: BackoffOptions;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Between half and all of the doubled time. */
  next(): number {
    const { first_ms, max_ms, random = Math.random } = this.#options;
    const full = Math.min(max_ms, first_ms * 2 ** Math.min(this.#failures++, 20));
    return Math.round(full * (0.5 + random() / 2));
  }

  reset(): void {
    this.#failures = 0;
  }
}
