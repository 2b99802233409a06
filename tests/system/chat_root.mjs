// The namespace `/` as docs/chat.md has it, with official and raw clients: sending and its repetition, wrong arguments, history,
// who one is, and who is not let in.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import {
  api, ends, fails, fileServer, joinRoot, LOBBY, member, newCid, newToken, ok, PAGE_BYTES_MAX, range, Raw, seqs,
  TEXT_BYTES_MAX, UNLIMITED, wholeLog,
} from './lib/chat.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const WAYS = ['websocket', 'polling'];
const WRONG_NAMES = [
  '', ' \t  ', 'a'.repeat(33), 'Ann\nBob', 'Ann\r', 'A\0', '\x1b[31mAnn', 'A\x9bnn', 'A\x7f', 'A\u200bnn', 'A\u200dnn', 'A\u202enn',
  'A\u2066nn', 'A\u2028nn', '\ufeffAnn', '\u3164', '\u0301', '\ue000', 'a'.repeat(2000), 7, {}, ['Ann'], true, '\ud800',
];
const RIGHT_NAMES = [
  ['Ann', 'Ann'], ['a'.repeat(32), 'a'.repeat(32)], ['  Ann   Lee ', 'Ann Lee'], ['Zoe\u0308', 'Zoë'], ['日本語', '日本語'],
  ['<b>Ann</b>', '<b>Ann</b>'], ['🎉🎉', '🎉🎉'], ["O'Neil \\ \"", "O'Neil \\ \""], ['𝒜'.repeat(32), '𝒜'.repeat(32)],
];

const server = await fileServer();

async function refused(where, auth, code) {
  const error = await Raw.join(where, {}, '/', auth).then(
    (client) => { client.terminate(); return null; }, (reason) => reason);
  assert.ok(error, `let in with ${JSON.stringify(auth)}`);
  assert.deepEqual(error.data, { error: code }, JSON.stringify(auth));
  assert.ok(error.message.length > 0);
}

// What one says and is heard by itself, and is answered.
async function said(client, text, ...more) {
  const { seq } = ok(await client.root('message', text, ...more));
  const [heard, entry] = await client.hears('message', '/');
  assert.deepEqual([heard, entry.seq], [text, seq]);
  return entry;
}

for (const transport of WAYS) {
  test(`${transport}: a message with and without a cid is answered after it was heard, with its number`, async (t) => {
    const client = await joinRoot(t, server, { name: 'Ann' }, { transport });
    const first = await said(client, 'one');
    const second = await said(client, 'two', { cid: newCid() });
    const third = await said(client, 'three', {});
    const fourth = await said(client, 'four', null);
    assert.deepEqual([second.seq, third.seq, fourth.seq], range(first.seq + 1, first.seq + 3));
    assert.deepEqual(Object.keys(await client.root('message', 'five')).sort(), ['ok', 'seq']);
  });
}

test('a message is heard before its answer comes', async (t) => {
  const client = await joinRoot(t, server);
  const order = [];
  client.onEvent = ({ data }) => order.push(data[0]);
  const answers = range(1, 20).map((i) => client.root('message', `m${i}`).then(() => order.push('answer')));
  await Promise.all(answers);
  let ahead = 0;
  for (const what of order) {
    ahead += what === 'message' ? 1 : -1;
    assert.ok(ahead >= 0, `an answer came before its message: ${order}`);
  }
});

test('the same cid again: the same number, said once, also from another connection and another transport', async (t) => {
  const cid = newCid();
  const client = await joinRoot(t, server, { name: 'Ann' });
  const { seq } = await said(client, 'once', { cid });
  assert.deepEqual(await client.root('message', 'once', { cid }), { ok: true, seq });
  client.terminate();
  for (const transport of WAYS) {
    const again = await joinRoot(t, server, { name: 'Ann' }, { transport });
    assert.deepEqual(await again.root('message', 'once', { cid }), { ok: true, seq });
    const next = await said(again, `after, by ${transport}`); // and nothing before it
    assert.ok(next.seq > seq);
  }
  assert.equal((await wholeLog(server)).filter((entry) => entry.cid === cid).length, 1);
});

test('a burst of one cid from many connections is one entry', async (t) => {
  const cid = newCid();
  const clients = await Promise.all(range(1, 10).map(() => joinRoot(t, server)));
  const answers = await Promise.all(clients.flatMap((client) => range(1, 5).map(() => client.root('message', 'burst', { cid }))));
  assert.equal(new Set(answers.map((answer) => ok(answer).seq)).size, 1);
  assert.equal((await wholeLog(server)).filter((entry) => entry.cid === cid).length, 1);
});

test('the same cid with another text is a conflict; of another author it is another message', async (t) => {
  const cid = newCid();
  const client = await joinRoot(t, server);
  const { seq } = await said(client, 'this', { cid });
  fails(await client.root('message', 'that', { cid }), 'conflict');
  assert.deepEqual(await client.root('message', 'this', { cid }), { ok: true, seq });
  const ann = await joinRoot(t, server, { token: await newToken(server) });
  assert.ok((await said(ann, 'that', { cid })).seq > seq);
});

test('what was answered is there after kill -9', async (t) => {
  const fragile = await startPalaver(t);
  const client = await joinRoot(t, fragile, { name: 'Ann' });
  const answers = await Promise.all(range(1, 50).map((i) => client.root('message', `text ${i}`)));
  await fragile.kill();
  await fragile.start();
  const log = await wholeLog(fragile);
  for (const [i, answer] of answers.entries()) {
    assert.equal(log[ok(answer).seq - 1].text, `text ${i + 1}`);
  }
});

test('wrong arguments of message get an error each, and nothing is said', async (t) => {
  const client = await joinRoot(t, server);
  const before = (await wholeLog(server)).length;
  const wrong = [
    [], [null], [1], [true], [{}], [{ text: 'x' }], [['x']], [''], [' \n\t'], ['\u200b'], ['a\0b'], ['\ud800'], ['x\udc00'],
    [Buffer.from('x')], ['x', 'cid'], ['x', 1], ['x', []], ['x', true], ['x', { cid: '' }], ['x', { cid: 'a'.repeat(65) }],
    ['x', { cid: 'a b' }], ['x', { cid: 'ä' }], ['x', { cid: 'a/b' }], ['x', { cid: 7 }], ['x', { cid: null }],
    ['x', { CID: 'a' }], ['x', { cid: 'a', room: 1 }], ['x', { room: 1 }], ['x', {}, 1], ['x', { cid: 'a' }, {}],
  ];
  for (const args of wrong) {
    fails(await client.root('message', ...args), 'invalid');
  }
  fails(await client.root('message', 'x'.repeat(TEXT_BYTES_MAX + 1)), 'too_large');
  fails(await client.root('message', 'ü'.repeat(TEXT_BYTES_MAX / 2 + 1)), 'too_large');
  assert.equal((await wholeLog(server)).length, before);
  await said(client, 'x'.repeat(TEXT_BYTES_MAX));
  await said(client, 'ü'.repeat(TEXT_BYTES_MAX / 2));
  for (const cid of ['a', `${newCid()}_-`, `A${'z'.repeat(31)}${newCid().slice(0, 32)}`]) {
    await said(client, 'x', { cid });
  }
});

test('without a wish for an answer an error is silent, and the client stays', async (t) => {
  const client = await joinRoot(t, server);
  for (const args of [['message'], ['message', 7], ['history', 'x'], ['nothing such'], ['message', 'x', { cid: '!' }]]) {
    client.emit(...args);
  }
  await said(client, 'still here');
});

test('texts arrive as they were said', async (t) => {
  const client = await joinRoot(t, server);
  const texts = ['"', '\\', 'a\u2028\u2029', '</script><b>', 'a\x01\x1e\x7f', '\ud83d\ude00', '\ufeffx', '\ufffd', 'a\r\nb', '{"_placeholder":true}'];
  const entries = [];
  for (const text of texts) {
    entries.push(await said(client, text));
  }
  const page = ok(await client.root('history', { limit: texts.length }));
  assert.deepEqual(page.entries, entries.map((entry, i) => ({ ...entry, text: texts[i] })));
});

test('history: before is exclusive, limit is 50 and at most 200, oldest first', async (t) => {
  const fresh = await startPalaver(t);
  const client = await joinRoot(t, fresh, { name: 'Ann' });
  assert.deepEqual(await client.root('history'), { ok: true, entries: [] });
  for (let sent = 0; sent < 250; sent += 50) {
    await Promise.all(range(sent + 1, sent + 50).map((i) => client.root('message', `text ${i}`)));
  }
  const page = async (...args) => seqs(ok(await client.root('history', ...args)).entries);
  assert.deepEqual(await page(), range(201, 250));
  assert.deepEqual(await page(null), range(201, 250));
  assert.deepEqual(await page({}), range(201, 250));
  assert.deepEqual(await page({ limit: 200 }), range(51, 250));
  assert.deepEqual(await page({ limit: 201 }), range(51, 250));
  assert.deepEqual(await page({ limit: Number.MAX_SAFE_INTEGER }), range(51, 250));
  assert.deepEqual(await page({ limit: 1 }), [250]);
  assert.deepEqual(await page({ before: 51 }), range(1, 50));
  assert.deepEqual(await page({ before: 251, limit: 2 }), [249, 250]);
  assert.deepEqual(await page({ before: 250, limit: 2 }), [248, 249]);
  assert.deepEqual(await page({ before: 9999, limit: 2 }), [249, 250]);
  assert.deepEqual(await page({ before: Number.MAX_SAFE_INTEGER, limit: 1 }), [250]);
  assert.deepEqual(await page({ before: 3 }), [1, 2]);
  assert.deepEqual(await page({ before: 2 }), [1]);
  assert.deepEqual(await page({ before: 1 }), []);
  assert.deepEqual(await page({ before: 0 }), []);
  const [entry] = ok(await client.root('history', { before: 2 })).entries;
  assert.deepEqual(Object.keys(entry).sort(), ['at', 'name', 'seq', 'text']);
  assert.equal(entry.name, 'Ann');
});

test('history: wrong arguments get an error each', async (t) => {
  const client = await joinRoot(t, server);
  const wrong = [
    [1], ['x'], [[]], [true], [{ limit: 0 }], [{ limit: -1 }], [{ limit: 1.5 }], [{ limit: '1' }], [{ limit: null }], [{ limit: 1e300 }],
    [{ before: -1 }], [{ before: 0.5 }], [{ before: '3' }], [{ before: null }], [{ before: 2 ** 53 }], [{ after: 1 }], [{ room: 1 }],
    [{}, 1], [{ limit: 1 }, {}],
  ];
  for (const args of wrong) {
    fails(await client.root('history', ...args), 'invalid');
  }
});

test('history: an answer holds at most 64 KiB of entries, one at least, and says more; none is left out', async (t) => {
  const fresh = await startPalaver(t);
  const client = await joinRoot(t, fresh);
  const sizes = [100, 40000, 30000, 65536, 65536, 1, 30000, 30000, 10000];
  for (const [i, bytes] of sizes.entries()) {
    ok(await client.root('message', String(i).padEnd(bytes, 'x')));
  }
  const got = [];
  for (let before = sizes.length + 1, more = true; more;) {
    const page = ok(await client.root('history', { before }));
    const bytes = JSON.stringify(page.entries).length;
    assert.ok(page.entries.length === 1 || bytes <= PAGE_BYTES_MAX, `${page.entries.length} entries of ${bytes} bytes`);
    got.unshift(...page.entries);
    before = page.entries[0].seq;
    more = before > 1;
    assert.equal(page.more ?? false, more);
  }
  assert.deepEqual(got.map(({ text }) => text.length), sizes.map((bytes) => Math.max(bytes, 1)));
});

test('auth.name: what is no name of a person is a connect_error that says so', async () => {
  for (const name of WRONG_NAMES) {
    await refused(server, { name }, 'invalid');
  }
  await assert.rejects(Person.arrive(io, server, { auth: { name: '' } }), (error) => error.data.error === 'invalid');
});

test('auth.name: what is one is cleaned and shown', async (t) => {
  for (const [name, shown] of RIGHT_NAMES) {
    const client = await joinRoot(t, server, { name });
    assert.equal((await said(client, 'hello')).name, shown);
  }
  for (const auth of [undefined, {}, { name: null }, { other: 1 }]) {
    assert.equal((await said(await joinRoot(t, server, auth), 'hello')).name, 'guest');
  }
});

test('auth.token: a guest speaks as that guest, in the log too', async (t) => {
  const { json } = await api(server, 'hello', { name: 'Tilda' });
  const client = await joinRoot(t, server, { token: json.token });
  const entry = await said(client, 'as Tilda');
  assert.equal(entry.name, 'Tilda');
  assert.equal((await said(await joinRoot(t, server, { token: json.token, name: 'Other' }), 'again')).name, 'Tilda');
  assert.deepEqual((await wholeLog(server))[entry.seq - 1].author, { id: json.user.id, name: 'Tilda' });
  const quick = await joinRoot(t, server, { token: json.token });
  const answers = await Promise.all(range(1, 20).map((i) => quick.root('message', `at once ${i}`)));
  assert.deepEqual(answers.map((answer) => ok(answer).seq), range(answers[0].seq, answers[0].seq + 19));
});

test('auth.token: one that is none is a connect_error, one that nobody has an error to all that is asked', async (t) => {
  for (const token of ['', 'x', 7, {}, 'ä'.repeat(22), 'a'.repeat(21), 'a'.repeat(23), 'a'.repeat(5000)]) {
    await refused(server, { token }, 'unauthenticated');
  }
  const nobody = await joinRoot(t, server, { token: 'a'.repeat(22) });
  fails(await nobody.root('message', 'hello'), 'unauthenticated');
  fails(await nobody.root('history'), 'unauthenticated');
  await refused(server, { token: await newToken(server), name: '' }, 'invalid');
});

test('anything else gets an error', async (t) => {
  const client = await joinRoot(t, server);
  for (const event of ['hello', 'message.send', 'room.history', 'Message', 'messages', '', ' ', 'constructor', '__proto__', 'toString']) {
    fails(await client.root(event, {}), 'unknown_command');
  }
});

test('what is said on /chat is heard on /, and the other way round', async (t) => {
  const plain = await joinRoot(t, server, { name: 'Plain' });
  const full = await member(t, server, { name: 'Full' });
  const { seq } = ok(await full.say('from /chat'));
  const [text, entry] = await plain.hears('message', '/');
  assert.deepEqual([text, entry.seq, entry.name], ['from /chat', seq, 'Full']);
  assert.equal((await full.hears('entry')).seq, seq);
  ok(await plain.root('message', 'from /'));
  const heard = await full.hears('entry');
  assert.deepEqual([heard.room, heard.seq, heard.text, heard.author.name, heard.kind], [LOBBY, seq + 1, 'from /', 'Plain', 'message']);
  assert.equal('cid' in heard, false);
});

test('many messages that want no answer: those taken are dense and in order, and the client stays', async (t) => {
  const fresh = await startPalaver(t);
  const client = await joinRoot(t, fresh);
  range(1, 1000).forEach((i) => client.emit('message', String(i)));
  await until(async () => (await wholeLog(fresh)).length === 1000, 'all of them', 20000);
  const log = await wholeLog(fresh);
  assert.deepEqual(log.map(({ text }) => text), range(1, 1000).map(String));
});

test('guests off: a connect_error that says so, with a token as well', async (t) => {
  const closed = await startPalaver(t, { args: [...UNLIMITED, '--guests', 'off'] });
  await refused(closed, { name: 'Ann' }, 'guests_refused');
  await refused(closed, undefined, 'guests_refused');
  await refused(closed, { token: 'a'.repeat(22) }, 'guests_refused');
  for (const transports of [['websocket'], ['polling']]) {
    await assert.rejects(Person.arrive(io, closed, { transports }), (error) => error.data.error === 'guests_refused');
  }
});

ends(server);
await run();
