// The one typed contract with the server: commands, what is pushed, error codes and limits, as in docs/chat.md. The tables
// are plain data, so that a test can compare them with the server's own; the types below are made from them by hand.

/** Command -> its arguments. A '?' marks one that may be absent. */
export const COMMANDS = {
  hello: { name: 'string?', token: 'string?', cookie: 'boolean?' },
  'room.history': { room: 'id', before: 'number?', limit: 'number?' },
  'room.sync': { epoch: 'string', rooms: 'object' },
  'message.send': { room: 'id', cid: 'string', text: 'string' },
  typing: { room: 'id' },
} as const;

/** What is pushed -> its fields. */
export const EVENTS = {
  entry: {
    room: 'id',
    seq: 'number',
    nonce: 'number',
    kind: 'string',
    at: 'number',
    author: 'object',
    text: 'string',
    cid: 'string?',
  },
  typing: { room: 'id', user: 'object' },
  gap: {},
} as const;

export const ERROR_CODES = [
  'invalid',
  'unauthenticated',
  'guests_refused',
  'forbidden',
  'not_found',
  'unknown_command',
  'conflict',
  'too_large',
  'unsupported',
  'rate_limited',
  'busy',
  'unavailable',
  'unknown',
] as const;

export const LIMITS = {
  text_bytes_max: 65536,
  cid_chars_max: 64,
  name_chars_max: 32,
  history_default: 50,
  history_max: 200,
  sync_rooms_max: 64,
  typing_every_ms: 3000,
  typing_expires_ms: 5000,
} as const;

export const NAMESPACE = '/chat';
export const API = '/api/v1/';

export type CommandName = keyof typeof COMMANDS;
export type EventName = keyof typeof EVENTS;
export type ErrorCode = (typeof ERROR_CODES)[number];
/** `lost` and `timeout` are the client's own: the answer is missing, so it may have been done or not. */
export type FailureCode = ErrorCode | 'lost' | 'timeout';

/** Ids are compared as text (`sameId`) and sent back as they came. */
export type Id = number | string;

export interface User {
  id: Id;
  name: string;
}

export interface RoomInfo {
  id: Id;
  name: string;
  /** seq and nonce of the newest entry; 0 and 0 in an empty room. */
  head: number;
  nonce: number;
  /** seq of the oldest entry that is kept. */
  first: number;
}

export interface Entry {
  room: Id;
  seq: number;
  nonce: number;
  kind: string;
  at: number;
  author: User;
  text: string;
  cid?: string;
}

export interface Page {
  room: Id;
  entries: Entry[];
  as_of: number;
  more: boolean;
}

/** What was missed in a room; or that there is no such room. */
export type SyncPage = (Page & { reset: boolean }) | { room: Id; error: 'not_found' };

export interface Args {
  hello: { name?: string; token?: string; cookie?: true };
  'room.history': { room: Id; before?: number; limit?: number };
  'room.sync': { epoch: string; rooms: Record<string, [seq: number, nonce: number]> };
  'message.send': { room: Id; cid: string; text: string };
  typing: { room: Id };
}

export interface Results {
  hello: { user: User; epoch: string; now: number; rooms: RoomInfo[]; token?: string };
  'room.history': Page;
  'room.sync': { epoch: string; rooms: SyncPage[] };
  'message.send': { seq: number; nonce: number; at: number };
  typing: object;
}

export interface Pushed {
  entry: Entry;
  typing: { room: Id; user: User };
  gap: object;
}

export interface Failure {
  ok: false;
  error: FailureCode;
  message: string;
  retry_ms?: number;
  /** It has not left this page. */
  unsent?: true;
}

export type Answer<C extends CommandName> = ({ ok: true } & Results[C]) | Failure;

/** Asks the server; never throws: a lost connection is an answer too. */
export type Call = <C extends CommandName>(command: C, args: Args[C]) => Promise<Answer<C>>;

export function sameId(a: Id, b: Id): boolean {
  return String(a) === String(b);
}

export function failure(error: FailureCode, message = '', retry_ms?: number): Failure {
  return retry_ms === undefined ? { ok: false, error, message } : { ok: false, error, message, retry_ms };
}

/** There is no connection: nothing was sent. */
export function notSent(): Failure {
  return { ok: false, error: 'lost', message: '', unsent: true };
}

/** Makes an answer of what came over the wire, whatever that is. */
export function toAnswer<C extends CommandName>(raw: unknown): Answer<C> {
  if (typeof raw !== 'object' || raw === null) return failure('unknown');
  const answer = raw as { ok?: unknown; error?: unknown; message?: unknown; retry_ms?: unknown };
  if (answer.ok === true) return raw as Answer<C>;
  const known = ERROR_CODES.find((code) => code === answer.error);
  return failure(
    known ?? 'unknown',
    typeof answer.message === 'string' ? answer.message : '',
    typeof answer.retry_ms === 'number' ? answer.retry_ms : undefined,
  );
}
