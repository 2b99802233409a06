// Whom an emit reaches: several rooms, exceptions, a socket's own id; what is done with all of them; what goes by is seen.

import assert from 'node:assert/strict';
import process from 'node:process';
import { isDeepStrictEqual } from 'node:util';
import { io } from 'socket.io-client';
import { startServer } from './lib/server.mjs';
import { encodeBody, EngineClient } from './lib/engine.mjs';
import { Person } from './lib/person.mjs';
import { Random } from './lib/random.mjs';
import { run, test } from './lib/tap.mjs';
import { until } from './lib/wait.mjs';

const WAYS = { websocket: ['websocket'], polling: ['polling'] };
const SPACES = ['/', '/child-1'];
const server = await startServer('twin');

async function arrive(t, name, nsp = '/', transports = ['websocket'], auth = {}) {
  const person = await Person.arrive(io, server, { transports, auth: { name, ...auth } }, nsp);
  t.after(() => person.leave());
  person.name = name;
  await person.hears('welcome');
  return person;
}

async function several(t, rooms, ...rest) {
  const people = {};
  for (const [name, joins] of Object.entries(rooms)) {
    people[name] = await arrive(t, name, ...rest);
    for (const room of joins) {
      await people[name].ask('join', room);
    }
  }
  return people;
}

// Who hears "said" with that text, and how often: all are asked something after it, whose answer comes behind.
async function hearers(people, text) {
  const heard = {};
  for (const person of Object.values(people)) {
    await person.ask('rooms');
    const count = person.heard.items.filter(([event, said]) => event === 'said' && said === text).length;
    if (count > 0) {
      heard[person.name] = count;
    }
  }
  return heard;
}

// All at once where there is one loop. Of several each does it when it comes to it, which may be behind the answer.
async function roomsAre(people, expected) {
  const look = () => Promise.all(Object.values(people).map(async (person) => (await person.ask('rooms'))[0]));
  if (Number(process.env.SIO_THREADS ?? 1) > 1) {
    await until(async () => isDeepStrictEqual(await look(), expected), 'all loops to have done it');
  }
  assert.deepEqual(await look(), expected);
}

const once = (...names) => Object.fromEntries(names.map((name) => [name, 1]));
const ROOMS = { ann: ['a'], ben: ['a', 'b'], cat: ['b', 'c'], dan: [], eve: ['a', 'b', 'c'] };

for (const [way, transports] of Object.entries(WAYS)) {
  for (const nsp of SPACES) {
    test(`${way}, ${nsp}: whom an emit reaches, each once`, async (t) => {
      const people = await several(t, ROOMS, nsp, transports);
      const { ann, dan } = people;
      let n = 0;
      const reached = async (who, rooms, except, from = ann) => {
        const text = `text ${n++}`;
        assert.deepEqual(await from.ask('say', who, rooms, except, text), ['ok']);
        return hearers(people, text);
      };
      assert.deepEqual(await reached('all', '', ''), once('ann', 'ben', 'cat', 'dan', 'eve'));
      assert.deepEqual(await reached('others', '', ''), once('ben', 'cat', 'dan', 'eve'));
      assert.deepEqual(await reached('all', 'a', ''), once('ann', 'ben', 'eve'));
      assert.deepEqual(await reached('all', 'a,b', ''), once('ann', 'ben', 'cat', 'eve'));
      assert.deepEqual(await reached('others', 'a,b,c,a', ''), once('ben', 'cat', 'eve'));
      assert.deepEqual(await reached('all', 'a,b', 'c'), once('ann', 'ben'));
      assert.deepEqual(await reached('all', '', 'c'), once('ann', 'ben', 'dan'));
      assert.deepEqual(await reached('all', '', 'a,b,c'), once('dan'));
      assert.deepEqual(await reached('all', 'a', 'a'), {});
      assert.deepEqual(await reached('all', 'nobody is here', ''), {});
      assert.deepEqual(await reached('all', 'nobody is here,c', 'nor here'), once('cat', 'eve'));
      const [id, other] = [dan.socket.id, ann.socket.id];
      assert.deepEqual(await reached('all', id, ''), once('dan'));
      assert.deepEqual(await reached('others', id, '', dan), {});
      assert.deepEqual(await reached('all', `${id},c`, ''), once('dan', 'cat', 'eve'));
      assert.deepEqual(await reached('all', '', id), once('ann', 'ben', 'cat', 'eve'));
      assert.deepEqual(await reached('others', `a,${id}`, other), once('ben', 'dan', 'eve'));
    });
  }
}

test('what is for this process alone reaches all of a target that are there', async (t) => {
  const people = await several(t, ROOMS);
  await people.ann.ask('say-local', 'all', '', '', 'for all');
  await people.ann.ask('say-local', 'others', 'a,b', 'c', 'for some');
  assert.deepEqual(await hearers(people, 'for all'), once('ann', 'ben', 'cat', 'dan', 'eve'));
  assert.deepEqual(await hearers(people, 'for some'), once('ben'));
});

test('binary goes to several rooms, too', async (t) => {
  const people = await several(t, ROOMS);
  const bytes = Buffer.from([0, 1, 255]);
  await people.dan.ask('say', 'all', 'a,c', 'b', 'bytes', bytes, { deep: [bytes] });
  const [text, first, second] = await people.ann.hears('said');
  assert.deepEqual([text, first, second], ['bytes', bytes, { deep: [bytes] }]);
  assert.deepEqual(await hearers({ ben: people.ben, cat: people.cat }, 'bytes'), {});
});

test('another namespace hears nothing of it, whatever its rooms are called', async (t) => {
  const people = { here: await arrive(t, 'here', '/child-2'), there: await arrive(t, 'there', '/child-3'), root: await arrive(t, 'root') };
  for (const person of Object.values(people)) {
    await person.ask('join', 'a');
  }
  await people.here.ask('say', 'all', 'a', '', 'text');
  await people.here.ask('say', 'all', `a,${people.root.socket.id}`, '', 'more');
  assert.deepEqual(await hearers(people, 'text'), once('here'));
  assert.deepEqual(await hearers(people, 'more'), once('here'));
  assert.deepEqual(await people.here.ask('fetch', 'all', people.root.socket.id, ''), [[]]);
});

test('all of a target join a room, and leave it', async (t) => {
  const people = await several(t, ROOMS);
  const { ann, ben, cat, dan, eve } = people;
  await ann.ask('join-all', 'all', 'a,c', 'b', 'new');
  await roomsAre(people, [['a', 'new'], ['a', 'b'], ['b', 'c'], [], ['a', 'b', 'c']]);
  await ann.ask('join-all', 'all', '', '', 'new');
  await roomsAre(people, [['a', 'new'], ['a', 'b', 'new'], ['b', 'c', 'new'], ['new'], ['a', 'b', 'c', 'new']]);
  await ann.ask('join-all', 'others', 'new', '', 'a');
  await roomsAre(people, [['a', 'new'], ['a', 'b', 'new'], ['a', 'b', 'c', 'new'], ['a', 'new'], ['a', 'b', 'c', 'new']]);
  await ben.ask('leave-all', 'others', 'new', 'c', 'new');
  await roomsAre(people, [['a'], ['a', 'b', 'new'], ['a', 'b', 'c', 'new'], ['a'], ['a', 'b', 'c', 'new']]);
  await cat.ask('leave-all', 'all', '', '', 'a');
  await eve.ask('leave-all', 'all', 'nobody', '', 'b');
  await roomsAre(people, [[], ['b', 'new'], ['b', 'c', 'new'], [], ['b', 'c', 'new']]);
});

test('who is in a room, by their ids', async (t) => {
  const people = await several(t, ROOMS);
  const ids = (...names) => names.map((name) => people[name].socket.id).sort();
  assert.deepEqual(await people.ann.ask('fetch', 'all', '', ''), [ids('ann', 'ben', 'cat', 'dan', 'eve')]);
  assert.deepEqual(await people.ann.ask('fetch', 'others', 'a,b', ''), [ids('ben', 'cat', 'eve')]);
  assert.deepEqual(await people.ann.ask('fetch', 'all', 'a', 'c'), [ids('ann', 'ben')]);
  assert.deepEqual(await people.ann.ask('fetch', 'all', 'nobody', ''), [[]]);
});

for (const nsp of SPACES) {
  test(`${nsp}: one question to many, and all their answers`, async (t) => {
    const people = await several(t, ROOMS, nsp);
    const { ann, ben, cat } = people;
    for (const person of Object.values(people)) {
      person.answer = () => [person.name];
    }
    const asked = async (who, rooms, except, ms = 5000) => ann.ask('ask-all', who, rooms, except, ms);
    assert.deepEqual(await asked('all', '', ''), [true, ['ann', 'ben', 'cat', 'dan', 'eve']]);
    assert.deepEqual(await asked('others', 'a,b', 'c'), [true, ['ben']]);
    assert.deepEqual(await asked('all', 'nobody', ''), [true, []]);
    ben.answer = () => null;
    assert.deepEqual(await asked('all', 'a,b', '', 100), [false, ['ann', 'cat', 'eve']]);
    ben.answer = () => ['late'];
    assert.deepEqual(await asked('others', 'b', ''), [true, ['cat', 'eve', 'late']]);
    const left = cat.disconnected();
    cat.answer = () => {
      cat.socket.disconnect();
      return null;
    };
    const [all, answers] = await asked('all', 'b', '', 300);
    assert.deepEqual([all, answers], [false, ['eve', 'late']]);
    await left;
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, () => asked('all', 'c', ''))), Array(20).fill([true, ['eve']]));
  });
}

test('all of a target are sent away, or their connections closed', async (t) => {
  const people = await several(t, ROOMS);
  const { ann, ben, cat, dan, eve } = people;
  const away = [ben, eve].map((person) => person.disconnected());
  assert.deepEqual(await ann.ask('send-away', 'others', 'a', '', ''), ['ok']);
  assert.deepEqual(await Promise.all(away), ['io server disconnect', 'io server disconnect']);
  const [gone] = await Promise.all([cat.disconnected(), ann.ask('send-away', 'all', '', 'a', 'close'), dan.disconnected()]);
  assert.equal(gone, 'io server disconnect');
  await until(() => !cat.socket.io.engine || cat.socket.io.engine.readyState === 'closed', 'the connection to be closed');
  assert.equal(ann.socket.connected, true);
  assert.deepEqual(await ann.ask('fetch', 'all', '', ''), [[ann.socket.id]]);
});

test('who goes is in its rooms until it has gone, and others are told', async (t) => {
  const people = await several(t, { wat: ['watchers'], ann: ['a', 'watchers', 'b'], ben: ['b'] });
  const { wat, ann, ben } = people;
  ann.leave();
  assert.deepEqual(await wat.hears('going'), ['ann', 'client namespace disconnect', ['a', 'b', 'watchers']]);
  assert.deepEqual(await wat.hears('gone'), ['ann', 'client namespace disconnect', []]);
  ben.say('leave-us');
  assert.deepEqual(await wat.hears('going'), ['ben', 'server namespace disconnect', ['b']]);
  assert.deepEqual(await wat.hears('gone'), ['ben', 'server namespace disconnect', []]);
  assert.deepEqual(await wat.ask('fetch', 'all', 'a,b', ''), [[]]);
});

test('what is said to be better left uncompressed is, unless something else is in the same response', async (t) => {
  const text = 'x'.repeat(4000);
  for (const [events, coded] of [[['say'], 'gzip'], [['say-uncompressed'], undefined], [['say-uncompressed', 'say'], 'gzip']]) {
    const client = await EngineClient.open(server, { transport: 'polling', loop: false, headers: { 'accept-encoding': 'gzip' } });
    client.send('0');
    let packets = [];
    while (!packets.some((packet) => packet.includes('welcome'))) {
      packets = await client.poll();
    }
    await client.post(encodeBody(events.map((event) => `42${JSON.stringify([event, 'all', '', '', text])}`)));
    const { headers, text: body } = await client.get();
    assert.equal(headers['content-encoding'], coded, events.join());
    assert.equal(body.split(text).length - 1, events.length);
    client.sendPacket('1');
    client.terminate();
  }
});

test('what comes and what goes is seen, and what a filter drops goes no further', async (t) => {
  const ann = await arrive(t, 'ann', '/watched');
  await ann.ask('join', 'a');
  assert.deepEqual(await ann.ask('nothing', 1), ['dropped']);
  await ann.ask('say', 'all', 'a', '', 'text', { deep: [1] });
  assert.deepEqual(await hearers({ ann }, 'nothing'), {});
  const [came, went] = await ann.ask('seen');
  assert.deepEqual(came, [['join', 'a'], ['nothing', 1], ['say', 'all', 'a', '', 'text', { deep: [1] }], ['rooms'], ['seen']]);
  assert.deepEqual(went, [['welcome', '/watched', null, null, true, false], ['said', 'text', { deep: [1] }]]);
  const ben = await arrive(t, 'ben', '/watched');
  await ben.ask('say', 'all', '', '', 'to both');
  for (const person of [ann, ben]) { // each loop has it in its own time
    await person.heard.take(([event, text]) => event === 'said' && text === 'to both', 'what is for both');
  }
  const [, twice] = await ann.ask('seen');
  assert.deepEqual(twice.slice(1), [['said', 'to both'], ['said', 'to both']]);
});

test('at random: a model of who is in which room agrees with who hears', async (t) => {
  const random = new Random(process.env.SEED);
  t.comment(`SEED=${random.seed}`);
  const names = ['ann', 'ben', 'cat', 'dan', 'eve', 'fay'], all = ['a', 'b', 'c', 'd'];
  const people = await several(t, Object.fromEntries(names.map((name) => [name, []])));
  const inside = Object.fromEntries(names.map((name) => [name, new Set()]));
  const some = (list) => list.filter(() => random.below(3) === 0);
  for (let step = 0; step < 120; step++) {
    const from = names[random.below(names.length)], room = all[random.below(all.length)];
    const [rooms, except, who] = [some(all), some(all), random.below(2) ? 'all' : 'others'];
    const meant = names.filter((name) =>
      (who === 'all' || name !== from) && (rooms.length === 0 || rooms.some((r) => inside[name].has(r))) && !except.some((r) => inside[name].has(r)));
    const what = random.below(3);
    if (what < 2) {
      await people[from].ask(what ? 'join-all' : 'leave-all', who, rooms.join(), except.join(), room);
      meant.forEach((name) => (what ? inside[name].add(room) : inside[name].delete(room)));
      await roomsAre(people, names.map((name) => [...inside[name]].sort()));
    } else {
      await people[from].ask('say', who, rooms.join(), except.join(), `step ${step}`);
      assert.deepEqual(await hearers(people, `step ${step}`), once(...meant), `step ${step}`);
    }
  }
});

await run();
