// Bad input to `palaver serve`, by the numbers of the list of threats. 26 and 72 are in chat_origin.mjs, 78 in chat_logs.mjs.

import assert from 'node:assert/strict';
import { api, ends, fails, fileServer, joinRoot, LOBBY, member, newCid, newToken, ok, range, TEXT_BYTES_MAX, UNLIMITED, wholeLog } from './lib/chat.mjs';
import { EngineClient } from './lib/engine.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { run, test } from './lib/tap.mjs';
import { limits, until } from './lib/wait.mjs';

const DEEP = 10000;

const server = await fileServer();
const bearer = { authorization: `Bearer ${await newToken(server)}` };
const post = (command, body) => api(server, command, body, bearer);

// A raw client whose packets are the test's own text; answers by id. It has said hello where `nsp` is '/chat'.
async function rawClient(t, nsp) {
  const client = await EngineClient.open(server);
  t.after(() => client.terminate());
  const prefix = nsp === '/' ? '' : `${nsp},`;
  client.send(`0${prefix}`);
  await client.next('CONNECT');
  client.event = async (args, id = 7) => {
    client.send(`2${prefix}${id}${args}`);
    const answer = await client.inbox.take((packet) => packet.startsWith(`3${prefix}${id}[`), `the answer to ${args.slice(0, 60)}`);
    return JSON.parse(answer.slice(`3${prefix}${id}`.length))[0];
  };
  if (nsp === '/chat') {
    ok(await client.event('["hello",{"name":"Raw"}]'));
  }
  return client;
}

const send = (text, more = '') => `["message.send",{"room":1,"cid":"${newCid()}","text":${text}${more}}]`;

test('threat 62: JSON that is too deep closes its sender or is refused; nobody else sees anything of it', async (t) => {
  const witness = await member(t, server);
  const bomb = '['.repeat(DEEP) + ']'.repeat(DEEP);
  const objects = '{"a":'.repeat(DEEP) + '1' + '}'.repeat(DEEP);
  for (const deep of [bomb, objects]) {
    for (const [nsp, packet] of [['/', `2["message",${deep}]`], ['/', `20["message","x",${deep}]`], ['/chat', `2/chat,0["message.send",${deep}]`]]) {
      const client = await rawClient(t, nsp);
      client.send(packet);
      const first = await Promise.race([client.end.promise.then(() => 'closed'), client.next('an answer').catch(() => 'closed')]);
      assert.ok(first === 'closed' || /"error":"invalid"/.test(first), first);
    }
    const { status } = await post('message.send', `{"room":1,"cid":"x","text":${deep}}`);
    assert.equal(status, 400);
  }
  await witness.heardNothingElse();
});

test('threat 62: 1e999, lone surrogates and __proto__ are refused or inert, and never sent on as invalid JSON', async (t) => {
  const witness = await EngineClient.open(server);
  t.after(() => witness.terminate());
  witness.send('0');
  await witness.next('CONNECT');
  const chat = await rawClient(t, '/chat');
  const root = await rawClient(t, '/');
  for (const text of ['1e999', '-1e999', '"\\ud800"', '"\\udc00x"', '"x\\ud83d"', '"\\ud83d\\ud83d\\ude00"', '{"__proto__":1}', '[]']) {
    fails(await chat.event(send(text)), 'invalid');
    fails(await root.event(`["message",${text}]`), 'invalid');
    assert.equal((await post('message.send', `{"room":1,"cid":"${newCid()}","text":${text}}`)).status, 400);
  }
  for (const more of [',"__proto__":{"ok":true}', ',"constructor":1', ',"toString":1', ',"\\u005f_proto__":1', ',"\\ud800":1', ',"":1']) {
    fails(await chat.event(send('"x"', more)), 'invalid');
    fails(await root.event(`["message","x",{"cid":"a"${more}}]`), 'invalid');
  }
  for (const number of ['1e999', '-1e999', '1E400', '1e-999', '0.1e1', '1.0', '01']) {
    const client = await rawClient(t, '/chat');
    client.send(`2/chat,3["room.history",{"room":1,"limit":${number}}]`);
    const answer = await client.next('an answer').catch(() => 'closed');
    assert.ok(answer === 'closed' || /"ok":/.test(answer), `${number}: ${answer}`);
    JSON.parse(answer === 'closed' ? '0' : answer.slice('3/chat,3'.length));
  }
  ok(await chat.event(send('"\\ud83d\\ude00"')));
  ok(await root.event('["message","end"]'));
  for (const text of ['😀', 'end']) {
    const packet = await witness.next('what was said');
    assert.equal(JSON.parse(packet.slice(1))[1], text); // and nothing before it
  }
});

test('threat 65: every operation on a room that is not there is one and the same not_found', async (t) => {
  const client = await member(t, server);
  const answers = [];
  for (const room of [0, 2, 3, 1000000, 2 ** 53 - 1]) {
    answers.push(await client.command('message.send', { room, cid: newCid(), text: 'x' }));
    answers.push(await client.command('room.history', { room }));
    answers.push(await client.command('typing', { room }));
    for (const [command, body] of [['message.send', { room, cid: newCid(), text: 'x' }], ['room.history', { room }]]) {
      const { status, json } = await post(command, body);
      assert.equal(status, 404);
      answers.push(json);
    }
    const { rooms } = ok(await client.command('room.sync', { epoch: client.hello.epoch, rooms: { [room]: [1, 1] } }));
    assert.deepEqual(rooms, [{ room, error: 'not_found' }]);
  }
  answers.forEach((answer) => assert.deepEqual(answer, answers[0]));
  fails(answers[0], 'not_found');
});

test('threat 73: a text that is empty, over 64 KB, or has a NUL is refused', async (t) => {
  const [chat, root] = [await member(t, server), await joinRoot(t, server)];
  for (const [text, code, status] of [['', 'invalid', 400], [' \u3000\t\r\n', 'invalid', 400], ['\u200b\u2060\ufeff', 'invalid', 400], ['\u0301', 'invalid', 400],
    ['a\0', 'invalid', 400], ['\0', 'invalid', 400], ['x'.repeat(TEXT_BYTES_MAX + 1), 'too_large', 413], ['€'.repeat(TEXT_BYTES_MAX / 3 + 1), 'too_large', 413]]) {
    fails(await chat.say(text), code);
    fails(await root.root('message', text), code);
    const answer = await post('message.send', { room: LOBBY, cid: newCid(), text });
    assert.equal(answer.status, status);
    fails(answer.json, code);
  }
});

test('arguments over 512 KiB are refused, whatever is in them, and the socket lives on', async (t) => {
  const [chat, root] = [await rawClient(t, '/chat'), await rawClient(t, '/')];
  const spaces = ' '.repeat(512 * 1024);
  fails(await chat.event(`["message.send",{"room":1,"cid":"${newCid()}","text":"x"${spaces}}]`), 'too_large');
  fails(await chat.event(`["room.history",{"room":1${spaces}}]`), 'too_large');
  fails(await root.event(`["message","x",{"cid":"a"${spaces}}]`), 'too_large');
  fails(await root.event(`["history",{${spaces}}]`), 'too_large');
  ok(await chat.event(send('"x"')));
  ok(await root.event('["message","x"]'));
});

// Texts that a careless program acts upon: each must come back as it was said, by every way.
async function comeBackAsTheyWere(t, texts) {
  const [chat, root] = [await member(t, server), await joinRoot(t, server)];
  const before = (await wholeLog(server)).length;
  for (const text of texts) {
    const { seq } = ok(await chat.say(text));
    assert.equal((await chat.hears('entry')).text, text);
    const [plain, entry] = await root.hears('message', '/');
    assert.deepEqual([plain, entry.seq], [text, seq]);
  }
  assert.deepEqual((await wholeLog(server)).slice(before).map(({ text }) => text), texts);
}

test('threat 74: scripts and endless nesting are texts like others, and as fast', async (t) => {
  const started = performance.now();
  await comeBackAsTheyWere(t, [
    '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '[x](java&#115;cript:alert(1))', '[x](javascript:alert(1))', '</script><svg/onload=alert(1)>',
    '"><b>', '\u2028\u2029;alert(1)//', '{{7*7}}${7*7}<%= 7*7 %>', '>'.repeat(DEEP) + 'x', '['.repeat(DEEP), '**'.repeat(DEEP) + 'x', '- '.repeat(DEEP) + 'x',
    '`'.repeat(DEEP), `${'<div>'.repeat(DEEP)}x`, '![a'.repeat(DEEP), '_*'.repeat(DEEP) + 'x', '(a'.repeat(DEEP),
  ]);
  assert.ok(performance.now() - started < limits.wait_ms, 'it took too long');
  const { headers } = await post('room.history', { room: LOBBY, limit: 1 });
  assert.deepEqual([headers['content-type'], headers['x-content-type-options']], ['application/json', 'nosniff']);
  const script = await api(server, '<script>alert(1)</script>', {}, bearer);
  assert.ok(!script.text.includes('<script>'), 'nothing of the request is repeated as it was');
});

test('threat 77: what a database could take for its own language is taken literally', async (t) => {
  await comeBackAsTheyWere(t, [
    "' OR 1=1 --", "'); DROP TABLE entries; --", '" OR ""="', '%', '_', '*'.repeat(1000), 'a NEAR b AND NOT c OR "d" *', 'col:x ^y', '?', '?1', ':a', '@a', '$1', '\\', "'", "''",
  ]);
  const name = "' OR 1=1 --";
  const client = await member(t, server, { name });
  assert.equal(client.hello.user.name, name);
  for (const token of ["' OR 1=1 --", '%'.repeat(22), "' OR 1=1 --aaaaaaaaaaa", '_'.repeat(22)]) {
    assert.equal((await api(server, 'hello', { token })).status, 401, token);
    assert.equal((await api(server, 'hello', {}, { authorization: `Bearer ${token}` })).status, 401, token);
  }
  const { epoch } = client.hello;
  fails(await client.command('room.sync', { epoch, rooms: { '1 OR 1=1': [0, 0] } }), 'invalid');
  assert.equal(ok(await client.command('room.sync', { epoch: "' OR 1=1 --", rooms: { 1: [1, 1] } })).rooms[0].reset, true);
  fails(await client.say('x', { cid: "' OR 1=1" }), 'invalid');
});

test('threat 79: a cid again: the same text is the same number, another is 409', async () => {
  const cid = newCid();
  const first = await post('message.send', { room: LOBBY, cid, text: 'one' });
  const again = await post('message.send', { room: LOBBY, cid, text: 'one' });
  assert.deepEqual([again.status, again.json], [200, first.json]);
  const other = await post('message.send', { room: LOBBY, cid, text: 'One' });
  assert.equal(other.status, 409);
  fails(other.json, 'conflict');
  assert.equal((await wholeLog(server)).filter((entry) => entry.cid === cid).length, 1);
});

test('threat 80: a number beyond the head, negative, or of another epoch is an explicit reset', async (t) => {
  const client = await member(t, server);
  ok(await client.say('there is something'));
  const { seq, nonce } = await client.hears('entry');
  for (const [epoch, known] of [[client.hello.epoch, [seq + 1, nonce]], [client.hello.epoch, [-1, nonce]], [client.hello.epoch, [-(2 ** 40), 0]],
    ['another', [seq, nonce]], [client.hello.epoch, [seq, nonce ^ 1]]]) {
    const { rooms } = ok(await client.command('room.sync', { epoch, rooms: { [LOBBY]: known } }));
    assert.equal(rooms[0].reset, true, JSON.stringify(known));
    assert.equal(rooms[0].entries.at(-1).seq, seq);
  }
});

test('threat 81: further fields are refused, in every command, by every way', async (t) => {
  const client = await member(t, server);
  const fresh = { hello: { name: 'Ann' }, 'room.history': { room: LOBBY }, 'room.sync': { epoch: '', rooms: {} }, typing: { room: LOBBY },
    'message.send': { room: LOBBY, cid: newCid(), text: 'x' } };
  for (const [command, args] of Object.entries(fresh)) {
    for (const extra of ['is_admin', 'author', 'seq', 'nonce', 'at', 'name ', 'Room', '', 'user', 'id']) {
      const wrong = { ...args, [extra]: true };
      fails(await client.command(command, wrong), 'invalid');
      const { status } = await post(command, wrong);
      assert.equal(status, command === 'typing' ? 404 : 400, `${command} ${extra}`);
    }
  }
  const root = await joinRoot(t, server);
  fails(await root.root('message', 'x', { is_admin: true }), 'invalid');
  fails(await root.root('history', { is_admin: true }), 'invalid');
  await client.heardNothingElse();
});

test('threat 82: of 1000 typings one is passed on', async (t) => {
  const limited = await startPalaver(t, { args: ['--limit-send', 'off', '--limit-send-address', 'off'] });
  const [ann, bob] = [await member(t, limited, { name: 'Ann' }), await member(t, limited, { name: 'Bob' })];
  const started = performance.now();
  for (let i = 0; i < 20; i++) {
    const answers = await Promise.all(range(1, 50).map(() => ann.command('typing', { room: LOBBY })));
    answers.forEach(ok);
  }
  const most = 1 + Math.floor((performance.now() - started) / 3000);
  ok(await ann.say('end'));
  let heard = 0;
  for (let packet = await bob.packets.next(); packet.data[0] !== 'entry'; packet = await bob.packets.next()) {
    assert.equal(packet.data[0], 'typing');
    heard += 1;
  }
  assert.ok(heard >= 1 && heard <= most, `${heard} were passed on, at most ${most}`);
});

test('threat 82: 100 messages at once are limited, with the time to wait', async (t) => {
  const limited = await startPalaver(t, { args: [] });
  const ann = await member(t, limited);
  const answers = [];
  for (let i = 0; i < 2; i++) {
    answers.push(...await Promise.all(range(1, 50).map((j) => ann.say(`${i} ${j}`))));
  }
  const refused = answers.filter((answer) => !answer.ok);
  assert.ok(refused.length > 0, 'all were let through');
  refused.forEach((answer) => assert.ok(fails(answer, 'rate_limited').retry_ms > 0));
  assert.equal((await wholeLog(limited)).length, answers.length - refused.length);
  await until(async () => (await ann.say('later')).ok, 'to be let in again');
});

test('threat 82: the limits are options, and off where that is said', async (t) => {
  const limited = await startPalaver(t, { args: ['--limit-send', '1:2'] });
  const ann = await member(t, limited);
  const answers = await Promise.all(['one', 'two', 'three'].map((text) => ann.say(text)));
  fails(answers.find((answer) => !answer.ok), 'rate_limited');
  await limited.stop();
  limited.args = [...UNLIMITED, '--limit-send', '1:2'];
  await limited.start();
  const bob = await member(t, limited);
  for (let i = 0; i < 20; i++) {
    ok(await bob.say('x'));
  }
});

ends(server);
await run();
