// The public counters (sio/stats.h): each rises when what its comment says has happened, by as much, and no other that tells of something
// refused, cut, dropped, late or bad. libsio alone. One loop, asked on a socket in a namespace of its own.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { EngineClient } from './lib/engine.mjs';
import { RawSocket, request, target } from './lib/http.mjs';
import { startServer } from './lib/server.mjs';
import { SioClient } from './lib/sio.mjs';
import { run, test } from './lib/tap.mjs';
import { opened, pollingSession } from './lib/upgrade.mjs';
import { slower, until } from './lib/wait.mjs';
import { asker, Peer } from './lib/ws.mjs';

const ERRORS = [
  'connections_refused', 'connections_insecure', 'connections_stalled', 'requests_refused', 'request_timeouts', 'sessions_not_upgraded',
  'sessions_refused', 'sessions_too_fast', 'sessions_throttled', 'handshakes_bad', 'ping_timeouts', 'parse_errors', 'transport_errors',
  'queue_overflows', 'queues_shed', 'sessions_cut', 'sessions_not_joined', 'polls_cut', 'sockets_refused', 'sockets_expired',
  'sockets_not_recovered', 'sockets_forgotten', 'events_forgotten', 'resent_forgotten', 'packets_bad', 'skipped_volatile', 'answers_late',
  'acks_forgotten', 'questions_refused', 'replies_dropped', 'joins_refused', 'spaces_refused', 'broadcasts_refused',
];
const ASKED = ['messages_in', 'packets_in', 'deliveries']; // by asking and its answer, too
const BYTES = ['bytes_in', 'bytes_out'];
const GAUGES = ['connections', 'sessions', 'sessions_lagging', 'queued_bytes'];
const BUSY = 'loop_stalls'; // on a busy machine without anybody's doing
const SHAKE = { EIO: 4, transport: 'polling' };
const NSP = '/custom';
const LONG_MS = 20000; // more than any limit of time here is
const MESSAGE_BYTES = 1000;
const QUEUES = { QUEUE_SOFT: 50000, QUEUE_MAX: 2000000, QUEUED_MAX: 4000000 };
const LAG = 100; // messages of those
const HEAVY = 1500; // with three such queues too much waits, with two of them not
const HEAVIER = 1700; // likewise, and one such queue is the first to go
const TOO_HEAVY = 2500;
const PIECE_BYTES = 100000; // so large that it is a part of one that the kernel does not take
const LARGE_BYTES = 1 << 20; // an answer of which the kernel of who does not read leaves a part with ours
const ACK_DELAY_MS = 400; // after which no answer counts as read for want of an ACK
const BACKLOG = 1000000;
const CONNECTIONS = 8;
const ACKS_WAITING_MAX = 1024;
const ROOMS_MAX = 65536;
const HANGING_HEAD = 'GET / HTTP/1.1\r\n';

// A server, and a socket that asks for its figures.
class Watched {
  asked = 0;

  static async start(env = {}) {
    const watched = new Watched();
    watched.server = await startServer('probe', { SIO_THREADS: 1, ...env });
    watched.watcher = await SioClient.join(watched.server, {}, NSP);
    return watched;
  }

  /** All that there are, by their names without what all have. What asking adds is left out. */
  async figures() {
    const [all] = await this.watcher.askIn(NSP, 'figures');
    this.asked += 1;
    const figures = Object.fromEntries(Object.entries(all).map(([name, value]) => [name.replace(/^sio_|_total$/g, ''), value]));
    ASKED.forEach((name) => (figures[name] -= this.asked));
    return figures;
  }

  /** While `provoke` runs, or soon after, the counters `expected` rise by so much, and no others of `names`. */
  async rises(expected, provoke, names = ERRORS) {
    const before = await this.figures();
    const checked = names.concat(Object.keys(expected));
    checked.forEach((name) => assert.equal(typeof before[name], 'number', name));
    const risen = async () => {
      const now = await this.figures();
      return Object.fromEntries(checked.map((name) => [name, now[name] - before[name]]).filter(([, more]) => more !== 0));
    };
    await provoke();
    const enough = async () => {
      const more = await risen();
      const tooMuch = Object.keys(more).some((name) => !(more[name] <= expected[name]));
      return tooMuch || Object.keys(expected).every((name) => more[name] === expected[name]);
    };
    await until(enough, 'all that is expected', LONG_MS * slower).catch(() => {});
    assert.deepEqual(await risen(), expected);
  }

  /** The same, and no other counter at all but those of bytes, which rise. */
  async risesAlone(expected, provoke) {
    const before = await this.figures();
    const others = Object.keys(before).filter((name) => ![...BYTES, ...GAUGES, BUSY].includes(name));
    await this.rises(expected, provoke, others);
    const now = await this.figures();
    BYTES.forEach((name) => assert.ok(now[name] > before[name], name));
  }

  stop() {
    return this.server.stop();
  }
}

/** A test with a server of its own. */
function apart(name, env, body) {
  test(name, async (t) => {
    const watched = await Watched.start(env);
    await body(t, watched);
    await watched.stop();
  });
}

const common = await Watched.start({ ...QUEUES, SPACES_MAX: '1' });
const { server } = common;

async function joined(t, options = {}, on = server) {
  const client = await SioClient.join(on, options);
  t.after(() => client.terminate());
  return client;
}

/** A WebSocket's session that has not joined. */
async function engine(t, on = server) {
  const client = await EngineClient.open(on);
  t.after(() => client.terminate());
  return client;
}

async function raw(t, on = server) {
  const socket = await RawSocket.open(on);
  t.after(() => socket.destroy());
  return socket;
}

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const post = (path, body) => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

apart('who comes, what is said, and who goes', {}, async (t, watched) => {
  const { server: on } = watched;
  const other = await joined(t, {}, on);
  let one, path;
  await watched.risesAlone({ connections_accepted: 1 }, async () => (one = await asker(t, on)));
  await watched.risesAlone({ requests: 1, sessions_opened: 1 }, async () => {
    const { body } = await one.ask(get(target(SHAKE)));
    path = target({ ...SHAKE, sid: JSON.parse(body.slice(1)).sid });
  });
  const says = async (body) => assert.equal((await one.ask(post(path, body))).body, 'ok');
  await watched.risesAlone({ requests: 2 }, async () => {
    await one.ask(get('/nowhere'));
    await one.ask(get('/nowhere'));
  });
  const join = { requests: 1, messages_in: 1, packets_in: 1, sockets_connected: 1, events_out: 2, deliveries: 2 };
  await watched.risesAlone(join, () => says('40'));
  const message = { requests: 1, messages_in: 1, packets_in: 1, events_out: 1, deliveries: 2 };
  await watched.risesAlone(message, async () => {
    await says('42["message"]');
    await other.event('message');
  });
  const binary = { requests: 1, messages_in: 2, packets_in: 2 };
  await watched.risesAlone(binary, () => says('451-["nothing",{"_placeholder":true,"num":0}]\x1ebAAAA'));
  await watched.risesAlone({ requests: 1, messages_in: 1, packets_in: 1, sockets_disconnected: 1 }, () => says('41'));
  await watched.risesAlone({ requests: 1, sessions_closed: 1 }, () => says('1'));
  await watched.risesAlone({ connections_closed: 1 }, () => one.socket.destroy());
});

apart('a plain WebSocket: its messages are none of Socket.IO', { PLAIN: '1' }, async (t, watched) => {
  let peer;
  await watched.risesAlone({ connections_accepted: 1, requests: 1, sessions_opened: 1 }, async () => {
    peer = await Peer.open(watched.server, { path: '/plain' });
    t.after(() => peer.destroy());
  });
  await watched.risesAlone({ messages_in: 2 }, async () => {
    await peer.send('one');
    await peer.send('two');
  });
  await watched.risesAlone({ sessions_closed: 1, connections_closed: 1 }, () => peer.destroy());
});

test('bytes, in and out', async (t) => {
  const client = await joined(t);
  const before = await common.figures();
  const risen = async (name) => (await common.figures())[name] - before[name] > LARGE_BYTES / 2;
  client.emit('nothing', 'x'.repeat(LARGE_BYTES / 2));
  await until(() => risen('bytes_in'), 'bytes_in');
  assert.equal(await risen('bytes_out'), false);
  client.emit('flood', 1, LARGE_BYTES / 2);
  await until(() => risen('bytes_out'), 'bytes_out');
});

test('what is refused: requests, handshakes, namespaces', async (t) => {
  await common.rises({ requests_refused: 1 }, async () => {
    const socket = await raw(t);
    socket.write('NO REQUEST\r\n\r\n');
    await socket.whenClosed();
  });
  await common.rises({ handshakes_bad: 1 }, () => request(server, { path: target({ EIO: 3, transport: 'polling' }) }));
  const client = await joined(t);
  await common.rises({ sockets_refused: 1 }, () => assert.rejects(client.connectTo('/nowhere'), /Invalid namespace/));
  await common.rises({ sockets_connected: 1 }, () => client.connectTo('/child-1'));
  await common.rises({ sockets_refused: 1, spaces_refused: 1 }, () => assert.rejects(client.connectTo('/child-2'), /Invalid namespace/));
});

test('upgrades', async (t) => {
  const client = await joined(t, { transport: 'polling' });
  await common.rises({ sessions_upgraded: 1 }, () => client.upgrade());
  const polling = await pollingSession(t, server);
  await common.rises({ sessions_not_upgraded: 1 }, async () => (await opened(t, polling)).terminate());
  assert.equal((await polling.post('1')).text, 'ok');
});

test('clients that break a rule: of packets, of the transport, of Socket.IO', async (t) => {
  for (const [name, packet] of [['parse_errors', 'x'], ['transport_errors', '2'], ['packets_bad', '49']]) {
    const client = await engine(t);
    await common.rises({ [name]: 1 }, async () => {
      client.sendPacket(packet);
      await client.whenClosed();
    });
  }
});

test('who lags is counted once, and as long as it lags', async (t) => {
  const { queued_bytes: before } = await common.figures();
  const client = await pollingSession(t, server);
  await common.rises({ sessions_lagged: 1 }, () => client.post(`42["flood",${LAG},${MESSAGE_BYTES}]`));
  const { sessions_lagging, queued_bytes } = await common.figures();
  assert.equal(sessions_lagging, 1);
  assert.ok(queued_bytes - before > LAG * MESSAGE_BYTES, `${queued_bytes - before}`);
  let heard = 0;
  await until(async () => (heard += (await client.poll()).filter((packet) => packet.startsWith('42["flood"')).length) === LAG, 'all of it');
  assert.equal((await client.post('1')).text, 'ok');
  await until(async () => (await common.figures()).sessions_lagging === 0, 'nobody to lag');
});

/** A session by polling that is not polled, and for which so many messages wait. */
async function loaded(t, { server: on }, messages, first = []) {
  const client = await pollingSession(t, on);
  await client.post([...first, `42["flood",${messages},${MESSAGE_BYTES}]`].join('\x1e'));
  return client;
}

apart('queues: one that is too long; too much in all', QUEUES, async (t, watched) => {
  await watched.rises({ queue_overflows: 1 }, () => loaded(t, watched, TOO_HEAVY));
  await watched.rises({ sessions_lagged: 2 }, async () => {
    await loaded(t, watched, HEAVY);
    await loaded(t, watched, HEAVY);
  });
  await watched.rises({ queue_overflows: 1, queues_shed: 1 }, () => loaded(t, watched, HEAVY));
});

apart('one that is closed already, and has not taken what waits, goes for others; an answer to it is late', QUEUES, async (t, watched) => {
  const other = await joined(t, {}, watched.server);
  const heavier = await loaded(t, watched, HEAVIER, ['421["hold"]']);
  await watched.rises({ sockets_disconnected: 1 }, () => other.emit('kick-held'));
  await loaded(t, watched, HEAVY);
  await watched.rises({ sessions_cut: 1 }, () => loaded(t, watched, HEAVY));
  assert.match((await heavier.get()).text, /unknown/);
  await watched.rises({ answers_late: 1 }, () => other.emit('release'));
});

test('answers, questions, rooms, and what may be left out', async (t) => {
  const client = await joined(t);
  await common.rises({ acks_forgotten: 1 }, () => {
    for (let i = 0; i <= ACKS_WAITING_MAX; i++) {
      client.send(`2${i}["hold"]`);
    }
  });
  await common.rises({ answers_late: 1 }, () => client.emit('release'));
  await common.rises({ questions_refused: 1 }, () => {
    for (let i = 1; i <= ACKS_WAITING_MAX; i++) { // one has been asked before
      client.emit('ask');
    }
  });
  for (let from = 0; from < ROOMS_MAX; from += ROOMS_MAX / 8) {
    await client.ask('join-many', from, ROOMS_MAX / 8);
  }
  await common.rises({ joins_refused: 3 }, () => client.ask('join-many', ROOMS_MAX, 3));
  const polling = await pollingSession(t, server);
  await common.rises({ skipped_volatile: 2 }, () => client.ask('sparing', 0, 2, 1));
  assert.equal((await polling.post('1')).text, 'ok');
});

test('a proof that has not been renewed', async (t) => {
  const client = await joined(t);
  await common.rises({ sockets_expired: 1 }, () => client.emit('expire'));
});

test('a loop that stands still', (t) => common.rises({ loop_stalls: 1 }, async () => (await joined(t)).ask('stall')));

apart('a client that answers no ping', { PING_INTERVAL: 100, PING_TIMEOUT: 1000 * slower }, async (t, watched) => {
  const client = await engine(t, watched.server);
  client.autoPong = false;
  await watched.rises({ ping_timeouts: 1 }, () => client.send('0'));
});

apart('a client that joins nothing', { CONNECT_TIMEOUT: 1000 * slower }, async (t, watched) => {
  await watched.rises({ sessions_not_joined: 1 }, () => engine(t, watched.server));
});

apart('a client that sends too fast', { RATE_MESSAGES: '2000:20' }, async (t, watched) => {
  const client = await joined(t, {}, watched.server);
  const socket = client.socket.ws._socket;
  await watched.rises({ sessions_throttled: 1 }, () => {
    socket.cork();
    for (let i = 0; i < 40; i++) {
      client.send('2["x"]');
    }
    socket.uncork();
  });
});

apart('an address that comes too often', { RATE_SESSIONS: '1:1', LIMIT_LOOPBACK: '1' }, async (t, watched) => {
  const { ask } = await asker(t, watched.server);
  const refused = async () => (await ask(get(target(SHAKE)))).status === 429;
  await watched.rises({ sessions_refused: 1, sessions_too_fast: 1 }, () => until(refused, 'to be refused'));
});

apart('too many sessions, too many connections', { CONNECTIONS }, async (t, watched) => {
  const { ask } = await asker(t, watched.server);
  const refused = async () => (await ask(get(target(SHAKE)))).status === 503;
  await watched.rises({ sessions_refused: 1 }, () => until(refused, 'to be refused'));
  await until(async () => (await watched.figures()).connections === 1, 'all others to have gone');
  const come = () => Promise.all(Array.from({ length: CONNECTIONS + 2 }, () => raw(t, watched.server)));
  await watched.rises({ connections_refused: 3 }, come);
});

apart('a connection that speaks no TLS', { TLS: '1' }, async (t, watched) => {
  await watched.rises({ connections_insecure: 1 }, async () => {
    const socket = await raw(t, { port: watched.server.tlsPort });
    socket.write(get('/'));
    await socket.whenClosed();
  });
});

async function identity(t, on, auth = undefined) {
  const client = await engine(t, on);
  client.send(`0${auth ? JSON.stringify(auth) : ''}`);
  const packet = await client.inbox.take((text) => text[0] === '0', 'the CONNECT');
  return { client, pid: JSON.parse(packet.slice(1)).pid };
}

apart('who comes back, and who cannot', { RECOVERY_WINDOW: 60000, BACKLOG, KEPT: 1 }, async (t, watched) => {
  const on = watched.server;
  const goes = ({ client }) => watched.rises({ sockets_disconnected: 1 }, () => client.terminate());
  const first = await identity(t, on);
  await goes(first);
  await watched.rises({ sockets_recovered: 1, sockets_connected: 1 }, () => identity(t, on, { pid: first.pid }));
  await watched.rises({ sockets_not_recovered: 1, sockets_connected: 1 }, () => identity(t, on, { pid: 'A'.repeat(20) }));
  const [second, third] = [await identity(t, on), await identity(t, on)];
  await goes(second);
  await watched.rises({ sockets_forgotten: 1 }, () => third.client.terminate());
  const { client } = await identity(t, on);
  const says = () => client.send(`2["message","${'x'.repeat(BACKLOG * 0.6)}"]`);
  await watched.rises({ events_out: 2 }, () => {
    says(); // what was said before is dropped for them
    says();
  }, []);
  await watched.rises({ events_forgotten: 1 }, says);
  await watched.rises({ events_forgotten: 2 }, () => {
    says();
    says();
  });
});

async function stalled(t, watched) {
  const socket = connect({ port: watched.server.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await watched.rises({ connections_stalled: 1 }, () => {
    socket.resume();
    socket.write('GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  });
}

async function late(t, watched) {
  const socket = await raw(t, watched.server);
  await watched.rises({ request_timeouts: 1 }, () => socket.write(HANGING_HEAD));
  await socket.match(/^HTTP\/1\.1 408 /);
}

async function unread(t, watched) {
  const [client, other] = [await joined(t, {}, watched.server), await joined(t, {}, watched.server)];
  client.socket.ws.pause();
  await watched.rises({ queue_overflows: 1, sessions_cut: 1 }, () => until(async () => {
    other.emit('flood-others', 5, PIECE_BYTES);
    return (await watched.figures()).queue_overflows > 0;
  }, 'its queue to be full'));
}

// An answer that its client's kernel does not take; then the client polls on another connection, and gets it.
async function cutPoll(t, watched) {
  const client = await pollingSession(t, watched.server);
  const socket = await raw(t, watched.server);
  socket.socket.once('data', () => socket.socket.pause());
  await client.post(`42["flood",1,${LARGE_BYTES}]`);
  await watched.rises({ polls_cut: 1 }, async () => {
    socket.write(get(target(client.query4)));
    await until(() => socket.received.length > 0, 'the answer to begin');
    await pause(ACK_DELAY_MS);
    const packets = await client.poll();
    assert.deepEqual(packets.map((packet) => packet.length > LARGE_BYTES), [true]);
  });
}

// Together, for each takes some seconds.
test('clients that do not take what they are sent, and slow ones', async (t) => {
  await Promise.all([stalled, late, unread, cutPoll].map(async (body) => {
    const watched = await Watched.start();
    await body(t, watched);
    await watched.stop();
  }));
}, { timeout_ms: 2 * LONG_MS });

test('the server ends without complaints', () => common.stop());

await run();
