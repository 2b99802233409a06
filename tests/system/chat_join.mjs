// Joining while others speak: what a newcomer is pushed begins right behind hello's head, what history has ends there, and the
// two together are the log, none of it twice. On `/` the answer of history and what is heard overlap in no way but that. JOINS
// scales it.

import assert from 'node:assert/strict';
import process from 'node:process';
import { io as io4 } from 'socket.io-client';
import { fileServer, ends, LOBBY, member, ok, range, seqs, wholeLog } from './lib/chat.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';
import { Visitor } from './lib/view.mjs';

const JOINS = Number(process.env.JOINS ?? 100);
const AT_ONCE = 10;
const SPEAKERS = 4;
const IN_FLIGHT = 4;
const LIVE = 5; // entries that a newcomer waits for
const DEADLINE_MS = 30000 + JOINS * 400;

const KINDS = [
  { nsp: '/chat', io: null, options: { transport: 'websocket' } },
  { nsp: '/', io: null, options: { transport: 'websocket' } },
  { nsp: '/chat', io: null, options: { transport: 'polling' } },
  { nsp: '/', io: null, options: { transport: 'polling' } },
  { nsp: '/chat', io: io4, options: { transports: ['polling', 'websocket'] } },
  { nsp: '/', io: io4, options: { transports: ['websocket'] } },
];

const server = await fileServer();

// Speaks until told to stop, IN_FLIGHT at a time; each is acknowledged.
async function speak(speaker, flood) {
  const one = async () => {
    while (!flood.over) {
      ok(await speaker.say(`flood ${flood.count += 1}`));
    }
  };
  await Promise.all(range(1, IN_FLIGHT).map(one));
}

async function join(index) {
  const visitor = new Visitor(server, `joiner ${index}`, KINDS[index % KINDS.length]);
  const { view } = visitor;
  await visitor.come();
  if (visitor.kind.nsp === '/chat') {
    /* What lies before the head, exactly. */
    const { entries } = ok(await visitor.link.ask('room.history', { room: LOBBY, before: visitor.head + 1 }));
    assert.equal(entries.at(-1)?.seq ?? 0, visitor.head);
    entries.forEach((entry) => view.keep(entry));
  }
  await Promise.race([visitor.failed.promise, until(() => view.heard >= LIVE, `${visitor.name} to hear ${LIVE} entries`)]);
  const upTo = view.next - 1;
  visitor.go();
  view.advance();
  assert.ok(view.last.seq >= upTo, `${visitor.name} has a gap behind ${view.last.seq}, and heard ${upTo}`);
  return visitor;
}

test(`${JOINS} newcomers during a flood: history and what is pushed are dense, none twice`, async (t) => {
  const speakers = await Promise.all(range(1, SPEAKERS).map((i) => member(t, server, { name: `Speaker ${i}` })));
  speakers.forEach((speaker) => (speaker.keepAll = false));
  const flood = { over: false, count: 0 };
  const floods = Promise.all(speakers.map((speaker) => speak(speaker, flood)));
  floods.catch(() => {});
  const visitors = [];
  let next = 0;
  const joiner = async () => {
    while (next < JOINS) {
      visitors.push(await join(next++));
    }
  };
  await Promise.all(range(1, AT_ONCE).map(joiner));
  flood.over = true;
  await floods;
  const log = await wholeLog(server);
  assert.equal(log.length, flood.count);
  for (const visitor of visitors) {
    visitor.equals(log.slice(0, visitor.view.last.seq));
  }
  assert.ok(new Set(visitors.map(({ view }) => view.last.seq)).size > 1);
  t.comment(`${log.length} entries, ${visitors.length} newcomers`);
  assert.deepEqual(seqs(log), range(1, log.length));
}, { timeout_ms: DEADLINE_MS });

ends(server);
await run();
