// Socket.IO by hand: connecting, acknowledgements, order and binary packets. Bad packets are in socketio_bad.mjs.

import assert from 'node:assert/strict';
import { startServer } from './lib/server.mjs';
import { EngineClient } from './lib/engine.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { slower, until } from './lib/wait.mjs';

const CONNECT_TIMEOUT = 300;
const TRANSPORTS = ['websocket', 'polling'];
const PLACEHOLDER = '{"_placeholder":true,"num":0}';

const server = await startServer('probe');
const watcher = await SioClient.join(server);

async function open(t, transport = 'websocket', on = server) {
  const client = await EngineClient.open(on, { transport });
  t.after(() => client.terminate());
  return client;
}

// Reads the greeting of a namespace: the CONNECT reply, welcome, first; returns the socket id.
async function greeted(client, nsp = '/', auth = {}) {
  const prefix = nsp === '/' ? '' : `${nsp},`;
  const reply = await client.next(`the reply to CONNECT ${nsp}`);
  const match = reply.match(/^0(\/[^,]+,)?\{"sid":"([A-Za-z0-9_-]{20})"\}$/);
  assert.ok(match, `CONNECT reply ${reply}`);
  assert.equal(match[1] ?? '', prefix);
  assert.equal(await client.next('welcome'), `2${prefix}["welcome",${JSON.stringify({ nsp, auth })}]`);
  assert.match(await client.next('first'), new RegExp(`^2${prefix}\\d+\\["first"\\]$`));
  return match[2];
}

async function joined(t, transport, nsp = '/', on = server) {
  const client = await open(t, transport, on);
  client.send(nsp === '/' ? '0' : `0${nsp},`);
  await greeted(client, nsp);
  return client;
}

async function echoes(client, nsp = '') {
  client.send(`2${nsp}555["echo","ok"]`);
  assert.equal(await client.next('the echo'), `3${nsp}555["ok"]`);
}

// Sends a DISCONNECT, waits until the application has been told, and joins again: the new socket id.
async function leaves(client, packet, nsp) {
  const [before] = await watcher.ask('reasons');
  client.send(packet);
  await until(async () => (await watcher.ask('reasons'))[0].length > before.length, 'the disconnect');
  client.send(nsp === '/' ? '0' : `0${nsp}`);
  return greeted(client, nsp);
}

// [what the client sends, namespace, the auth that arrives]
const CONNECTS = [
  ['0', '/', {}],
  ['0{}', '/', {}],
  ['0{"token":"ünï","n":[1,{"x":null}]}', '/', { token: 'ünï', n: [1, { x: null }] }],
  ['0/,', '/', {}],
  ['0/custom', '/custom', {}],
  ['0/custom,', '/custom', {}],
  ['0/custom,{}', '/custom', {}],
  ['0/custom,{"token":1}', '/custom', { token: 1 }],
];

test('who leaves and joins again while it is sent away loses its connection: it would not know that it has joined', async (t) => {
  const client = await joined(t, 'polling');
  client.send('0/custom');
  await greeted(client, '/custom');
  await client.post('42/custom,["kick"]\x1e41/custom\x1e40/custom');
  await client.whenClosed();
});

test('a binary event behind a DISCONNECT, and its attachment later, are for nobody', async (t) => {
  const client = await joined(t, 'polling');
  client.send('0/custom');
  await greeted(client, '/custom');
  await t.deviates('an attachment that comes late closes the connection', async () => {
    await client.post('41/custom\x1e451-/custom,["message",{"_placeholder":true,"num":0}]');
    await client.post('bAQID');
    await echoes(client);
  });
});

test('what comes in one payload behind a DISCONNECT is ignored, the connection lives', async (t) => {
  const client = await joined(t, 'polling');
  client.send('0/custom');
  await greeted(client, '/custom');
  const late = ['1/custom', '2/custom,["message","late"]', '2/custom,9["echo","late"]', '3/custom,9[]', '1/custom'];
  assert.equal((await client.post(late.map((packet) => `4${packet}`).join('\x1e'))).status, 200);
  await echoes(client);
});

for (const transport of TRANSPORTS) {
  test(`${transport}: forms of CONNECT, and the greeting in order`, async (t) => {
    for (const [packet, nsp, auth] of CONNECTS) {
      const client = await open(t, transport);
      client.send(packet);
      const sid = await greeted(client, nsp, auth);
      assert.notEqual(sid, client.sid);
      await echoes(client, nsp === '/' ? '' : `${nsp},`);
    }
  });

  test(`${transport}: an unknown namespace is refused, the connection lives`, async (t) => {
    const client = await open(t, transport);
    for (const nsp of ['/nope', '/custom/', '/Custom', '/ünï']) {
      client.send(`0${nsp},{"a":1}`);
      assert.equal(await client.next('CONNECT_ERROR'), `4${nsp},{"message":"Invalid namespace"}`);
    }
    client.send('0/nope');
    assert.equal(await client.next('CONNECT_ERROR'), '4/nope,{"message":"Invalid namespace"}');
    client.send('0');
    await greeted(client);
    await echoes(client);
  });

  test(`${transport}: two namespaces on one connection, each with its own ids`, async (t) => {
    const client = await joined(t, transport);
    client.send('0/custom,{"a":1}');
    await greeted(client, '/custom', { a: 1 });
    client.send('21["echo","a"]', '2/custom,1["echo","b"]');
    assert.equal(await client.next('an ack'), '31["a"]');
    assert.equal(await client.next('an ack'), '3/custom,1["b"]');
    client.send('2/custom,["message","only there"]');
    assert.equal(await client.next('the message'), '2/custom,["message","only there"]');
    client.send('1/custom');
    await echoes(client);
  });

  test(`${transport}: DISCONNECT with and without the comma; joining again`, async (t) => {
    const client = await joined(t, transport);
    client.send('0/custom');
    const ids = [await greeted(client, '/custom')];
    for (const [packet, nsp] of [['1', '/'], ['1', '/'], ['1/custom', '/custom'], ['1/custom,', '/custom']]) {
      ids.push(await leaves(client, packet, nsp));
    }
    assert.equal(new Set(ids).size, ids.length);
    await echoes(client);
    await echoes(client, '/custom,');
  });

  test(`${transport}: CONNECT directly behind DISCONNECT`, async (t) => {
    const client = await joined(t, transport);
    await t.deviates('the DISCONNECT is seen only after the CONNECT, which then counts as a second one', async () => {
      client.send('1', '0');
      await greeted(client);
      await echoes(client);
    });
  });

  test(`${transport}: ack ids come back as they were`, async (t) => {
    const client = await joined(t, transport);
    for (const id of ['0', '1', '10', '999', '4294967296', '9007199254740991']) {
      client.send(`2${id}["echo",${id.length}]`);
      assert.equal(await client.next('an ack'), `3${id}[${id.length}]`);
    }
    client.send('2["echo","no ack wanted"]');
    await echoes(client);
  });

  test(`${transport}: an event of which the first item is a number, unknown events`, async (t) => {
    const client = await joined(t, transport);
    client.send('2[1,"x"]', '2["unheard of",1,2]', '2[""]', '2[-1.5e3]', '27["unheard of"]');
    await echoes(client);
  });

  test(`${transport}: payloads pass as they are`, async (t) => {
    const client = await joined(t, transport);
    const values = ['0', '-0.5e-7', '"\\u00e9\\n\\\\"', '"日本"', '[[],{},[[1]]]', '{"a":{"b":[null,true,false]}}', '""'];
    for (const [id, value] of values.entries()) {
      client.send(`2${id}["echo",${value}]`);
      const answer = await client.next('an ack');
      assert.ok(answer.startsWith(`3${id}[`));
      assert.deepEqual(JSON.parse(answer.slice(2)), [JSON.parse(value)]);
    }
  });

  test(`${transport}: binary events and acks: header, then attachments, as one unit`, async (t) => {
    const client = await joined(t, transport);
    const one = Buffer.from([0, 0x1e, 255]);
    client.send(`51-9["echo",{"a":[${PLACEHOLDER}]}]`, one);
    assert.equal(await client.next('the ack'), `61-9[{"a":[${PLACEHOLDER}]}]`);
    assert.deepEqual(await client.next('its attachment'), one);
    const ten = Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i));
    const places = ten.map((_, num) => `{"_placeholder":true,"num":${num}}`).join(',');
    client.send(`510-["message",${places}]`, ...ten);
    assert.equal(await client.next('the event'), `510-["message",${places}]`);
    for (const bytes of ten) {
      assert.deepEqual(await client.next('an attachment'), bytes);
    }
    await echoes(client);
  });

  test(`${transport}: binary in a namespace, attachments used out of order`, async (t) => {
    const client = await joined(t, transport, '/custom');
    client.send('52-/custom,3["echo",{"num":1,"_placeholder":true},{"_placeholder":true,"num":0}]');
    client.send(Buffer.from('zero'), Buffer.from('one'));
    const header = await client.next('the ack');
    const first = await client.next('an attachment');
    const second = await client.next('an attachment');
    assert.match(header, /^62-\/custom,3\[/);
    const [a, b] = JSON.parse(header.slice(header.indexOf('[')));
    const parts = [first, second];
    assert.deepEqual([parts[a.num].toString(), parts[b.num].toString()], ['one', 'zero']);
  });

  test(`${transport}: everything leaves in the order in which it was emitted`, async (t) => {
    const client = await joined(t, transport);
    const wanted = [];
    for (let i = 0; i < 300; i++) {
      if (i % 3 === 0) {
        client.send(`2${i}["echo",${i}]`);
        wanted.push(`3${i}[${i}]`);
      } else if (i % 3 === 1) {
        client.send(`51-["message",${i},${PLACEHOLDER}]`, Buffer.from([i & 255]));
        wanted.push(`51-["message",${i},${PLACEHOLDER}]`, Buffer.from([i & 255]));
      } else {
        client.send(`2["message",${i}]`);
        wanted.push(`2["message",${i}]`);
      }
    }
    for (const packet of wanted) {
      assert.deepEqual(await client.next('the next packet'), packet);
    }
  });

  test(`${transport}: a flood arrives whole and in order`, async (t) => {
    const client = await joined(t, transport);
    client.send('2["flood",500,900]');
    for (let i = 0; i < 500; i++) {
      assert.equal(await client.next('the flood'), `2["flood",${i},"${'x'.repeat(900)}"]`);
    }
  });

  test(`${transport}: kicked sockets get DISCONNECT, the connection stays for others`, async (t) => {
    const client = await joined(t, transport);
    client.send('0/custom');
    await greeted(client, '/custom');
    client.send('2/custom,["kick"]');
    assert.equal(await client.next('DISCONNECT'), '1/custom,');
    await echoes(client);
    client.send('2["kick"]');
    assert.equal(await client.next('DISCONNECT'), '1');
    client.send('0');
    await greeted(client);
    await echoes(client);
  });

  test(`${transport}: kick-close says DISCONNECT in every namespace`, async (t) => {
    const client = await joined(t, transport);
    client.send('0/custom');
    await greeted(client, '/custom');
    client.send('2["kick-close"]');
    const packets = [await client.next('a DISCONNECT'), await client.next('a DISCONNECT')];
    assert.deepEqual(packets.sort(), ['1', '1/custom,']);
    await client.whenClosed();
  });
}

test('the first ack id of a server is 0, and 0 is answered', async (t) => {
  const fresh = await startServer('probe');
  t.after(() => fresh.stop());
  const client = await open(t, 'websocket', fresh);
  client.send('0');
  await client.next('CONNECT');
  await client.next('welcome');
  assert.equal(await client.next('first'), '20["first"]');
  client.send('30["x",1]');
  assert.equal(await client.next('first-answer'), '2["first-answer","x",1]');
});

test('a client that joins nothing within connectTimeout is closed, others are not', async (t) => {
  const strict = await startServer('probe', { CONNECT_TIMEOUT });
  t.after(() => strict.stop());
  const good = await joined(t, 'websocket', '/', strict);
  const left = await joined(t, 'websocket', '/', strict);
  left.send('1');
  const started = performance.now();
  const silent = [await open(t, 'websocket', strict), await open(t, 'polling', strict)];
  const refused = await open(t, 'websocket', strict);
  refused.send('0/nope');
  for (const client of [...silent, refused]) {
    await client.whenClosed();
  }
  const took = performance.now() - started;
  assert.ok(took >= CONNECT_TIMEOUT - 20 && took < CONNECT_TIMEOUT + 200 * slower, `closed after ${took.toFixed(0)} ms`);
  await echoes(good);
  left.send('0');
  await greeted(left);
});

// How a connection ends, and what the application is told.
const REASONS = [
  ['an unknown Engine.IO packet', (client) => client.sendPacket('9'), ['parse error']],
  ['a ping from the client', (client) => client.sendPacket('2'), ['transport error']],
  ['a bad Socket.IO packet', (client) => client.send('2{}'), ['forced close', 'parse error']],
  ['a second CONNECT', (client) => client.send('0'), ['forced server close', 'forced close', 'parse error']],
  ['leaving', (client) => client.send('1'), ['client namespace disconnect']],
  ['being kicked', (client) => client.send('2["kick"]'), ['server namespace disconnect']],
  ['Engine.IO close', (client) => client.transport === 'polling' && client.sendPacket('1'), ['transport close']],
];

for (const transport of TRANSPORTS) {
  test(`${transport}: the reason of a disconnect is told to the application`, async (t) => {
    for (const [what, act, reasons] of REASONS) {
      const client = await joined(t, transport);
      const [before] = await watcher.ask('reasons');
      if (act(client) === false) {
        client.terminate();
      }
      const list = await until(async () => {
        const [now] = await watcher.ask('reasons');
        return now.length > before.length && now;
      }, `the reason after ${what}`);
      assert.ok(reasons.includes(list.at(-1)), `${what}: ${list.at(-1)}`);
      client.terminate();
      if (transport === 'websocket') {
        await client.socket.whenClosed();
      }
      await watcher.ask('echo', 'barrier');
    }
  });
}

test('other clients were not disturbed, and the server ends without complaints', async () => {
  watcher.check();
  assert.deepEqual(await watcher.ask('echo', 'well'), ['well']);
  await server.stop();
});

await run();
