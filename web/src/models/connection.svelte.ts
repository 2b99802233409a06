// The connection: made, said hello on, lost, and made again by itself. Knows when to tell people that it is away.
//
//	off --start--> connecting --hello answered--> online
//	                 |    ^                         |
//	                 v    |(time, retryNow)         v (lost)
//	                waiting <------------------------
//
// refused: hello said that this guest is not known or not let in; start() again after a new hello over HTTP.

import { Backoff } from '../lib/backoff';
import {
  type Answer,
  type Args,
  type CommandName,
  type EventName,
  type Failure,
  failure,
  notSent,
  type Pushed,
} from '../protocol';
import type { HelloAnswer, HttpHello, Transport } from './transport';

export type Phase = 'off' | 'connecting' | 'online' | 'waiting';

export const AWAY_SHOWN_AFTER_MS = 2000;
const RETRY = { first_ms: 1000, max_ms: 30_000 };
const CHECK_TIMEOUT_MS = 5000;
const CHECK_EVERY_MS = 5000;
const REFUSALS = ['unauthenticated', 'guests_refused', 'forbidden'];

export interface ConnectionEvents {
  /** Online: every entry after the heads of `hello` is pushed from now on. */
  online(hello: HelloAnswer): void;
  lost(): void;
  pushed<E extends EventName>(event: E, data: Pushed[E]): void;
  /** The cookie's guest, known by HTTP before the socket is there. */
  recognised(hello: HelloAnswer): void;
  refused(why: Failure): void;
}

export class Connection {
  phase = $state<Phase>('off');
  /** Away for so long that people are told. */
  away = $state(false);
  /** When the next try starts, while waiting. */
  retryAt = $state<number | null>(null);
  /** What the last try failed with, if the server itself said so. */
  problem = $state<Failure | null>(null);

  readonly #transport: Transport;
  readonly #httpHello: HttpHello;
  readonly #events: ConnectionEvents;
  readonly #backoff: Backoff;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #awayTimer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0; // raised by whatever makes older answers void
  #askFirst = true;
  #checking = false;
  #checkedAt = -Infinity;

  constructor(transport: Transport, httpHello: HttpHello, events: ConnectionEvents, random?: () => number) {
    this.#transport = transport;
    this.#httpHello = httpHello;
    this.#events = events;
    this.#backoff = new Backoff(random ? { ...RETRY, random } : RETRY);
  }

  get online(): boolean {
    return this.phase === 'online';
  }

  /** `known`: HTTP has just said that the cookie is good. Otherwise it is asked first. */
  start(known = false): void {
    this.#askFirst = !known;
    this.#backoff.reset();
    this.#try();
  }

  stop(): void {
    this.#attempt++;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#awayTimer);
    this.#awayTimer = undefined;
    this.#transport.close();
    this.phase = 'off';
    this.away = false;
    this.retryAt = null;
  }

  /** The window has come back, perhaps after a sleep of which nobody knows. As often as one likes. */
  woke(): void {
    if (this.phase !== 'online') this.retryNow();
    else if (Date.now() - this.#checkedAt >= CHECK_EVERY_MS) void this.check();
  }

  /** Because the network or the machine has come back. */
  retryNow(): void {
    if (this.phase !== 'waiting') return;
    clearTimeout(this.#retryTimer);
    this.#try();
  }

  /** By hand, also while a try is under way that may take long. */
  tryAnew(): void {
    if (this.phase !== 'waiting' && this.phase !== 'connecting') return;
    this.#transport.close();
    this.#try();
  }

  /** After a wake or a change of network a connection may be dead without knowing it. */
  async check(): Promise<void> {
    if (this.phase === 'waiting') this.retryNow();
    if (this.phase !== 'online' || this.#checking) return;
    this.#checking = true;
    this.#checkedAt = Date.now();
    const attempt = this.#attempt;
    const answer = await this.#within(CHECK_TIMEOUT_MS, 'room.sync', { epoch: '', rooms: {} });
    this.#checking = false;
    if (attempt !== this.#attempt || answer.ok) return;
    if (answer.error === 'timeout') {
      this.#transport.close();
      this.#lost(0);
    }
  }

  async call<C extends CommandName>(command: C, args: Args[C]): Promise<Answer<C>> {
    if (this.phase !== 'online') return notSent();
    const attempt = this.#attempt;
    const answer = await this.#transport.call(command, args);
    if (!answer.ok && answer.error === 'unauthenticated' && attempt === this.#attempt) this.#refuse(answer);
    return answer;
  }

  #within<C extends CommandName>(ms: number, command: C, args: Args[C]): Promise<Answer<C>> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(failure('timeout')), ms);
      void this.#transport.call(command, args).then((answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
    });
  }

  #try(): void {
    const attempt = ++this.#attempt;
    clearTimeout(this.#retryTimer);
    this.phase = 'connecting';
    this.retryAt = null;
    this.#startAwayTimer();
    if (this.#askFirst) void this.#ask(attempt);
    else this.#open(attempt);
  }

  async #ask(attempt: number): Promise<void> {
    const answer = await this.#httpHello();
    if (attempt !== this.#attempt) return;
    if (!answer.ok) {
      this.#failed(answer);
      return;
    }
    this.#events.recognised(answer);
    if (attempt === this.#attempt) this.#open(attempt);
  }

  #open(attempt: number): void {
    this.#transport.open({
      opened: () => void this.#hello(attempt),
      closed: (reason) => {
        if (attempt === this.#attempt) this.#failed(failure('lost', reason));
      },
      pushed: (event, data) => {
        if (attempt === this.#attempt) this.#events.pushed(event, data);
      },
    });
  }

  async #hello(attempt: number): Promise<void> {
    const answer = await this.#transport.call('hello', {});
    if (attempt !== this.#attempt) return;
    if (!answer.ok) {
      this.#transport.close();
      this.#failed(answer);
      return;
    }
    clearTimeout(this.#awayTimer);
    this.#awayTimer = undefined;
    this.#askFirst = false;
    this.#backoff.reset();
    this.away = false;
    this.problem = null;
    this.#checkedAt = Date.now();
    this.phase = 'online';
    this.#events.online(answer);
  }

  #failed(why: Failure): void {
    if (REFUSALS.includes(why.error)) {
      this.#refuse(why);
      return;
    }
    this.problem = why.error === 'lost' || why.error === 'timeout' ? null : why;
    // A second failure in a row: let HTTP say whether it is the guest or the server that is not there.
    if (this.phase !== 'online') this.#askFirst = true;
    this.#lost(Math.max(why.retry_ms ?? 0, this.#backoff.next()));
  }

  #refuse(why: Failure): void {
    const was = this.phase;
    this.stop();
    if (was === 'online') this.#events.lost();
    this.#events.refused(why);
  }

  #lost(wait_ms: number): void {
    const was = this.phase;
    this.#attempt++;
    this.phase = 'waiting';
    this.retryAt = Date.now() + wait_ms;
    this.#startAwayTimer();
    this.#retryTimer = setTimeout(() => this.#try(), wait_ms);
    if (was === 'online') this.#events.lost();
  }

  #startAwayTimer(): void {
    this.#awayTimer ??= setTimeout(() => (this.away = true), AWAY_SHOWN_AFTER_MS);
  }
}
