// Bad Socket.IO packets (threats 54 to 64): each closes the connection that sent it, or is ignored where the
// protocol says so, and no other client notices.

import assert from 'node:assert/strict';
import { startServer } from './lib/server.mjs';
import { EngineClient } from './lib/engine.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';

const TRANSPORTS = ['websocket', 'polling'];
const P0 = '{"_placeholder":true,"num":0}';
const BYTES = Buffer.from('bytes');

const server = await startServer('probe');
const watchers = [
  await SioClient.join(server),
  await SioClient.join(server, { transport: 'polling' }),
  await SioClient.join(server, {}, '/custom'),
];

// Every watcher is connected, hears its namespace, and got nothing malformed.
let barriers = 0;
async function othersAreWell(unheard = null) {
  const mark = `barrier ${++barriers}`;
  watchers[0].emit('message', mark);
  watchers[2].emitIn('/custom', 'message', mark);
  for (const watcher of watchers) {
    const nsp = watcher === watchers[2] ? '/custom' : '/';
    await watcher.packets.take(({ data }) => {
      assert.ok(unheard === null || data?.[1] !== unheard, `others heard ${unheard}`);
      return data?.[1] === mark;
    }, mark);
    assert.deepEqual(await watcher.askIn(nsp, 'echo', mark), [mark]);
    watcher.check();
  }
}

// A client in / that has read its greeting.
async function joined(t, transport, on = server) {
  const client = await EngineClient.open(on, { transport });
  t.after(() => client.terminate());
  client.send('0');
  for (const what of ['CONNECT', 'welcome', 'first']) {
    await client.next(what);
  }
  return client;
}

// Says something to all, then waits for an answer behind it or for the end; what comes must be JSON.
async function saysAndReads(client, value) {
  client.send(`2["message",${value}]`, '2555["echo","ok"]');
  for (;;) {
    const message = await client.next('an answer').catch(() => 'closed');
    if (!message.startsWith('2')) {
      return;
    }
    JSON.parse(message.slice(1));
  }
}

async function closes(t, transport, messages) {
  const client = await joined(t, transport);
  client.send(...messages);
  try {
    await client.whenClosed();
  } catch (error) {
    throw new Error(`${JSON.stringify(messages).slice(0, 200)} did not close: ${error.message}`);
  }
  await othersAreWell('evil');
}

async function isIgnored(t, transport, messages) {
  const client = await joined(t, transport);
  client.send(...messages);
  client.send('2555["echo","ok"]');
  assert.equal(await client.next('the echo'), '3555["ok"]', `after ${JSON.stringify(messages).slice(0, 200)}`);
  await othersAreWell('evil');
}

// What closes, by subject: [name, list of message sequences]. npm: what npm's server is known to let pass.
const CLOSING = [
  ['unknown packet types', [['7'], ['8["message","evil"]'], ['9'], ['x'], ['-1'], [''], ['\u0662["message","evil"]']]],
  ['events that are no event', [
    ['2{}'], ['2[]'], ['2[null]'], ['2[{"toString":1}]'], ['2[["message"]]'], ['2[true,"evil"]'], ['2"message"'],
    ['21{}'], ['2/,[]'], ['2null'], ['2true'],
  ]],
  ['events that are no JSON', [
    ['2["message","evil"'], ['2["x"'], ['2[message]'], ["2['message']"], ['2["message","evil"]]'], ['2["message",]'],
    ['2["message","evil"] x'], ['2["a\u0001b"]'], ['2["\\x41"]'], ['2["\\u12"]'], ['2["message",01]'],
    ['2["message",+1]'], ['2["message",.5]'], ['2["message",NaN]'], ['2["message","evil"],'], ['2[,"message"]'],
    ['2["message",{"a":1,}]'], ['2["message",{a:1}]'], ['2["message" "evil"]'], ['2abc'], ['2-1["message","evil"]'],
  ]],
  ['reserved events', ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']
    .flatMap((name) => [[`2["${name}","evil"]`], [`21["${name}"]`], [`51-["${name}",${P0}]`, BYTES]])],
  ['placeholders that name no attachment', [
    ['51-["message",{"_placeholder":true,"num":99}]', BYTES],
    ['51-["message",{"_placeholder":true,"num":1}]', BYTES],
    ['51-["message",{"_placeholder":true,"num":-1}]', BYTES],
    ['51-["message",{"_placeholder":true,"num":"splice"}]', BYTES],
    ['51-["message",{"_placeholder":true,"num":"0"}]', BYTES],
    ['51-["message",{"_placeholder":true,"num":null}]', BYTES],
    ['51-["message",{"_placeholder":true}]', BYTES],
    ['51-["message",{"a":[{"_placeholder":true,"num":1e9}]}]', BYTES],
  ]],
  ['numbers of attachments', [
    [`511-["message",${P0}]`], [`51000000000-["message",${P0}]`], ['50-["message","evil"]'], ['5-["message","evil"]'],
    [`51["message",${P0}]`], [`51.5-["message",${P0}]`], [`5-1-["message",${P0}]`], [`5x-["message",${P0}]`],
    ['5'], ['51'], [`599999999999999999999-["message",${P0}]`],
  ]],
  ['binary that is not awaited, text where binary is', [
    [BYTES], [`51-["message",${P0}]`, BYTES, BYTES], [`51-["message",${P0}]`, '2["message","evil"]'],
    [`52-["message",${P0},{"_placeholder":true,"num":1}]`, BYTES, '2["message","evil"]'],
    [`51-["message",${P0}]`, '1'], [`51-["message",${P0}]`, '51-["message","evil"]'],
  ]],
  ['CONNECT with a payload that is no object', [['0/custom,[]'], ['0/custom,"x"'], ['0/custom,null'], ['0/custom,{'], ['0/custom,true']]],
  ['a second CONNECT', [['0'], ['0{}'], ['0/,']]],
  ['packets for a namespace that is not joined', [
    ['2/custom,["message","evil"]'], ['1/custom,'], ['1/custom'], ['3/custom,1["x"]'], ['2/nope,["message","evil"]'],
    [`51-/custom,["message",${P0}]`, BYTES],
  ]],
  ['packets only servers may send', [['4{"message":"x"}'], ['4"x"']]],
  ['DISCONNECT with a payload', [['1{}'], ['1[]'], ['1"x"']]],
  ['acks that are no list', [['30{}'], ['30"x"'], ['30null'], ['30[1'], [`61-0{"a":${P0}}`, BYTES]]],
];

const NPM_LETS_PASS = [
  ['a second CONNECT directly behind the first', [['0/custom', '0/custom,{}']]],
  ['an event without a payload', [['2'], ['21'], ['2/,']]],
  ['an ack id of 2^64', [['218446744073709551616["message","evil"]'], [`2${'9'.repeat(400)}["message","evil"]`]]],
  ['a placeholder with a fraction', [['51-["message",{"_placeholder":true,"num":0.5}]', BYTES]]],
  ['the first part of a packet for a namespace that is not joined', [[`51-/custom,["message",${P0}]`]]],
  ['white space where an ack id may stand', [['2["message",1]', '1 ']]],
  ['a bad placeholder within another', [[`51-["echo",{"_placeholder":true,"num":0,"a":{"_placeholder":true,"num":9}}]`, BYTES]]],
  ['a number of more than 1,024 characters', [[`2["echo",1${'0'.repeat(1024)}]`]]],
  ['an attachment count in another notation', [['51e0-["echo"]', BYTES], ['50x1-["echo"]', BYTES], ['5 1-["echo"]', BYTES]]],
];

for (const transport of TRANSPORTS) {
  for (const [name, cases] of CLOSING) {
    test(`${transport}: closed: ${name}`, async (t) => {
      for (const messages of cases) {
        await closes(t, transport, messages);
      }
    });
  }

  for (const [name, cases] of NPM_LETS_PASS) {
    test(`${transport}: closed: ${name}`, async (t) => {
      for (const messages of cases) {
        await t.deviates(`lets pass: ${name}`, () => closes(t, transport, messages));
        await othersAreWell();
      }
    });
  }

  test(`${transport}: closed: an event before CONNECT`, async (t) => {
    for (const messages of [['2["message","evil"]'], ['1'], ['30["x"]'], [`51-["message",${P0}]`, BYTES], [BYTES]]) {
      const client = await EngineClient.open(server, { transport });
      t.after(() => client.terminate());
      client.send(...messages);
      await client.whenClosed();
      await othersAreWell('evil');
    }
  });

  test(`${transport}: closed before joining: CONNECT with a payload that is no object`, async (t) => {
    for (const message of ['0[]', '0"x"', '0null', '0{', '0{"a":1}}', '0{"a":}', '0tru']) {
      const client = await EngineClient.open(server, { transport });
      t.after(() => client.terminate());
      client.send(message);
      await client.whenClosed();
      await othersAreWell();
    }
  });

  test(`${transport}: ignored: acks nobody waits for`, async (t) => {
    await isIgnored(t, transport, ['3999["x"]', '39007199254740991[]', '3999["y"]', `61-999[${P0}]`, BYTES]);
  });

  test(`${transport}: a namespace of 10 KB`, async (t) => {
    const client = await EngineClient.open(server, { transport });
    t.after(() => client.terminate());
    const nsp = `/${'n'.repeat(10240)}`;
    client.send(`0${nsp},`);
    const answer = await client.next('an answer').catch(() => 'closed');
    assert.ok(answer === 'closed' || answer === `4${nsp},{"message":"Invalid namespace"}`);
    await othersAreWell();
  });

  // Refused or inert: what others hear, if they hear it, is sound JSON that means what it said.
  test(`${transport}: strange but valid JSON is refused or inert`, async (t) => {
    const values = ['1e999', '-1e-999', '"\\ud800"', '{"__proto__":{"polluted":1}}', '{"a":1,"a":2}',
      '{"constructor":{"prototype":{"polluted":1}}}', '123456789012345678901234567890', '"\\u0000"', '"\u2028"'];
    for (const value of values) {
      const client = await joined(t, transport);
      await saysAndReads(client, value);
      client.terminate();
      await othersAreWell();
      assert.equal({}.polluted, undefined);
    }
  });
}

test('JSON 10,000 deep is refused or passed on, and the server lives', async (t) => {
  const fresh = await startServer('probe');
  const other = await SioClient.join(fresh);
  t.after(() => other.terminate());
  await t.deviates('one deep message ends the whole server', async () => {
    for (const [open, close] of [['[', ']'], ['{"a":', '}']]) {
      const deep = `${open.repeat(10000)}1${close.repeat(10000)}`;
      const client = await joined(t, 'websocket', fresh);
      await saysAndReads(client, deep);
      assert.deepEqual(await other.ask('echo', 'well'), ['well']);
      other.check();
    }
    await fresh.stop();
  });
});

test('twenty thousand CONNECTs to unknown namespaces', async (t) => {
  const client = await EngineClient.open(server);
  t.after(() => client.terminate());
  for (let i = 0; i < 20000; i++) {
    client.send(`0/n${i},`);
  }
  let answers = 0;
  const all = async () => {
    while (answers < 20000) {
      assert.match(await client.next('an answer'), /^4\/n\d+,\{"message":"Invalid namespace"\}$/);
      answers += 1;
    }
  };
  await all().catch((error) => assert.match(error.message, /ended: /));
  await othersAreWell();
});

test('the same packet sent over and over closes each sender and nobody else', async (t) => {
  for (let i = 0; i < 200; i++) {
    const client = await joined(t, 'websocket');
    client.send('2["message"');
    await client.whenClosed();
  }
  await othersAreWell();
});

test('websocket: attachments may wait that are twice as large as a message, and no larger', async (t) => {
  const header = `54-0["echo",${[0, 1, 2, 3].map((num) => `{"_placeholder":true,"num":${num}}`)}]`;
  const client = await joined(t, 'websocket');
  const fits = [700000, 700000, 600000, 900000].map((bytes) => Buffer.alloc(bytes));
  client.send(header, ...fits);
  assert.match(await client.next('the echo'), /^64-0/);
  for (const bytes of fits) {
    assert.equal((await client.next('an attachment')).length, bytes.length);
  }
  await t.deviates('lets pass: attachments that are larger together', async () => {
    client.send(header, ...[700000, 700000, 600001].map((bytes) => Buffer.alloc(bytes)));
    await client.whenClosed();
  });
  await othersAreWell();
});

test('other clients were not disturbed, and the server ends without complaints', async () => {
  await othersAreWell();
  for (const watcher of watchers) {
    assert.equal(watcher.isClosed, false);
  }
  await server.stop();
});

await run();
