// What the models need of the network: one connection that opens, calls, hears and closes. The real one is in net/, the
// tests have their own.

import type { Call, EventName, Pushed, Results, Failure } from '../protocol';

export interface TransportEvents {
  opened(): void;
  /** Once for each open(), also when it was never opened. */
  closed(reason: string): void;
  pushed<E extends EventName>(event: E, data: Pushed[E]): void;
}

export interface Transport {
  /** Starts to connect. One at a time. */
  open(events: TransportEvents): void;
  /** Ends it; closed() is not called. Pending calls are answered 'lost'. */
  close(): void;
  readonly call: Call;
}

export type HelloAnswer = { ok: true } & Results['hello'];

/** hello over HTTP: with a name for a new guest, whose cookie is set; without one for the guest of the cookie. */
export type HttpHello = (name?: string) => Promise<HelloAnswer | Failure>;
