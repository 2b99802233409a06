// The connection: asked over HTTP, opened, lost and made again, and what people are told of it.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { AWAY_SHOWN_AFTER_MS, Connection } from '../../src/models/connection.svelte';
import type { HelloAnswer, HttpHello } from '../../src/models/transport';
import { type Answer, failure, type Failure } from '../../src/protocol';
import { FakeLog, FakeTransport, hello } from './fake';

let server: FakeLog;
let transport: FakeTransport;
let socketHello: () => Promise<Answer<'hello'>> | Answer<'hello'>;
let httpAnswer: () => HelloAnswer | Failure;
let http: ReturnType<typeof vi.fn<HttpHello>>;
let heard: string[];
let connection: Connection;

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeLog().fill(3);
  socketHello = () => hello(server);
  httpAnswer = () => hello(server);
  heard = [];
  transport = new FakeTransport(async (command, args) =>
    command === 'hello' ? ((await socketHello()) as never) : server.call(command, args),
  );
  http = vi.fn<HttpHello>(() => Promise.resolve(httpAnswer()));
  connection = new Connection(
    transport,
    http,
    {
      online: () => heard.push('online'),
      lost: () => heard.push('lost'),
      recognised: () => heard.push('recognised'),
      refused: (why) => heard.push(`refused ${why.error}`),
      pushed: (event) => heard.push(event),
    },
    () => 1, // without jitter: the whole time
  );
});
afterEach(() => {
  connection.stop();
  vi.useRealTimers();
});

const soon = () => vi.advanceTimersByTimeAsync(0);

async function online(): Promise<void> {
  connection.start(true);
  transport.events?.opened();
  await soon();
  expect(connection.phase).toBe('online');
  heard = [];
}

test('the cookie is asked for by HTTP before the socket is opened', async () => {
  connection.start();
  expect(transport.opens).toBe(0);
  await soon();
  expect(heard).toEqual(['recognised']);
  transport.events?.opened();
  await soon();
  expect(heard).toEqual(['recognised', 'online']);
});

test('after a hello over HTTP the socket is opened at once', async () => {
  await online();
  expect(http).not.toHaveBeenCalled();
});

test.each(['unauthenticated', 'guests_refused', 'forbidden'] as const)(
  '%s by HTTP is a refusal, not a failure',
  async (error) => {
    httpAnswer = () => failure(error);
    connection.start();
    await soon();
    expect(heard).toEqual([`refused ${error}`]);
    expect(connection.phase).toBe('off');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(http).toHaveBeenCalledTimes(1);
  },
);

test('a server that is not there is tried again, with growing pauses', async () => {
  httpAnswer = () => failure('lost');
  connection.start();
  await soon();
  expect(connection.phase).toBe('waiting');
  await vi.advanceTimersByTimeAsync(1000 + 2000 + 4000);
  expect(http).toHaveBeenCalledTimes(4);
  httpAnswer = () => hello(server);
  await vi.advanceTimersByTimeAsync(8000);
  expect(transport.opens).toBe(1);
});

test('people are told only of what lasts', async () => {
  await online();
  transport.lose();
  expect(connection.phase).toBe('waiting');
  expect(connection.away).toBe(false);
  await vi.advanceTimersByTimeAsync(1000); // the first try
  transport.events?.opened();
  await soon();
  expect(connection.phase).toBe('online');
  await vi.advanceTimersByTimeAsync(AWAY_SHOWN_AFTER_MS);
  expect(connection.away).toBe(false);
  transport.lose();
  await vi.advanceTimersByTimeAsync(AWAY_SHOWN_AFTER_MS - 1);
  expect(connection.away).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(connection.away).toBe(true);
});

test('lost and found: told once each, pushes of the old connection are void', async () => {
  await online();
  const old = transport.events!;
  transport.lose();
  await vi.advanceTimersByTimeAsync(1000);
  old.pushed('gap', {});
  old.closed('again');
  transport.events?.opened();
  await soon();
  expect(heard).toEqual(['lost', 'online']);
});

test('by hand also while a try is under way', async () => {
  await online();
  transport.lose();
  connection.tryAnew();
  expect(transport.opens).toBe(2);
  connection.tryAnew(); // the last one hangs
  expect(transport.opens).toBe(3);
  transport.events?.opened();
  await soon();
  expect(connection.phase).toBe('online');
});

test('now means now', async () => {
  await online();
  transport.lose();
  expect(connection.retryAt).toBe(Date.now() + 1000);
  connection.retryNow();
  expect(transport.opens).toBe(2);
  connection.retryNow(); // already trying
  expect(transport.opens).toBe(2);
});

test('a second failure in a row asks HTTP what is wrong', async () => {
  await online();
  transport.lose();
  await vi.advanceTimersByTimeAsync(1000);
  httpAnswer = () => failure('guests_refused');
  transport.events?.closed('websocket error');
  await vi.advanceTimersByTimeAsync(2000);
  expect(heard).toEqual(['lost', 'refused guests_refused']);
});

test('hello on the socket: rate_limited waits, unauthenticated is a refusal', async () => {
  socketHello = () => failure('rate_limited', '', 9000);
  connection.start(true);
  transport.events?.opened();
  await soon();
  expect(connection.problem?.error).toBe('rate_limited');
  expect(connection.retryAt).toBe(Date.now() + 9000);
  socketHello = () => failure('unauthenticated');
  await vi.advanceTimersByTimeAsync(9000);
  transport.events?.opened();
  await soon();
  expect(heard.at(-1)).toBe('refused unauthenticated');
});

test('a command that finds one signed out ends it', async () => {
  await online();
  server.fault = () => failure('unauthenticated');
  await connection.call('typing', { room: 1 });
  expect(heard).toEqual(['lost', 'refused unauthenticated']);
});

test('offline, a call is answered at once and nothing is sent', async () => {
  expect(await connection.call('typing', { room: 1 })).toMatchObject({ ok: false, error: 'lost' });
  expect(server.calls).toEqual([]);
});

test('a connection that is dead without knowing it is found by a check', async () => {
  await online();
  server.between = () => new Promise(() => undefined);
  void connection.check();
  await vi.advanceTimersByTimeAsync(4999);
  expect(connection.phase).toBe('online');
  await vi.advanceTimersByTimeAsync(1);
  expect(heard).toEqual(['lost']);
  await vi.advanceTimersByTimeAsync(1);
  expect(transport.opens).toBe(2);
});

test('a check of a living connection changes nothing, whatever it is answered', async () => {
  await online();
  server.fault = () => failure('invalid');
  await connection.check();
  expect(connection.phase).toBe('online');
  expect(heard).toEqual([]);
});

test('a window that comes back looks whether the connection lives, but not each time', async () => {
  await online();
  connection.woke();
  expect(server.of('room.sync')).toHaveLength(0); // it has just said hello
  await vi.advanceTimersByTimeAsync(5000);
  connection.woke();
  connection.woke();
  await soon();
  connection.woke();
  expect(server.of('room.sync')).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(5000);
  server.between = () => new Promise(() => undefined); // suspended meanwhile: nobody is there any more
  connection.woke();
  await vi.advanceTimersByTimeAsync(5001);
  expect(heard).toEqual(['lost']);
  expect(transport.opens).toBe(2);
});
