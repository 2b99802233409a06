// hello over HTTP: the guest's cookie is set and known here, since no script may read it.

import { API, failure, toAnswer } from '../protocol';
import type { HelloAnswer, HttpHello } from '../models/transport';

const TIMEOUT_MS = 10_000;

export const httpHello: HttpHello = async (name) => {
  try {
    const response = await fetch(`${API}hello`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      credentials: 'same-origin',
      cache: 'no-store',
      body: JSON.stringify(name === undefined ? {} : { name, cookie: true }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const raw: unknown = await response.json().catch(() => null);
    if (raw === null) return failure(response.status >= 500 ? 'unavailable' : 'unknown', '');
    return toAnswer<'hello'>(raw) as HelloAnswer;
  } catch (error) {
    return failure(error instanceof DOMException && error.name === 'TimeoutError' ? 'timeout' : 'lost');
  }
};
