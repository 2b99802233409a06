// What the browser is asked to keep: once, whatever it has and answers.

import { expect, test, vi } from 'vitest';

import { askToPersist } from '../../src/lib/storage';

test('it is asked when it is wanted, and once', () => {
  const persist = vi.fn(() => Promise.resolve(false));
  const ask = askToPersist(() => ({ persist }));
  expect(persist).not.toHaveBeenCalled();
  ask();
  ask();
  expect(persist).toHaveBeenCalledTimes(1);
});

// vitest fails where a promise is refused and nobody has looked after it.
test.each([
  ['has no storage, as on plain HTTP', undefined],
  ['has one that cannot be asked', {}],
  ['refuses', { persist: () => Promise.reject(new TypeError('no')) }],
  ['throws', { persist: () => thrown() }],
])('a browser that %s', (_what, storage) => expect(askToPersist(() => storage)).not.toThrow());

test('a browser that lets nobody at it', () => expect(askToPersist(thrown)).not.toThrow());

function thrown(): never {
  throw new DOMException('an opaque origin', 'SecurityError');
}
