// The log of `palaver serve`: with --log-format json one object a line whatever clients send, and no line that a client has
// forged; no text, token or cookie in it, not even at debug level (threat 78).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { io } from 'socket.io-client';
import { api, joinRoot, LOBBY, member, newCid, ok, Raw, UNLIMITED } from './lib/chat.mjs';
import { EngineClient } from './lib/engine.mjs';
import { RawSocket, request, target } from './lib/http.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { Person } from './lib/person.mjs';
import { freePort } from './lib/port.mjs';
import { serverPath, startProgram } from './lib/server.mjs';
import { PacketType } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until, within } from './lib/wait.mjs';

const SECRETS = ['secret-text-of-a-message', 'secret-text-by-http', 'secret-text-on-root', 'secret-text-refused', 'secret-name-of-Ann', 'secret-cid'];
const FORGED = '"}\r\n2026-01-01T00:00:00 info  FORGED\r\n{"time":"x","event":"FORGED"}\n\x1b[31m\x1b]0;FORGED\x07\x9b31m\u2028FORGED';
const PIPE_BYTES = 65536;
const LINE_BYTES_MIN = 100; // of one about a socket that has come or gone
const END_MS = 5000 * slower;
const LEVELS = ['debug', 'info', 'warn', 'error'];

// Everything that a client can say to be found in a log, right and wrong. Returns what must not be in it.
async function talk(t, server) {
  const tokens = [];
  const ann = await member(t, server, { name: SECRETS[4] });
  tokens.push(ann.hello.token);
  ok(await ann.say(SECRETS[0], { cid: SECRETS[5] }));
  await ann.command('message.send', { room: LOBBY, cid: 'x y', text: SECRETS[3] });
  await ann.command('message.send', { room: 99, cid: newCid(), text: SECRETS[3] });
  await ann.command('hello', { token: tokens[0] });
  await ann.command(SECRETS[3], { token: tokens[0] });
  const { headers } = await api(server, 'hello', { name: SECRETS[4], cookie: true }, { origin: server.url });
  const cookie = headers['set-cookie'][0].split(';')[0];
  tokens.push(cookie.split('=')[1]);
  ok((await api(server, 'message.send', { room: LOBBY, cid: newCid(), text: SECRETS[1] }, { authorization: `Bearer ${tokens[0]}` })).json);
  await api(server, 'message.send', { room: LOBBY, cid: '', text: SECRETS[3] }, { cookie, origin: 'http://evil.tld' });
  await api(server, 'message.send', SECRETS[3], { authorization: `Bearer ${tokens[0]}` });
  await member(t, server, {}, { headers: { cookie, origin: server.url } });
  ok(await (await joinRoot(t, server, { token: tokens[0] })).root('message', SECRETS[2]));
  const person = await Person.arrive(io, server, { auth: { token: tokens[1], name: SECRETS[4] } });
  ok((await person.ask('message', SECRETS[2]))[0]);
  person.leave();
  return [...SECRETS, ...tokens];
}

// Forged lines wherever a client can put them.
async function forge(t, server) {
  const auths = [{ name: FORGED }, { token: FORGED }, { [FORGED]: FORGED }];
  for (const auth of auths) {
    await Raw.join(server, {}, '/', auth).then((client) => client.terminate(), () => {});
  }
  const client = await member(t, server, { name: 'Forger' });
  ok(await client.say(FORGED));
  for (const args of [[FORGED, FORGED], ['message.send', { [FORGED]: FORGED }], ['hello', { name: FORGED }], [FORGED]]) {
    await client.command(...args);
  }
  for (const [name, value] of [['origin', 'x'], ['user-agent', 'x'], ['x-forwarded-for', 'x'], ['host', 'x'], ['cookie', 'palaver_0=x'], ['authorization', 'x']]) {
    const socket = await RawSocket.open(server);
    await socket.write(`GET ${target({ EIO: 4, transport: 'polling' })} HTTP/1.1\r\nHost: localhost\r\n`
      + `${name}: ${value}\x1b[31mFORGED\x9b\xff"}{\\\r\nConnection: close\r\n\r\n`);
    await socket.whenClosed();
  }
  const paths = ['/%0d%0a{"event":"FORGED"}', '/%1b[31mFORGED', '/socket.io/?EIO=4&transport=%0aFORGED', '/socket.io/?EIO=4&transport=polling&sid=%0aFORGED',
    '/api/v1/%0aFORGED', '/%ffFORGED', '/chat?%1bFORGED'];
  for (const path of paths) {
    await request(server, { path });
  }
  const bad = await EngineClient.open(server);
  bad.send(`0/${FORGED.replaceAll(',', '')},`, '0/\x1b[31mFORGED,', '2["message",', '9FORGED\n{"event":"FORGED"}');
  await bad.whenClosed();
  const agreed = await Raw.join(server, {}, '/', {});
  agreed.sendPacket(`x${FORGED}`);
  await agreed.whenClosed();
}

// The lines of its log, without the one line to whoever started it.
function logOf(server) {
  return server.output.filter((line) => line !== `palaver: listening on ${server.url}/chat`);
}

function hasNone(lines, secrets) {
  for (const secret of secrets) {
    assert.equal(lines.find((line) => line.includes(secret)), undefined, `${secret} is in the log`);
  }
}

for (const level of ['debug', 'info']) {
  test(`threat 78: JSON at level ${level}: one object a line, nothing forged, no texts, names or tokens`, async (t) => {
    const server = await startPalaver(t, { args: [...UNLIMITED, '--drain-ms', '50', '--log-format', 'json', '--log-level', level] });
    const secrets = await talk(t, server);
    await forge(t, server);
    await until(() => logOf(server).some((line) => line.includes('disconnected')), 'a line');
    await server.stop();
    const lines = logOf(server);
    for (const line of lines) {
      const entry = JSON.parse(line);
      assert.ok(entry !== null && typeof entry === 'object' && !Array.isArray(entry), line);
      assert.match(entry.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.ok(LEVELS.includes(entry.level), line);
      assert.ok(LEVELS.indexOf(entry.level) >= LEVELS.indexOf(level), line);
      assert.ok(typeof entry.event === 'string' && entry.event !== 'FORGED', line);
      assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]/, 'what a terminal acts upon is escaped');
    }
    hasNone(lines, secrets);
    const events = new Set(lines.map((line) => JSON.parse(line).event));
    assert.ok(events.has('listening') && events.has('connected') && events.has('disconnected') && events.has('stopped'), [...events].join(' '));
    t.comment(`${lines.length} lines`);
  });
}

test('threat 78: as text: nothing forged, nothing that a terminal acts upon, no texts, names or tokens', async (t) => {
  const server = await startPalaver(t, { args: [...UNLIMITED, '--drain-ms', '50', '--log-format', 'text', '--log-level', 'debug'] });
  const secrets = await talk(t, server);
  await forge(t, server);
  await server.stop();
  const lines = logOf(server);
  assert.ok(lines.length > 5);
  for (const line of lines) {
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d (debug|info|warn|error) +[a-z_]+( |$)/);
    assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]/);
    assert.doesNotMatch(line, /(info|debug|warn|error) +FORGED/);
  }
  hasNone(lines, secrets);
});

test('off is off, and warn has no connects', async (t) => {
  for (const [level, most] of [['off', 0], ['error', 0], ['warn', 50]]) {
    const server = await startPalaver(t, { args: [...UNLIMITED, '--drain-ms', '50', '--log-format', 'json', '--log-level', level] });
    await talk(t, server);
    await server.stop();
    const lines = logOf(server);
    assert.ok(lines.length <= most, lines.join('\n'));
    assert.equal(lines.filter((line) => /"(debug|info)"/.test(line)).length, 0);
  }
});

test('who comes and goes without end writes no log without end', async (t) => {
  const server = await startPalaver(t, { args: ['--drain-ms', '50', '--log-format', 'json'] });
  const client = await member(t, server);
  for (let i = 0; i < 400; i += 1) {
    await client.connectTo('/');
    client.send(...client.encode({ type: PacketType.DISCONNECT, nsp: '/' }));
  }
  await client.connectTo('/');
  await server.stop();
  const lines = logOf(server).filter((line) => line.includes('"event":"connected"'));
  assert.ok(lines.length >= 200 && lines.length < 300, `${lines.length} lines of 402`);
  const rest = logOf(server).filter((line) => line.includes('"event":"not_logged"')).map((line) => Number(JSON.parse(line).sockets));
  assert.equal(lines.length + rest.reduce((sum, sockets) => sum + sockets, 0), 402, 'the others are counted');
});

// A server whose stderr is a pipe that is open and that nobody reads; it may be full from the beginning, and stdout the same.
// `server.rest()` reads what is in it, without waiting.
async function startUnread(t, level, fullBefore = false) {
  const folder = mkdtempSync(join(tmpdir(), 'palaver-unread-'));
  const fifo = join(folder, 'stderr');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK); // what is in it outlives the server
  const port = await freePort();
  const before = fullBefore ? `echo 'shell: listening'; exec 2<>'${fifo}' 1>&2; head -c ${PIPE_BYTES} /dev/zero;` : '';
  const server = await startProgram('sh', ['-c', `${before} exec "$0" "$@" 2<>'${fifo}'`, serverPath(), 'serve', '--listen', `127.0.0.1:${port}`,
    '--data', join(folder, 'data'), ...UNLIMITED, '--drain-ms', '50', '--log-format', 'json', '--log-level', level], {}, port);
  assert.ok(server, 'it listens');
  t.after(async () => {
    server.child.kill('SIGKILL');
    await server.exit;
    closeSync(reader);
    rmSync(folder, { recursive: true, force: true });
  });
  server.rest = () => {
    const chunk = Buffer.alloc(PIPE_BYTES * 2);
    let bytes = 0;
    while (bytes < chunk.length) {
      try {
        const read = readSync(reader, chunk, bytes, chunk.length - bytes, null);
        if (read === 0) {
          break;
        }
        bytes += read;
      } catch (error) {
        assert.equal(error.code, 'EAGAIN');
        break;
      }
    }
    return chunk.toString('utf8', 0, bytes);
  };
  return server;
}

// Comes to `/` and goes again, so often that the lines about it are several times what a pipe holds.
async function fillPipe(client) {
  for (let i = 0; i < (PIPE_BYTES * 2) / LINE_BYTES_MIN; i++) {
    await client.connectTo('/');
    client.send('1');
  }
}

test('nobody reads the log of the run before either: the server starts, serves, and ends when told', async (t) => {
  const server = await startUnread(t, 'info', true);
  await until(() => request(server, { path: '/healthz' }).then(({ status }) => status === 200, () => false), 'it to serve');
  ok(await (await member(t, server)).say('hello'));
  server.child.kill('SIGTERM');
  assert.deepEqual(await within(server.exit, 'its end after SIGTERM', END_MS), { code: 0, signal: null });
  assert.equal(server.rest(), '\0'.repeat(PIPE_BYTES));
});

for (const level of ['debug', 'info']) {
  test(`nobody reads the log, at level ${level}: the server serves on, and ends when told`, async (t) => {
    const server = await startUnread(t, level);
    const ann = await member(t, server);
    await fillPipe(ann);
    for (let i = 0; i < 8; i++) { // on any of its loops
      assert.equal((await request(server, { path: '/healthz' })).status, 200);
      ok(await (await member(t, server, { name: `Bob ${i}` })).say('hello'));
    }
    server.child.kill('SIGTERM');
    assert.deepEqual(await within(server.exit, 'its end after SIGTERM', END_MS), { code: 0, signal: null });
    const text = server.rest();
    assert.ok(text.length > (PIPE_BYTES * 3) / 4, `the pipe was full: ${text.length} bytes`);
    for (const line of text.slice(0, text.lastIndexOf('\n')).split('\n')) {
      assert.ok(LEVELS.includes(JSON.parse(line).level), line);
    }
  });
}

await run();
