// What `palaver serve` takes of one client: rates and when it may try again, commands under way at once, and a client that does
// not take what it is sent.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { api, ends, fails, fileServer, joinRoot, LOBBY, member, newCid, newToken, ok, range, seqs, syncAll, TEXT_BYTES_MAX, wholeLog } from './lib/chat.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { PacketType } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const COMMANDS_MAX = 64;
const READS_MAX = 8;
const AT_ONCE = 8;
const BURST = 400;
const ROUNDS = 300;
const FLOOD = 256; // of the longest texts: more than the kernel holds for a connection
const SEND_BURST = 40; // the defaults of --help
const SEND_RATE = 10;
const READ_BURST = 100;
const READ_RATE = 20;
const GUEST_BURST = 20;

const server = await fileServer();

// Asks AT_ONCE at a time until one is refused: how many were not, when that was asked, and the time to wait.
async function untilLimited(ask, max = 2000) {
  for (let count = 0; count < max;) {
    const askedAt = performance.now();
    const answers = await Promise.all(range(1, AT_ONCE).map(ask));
    const refusals = answers.filter((answer) => !answer.ok);
    count += AT_ONCE - refusals.length;
    for (const answer of refusals) {
      fails(answer, 'rate_limited');
      assert.ok(Number.isInteger(answer.retry_ms) && answer.retry_ms > 0, `retry_ms ${answer.retry_ms}`);
    }
    if (refusals.length > 0) {
      return { count, askedAt, retryMs: refusals[0].retry_ms };
    }
  }
  throw new Error(`${max} were let through`);
}

// The burst, and as many as time gave back meanwhile; and once refused, nothing until the time that was said.
async function hasBurst(ask, burst, rate) {
  const started = performance.now();
  const { count, askedAt, retryMs } = await untilLimited(ask);
  const most = burst + Math.ceil(((performance.now() - started) / 1000) * rate) + 1;
  assert.ok(count >= burst && count <= most, `${count} were let through, of ${burst} to ${most}`);
  assert.ok(retryMs <= 1000 / rate + 1, `retry_ms ${retryMs}`);
  await until(async () => (await ask()).ok, 'it to be let in again');
  const took = performance.now() - askedAt;
  assert.ok(took >= retryMs - 2, `let in after ${took} ms, not ${retryMs}`);
}

test('sends are limited by user, with the time to wait; another user is not hit', async (t) => {
  const limited = await startPalaver(t, { args: [] });
  const [ann, bob] = [await member(t, limited), await member(t, limited)];
  await hasBurst(() => ann.say('x'), SEND_BURST, SEND_RATE);
  await untilLimited(() => ann.say('x'));
  const tab = await member(t, limited, { token: ann.hello.token });
  await untilLimited(() => tab.say('x'), 24); // the same user, by another connection
  ok(await bob.say('x'));
});

test('who leaves / and joins it again has what was left to it, and no more', async (t) => {
  const limited = await startPalaver(t, { args: [] });
  const client = await joinRoot(t, limited);
  await client.connectTo('/chat'); // so that the connection stays
  let let_in = 0;
  const started = performance.now();
  for (let round = 0; round < 4; round += 1) {
    for (let asked = 0; asked < 80; asked += AT_ONCE) {
      const answers = await Promise.all(range(1, AT_ONCE).map(() => client.root('history', { limit: 1 })));
      let_in += answers.filter((answer) => answer.ok).length;
    }
    client.send(...client.encode({ type: PacketType.DISCONNECT, nsp: '/' }));
    await client.connectTo('/');
  }
  const most = READ_BURST + Math.ceil(((performance.now() - started) / 1000) * READ_RATE) + 1;
  assert.ok(let_in >= READ_BURST && let_in <= most, `${let_in} were let through, of ${READ_BURST} to ${most}`);
});

test('sends on / are limited, for each socket', async (t) => {
  const limited = await startPalaver(t, { args: [] });
  const [one, two] = [await joinRoot(t, limited), await joinRoot(t, limited)];
  await hasBurst(() => one.root('message', 'x'), SEND_BURST, SEND_RATE);
  ok(await two.root('message', 'x'));
});

test('sends of one address are limited too', async (t) => {
  const limited = await startPalaver(t, { args: ['--limit-send-address', '5:30'] });
  const [ann, bob] = [await member(t, limited), await member(t, limited)];
  for (let i = 0; i < 15; i++) {
    ok(await ann.say('x'));
    ok(await bob.say('x'));
  }
  await untilLimited(() => ann.say('x'), 24);
  await untilLimited(() => bob.say('x'), 24);
});

test('a long message counts as several: one more for each 4 KiB', async (t) => {
  const limited = await startPalaver(t, { args: ['--limit-send', '1:20', '--limit-send-address', 'off'] });
  const [ann, bob] = [await member(t, limited), await member(t, limited)];
  const long = 'x'.repeat(65536); // 17 of 20
  ok(await ann.say(long));
  ok(await ann.say('x'));
  const { retry_ms } = fails(await ann.say(long), 'rate_limited');
  assert.ok(retry_ms > 12_000, `${retry_ms} ms until 15 more are there`);
  for (let i = 0; i < 20; i++) {
    ok(await bob.say('x'.repeat(4095)));
  }
  await untilLimited(() => bob.say('x'), 3);
});

test('what is longer than the burst allows is let in once in a burst', async (t) => {
  const limited = await startPalaver(t, { args: ['--limit-send', '1:2'] });
  const ann = await member(t, limited);
  ok(await ann.say('x'.repeat(65536)));
  fails(await ann.say('x'), 'rate_limited');
});

test('so many connections, and no more', async (t) => {
  const limited = await startPalaver(t, { args: ['--connections', '3'] });
  const open = () =>
    new Promise((resolve) => {
      const socket = connect(limited.port, '127.0.0.1');
      t.after(() => socket.destroy());
      socket.on('error', () => {});
      socket.on('close', () => resolve('closed'));
      socket.on('data', () => resolve('served'));
      socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    });
  for (const expected of ['served', 'served', 'served', 'closed']) {
    assert.equal(await open(), expected);
  }
});

test('reads are limited by user', async (t) => {
  const limited = await startPalaver(t, { args: [] });
  const ann = await member(t, limited);
  await hasBurst(() => ann.command('room.history', { room: LOBBY }), READ_BURST, READ_RATE);
  const { epoch } = ann.hello;
  await untilLimited(() => ann.command('room.sync', { epoch, rooms: { 1: [0, 0] } }), 24);
});

test('new guests and hellos of an address are limited; over HTTP 429 with Retry-After', async (t) => {
  const limited = await startPalaver(t, { args: ['--limit-hello', '1:10'] });
  const token = await newToken(limited);
  const hello = (body) => api(limited, 'hello', body);
  const statusAfter = async (body, max) => {
    let answer = await hello(body);
    for (let i = 0; answer.status === 200; i++) {
      assert.ok(i < max, 'they are let through');
      answer = await hello(body);
    }
    return answer;
  };
  for (const [body, max] of [[{ name: 'Ann' }, GUEST_BURST * 2], [{ token }, 20]]) {
    const { status, headers, json } = await statusAfter(body, max);
    assert.equal(status, 429);
    fails(json, 'rate_limited');
    assert.equal(Number(headers['retry-after']), Math.ceil(json.retry_ms / 1000));
    assert.ok(Number(headers['retry-after']) >= 1);
  }
});

test('what was refused by a rate was not said, and may be repeated with its cid', async (t) => {
  const limited = await startPalaver(t, { args: [] });
  const ann = await member(t, limited);
  await untilLimited(() => ann.say('x'));
  const cid = newCid();
  const said = async () => (await wholeLog(limited)).filter((entry) => entry.text !== 'x').map((entry) => entry.cid);
  fails(await ann.say('again', { cid }), 'rate_limited');
  assert.deepEqual(await said(), []);
  await until(async () => (await ann.say('again', { cid })).ok, 'the repetition');
  assert.deepEqual(await said(), [cid]);
});

test(`more than ${COMMANDS_MAX} unanswered commands are busy at once: each is answered once, nothing of those was tried`, async (t) => {
  for (const transport of ['websocket', 'polling']) {
    const client = await member(t, server, { name: 'Busy' }, { transport });
    const cids = range(1, BURST).map(newCid);
    client.socket?.ws._socket.cork();
    const asked = cids.map((cid) => client.say('burst', { cid }));
    client.socket?.ws._socket.uncork();
    const answers = await Promise.all(asked);
    const fine = cids.filter((_, i) => answers[i].ok);
    answers.filter((answer) => !answer.ok).forEach((answer) => fails(answer, 'busy'));
    assert.ok(fine.length >= COMMANDS_MAX, `${fine.length} were taken`);
    assert.ok(fine.length < BURST, 'none was busy');
    const said = new Set((await wholeLog(server)).map(({ cid }) => cid));
    assert.deepEqual(cids.filter((cid) => said.has(cid)), fine);
    ok(await client.say('and now it is not'));
  }
});

test(`more than ${READS_MAX} unanswered reads are busy at once; sends beside them are not`, async (t) => {
  for (const transport of ['websocket', 'polling']) {
    const client = await member(t, server, { name: 'Reader' }, { transport });
    const { epoch } = client.hello;
    client.socket?.ws._socket.cork();
    const reads = range(1, 60).map((i) => (i % 2 === 0
      ? client.command('room.history', { room: LOBBY, limit: 200 })
      : client.command('room.sync', { epoch, rooms: { 1: [0, 0] } })));
    const send = client.say('beside them');
    client.socket?.ws._socket.uncork();
    const answers = await Promise.all(reads);
    const fine = answers.filter((answer) => answer.ok).length;
    answers.filter((answer) => !answer.ok).forEach((answer) => fails(answer, 'busy'));
    assert.ok(fine >= READS_MAX && fine < answers.length, `${fine} reads were taken`);
    ok(await send);
    ok(await client.command('room.history', { room: LOBBY }));
  }
});

test('what has been answered does not count: as many reads as may be at once, again and again, are never busy', async (t) => {
  const client = await member(t, server);
  for (let i = 0; i < ROUNDS; i++) {
    const answers = await Promise.all(range(1, READS_MAX).map(() => client.command('room.history', { room: LOBBY, limit: 20 })));
    answers.forEach(ok);
  }
});

test('on / more than 64 unanswered messages are busy as well', async (t) => {
  const client = await joinRoot(t, server, undefined, { transport: 'polling' });
  const answers = await Promise.all(range(1, BURST).map((i) => client.root('message', `root burst ${i}`)));
  const fine = answers.filter((answer) => answer.ok).length;
  answers.filter((answer) => !answer.ok).forEach((answer) => fails(answer, 'busy'));
  assert.ok(fine >= COMMANDS_MAX && fine < BURST, `${fine} were taken`);
});

async function flood(speaker, tag) {
  const text = 'x'.repeat(TEXT_BYTES_MAX - 20);
  for (let sent = 0; sent < FLOOD; sent += 16) {
    await Promise.all(range(sent, sent + 15).map((i) => speaker.say(`${tag} ${i} ${text}`)));
  }
}

test('a client that does not read: nothing is queued for it, then gap, and sync has all it has missed', async (t) => {
  const own = await startPalaver(t);
  const [speaker, slow] = [await member(t, own), await member(t, own)];
  speaker.keepAll = false;
  const heard = [];
  slow.onEvent = ({ data: [event, entry] }) => heard.push(event === 'entry' ? entry : event);
  const { _socket: tcp } = slow.socket.ws;
  tcp.pause();
  await flood(speaker, 'flood');
  ok(await speaker.command('typing', { room: LOBBY }));
  tcp.resume();
  // The kernels may take so much in the midst of it that it is up with the others again, for a while.
  await until(() => heard.includes('gap') && (heard.at(-1) === 'gap' || heard.at(-1).seq === FLOOD), 'gap');
  const before = heard.slice(0, heard.indexOf('gap'));
  assert.deepEqual(seqs(before), range(1, before.length), 'what it has heard before is dense');
  assert.ok(before.length < FLOOD, 'it has missed some');
  t.comment(`${before.length} of ${FLOOD} were heard before gap`);
  const last = before.at(-1);
  const missed = await syncAll(slow, last ? [last.seq, last.nonce] : [0, 0]);
  assert.equal(missed.reset, false);
  assert.deepEqual(seqs(missed.entries), range(before.length + 1, FLOOD));
  ok(await speaker.say('live again'));
  await until(() => heard.at(-1).seq === FLOOD + 1, 'the next entry');
  assert.equal(heard.at(-1).text, 'live again');
  heard.forEach((each, i) => {
    const last = heard[i - 1];
    assert.ok(i === 0 || each === 'gap' || last === 'gap' || each.seq === last.seq + 1, `a hole before ${each.seq} without gap`);
  });
  const entries = seqs(heard.filter((each) => each !== 'gap'));
  assert.ok(entries.every((seq, i) => i === 0 || seq > entries[i - 1]), 'nothing twice, nothing late');
}, { timeout_ms: 60000 });

test('a client on / that does not read is disconnected, and nobody else', async (t) => {
  const own = await startPalaver(t);
  const speaker = await member(t, own);
  speaker.keepAll = false;
  const [slow, other] = [await joinRoot(t, own), await joinRoot(t, own)];
  const heard = [];
  other.onEvent = ({ data }) => heard.push(data[2].seq - 0);
  const slowHeard = [];
  slow.onEvent = ({ data: [, , { seq }] }) => slowHeard.push(seq);
  const { _socket: tcp } = slow.socket.ws;
  tcp.pause();
  await flood(speaker, 'flood');
  tcp.resume();
  await slow.whenClosed();
  assert.deepEqual(slowHeard, range(1, slowHeard.length), 'without a gap up to the end');
  assert.ok(slowHeard.length < FLOOD);
  await until(() => heard.length === FLOOD, 'the other to have heard all');
  assert.deepEqual(heard, range(1, FLOOD));
  ok(await other.root('message', 'still here'));
}, { timeout_ms: 60000 });

ends(server);
await run();
