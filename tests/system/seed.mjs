// The seed of the project: unmodified clients that emit `message` are heard by all who are connected, themselves
// included, over every transport, from JavaScript and from Python, against the broadcast example.

import assert from 'node:assert/strict';
import { io as io4 } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3';
import { startServer } from './lib/server.mjs';
import { request } from './lib/http.mjs';
import { LineClient } from './lib/lines.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const TRANSPORTS = ['websocket', 'polling', 'upgrade'];
const BINARY = Buffer.from([0, 30, 255, 98]);

const server = await startServer('broadcast');

function options(transport) {
  return { transports: transport === 'upgrade' ? ['polling', 'websocket'] : [transport] };
}

async function arrive(t, kind, transport) {
  const client = kind === 'py'
    ? await LineClient.arrive('py', server, transport)
    : await Person.arrive(kind === 'js3' ? io3 : io4, server, options(transport));
  t.after(() => client.leave());
  return client;
}

async function allHear(clients, args) {
  for (const client of clients) {
    assert.deepEqual(await client.hears('message'), args);
  }
}

// Each says each thing in turn; everybody hears it, and nothing else in between.
async function converse(clients) {
  for (const [index, client] of clients.entries()) {
    const things = [
      [`hello from ${index}`],
      ['ünï 日本語 👩‍👩‍👧‍👦', index, null, { nested: [1, { x: true }] }],
      [BINARY],
      [{ a: BINARY, b: [Buffer.alloc(0), 'text'] }, index],
      [],
    ];
    for (const args of things) {
      client.say('message', ...args);
      await allHear(clients, args);
    }
  }
}

for (const kind of ['js4', 'js3', 'py']) {
  for (const transport of TRANSPORTS) {
    test(`${kind} over ${transport}: what one says, all hear, the speaker too`, async (t) => {
      const clients = [await arrive(t, kind, transport), await arrive(t, kind, transport)];
      await converse(clients);
      assert.deepEqual(await clients[0].ask('echo', 1, 'two', BINARY), [1, 'two', BINARY]);
    });
  }
}

test('all kinds of clients over all transports in one conversation', async (t) => {
  const kinds = ['js4', 'js3', 'py'].flatMap((kind) => TRANSPORTS.map((transport) => [kind, transport]));
  const clients = await Promise.all(kinds.map(([kind, transport]) => arrive(t, kind, transport)));
  await converse(clients);
});

test('a newcomer hears only what is said from then on; who has left hears nothing', async (t) => {
  const [alice, bob] = [await arrive(t, 'js4', 'websocket'), await arrive(t, 'js4', 'websocket')];
  alice.say('message', 'before');
  await allHear([alice, bob], ['before']);
  bob.leave();
  const carol = await arrive(t, 'js4', 'polling');
  alice.say('message', 'after');
  await allHear([alice, carol], ['after']);
  assert.equal(bob.heard.items.length, 0);
});

test('who connects and who disconnects is logged', async (t) => {
  const alice = await arrive(t, 'js4', 'websocket');
  const { id } = alice.socket;
  const lines = () => server.output.filter((line) => line.includes(id));
  await until(() => lines().some((line) => /\bconnect/i.test(line)), 'the line of the connect');
  alice.leave();
  await until(() => lines().some((line) => /disconnect/i.test(line)), 'the line of the disconnect');
});

test('the page and the client library are served', async () => {
  const page = await request(server, { path: '/chat' });
  assert.equal(page.status, 200);
  assert.match(page.headers['content-type'], /^text\/html/);
  assert.match(page.text, /\/socket\.io\/socket\.io\.js/);
  const library = await request(server, { path: '/socket.io/socket.io.js', headers: { 'accept-encoding': 'gzip' } });
  assert.equal(library.status, 200);
  assert.match(library.headers['content-type'], /^(application|text)\/javascript/);
  assert.match(library.text, /Socket\.IO v4/);
  assert.equal((await request(server, { path: '/no/such/page' })).status, 404);
});

test('the server ends when told, without complaints', () => server.stop());

await run();
