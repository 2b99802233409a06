// Waiting for conditions, with a deadline that fails and never a fixed sleep.

import process from 'node:process';

/** How much slower than usual things may be: 5 under sanitizers. */
export const slower = Number(process.env.TEST_SLOWER ?? 1);

/** Deadlines of single waits. */
export const limits = { wait_ms: Number(process.env.WAIT_MS ?? 10000) * slower };

/** Resolves as the promise does, or fails after the deadline, saying what was waited for. */
export function within(promise, what, wait_ms = limits.wait_ms) {
  if (wait_ms === Infinity) {
    return promise;
  }
  let timer;
  const deadline = new Promise((_, reject) => {
    const error = new Error(`waited ${wait_ms} ms in vain for ${what}`);
    timer = setTimeout(() => reject(error), wait_ms);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}

/** Calls the (possibly asynchronous) condition until its result is true; returns that result. */
export async function until(condition, what, wait_ms = limits.wait_ms) {
  const end = performance.now() + wait_ms;
  for (;;) {
    const result = await condition();
    if (result) {
      return result;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${wait_ms} ms in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}

/** A promise with its resolve, for events that happen once. */
export function deferred() {
  const result = {};
  result.promise = new Promise((resolve, reject) => Object.assign(result, { resolve, reject }));
  result.promise.catch(() => {});
  return result;
}

/** A queue whose reader waits for items. Once ended, reading an empty inbox fails with the reason. */
export class Inbox {
  items = [];
  waiting = [];
  ended = null;

  push(item) {
    const reader = this.waiting.shift();
    if (reader) {
      reader.resolve(item);
    } else {
      this.items.push(item);
    }
  }

  end(reason) {
    this.ended ??= new Error(`ended: ${reason}`);
    for (const reader of this.waiting.splice(0)) {
      reader.reject(this.ended);
    }
  }

  async next(what = 'the next item', wait_ms = limits.wait_ms) {
    if (this.items.length > 0) {
      return this.items.shift();
    }
    if (this.ended) {
      throw new Error(`${this.ended.message} while waiting for ${what}`);
    }
    const reader = deferred();
    this.waiting.push(reader);
    try {
      return await within(reader.promise, what, wait_ms);
    } finally {
      this.waiting = this.waiting.filter((other) => other !== reader);
    }
  }

  // Drops items until one fits.
  async take(fits, what = 'a fitting item') {
    for (;;) {
      const item = await this.next(what);
      if (fits(item)) {
        return item;
      }
    }
  }
}
