// The seed of the project against the program itself: unmodified clients that emit `message` speak in the lobby, and all who
// are connected hear `message(text, {seq, at, name})`, the speaker too; over every transport, from JavaScript and Python.

import assert from 'node:assert/strict';
import process from 'node:process';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { ends, fails, fileServer, ok } from './lib/chat.mjs';
import { LineClient } from './lib/lines.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const KINDS = ['js4', 'js3', 'py', 'py-async'];
const TRANSPORTS = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] };
const TEXTS = ['hello', 'ünï 日本語 👩‍👩‍👧‍👦', '"\\\n\t\u2028\u001e', ' spaces ', '0', 'null', 'x'.repeat(5000)];

const server = await fileServer();

async function arrive(t, kind, transport, auth) {
  const client = kind.startsWith('py')
    ? await LineClient.arrive(kind, server, transport, auth)
    : await Person.arrive(kind === 'js3' ? io3 : io4, server, { transports: TRANSPORTS[transport], auth });
  t.after(() => client.leave());
  return client;
}

async function allHear(clients, text, name) {
  const heard = [];
  for (const client of clients) {
    heard.push(await client.hears('message'));
  }
  const [, entry] = heard[0];
  assert.deepEqual(heard, clients.map(() => [text, entry]), 'all hear the same');
  assert.deepEqual(Object.keys(entry).sort(), ['at', 'name', 'seq']);
  assert.equal(entry.name, name);
  assert.ok(Math.abs(entry.at - Date.now()) < 600000, 'it is said when');
  return entry;
}

// Each says each text in turn; everybody hears it, nothing else in between, each with the next number.
async function converse(clients, names) {
  let last = null;
  for (const [index, client] of clients.entries()) {
    for (const text of TEXTS) {
      client.say('message', text);
      const { seq } = await allHear(clients, text, names[index]);
      assert.equal(seq, last === null ? seq : last + 1);
      last = seq;
    }
  }
}

for (const kind of KINDS) {
  for (const transport of Object.keys(TRANSPORTS)) {
    test(`${kind} over ${transport}: what one says, all hear, the speaker too`, async (t) => {
      const ann = await arrive(t, kind, transport, { name: 'Ann' });
      const nobody = await arrive(t, kind, transport);
      await converse([ann, nobody], ['Ann', 'guest']);
      const [answer] = await ann.ask('message', 'with an answer');
      const { seq } = await allHear([ann, nobody], 'with an answer', 'Ann');
      assert.deepEqual(answer, { ok: true, seq });
      const [page] = await nobody.ask('history', { limit: 2 });
      assert.deepEqual(ok(page).entries.map((entry) => [entry.seq, entry.name, entry.text]),
        [[seq - 1, 'guest', TEXTS.at(-1)], [seq, 'Ann', 'with an answer']]);
      fails((await ann.ask('message'))[0], 'invalid');
    });
  }
}

test('all kinds of clients over all transports in one conversation', async (t) => {
  const kinds = KINDS.flatMap((kind) => Object.keys(TRANSPORTS).map((transport) => [kind, transport]));
  const names = kinds.map(([kind, transport]) => `${kind} by ${transport}`);
  const clients = await Promise.all(kinds.map(([kind, transport], i) => arrive(t, kind, transport, { name: names[i] })));
  await converse(clients, names);
}, { timeout_ms: 60000 });

test('a newcomer hears what is said from then on, and has the rest from history; who has left hears nothing', async (t) => {
  const [alice, bob] = [await arrive(t, 'js4', 'websocket'), await arrive(t, 'js4', 'websocket')];
  alice.say('message', 'before');
  const before = await allHear([alice, bob], 'before', 'guest');
  bob.leave();
  const carol = await arrive(t, 'js4', 'polling', { name: 'Carol' });
  alice.say('message', 'after');
  await allHear([alice, carol], 'after', 'guest');
  assert.equal(bob.heard.items.length, 0);
  const [{ entries }] = await carol.ask('history', { limit: 1, before: before.seq + 1 });
  assert.deepEqual(entries, [{ ...before, text: 'before' }]);
});

test('ten lines of JavaScript are a client', async () => {
  const socket = io4(server.url, { auth: { name: 'Ten Lines' }, forceNew: true });
  const heard = new Promise((resolve) => {
    socket.on('message', (...args) => resolve(args));
  });
  socket.emit('message', 'hello');
  const [text, { name }] = await heard;
  assert.deepEqual([text, name], ['hello', 'Ten Lines']);
  socket.close();
});

test('who connects and who disconnects is logged', async (t) => {
  const alice = await arrive(t, 'js4', 'websocket');
  const { id } = alice.socket;
  const lines = () => server.output.filter((line) => line.includes(id));
  await until(() => lines().some((line) => /\bconnected/.test(line)), 'the line of the connect');
  alice.leave();
  await until(() => lines().some((line) => /disconnected/.test(line)), 'the line of the disconnect');
});

test('it sends by what was asked for', () => {
  const { SIO_SENDER } = process.env;
  const wanted = { plain: /sends by plain,/, uring: /sends by io_uring,/ }[SIO_SENDER] ?? /sends by/;
  assert.ok(server.process.lines(wanted).length > 0, `no line says ${wanted}`);
});

ends(server);
await run();
