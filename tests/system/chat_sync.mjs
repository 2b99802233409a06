// `room.sync` as docs/chat.md has it: what came after an entry that a client knows, or `reset` where its knowledge is void; also
// of a restored backup, and while others speak.

import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import {
  api, ends, fails, fileServer, LOBBY, member, newToken, ok, PAGE_BYTES_MAX, range, seqs, syncAll, wholeLog,
} from './lib/chat.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { run, test } from './lib/tap.mjs';

const ENTRIES = 450;
const ROOMS_MAX = 64;

const server = await fileServer();
const log = await fill(server, ENTRIES);

async function fill(where, count) {
  const client = await member({ after() {} }, where);
  for (let sent = 0; sent < count; sent += 50) {
    await Promise.all(range(sent + 1, Math.min(sent + 50, count)).map((i) => client.say(`text ${i}`)));
  }
  client.terminate();
  return wholeLog(where);
}

const sync = (client, known, epoch = client.hello.epoch) => client.command('room.sync', { epoch, rooms: { [LOBBY]: known } });

// The lobby's part of an answer of which all else is as it should be.
async function page(client, known, epoch = undefined) {
  const { ok: fine, epoch: said, rooms, ...more } = await sync(client, known, epoch);
  assert.deepEqual([fine, said, rooms.length, more], [true, client.hello.epoch, 1, {}]);
  assert.deepEqual(Object.keys(rooms[0]).sort(), ['as_of', 'entries', 'more', 'reset', 'room']);
  assert.equal(rooms[0].room, LOBBY);
  return rooms[0];
}

const after = (entry) => [entry.seq, entry.nonce];

async function resets(client, known, epoch = undefined) {
  const { reset, entries, as_of: asOf } = await page(client, known, epoch);
  assert.equal(reset, true, JSON.stringify(known));
  assert.equal(asOf, ENTRIES);
  assert.ok(entries.length > 0);
  assert.deepEqual(entries, log.slice(-entries.length), 'the newest page');
}

test('from nothing: everything, oldest first, page by page', async (t) => {
  const early = await member(t, await startPalaver(t));
  assert.deepEqual(await page(early, [0, 0]), { room: LOBBY, reset: false, entries: [], as_of: 0, more: false });
  const client = await member(t, server);
  assert.equal(log.length, ENTRIES);
  const first = await page(client, [0, 0]);
  assert.deepEqual([first.reset, first.more, first.as_of, first.entries[0].seq], [false, true, ENTRIES, 1]);
  assert.deepEqual(await syncAll(client, [0, 0]), { entries: log, reset: false });
});

test('from any entry: all after it, and no other', async (t) => {
  const client = await member(t, server);
  for (const at of [1, 2, 199, 200, 201, ENTRIES - 1]) {
    assert.deepEqual(await syncAll(client, after(log[at - 1])), { entries: log.slice(at), reset: false }, `after ${at}`);
  }
  const last = await page(client, after(log.at(-1)));
  assert.deepEqual(last, { room: LOBBY, reset: false, entries: [], as_of: ENTRIES, more: false });
});

test('void knowledge is reset, with the newest page: another epoch, another nonce, beyond the head, no number of ours', async (t) => {
  const client = await member(t, server);
  const { seq, nonce } = log[9];
  for (const epoch of ['', 'x', `${client.hello.epoch}0`, client.hello.epoch.toUpperCase() + 'x']) {
    await resets(client, [seq, nonce], epoch);
    await resets(client, after(log.at(-1)), epoch);
  }
  await resets(client, [seq, nonce ^ 1]);
  await resets(client, [seq, log[10].nonce]);
  await resets(client, [seq, 0]);
  await resets(client, [ENTRIES + 1, nonce]);
  for (const number of [-1, -0.5, 1.5, 1e300, 2 ** 53, 2 ** 53 - 1]) {
    await resets(client, [number, nonce]);
    await resets(client, [seq, number]);
  }
});

test('wrong arguments are invalid', async (t) => {
  const client = await member(t, server);
  const { epoch } = client.hello;
  const rooms = { 1: [0, 0] };
  for (const args of [
    [], [null], [{}], [{ epoch }], [{ rooms }], [{ epoch: 7, rooms }], [{ epoch: null, rooms }], [{ epoch: 'x'.repeat(65), rooms }],
    [{ epoch, rooms: [] }], [{ epoch, rooms: null }], [{ epoch, rooms: 'x' }], [{ epoch, rooms: { lobby: [0, 0] } }],
    [{ epoch, rooms: { '': [0, 0] } }], [{ epoch, rooms: { '-1': [0, 0] } }], [{ epoch, rooms: { '1.0': [0, 0] } }],
    [{ epoch, rooms: { ' 1': [0, 0] } }], [{ epoch, rooms: { 1: 0 } }], [{ epoch, rooms: { 1: [] } }], [{ epoch, rooms: { 1: [0] } }],
    [{ epoch, rooms: { 1: [0, 0, 0] } }], [{ epoch, rooms: { 1: ['0', '0'] } }], [{ epoch, rooms: { 1: [null, 0] } }],
    [{ epoch, rooms: { 1: { 0: 0, 1: 0 } } }], [{ epoch, rooms, limit: 1 }], [{ epoch, rooms }, 1],
    [{ epoch, rooms: { '99999999999999999999': [0, 0] } }],
  ]) {
    fails(await client.command('room.sync', ...args), 'invalid');
  }
});

test('a room is asked for once, in one form of its number', async (t) => {
  const client = await member(t, server);
  const { epoch } = client.hello;
  fails(await client.command('room.sync', { epoch, rooms: { 1: [0, 0], '01': [0, 0] } }), 'invalid');
  fails(await client.command('room.sync', { epoch, rooms: { '': [0, 0] } }), 'invalid');
  const twice = '{"1":[0,0],"1":[0,0]}';
  const { status } = await api(server, 'room.sync', `{"epoch":"${epoch}","rooms":${twice}}`, { authorization: `Bearer ${client.hello.token}` });
  assert.equal(status, 400);
});

test('many rooms: each is answered, in their order; one that is none says so; more than 64 are invalid', async (t) => {
  const client = await member(t, server);
  const { epoch } = client.hello;
  const known = after(log.at(-1));
  const rooms = (count) => Object.fromEntries(range(1, count).map((id) => [id, id === LOBBY ? known : [0, 0]]));
  const answer = ok(await client.command('room.sync', { epoch, rooms: rooms(ROOMS_MAX) }));
  assert.deepEqual(answer.rooms.map(({ room }) => room), range(1, ROOMS_MAX));
  assert.deepEqual(answer.rooms[0], { room: LOBBY, reset: false, entries: [], as_of: ENTRIES, more: false });
  assert.deepEqual(answer.rooms.slice(1), range(2, ROOMS_MAX).map((room) => ({ room, error: 'not_found' })));
  fails(await client.command('room.sync', { epoch, rooms: rooms(ROOMS_MAX + 1) }), 'invalid');
  assert.deepEqual(ok(await client.command('room.sync', { epoch, rooms: {} })).rooms, []);
  assert.deepEqual(ok(await client.command('room.sync', { epoch: 'x', rooms: {} })).epoch, epoch);
});

test('over HTTP it is the same', async () => {
  const headers = { authorization: `Bearer ${await newToken(server)}` };
  const { epoch } = (await api(server, 'hello', {}, headers)).json;
  const { json } = await api(server, 'room.sync', { epoch, rooms: { 1: after(log[ENTRIES - 3]) } }, headers);
  assert.deepEqual(json.rooms[0], { room: LOBBY, reset: false, entries: log.slice(-2), as_of: ENTRIES, more: false });
});

test('an answer holds at most 64 KiB of entries, one at least; what else was asked then has more', async (t) => {
  const own = await startPalaver(t);
  const client = await member(t, own);
  const sizes = [65536, 65536, 100, 40000, 30000, 65536, 1];
  for (const bytes of sizes) {
    ok(await client.say('x'.repeat(bytes)));
  }
  const all = await wholeLog(own);
  const got = [];
  let sawPutOff = false;
  for (let known = [0, 0], more = true; more;) {
    const { rooms } = ok(await client.command('room.sync', { epoch: client.hello.epoch, rooms: { 1: known, 2: [0, 0] } }));
    const { entries } = rooms[0];
    assert.ok(entries.length === 1 || JSON.stringify(entries).length <= PAGE_BYTES_MAX);
    got.push(...entries);
    known = after(entries.at(-1));
    more = rooms[0].more;
    sawPutOff ||= rooms[1].more === true && rooms[1].entries.length === 0 && rooms[1].reset === false;
  }
  assert.deepEqual(got, all);
  assert.ok(sawPutOff, 'a room for which there was no place');
  const { entries, reset } = (await syncAll(client, [3, 1]));
  assert.deepEqual([reset, entries], [true, all.slice(-entries.length)]);
});

test('a restored backup: what was said after it was made is void', async (t) => {
  const own = await startPalaver(t);
  const backup = `${own.data}-backup`;
  t.after(() => rmSync(backup, { recursive: true, force: true }));
  const ann = await member(t, own);
  const kept = await fill(own, 5);
  await own.stop();
  cpSync(own.data, backup, { recursive: true });
  await own.start();
  const lost = await fill(own, 3);
  await own.stop();
  rmSync(own.data, { recursive: true });
  cpSync(backup, own.data, { recursive: true });
  await own.start();
  const carol = await member(t, own, { token: ann.hello.token });
  assert.equal(carol.hello.epoch, ann.hello.epoch);
  assert.deepEqual(await syncAll(carol, after(lost.at(-1))), { entries: kept, reset: true }, 'beyond the head');
  const log2 = await fill(own, 4);
  assert.deepEqual(await syncAll(carol, after(lost.at(-1))), { entries: log2, reset: true }, 'another entry of that number');
  assert.deepEqual(await syncAll(carol, after(lost[4])), { entries: log2.slice(5), reset: false }, 'what is in both');
});

test('while others speak: what an answer has is not pushed again, and the next is', async (t) => {
  const own = await startPalaver(t);
  const [speaker, reader] = [await member(t, own), await member(t, own)];
  let speaking = true;
  const speech = (async () => {
    for (let i = 0; i < 60; i++) {
      await Promise.all(range(1, 20).map((j) => speaker.say(`${i} ${j}`)));
    }
    speaking = false;
  })();
  let known = [0, 0];
  let last = 0;
  let answers = 0;
  const pushed = [];
  reader.onEvent = ({ data: [, entry] }) => {
    assert.ok(entry.seq > last, `${entry.seq} was pushed after it was answered`);
    pushed.push(entry.seq);
    return true;
  };
  while (speaking) {
    const { entries } = await page(reader, known);
    known = entries.length > 0 ? after(entries.at(-1)) : known;
    last = known[0];
    answers += 1;
  }
  await speech;
  const { seq } = ok(await reader.say('end'));
  assert.deepEqual(pushed, range(1, seq));
  assert.deepEqual(seqs(await wholeLog(own)), range(1, seq));
  t.comment(`${answers} answers among ${seq} entries`);
}, { timeout_ms: 60000 });

ends(server);
await run();
