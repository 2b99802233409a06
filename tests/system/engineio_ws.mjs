// Engine.IO by hand, second part: WebSocket sessions, the upgrade from polling, and the heartbeat.

import assert from 'node:assert/strict';
import { startServer } from './lib/server.mjs';
import { decodeBody, EngineClient, RawWebSocket } from './lib/engine.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { opened, pollingSession as pollingSessionOn, probed } from './lib/upgrade.mjs';
import { slower, until, within } from './lib/wait.mjs';

const MAX_PAYLOAD = 10000;
const PING_INTERVAL = 300;
const PING_TIMEOUT = 200;
const UPGRADE_TIMEOUT = 250;
const EXACT_MS = 15 * slower; // of two programs; tests/unit/net/test_timer.c looks closer
const ROUNDS = 3;

const server = await startServer('probe', { MAX_PAYLOAD });
const beating = await startServer('probe', { PING_INTERVAL, PING_TIMEOUT, UPGRADE_TIMEOUT });
const watcher = await SioClient.join(server);

async function othersAreWell() {
  watcher.check();
  assert.deepEqual(await watcher.ask('echo', 'well'), ['well']);
}

async function webSocketSession(t, on = server) {
  const client = await EngineClient.open(on);
  t.after(() => client.terminate());
  client.send('0');
  assert.match(await client.next('CONNECT'), /^0\{"sid"/);
  assert.match(await client.next('welcome'), /^2\["welcome"/);
  assert.match(await client.next('first'), /^2\d+\["first"\]$/);
  return client;
}

// ---- WebSocket sessions

test('of the subprotocols that are offered the first is agreed on, from the start and at the upgrade', async (t) => {
  for (const protocols of [['one'], ['two', 'one']]) {
    const socket = await RawWebSocket.open(server, {}, { protocols });
    assert.equal(socket.ws.protocol, protocols[0]);
    socket.terminate();
    const client = await pollingSession(t);
    const probing = await RawWebSocket.open(server, { sid: client.sid }, { protocols });
    assert.equal(probing.ws.protocol, protocols[0]);
    probing.send('2probe');
    assert.equal(await probing.next('3probe'), '3probe');
    probing.send('5');
    await answersOn(probing);
    probing.terminate();
  }
});

test('a message of maxPayload passes, one byte more is closed with 1009', async (t) => {
  const client = await webSocketSession(t);
  const packet = (bytes) => `421["echo","${'x'.repeat(bytes - 14)}"]`;
  client.socket.send(packet(MAX_PAYLOAD));
  assert.equal((await client.next('the echo')).length, MAX_PAYLOAD - 8);
  client.socket.send(packet(MAX_PAYLOAD + 1));
  const { code } = await client.socket.whenClosed();
  assert.equal(code, 1009);
  await othersAreWell();
});

test('fragments make one message, a WebSocket ping is answered between them', async (t) => {
  const client = await webSocketSession(t);
  const { ws } = client.socket;
  const pong = new Promise((resolve) => ws.once('pong', (data) => resolve(data.toString())));
  ws.send('421["echo",', { fin: false });
  ws.ping('between');
  ws.send('"fragmented', { fin: false });
  assert.equal(await within(pong, 'the pong'), 'between');
  ws.send('"]', { fin: true });
  assert.equal(await client.next('the echo'), '31["fragmented"]');
});

test('text that is not UTF-8 is closed with 1007', async (t) => {
  const client = await webSocketSession(t);
  client.socket.ws.send(Buffer.from([0x34, 0x32, 0xff, 0xfe]), { binary: false });
  assert.equal((await client.socket.whenClosed()).code, 1007);
  await othersAreWell();
});

test('unknown packet types, an empty frame and a ping close the session', async (t) => {
  for (const packet of ['9', '7x', 'x', 'b', '', ' 4', '2', '2hello']) {
    const client = await webSocketSession(t);
    client.socket.send(packet);
    await client.whenClosed();
    await othersAreWell();
  }
});

test('a noop and an unasked pong are ignored', async (t) => {
  const client = await webSocketSession(t);
  client.socket.send('6');
  client.socket.send('3');
  client.send('21["echo"]');
  assert.equal(await client.next('the echo'), '31[]');
});

test('client close is obeyed at once', async (t) => {
  const client = await webSocketSession(t);
  await t.deviates('the websocket lingers after the client said 1', async () => {
    client.socket.send('1');
    await client.socket.whenClosed();
  });
});

test('server close ends the websocket after DISCONNECT', async (t) => {
  const client = await webSocketSession(t);
  client.send('2["kick-close"]');
  assert.equal(await client.next('DISCONNECT'), '1');
  const { code } = await client.socket.whenClosed();
  assert.ok([1000, 1001, 1005].includes(code), `code ${code}`);
});

// ---- upgrade

const pollingSession = (t, on = server) => pollingSessionOn(t, on);

// The session answers over polling, so whatever was tried did not harm it.
async function pollsOn(client) {
  assert.equal((await client.post('4299["echo","alive"]')).text, 'ok');
  const packets = [];
  await until(async () => {
    packets.push(...(await client.poll()));
    return packets.includes('4399["alive"]');
  }, 'the session to answer over polling');
}

async function answersOn(socket, id = 77) {
  socket.send(`42${id}["echo","over websocket"]`);
  assert.equal(await socket.next('the echo'), `43${id}["over websocket"]`);
}

test('upgrade: probe, noop to the pending poll and to every next one, then 5', async (t) => {
  const client = await pollingSession(t);
  const pending = client.get();
  await pending.sent;
  const socket = await probed(t, client);
  assert.equal((await pending).text, '6');
  for (let i = 0; i < 3; i++) {
    assert.equal((await client.get()).text, '6');
  }
  socket.send('5');
  await answersOn(socket);
});

test('upgrade: until 5, messages are delivered over polling', async (t) => {
  const client = await pollingSession(t);
  const socket = await probed(t, client);
  watcher.emit('others', 'before 5');
  await watcher.ask('echo', 'barrier');
  const packets = [];
  await until(async () => {
    packets.push(...(await client.poll()));
    return packets.includes('42["others","before 5"]');
  }, 'the message over polling');
  assert.equal((await client.post('421["echo","posted"]')).text, 'ok');
  await until(async () => {
    packets.push(...(await client.poll()));
    return packets.includes('431["posted"]');
  }, 'the echo over polling');
  socket.send('5');
  await answersOn(socket);
  assert.equal(packets.filter((packet) => packet === '42["others","before 5"]').length, 1);
});

test('upgrade: what waits is flushed to the websocket after 5, in order', async (t) => {
  const client = await pollingSession(t);
  const socket = await probed(t, client);
  for (let i = 0; i < 20; i++) {
    watcher.emit('others', i, Buffer.from([i]));
  }
  await watcher.ask('echo', 'barrier');
  socket.send('5');
  for (let i = 0; i < 20; i++) {
    assert.equal(await socket.next('a flushed packet'), `451-["others",${i},{"_placeholder":true,"num":0}]`);
    assert.deepEqual(await socket.next('its attachment'), Buffer.from([i]));
  }
  await answersOn(socket);
});

test('upgrade: 5 and messages behind it in one segment, and a poll still pending', async (t) => {
  const client = await pollingSession(t);
  const socket = await probed(t, client);
  const pending = client.get().catch((error) => ({ text: error.message }));
  socket.ws._socket.cork();
  socket.send('5');
  for (let i = 1; i <= 10; i++) {
    socket.send(`42${i}["echo",${i}]`);
  }
  socket.ws._socket.uncork();
  for (let i = 1; i <= 10; i++) {
    assert.equal(await socket.next('an echo'), `43${i}[${i}]`);
  }
  const { text } = await pending;
  assert.ok(!decodeBody(text).some((packet) => packet[0] === '4'), `the poll got ${text}`);
});

test('after the upgrade, requests with the sid get 400', async (t) => {
  const client = await pollingSession(t);
  const socket = await probed(t, client);
  socket.send('5');
  await answersOn(socket);
  for (const answer of [await client.get(), await client.post('421["echo"]')]) {
    assert.equal(answer.status, 400);
    assert.equal(answer.text, '{"code":3,"message":"Bad request"}');
  }
  await answersOn(socket, 78);
});

test('a wrong first frame closes that websocket, the session is unharmed', async (t) => {
  const client = await pollingSession(t);
  for (const frame of ['4hello', '2', '2Probe', '2probe ', '3probe', '1', '9', '', 'x', Buffer.from('2probe')]) {
    const socket = await RawWebSocket.open(server, { sid: client.sid });
    socket.send(frame);
    await socket.whenClosed();
    await pollsOn(client);
  }
  await t.deviates('5 without a probe upgrades', async () => {
    const socket = await RawWebSocket.open(server, { sid: client.sid });
    socket.send('5');
    await socket.whenClosed();
    await pollsOn(client);
  });
});

test('a wrong frame after the probe closes that websocket, the session is unharmed', async (t) => {
  const client = await pollingSession(t);
  for (const frame of ['421["echo"]', '6', '3', Buffer.from([1, 2])]) {
    const socket = await probed(t, client);
    socket.send(frame);
    await socket.whenClosed();
    await pollsOn(client);
  }
});

test('a second websocket for the session is closed, the upgrade goes on', async (t) => {
  const client = await pollingSession(t);
  const first = await probed(t, client);
  const second = await RawWebSocket.open(server, { sid: client.sid });
  second.send('2probe');
  await second.whenClosed();
  first.send('5');
  await answersOn(first);
  const third = new RawWebSocket(server, { sid: client.sid });
  third.opened.promise.then(() => third.send('2probe'), () => {});
  await third.whenClosed();
  await answersOn(first, 78);
});

test('a websocket for a session that is on a websocket from the start is closed', async (t) => {
  const client = await webSocketSession(t);
  const other = new RawWebSocket(server, { sid: client.sid });
  other.opened.promise.then(() => other.send('2probe'), () => {});
  await t.deviates('a websocket session lets itself be upgraded again', async () => {
    await other.whenClosed();
  });
  other.terminate();
  client.send('21["echo"]');
  assert.equal(await client.next('the echo'), '31[]');
});

test('a websocket that breaks after the probe leaves the session polling; it can upgrade later', async (t) => {
  const client = await pollingSession(t);
  for (const end of ['terminate', 'reset', 'close']) {
    const socket = await probed(t, client);
    if (end === 'reset') {
      socket.ws._socket.resetAndDestroy();
    } else {
      socket.ws[end]();
    }
    await socket.whenClosed();
    await pollsOn(client);
  }
  const socket = await probed(t, client);
  socket.send('5');
  await answersOn(socket);
});

test('upgrade: a session that the server ends before 5 says so behind it, for its client polls no more', async (t) => {
  const client = await pollingSession(t);
  await client.post('429["hold"]');
  const pending = client.get();
  await pending.sent;
  const socket = await probed(t, client);
  assert.equal((await pending).text, '6');
  watcher.emit('kick-held');
  assert.deepEqual(await watcher.ask('hold-count'), [1]);
  watcher.emit('release', 'nobody');
  await t.deviates('the websocket is closed without a word, and the client waits', async () => {
    assert.ok(socket.isOpen);
    socket.send('5');
    assert.equal(await socket.next('the DISCONNECT'), '41');
    await socket.whenClosed();
    assert.match((await client.get()).text, /Session ID unknown/);
  });
});

const HALF_WAY = [['before it is probed', opened], ['after it is probed', probed]];

HALF_WAY.forEach(([when, begun]) => test(`an upgrade that stops ${when} is given up after upgradeTimeout`, async (t) => {
  const client = await pollingSession(t, beating);
  const started = performance.now();
  const socket = await begun(t, client);
  let ended = false;
  const closed = socket.whenClosed().then(() => {
    ended = true;
    return performance.now();
  });
  const pongs = [];
  while (!ended) {
    const packets = await client.poll();
    if (packets.includes('2')) {
      pongs.push(client.post('3'));
    }
  }
  const lasted = (await closed) - started;
  await Promise.all(pongs);
  assert.ok(Math.abs(lasted - UPGRADE_TIMEOUT) < 150 * slower, `it was given up after ${lasted} ms`);
}));

// ---- heartbeat: deadlines are measured, so here time is what is waited for

const SAMPLES = 12;

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

const NOISY_MS = 3; // a machine that is so late by itself cannot judge: that round does not count, ...
const NOISY_ROUNDS = 10; // ... up to so many; from then on it is granted what it is late by,
const WAKE_UPS = 3; // as often as somebody is woken on the way: the server, this program, and the server again where it polls

/** How late this machine is by itself, at the moment, when somebody is to be woken. */
async function lateness() {
  return median(await many(() => new Promise((resolve) => {
    const began = performance.now();
    setTimeout(() => resolve(Math.max(0, performance.now() - began - PING_INTERVAL)), PING_INTERVAL);
  })));
}

// Another program on the machine may delay this one, so a round may be measured again; a coarse timer fails them all.
// `round` measures and returns [what, times, wanted] for each deadline.
async function isExact(t, round) {
  let noisy = 0;
  for (let left = ROUNDS - 1; ; left--) {
    const wrong = [];
    const [measured, late_ms] = await Promise.all([round(), lateness()]);
    const bound_ms = EXACT_MS + (noisy >= NOISY_ROUNDS ? WAKE_UPS * late_ms : 0);
    for (const [what, times_ms, wanted_ms] of measured) {
      const middle = median(times_ms);
      if (Math.abs(middle - wanted_ms) > bound_ms) {
        wrong.push(`${what}: ${middle.toFixed(1)} ms, not ${wanted_ms} (a wake-up is late by ${late_ms.toFixed(1)} ms)`);
      }
    }
    if (wrong.length === 0) {
      return;
    }
    if (late_ms > NOISY_MS * slower && noisy++ < NOISY_ROUNDS) {
      left++;
    }
    assert.ok(left > 0, wrong.join('; '));
    t.comment(`measured again: ${wrong.join('; ')}`);
  }
}

async function many(body) {
  return Promise.all(Array.from({ length: SAMPLES }, body));
}

async function beatingSession(t) {
  const client = await EngineClient.open(beating);
  client.autoPong = false;
  client.opened_ms = performance.now();
  t.after(() => client.terminate());
  client.send('0');
  return client;
}

async function ping(client) {
  await client.control.take((packet) => packet === '2', 'a ping');
  return performance.now();
}

test('heartbeat: the first ping after pingInterval, the next pingInterval after the pong', (t) => isExact(t, async () => {
  const firsts = [];
  const seconds = [];
  await many(async () => {
    const client = await beatingSession(t);
    firsts.push((await ping(client)) - client.opened_ms);
    await new Promise((resolve) => setTimeout(resolve, PING_TIMEOUT / 2));
    client.sendPacket('3');
    const ponged = performance.now();
    seconds.push((await ping(client)) - ponged);
  });
  return [['first ping', firsts, PING_INTERVAL], ['second ping after the pong', seconds, PING_INTERVAL]];
}));

test('heartbeat: without a pong, closed pingTimeout after the ping', (t) => isExact(t, async () => {
  const times = await many(async () => {
    const client = await beatingSession(t);
    const pinged = await ping(client);
    await client.whenClosed();
    return performance.now() - pinged;
  });
  return [['timeout', times, PING_TIMEOUT]];
}));

test('heartbeat: any other packet extends the timeout once', (t) => isExact(t, async () => {
  const times = await many(async () => {
    const client = await beatingSession(t);
    await ping(client);
    let extended = 0;
    for (const after_ms of [80, 160, 240]) {
      setTimeout(() => {
        extended ||= performance.now();
        client.isClosed || client.send('2["others"]');
      }, after_ms);
    }
    await client.whenClosed();
    return performance.now() - extended;
  });
  return [['timeout after the first packet', times, PING_TIMEOUT]];
}));

test('heartbeat on polling: the pending poll gets 2, a POST of 3 is the answer', (t) => isExact(t, async () => {
  const client = await EngineClient.open(beating, { transport: 'polling', loop: false });
  let since = performance.now();
  const times = [];
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(await client.poll(), ['2']);
    times.push(performance.now() - since);
    since = performance.now();
    assert.equal((await client.post('3')).text, 'ok');
  }
  await client.post('1');
  return [['pings over polling', times, PING_INTERVAL]];
}));

test('heartbeat on polling: the clock runs with no poll pending', (t) => isExact(t, async () => {
  const observer = await SioClient.join(beating);
  const [before] = await observer.ask('reasons');
  const client = await EngineClient.open(beating, { transport: 'polling', loop: false });
  const opened = performance.now();
  await client.post('40');
  const reasons = await until(async () => {
    const [list] = await observer.ask('reasons');
    return list.length > before.length && list;
  }, 'the session to time out');
  const took_ms = performance.now() - opened;
  assert.deepEqual(reasons.slice(before.length), ['ping timeout']);
  observer.terminate();
  await observer.socket.whenClosed();
  return [['timeout', [took_ms], PING_INTERVAL + PING_TIMEOUT]];
}));

test('heartbeat goes on after an upgrade', async (t) => {
  const client = await EngineClient.open(beating, { transport: 'polling' });
  t.after(() => client.terminate());
  await client.upgrade();
  for (let i = 0; i < 3; i++) {
    await ping(client);
  }
  assert.equal(client.isClosed, false);
});

test('heartbeat: who upgrades while its pong is due has time for it anew', async (t) => {
  const timeout_ms = 600 * slower;
  const late = await startServer('probe', { PING_INTERVAL, PING_TIMEOUT: timeout_ms });
  const client = await pollingSessionOn(t, late);
  await until(async () => (await client.poll()).includes('2'), 'a ping');
  const pinged = performance.now();
  const socket = await probed(t, client);
  const pause = (until_ms) => new Promise((resolve) => { setTimeout(resolve, pinged + until_ms - performance.now()); });
  await pause(0.75 * timeout_ms);
  socket.send('5');
  await pause(1.25 * timeout_ms);
  socket.send('3');
  await until(async () => {
    socket.send('4277["echo","over websocket"]');
    return (await socket.next('the echo')) === '4377["over websocket"]';
  }, 'the echo, behind pings');
  await late.stop();
});

test('other clients were not disturbed, and the servers end without complaints', async () => {
  await othersAreWell();
  await server.stop();
  await beating.stop();
});

await run();
