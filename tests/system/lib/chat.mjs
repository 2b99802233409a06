// What the tests of `palaver serve` share: one server for a file, raw clients of `/` and `/chat` (docs/chat.md), commands over
// HTTP, and reading the whole log.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request } from './http.mjs';
import { startPalaver } from './palaver.mjs';
import { PacketType, SioClient } from './sio.mjs';
import { test } from './tap.mjs';

export const LOBBY = 1;
export const TEXT_BYTES_MAX = 65536;
export const PAGE_BYTES_MAX = 65536;
export const UNLIMITED = ['--rate-limits', 'off'];

export const newCid = () => randomUUID();

/** A server for all tests of a file; `ends(server)` after them says that it ends in order. */
export async function fileServer({ args = UNLIMITED, env = {} } = {}) {
  const cleanups = [];
  const server = await startPalaver({ after: (fn) => cleanups.push(fn) }, { args: ['--drain-ms', '50', ...args], env });
  server.finish = async () => {
    await server.stop();
    for (const cleanup of cleanups) {
      await cleanup();
    }
  };
  return server;
}

export function ends(server) {
  test('the server ends when told, without complaints', () => server.finish());
}

// A raw client of palaver: SioClient without the probe's greetings. `refused` has a CONNECT_ERROR's data.
export class Raw extends SioClient {
  async connectTo(nsp = '/', auth = undefined) {
    this.send(...this.encode({ type: PacketType.CONNECT, nsp, data: auth }));
    const reply = await this.packets.take(
      (packet) => packet.nsp === nsp && [PacketType.CONNECT, PacketType.CONNECT_ERROR].includes(packet.type),
      `the reply to CONNECT ${nsp}`,
    );
    if (reply.type === PacketType.CONNECT_ERROR) {
      throw Object.assign(new Error(reply.data.message), { data: reply.data.data });
    }
    return reply.data.sid;
  }

  /** A command of `/chat`, or with `/` first an event of that: the one argument of its answer. */
  async command(name, ...args) {
    return only(await this.askIn('/chat', name, ...args));
  }

  async root(name, ...args) {
    return only(await this.askIn('/', name, ...args));
  }

  say(text, more = {}) {
    return this.command('message.send', { room: LOBBY, cid: newCid(), text, ...more });
  }

  /** The next event of `/chat` of that name; any other before it is a failure. */
  async hears(name, nsp = '/chat') {
    const packet = await this.packets.next(`the event ${name}`);
    assert.deepEqual([packet.type, packet.nsp, packet.data[0]], [PacketType.EVENT, nsp, name]);
    return packet.data.length === 2 ? packet.data[1] : packet.data.slice(1);
  }

  /** Fails if there is anything that nobody has asked about; what was sent before has come by then. */
  async heardNothingElse() {
    assert.equal((await this.command('no such command')).error, 'unknown_command');
    assert.deepEqual(this.packets.items, []);
  }
}

function only(args) {
  assert.equal(args.length, 1, `an answer has one argument, this has ${JSON.stringify(args)}`);
  return args[0];
}

export async function joinRoot(t, server, auth = undefined, options = {}) {
  const client = await Raw.join(server, options, '/', auth);
  t.after(() => client.terminate());
  return client;
}

/** On `/chat`, before hello. */
export async function joinChat(t, server, options = {}) {
  const client = await Raw.join(server, options, '/chat');
  t.after(() => client.terminate());
  return client;
}

/** On `/chat` with hello said: `client.hello` is the answer, `client.lobby` its lobby. */
export async function member(t, server, greeting = { name: 'Ann' }, options = {}) {
  const client = await joinChat(t, server, options);
  client.hello = ok(await client.command('hello', greeting));
  client.lobby = client.hello.rooms.find(({ id }) => id === LOBBY);
  return client;
}

export function ok(answer) {
  assert.equal(answer?.ok, true, `answered ${JSON.stringify(answer).slice(0, 300)}`);
  return answer;
}

/** An error of that code: the answer, with a message for people. */
export function fails(answer, code) {
  assert.deepEqual([answer?.ok, answer?.error], [false, code], `answered ${JSON.stringify(answer).slice(0, 300)}`);
  assert.ok(typeof answer.message === 'string' && answer.message.length > 0);
  return answer;
}

/** POST /api/v1/<command>; the answer with `json`, its body read. */
export async function api(server, command, body = {}, headers = {}, method = 'POST') {
  const answer = await request(server, {
    method,
    path: `/api/v1/${command}`,
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  });
  answer.json = /^application\/json/.test(answer.headers['content-type'] ?? '') ? JSON.parse(answer.text) : null;
  return answer;
}

/** A new guest's token. */
export async function newToken(server, name = 'Ann') {
  return ok((await api(server, 'hello', { name })).json).token;
}

/** A new guest's cookie, `name=token` as a browser sends it. */
export async function newCookie(server, name = 'Ann') {
  const { headers } = await api(server, 'hello', { name, cookie: true }, { origin: server.url });
  return headers['set-cookie'][0].split(';')[0];
}

/** Every entry of the lobby, oldest first, by room.history over HTTP; fails unless its numbers are dense from 1. */
export async function wholeLog(server) {
  const headers = { authorization: `Bearer ${await newToken(server, 'Reader')}` };
  const entries = [];
  for (let before = null, more = true; more;) {
    const body = before === null ? { room: LOBBY, limit: 200 } : { room: LOBBY, limit: 200, before };
    const page = ok((await api(server, 'room.history', body, headers)).json);
    entries.unshift(...page.entries);
    before = page.entries[0]?.seq;
    more = page.more;
  }
  assert.deepEqual(entries.map(({ seq }) => seq), entries.map((_, index) => index + 1));
  return entries;
}

/** Everything after `known` ([seq, nonce]) by room.sync, page by page, as a client does it. `reset`: whether that was said. */
export async function syncAll(client, known, epoch = client.hello.epoch) {
  const entries = [];
  let reset = false;
  for (let more = true; more;) {
    const answer = ok(await client.command('room.sync', { epoch, rooms: { [LOBBY]: known } }));
    const page = answer.rooms[0];
    reset ||= page.reset;
    entries.push(...page.entries);
    const last = page.entries.at(-1);
    known = last ? [last.seq, last.nonce] : known;
    epoch = answer.epoch;
    more = page.more && !page.reset;
  }
  return { entries, reset };
}

export const seqs = (entries) => entries.map(({ seq }) => seq);

/** from, from + 1, ..., to */
export function range(from, to) {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}
