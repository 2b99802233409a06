// The namespace `/chat` as docs/chat.md has it: hello, message.send, room.history, typing, and what is refused. room.sync is in
// chat_sync.mjs; rates, busy and slow clients in chat_limits.mjs.

import assert from 'node:assert/strict';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import {
  api, ends, fails, fileServer, joinChat, LOBBY, member, newCid, newToken, ok, PAGE_BYTES_MAX, range, Raw, seqs, TEXT_BYTES_MAX,
  UNLIMITED, wholeLog,
} from './lib/chat.mjs';
import { EngineClient } from './lib/engine.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until } from './lib/wait.mjs';

const COMMANDS = {
  'message.send': () => ({ room: LOBBY, cid: newCid(), text: 'x' }),
  'room.history': () => ({ room: LOBBY }),
  'room.sync': () => ({ epoch: 'x', rooms: {} }),
  typing: () => ({ room: LOBBY }),
};
const TYPING_MS = 3000;
const EARLY_MS = 100;

const server = await fileServer();

async function rows(client, cases) {
  for (const [command, args, code] of cases) {
    const answer = await client.command(command, ...args);
    assert.equal(answer.error, code, `${command} ${JSON.stringify(args).slice(0, 200)} answered ${JSON.stringify(answer).slice(0, 200)}`);
    fails(answer, code);
  }
}

test('hello with a name makes a guest: all fields, and a token', async (t) => {
  const client = await joinChat(t, server);
  const { ok: fine, user, token, epoch, now, rooms, ...more } = await client.command('hello', { name: ' Ann  Lee ' });
  assert.deepEqual([fine, more], [true, {}]);
  assert.deepEqual(user, { id: user.id, name: 'Ann Lee', guest: true });
  assert.ok(Number.isSafeInteger(user.id) && user.id > 0);
  assert.match(token, /^[A-Za-z0-9_-]{22}$/);
  assert.ok(typeof epoch === 'string' && epoch.length > 0);
  assert.ok(Math.abs(now - Date.now()) < 600000);
  assert.equal(rooms.length, 1);
  assert.deepEqual(Object.keys(rooms[0]).sort(), ['first', 'head', 'id', 'name', 'nonce']);
  assert.deepEqual([rooms[0].id, rooms[0].first], [LOBBY, 1]);
});

test('hello with a token names the same guest, on both transports and over HTTP, and has no token', async (t) => {
  const ann = await member(t, server, { name: 'Ann' });
  for (const transport of ['websocket', 'polling']) {
    const again = await member(t, server, { token: ann.hello.token }, { transport });
    assert.deepEqual(again.hello.user, ann.hello.user);
    assert.equal(again.hello.epoch, ann.hello.epoch);
    assert.equal('token' in again.hello, false);
  }
  const { json } = await api(server, 'hello', { token: ann.hello.token });
  assert.deepEqual([json.user, 'token' in json], [ann.hello.user, false]);
});

test('two guests of one name are two', async (t) => {
  const [a, b] = [await member(t, server, { name: 'Ann' }), await member(t, server, { name: 'Ann' })];
  assert.notEqual(a.hello.user.id, b.hello.user.id);
  assert.notEqual(a.hello.token, b.hello.token);
});

test('wrong hellos get an error each; then a right one is answered', async (t) => {
  const client = await joinChat(t, server);
  await rows(client, [
    ['hello', [{}], 'unauthenticated'], ['hello', [], 'invalid'], ['hello', [null], 'invalid'], ['hello', ['Ann'], 'invalid'],
    ['hello', [[]], 'invalid'], ['hello', [{ name: 'Ann' }, 1], 'invalid'], ['hello', [{ name: '' }], 'invalid'],
    ['hello', [{ name: 7 }], 'invalid'], ['hello', [{ name: null }], 'invalid'], ['hello', [{ name: 'a'.repeat(33) }], 'invalid'],
    ['hello', [{ name: 'a'.repeat(5000) }], 'invalid'], ['hello', [{ name: 'A\u202enn' }], 'invalid'],
    ['hello', [{ token: 'a'.repeat(22) }], 'unauthenticated'], ['hello', [{ token: '' }], 'unauthenticated'],
    ['hello', [{ token: 7 }], 'invalid'], ['hello', [{ name: 'Ann', token: 'a'.repeat(22) }], 'invalid'],
    ['hello', [{ name: 'Ann', cookie: true }], 'invalid'], ['hello', [{ name: 'Ann', admin: true }], 'invalid'],
  ]);
  ok(await client.command('hello', { name: 'Ann' }));
});

test('a second hello is invalid, also at once; the first holds', async (t) => {
  const client = await joinChat(t, server);
  const [first, second] = await Promise.all([client.command('hello', { name: 'Ann' }), client.command('hello', { name: 'Bob' })]);
  ok(first);
  fails(second, 'invalid');
  fails(await client.command('hello', { token: first.token }), 'invalid');
  ok(await client.say('as Ann'));
  assert.deepEqual((await client.hears('entry')).author, { id: first.user.id, name: 'Ann' });
});

test('before hello every other command is unauthenticated, and nothing is pushed', async (t) => {
  const client = await joinChat(t, server);
  for (const [command, args] of Object.entries(COMMANDS)) {
    fails(await client.command(command, args()), 'unauthenticated');
  }
  const other = await member(t, server);
  ok(await other.say('not for who has not said hello'));
  await client.heardNothingElse();
});

test('hello: every entry after head is pushed, none before', async (t) => {
  const [ann, bob] = [await member(t, server), await member(t, server)];
  ok(await ann.say('one'));
  const { seq, nonce } = await bob.hears('entry');
  const late = await member(t, server);
  assert.deepEqual([late.lobby.head, late.lobby.nonce], [seq, nonce]);
  ok(await ann.say('two'));
  assert.equal((await late.hears('entry')).seq, seq + 1);
});

test('message.send: the entry to all, its fields, the answer', async (t) => {
  const people = await Promise.all(['websocket', 'polling', 'websocket'].map((transport) => member(t, server, { name: 'Zoë' }, { transport })));
  const [ann] = people;
  const cid = newCid();
  const answer = ok(await ann.say('hello ünï', { cid }));
  assert.deepEqual(Object.keys(answer).sort(), ['at', 'nonce', 'ok', 'seq']);
  const { seq, nonce, at } = answer;
  for (const person of people) {
    assert.deepEqual(await person.hears('entry'), {
      room: LOBBY, seq, nonce, kind: 'message', at, author: { id: ann.hello.user.id, name: 'Zoë' }, text: 'hello ünï', cid,
    });
  }
});

for (const transport of ['websocket', 'polling']) {
  test(`${transport}: each answer comes right behind its own entry, in the order of the numbers`, async (t) => {
    const client = await EngineClient.open(server, { transport });
    t.after(() => client.terminate());
    client.send('0/chat,', '2/chat,0["hello",{"name":"Ann"}]');
    await client.next('CONNECT');
    const { head } = JSON.parse((await client.next('hello')).slice('3/chat,0'.length))[0].rooms[0];
    client.send(...range(1, 50).map((i) => `2/chat,${i}["message.send",{"room":1,"cid":"${newCid()}","text":"t${i}"}]`));
    for (let i = 1; i <= 50; i++) {
      const [event, entry] = JSON.parse((await client.next('an entry')).slice('2/chat,'.length));
      assert.deepEqual([event, entry.text, entry.seq], ['entry', `t${i}`, head + i]);
      const [, id, answer] = /^3\/chat,(\d+)(\[.*\])$/.exec(await client.next('its answer'));
      assert.deepEqual([Number(id), JSON.parse(answer)[0].seq], [i, head + i]);
    }
  });
}

test('message.send: the same cid again is answered as the first time and said once; another text is a conflict', async (t) => {
  const ann = await member(t, server);
  const cid = newCid();
  const first = ok(await ann.say('once', { cid }));
  assert.equal((await ann.hears('entry')).cid, cid);
  assert.deepEqual(await ann.say('once', { cid }), first);
  const tab = await member(t, server, { token: ann.hello.token });
  assert.deepEqual(await Promise.all(range(1, 10).map(() => tab.say('once', { cid }))), range(1, 10).map(() => first));
  fails(await tab.say('Once', { cid }), 'conflict');
  const headers = { authorization: `Bearer ${ann.hello.token}` };
  assert.deepEqual((await api(server, 'message.send', { room: LOBBY, cid, text: 'once' }, headers)).json, first);
  await tab.heardNothingElse();
  const other = await member(t, server, { name: 'Ann' });
  assert.ok(ok(await other.say('once', { cid })).seq > first.seq);
});

test('message.send: a repeated cid after a restart is answered as the first time', async (t) => {
  const own = await startPalaver(t);
  const ann = await member(t, own);
  const cid = newCid();
  const first = ok(await ann.say('once', { cid }));
  await own.restart();
  const again = await member(t, own, { token: ann.hello.token });
  assert.deepEqual(again.hello.user, ann.hello.user);
  assert.equal(again.hello.epoch, ann.hello.epoch);
  assert.deepEqual([again.lobby.head, again.lobby.nonce], [first.seq, first.nonce]);
  assert.deepEqual(await again.say('once', { cid }), first);
  fails(await again.say('other', { cid }), 'conflict');
  assert.equal(ok(await again.say('two')).seq, first.seq + 1);
});

test('wrong arguments get an error each, of the right code, and nothing is said', async (t) => {
  const client = await member(t, server);
  const [cid, room] = [newCid(), LOBBY];
  const text = 'x';
  await rows(client, [
    ['message.send', [], 'invalid'], ['message.send', ['x'], 'invalid'], ['message.send', [{}], 'invalid'],
    ['message.send', [{ room, cid }], 'invalid'], ['message.send', [{ room, text }], 'invalid'], ['message.send', [{ cid, text }], 'invalid'],
    ['message.send', [{ room, cid, text, at: 1 }], 'invalid'], ['message.send', [{ room, cid, text }, {}], 'invalid'],
    ['message.send', [{ room: '1', cid, text }], 'invalid'], ['message.send', [{ room: 1.5, cid, text }], 'invalid'],
    ['message.send', [{ room: -1, cid, text }], 'invalid'], ['message.send', [{ room: 2 ** 53, cid, text }], 'invalid'],
    ['message.send', [{ room: null, cid, text }], 'invalid'], ['message.send', [{ room, cid: '', text }], 'invalid'],
    ['message.send', [{ room, cid: 'a'.repeat(65), text }], 'invalid'], ['message.send', [{ room, cid: 'a b', text }], 'invalid'],
    ['message.send', [{ room, cid: 7, text }], 'invalid'], ['message.send', [{ room, cid, text: '' }], 'invalid'],
    ['message.send', [{ room, cid, text: ' \n' }], 'invalid'], ['message.send', [{ room, cid, text: 'a\0' }], 'invalid'],
    ['message.send', [{ room, cid, text: '\ud800' }], 'invalid'], ['message.send', [{ room, cid, text: 7 }], 'invalid'],
    ['message.send', [{ room, cid, text: Buffer.from('x') }], 'invalid'], ['message.send', [Buffer.from('x')], 'invalid'],
    ['message.send', [{ room, cid, text: 'x'.repeat(TEXT_BYTES_MAX + 1) }], 'too_large'],
    ['message.send', [{ room: 0, cid, text }], 'not_found'], ['message.send', [{ room: 2, cid, text }], 'not_found'],
    ['message.send', [{ room: 2 ** 53 - 1, cid, text }], 'not_found'],
    ['room.history', [], 'invalid'], ['room.history', [{}], 'invalid'], ['room.history', [{ room: 'lobby' }], 'invalid'],
    ['room.history', [{ room, limit: 0 }], 'invalid'], ['room.history', [{ room, limit: -1 }], 'invalid'],
    ['room.history', [{ room, before: -1 }], 'invalid'], ['room.history', [{ room, before: '1' }], 'invalid'],
    ['room.history', [{ room, before: null }], 'invalid'], ['room.history', [{ room, after: 1 }], 'invalid'],
    ['room.history', [{ room: 2 }], 'not_found'], ['room.history', [{ room: 0 }], 'not_found'],
    ['typing', [], 'invalid'], ['typing', [{}], 'invalid'], ['typing', [{ room: '1' }], 'invalid'], ['typing', [{ room, on: true }], 'invalid'],
    ['typing', [{ room: 2 }], 'not_found'],
    ['entry', [{}], 'unknown_command'], ['message', ['x'], 'unknown_command'], ['toString', [{}], 'unknown_command'],
    ['', [{}], 'unknown_command'], ['Hello', [{}], 'unknown_command'], ['room', [{}], 'unknown_command'],
  ]);
  await client.heardNothingElse();
  ok(await client.say('x'.repeat(TEXT_BYTES_MAX)));
});

test('a field that is there twice is invalid', async (t) => {
  const client = await EngineClient.open(server);
  t.after(() => client.terminate());
  client.send('0/chat,', '2/chat,0["hello",{"name":"Ann","name":"Bob"}]', '2/chat,1["hello",{"name":"Ann","n\\u0061me":"Bob"}]');
  await client.next('CONNECT');
  for (const id of [0, 1]) {
    const answer = await client.next('an answer');
    assert.match(answer, new RegExp(`^3/chat,${id}\\[\\{"ok":false,"error":"invalid"`));
  }
});

test('room.history: before is exclusive, limit is 50 and at most 200, oldest first, more and as_of are right', async (t) => {
  const fresh = await startPalaver(t);
  const client = await member(t, fresh);
  const page = async (args) => {
    const { ok: fine, room, entries, as_of: asOf, more, ...others } = await client.command('room.history', { room: LOBBY, ...args });
    assert.deepEqual([fine, room, others], [true, LOBBY, {}]);
    return [seqs(entries), asOf, more];
  };
  assert.deepEqual(await page({}), [[], 0, false]);
  for (let sent = 0; sent < 250; sent += 50) {
    await Promise.all(range(1, 50).map((i) => client.say(`text ${sent + i}`)));
  }
  assert.deepEqual(await page({}), [range(201, 250), 250, true]);
  assert.deepEqual(await page({ limit: 200 }), [range(51, 250), 250, true]);
  assert.deepEqual(await page({ limit: 1000 }), [range(51, 250), 250, true]);
  assert.deepEqual(await page({ limit: 250, before: 201 }), [range(1, 200), 250, false]);
  assert.deepEqual(await page({ limit: 199, before: 201 }), [range(2, 200), 250, true]);
  assert.deepEqual(await page({ before: 2 }), [[1], 250, false]);
  assert.deepEqual((await page({ before: 1 }))[0], []);
  assert.deepEqual((await page({ before: 0 }))[0], []);
  assert.deepEqual((await page({ before: 1 }))[2], false);
  assert.deepEqual(await page({ before: 10 ** 9, limit: 1 }), [[250], 250, true]);
  const heard = [];
  for (let i = 0; i < 250; i++) {
    heard.push(await client.hears('entry'));
  }
  assert.deepEqual(await wholeLog(fresh), heard, 'history has the very entries that were pushed');
});

test('room.history: at most 64 KiB of entries, one at least, and more', async (t) => {
  const fresh = await startPalaver(t);
  const client = await member(t, fresh);
  const sizes = [65536, 65536, 30000, 30000, 30000, 1, 65536];
  for (const bytes of sizes) {
    ok(await client.say('x'.repeat(bytes)));
  }
  for (let before = sizes.length + 1; before > 1;) {
    const { entries, more } = ok(await client.command('room.history', { room: LOBBY, before }));
    assert.ok(entries.length > 0);
    assert.ok(entries.length === 1 || JSON.stringify(entries).length <= PAGE_BYTES_MAX);
    assert.deepEqual(seqs(entries), range(entries[0].seq, before - 1));
    before = entries[0].seq;
    assert.equal(more, before > 1);
  }
});

test('typing reaches the others only, at most once in 3 s', async (t) => {
  const limited = await startPalaver(t, { args: ['--limit-send', 'off'] });
  const [ann, bob] = [await member(t, limited, { name: 'Ann' }), await member(t, limited, { name: 'Bob' })];
  assert.deepEqual(await ann.command('typing', { room: LOBBY }), { ok: true });
  const { user } = ann.hello;
  assert.deepEqual(await bob.hears('typing'), { room: LOBBY, user: { id: user.id, name: 'Ann' } });
  const started = performance.now();
  await until(async () => {
    ok(await ann.command('typing', { room: LOBBY }));
    return bob.packets.items.length > 0;
  }, 'the next one to be passed on', TYPING_MS * 4 * slower);
  const took = performance.now() - started;
  assert.ok(took > TYPING_MS - EARLY_MS, `passed on after ${took} ms`);
  await bob.hears('typing');
  ok(await bob.command('typing', { room: LOBBY }));
  assert.equal((await ann.hears('typing')).user.name, 'Bob');
  ok(await ann.say('done'));
  await ann.hears('entry');
  await bob.hears('entry');
  await bob.heardNothingElse();
  await ann.heardNothingElse();
});

test('official clients speak on /chat', async (t) => {
  for (const io of [io4, io3]) {
    for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
      const person = await Person.arrive(io, server, { transports }, '/chat');
      t.after(() => person.leave());
      const [hello] = await person.ask('hello', { name: 'Official' });
      const [sent] = await person.ask('message.send', { room: LOBBY, cid: newCid(), text: 'hi' });
      const [entry] = await person.hears('entry');
      assert.deepEqual([entry.seq, entry.author.id], [ok(sent).seq, ok(hello).user.id]);
      assert.equal(sent.seq, hello.rooms[0].head + 1);
    }
  }
});

test('guests off: hello is refused, with a token as well', async (t) => {
  const own = await startPalaver(t, { args: UNLIMITED });
  const token = await newToken(own);
  await own.stop();
  own.args = [...UNLIMITED, '--guests', 'off'];
  await own.start();
  const client = await Raw.join(own, {}, '/chat');
  t.after(() => client.terminate());
  fails(await client.command('hello', { name: 'Ann' }), 'guests_refused');
  fails(await client.command('hello', { token }), 'guests_refused');
  fails(await client.command('hello', {}), 'guests_refused');
  assert.equal((await api(own, 'hello', { name: 'Ann' })).status, 403);
});

ends(server);
await run();
