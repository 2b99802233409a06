// The page at /chat in a real browser against the program: people talk, reload, scroll back, lose the server and get it back;
// a script on `/` is heard and hears; axe finds nothing, and nothing breaks the page's policy.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { openBrowser, openPerson, inaccessible } from './lib/chromium.mjs';
import { joinAs, ready, say, shown, shows } from './lib/chat_page.mjs';
import { startPalaver } from './lib/palaver.mjs';
import { run, test } from './lib/tap.mjs';
import { limits, until } from './lib/wait.mjs';

const SLOW = { timeout_ms: 120000 };

async function arrive(t, browser, server, name, options) {
  const person = await openPerson(browser, options);
  t.after(() => person.context.close());
  person.page = await person.open();
  await joinAs(person.page, server.url, name);
  return person;
}

function script(t, server, name) {
  const socket = io(server.url, { auth: { name }, reconnectionDelayMax: 500 });
  t.after(() => socket.close());
  const heard = [];
  socket.on('message', (text, entry) => heard.push([text, entry.name, entry.seq]));
  return { socket, heard, ask: (...args) => socket.timeout(limits.wait_ms).emitWithAck(...args) };
}

/** As the script: lines `from` to `to`. */
async function fill(carl, from, to) {
  await until(() => carl.socket.connected, 'the script to connect');
  for (let i = from; i <= to; i += 40) { // more than 64 at once would be refused
    const some = Array.from({ length: Math.min(40, to - i + 1) }, (_, j) => carl.ask('message', `line ${i + j}`));
    await Promise.all(some);
  }
}

const drawn = async (page, text) => (await shown(page)).some((one) => one.text === text);

async function scrollUpTo(page, there, what) {
  await until(async () => {
    await page.getByRole('log').hover();
    await page.mouse.wheel(0, -500); // less than a screen
    return there();
  }, what, limits.wait_ms * 3);
}

const focusAt = (page, selector) =>
  until(() => page.evaluate((at) => document.activeElement.matches(at), selector), `the focus to be at ${selector}`);

const top = (page, text) => page.getByText(text, { exact: true }).evaluate((one) => one.getBoundingClientRect().top);

/** The same once it has stood still for some frames: a turn of the wheel goes on for a while. */
const topAtRest = (page, text) => page.getByText(text, { exact: true }).evaluate((one) => new Promise((resolve) => {
  let last = NaN;
  let same = 0;
  const look = () => {
    const now = one.getBoundingClientRect().top;
    same = now === last ? same + 1 : 0;
    last = now;
    if (same < 10) {
      requestAnimationFrame(look);
    } else {
      resolve(now);
    }
  };
  look();
}));

/** How far this guest has read, as the browser keeps it, and whether the line above what is new is drawn: at one moment. */
const reading = (page) => page.evaluate(() => ({
  marker: Number(Object.entries(localStorage).find(([key]) => key.includes('.read.'))?.[1] ?? NaN),
  line: document.querySelector('.new-line') !== null,
}));

const marker = async (page) => (await reading(page)).marker;

/** Counts what a page asks the server for by a command. */
function counted(page, command) {
  const count = { sent: 0 };
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
    count.sent += String(payload).includes(`["${command}"`) ? 1 : 0;
  }));
  return count;
}

test('two people and a script talk, one reloads, the server restarts: nothing is missing, nothing twice', async (t) => {
  const server = await startPalaver(t);
  const browser = await openBrowser(t);
  const ann = await arrive(t, browser, server, 'Ann');
  const bob = await arrive(t, browser, server, 'Böb');
  const carl = script(t, server, 'Carl');
  const said = [];
  const all = async () => {
    await shows(ann.page, said);
    await shows(bob.page, said);
    await until(() => JSON.stringify(carl.heard.map(([text]) => text)) === JSON.stringify(said), 'the script to hear all');
  };
  const speak = async (who, text) => {
    said.push(text);
    if (who === carl) {
      assert.equal((await carl.ask('message', text)).ok, true);
    } else {
      await say(who.page, text);
    }
    await all();
  };

  await until(() => carl.socket.connected, 'the script to connect');
  await speak(ann, 'hello, Böb: ünï 日本語 👋');
  await speak(bob, '<b>hello</b> & "goodbye"');
  await speak(carl, 'a script speaks');
  await bob.page.reload();
  await ready(bob.page);
  await all();
  await speak(bob, 'after the reload');
  await server.restart();
  await until(() => carl.socket.connected, 'the script to come back');
  await speak(carl, 'after the restart');
  await speak(ann, 'Ann is back');
  await speak(bob, 'and Böb');
  await ann.page.reload();
  await ready(ann.page);
  await all();
  const { entries } = await carl.ask('history');
  assert.deepEqual(entries.map(({ text }) => text), said);
  assert.deepEqual(entries.map(({ seq }) => seq), said.map((_, index) => index + 1));
  assert.deepEqual(new Set(entries.map(({ name }) => name)), new Set(['Ann', 'Böb', 'Carl']));
  assert.deepEqual([...ann.problems, ...bob.problems], []);
}, SLOW);

test('what is written while the server is away is sent when it is back, once and in order', async (t) => {
  const server = await startPalaver(t);
  const browser = await openBrowser(t);
  const ann = await arrive(t, browser, server, 'Ann');
  await say(ann.page, 'one');
  await shows(ann.page, ['one']);
  await server.stop();
  for (const text of ['two', 'three', 'four']) {
    await say(ann.page, text);
  }
  await until(async () => (await shown(ann.page)).filter(({ own }) => own).length === 3, 'three to wait');
  await ann.page.getByText('3 messages wait on this device').waitFor();
  await ann.page.getByRole('button', { name: 'Try now' }).focus();
  await server.start();
  await shows(ann.page, ['one', 'two', 'three', 'four']);
  await focusAt(ann.page, 'textarea'); // the button went with the strip
  const carl = script(t, server, 'Carl');
  await until(() => carl.socket.connected, 'the script to connect');
  const { entries } = await carl.ask('history');
  assert.deepEqual(entries.map(({ text }) => text), ['one', 'two', 'three', 'four']);
  assert.deepEqual(ann.problems, []);
}, SLOW);

test('scrolling up brings older messages, and what is read stays where it is', async (t) => {
  const server = await startPalaver(t);
  const carl = script(t, server, 'Carl');
  await fill(carl, 1, 240);
  const browser = await openBrowser(t);
  const ann = await arrive(t, browser, server, 'Ann');
  await until(() => drawn(ann.page, 'line 240'), 'the newest to be shown');
  await scrollUpTo(ann.page, () => drawn(ann.page, 'line 1'), 'the oldest to be shown');
  const before = await topAtRest(ann.page, 'line 1');
  carl.socket.emit('message', 'meanwhile');
  const jump = ann.page.getByRole('button', { name: 'Jump to latest, 1 new message' });
  await jump.waitFor();
  assert.ok(Math.abs((await top(ann.page, 'line 1')) - before) < 1, 'the log moved by itself');
  assert.equal(await drawn(ann.page, 'meanwhile'), false);
  await jump.press('Enter');
  await ann.page.getByText('meanwhile', { exact: true }).waitFor();
  await focusAt(ann.page, '.log');
  await ann.page.locator('.jump').waitFor({ state: 'detached' });

  // The first pixels of a way up end the following, not only the eightieth.
  const fromEnd = () => ann.page.getByRole('log').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
  await until(async () => (await fromEnd()) < 2, 'the end');
  await ann.page.getByRole('log').hover();
  await ann.page.mouse.wheel(0, -40);
  await until(async () => (await fromEnd()) > 30, 'the wheel to have turned');
  const still = await topAtRest(ann.page, 'meanwhile');
  await fill(carl, 1, 3);
  await ann.page.locator('.jump').waitFor();
  assert.ok(Math.abs((await top(ann.page, 'meanwhile')) - still) < 1, 'the reader was pulled to the end');
  assert.deepEqual(ann.problems, []);
}, SLOW);

test('on a phone, the list of rooms and back: nothing is fetched meanwhile, and one reads on where one was', async (t) => {
  const server = await startPalaver(t);
  const carl = script(t, server, 'Carl');
  await fill(carl, 1, 240);
  const browser = await openBrowser(t);
  const ann = await openPerson(browser, { viewport: { width: 360, height: 740 } });
  t.after(() => ann.context.close());
  const page = await ann.open();
  const history = counted(page, 'room.history');
  await joinAs(page, server.url, 'Ann');
  await until(() => drawn(page, 'line 240'), 'the newest to be shown');
  await scrollUpTo(page, () => drawn(page, 'line 180'), 'line 180 to be shown');
  const view = (name) => page.locator(`.app[data-view="${name}"]`).waitFor();
  let last = null;
  const rests = async () => {
    const before = last;
    last = JSON.stringify(await page.locator('.msg').evaluateAll((all) =>
      all.map((one) => [one.dataset.key, one.getBoundingClientRect().top])));
    return last === before && (await page.locator('.log[aria-busy=false]').count()) === 1;
  };
  await until(rests, 'the log to rest');
  const inSight = await page.locator('.msg-text').evaluateAll((all) =>
    all.find((one) => one.getBoundingClientRect().top > 200).textContent);
  const before = await top(page, inSight);
  const asked = history.sent;
  for (const visit of [1, 2, 3]) {
    await (visit === 3 ? page.goBack() : page.getByRole('button', { name: 'Back to rooms' }).click());
    await view('list');
    await focusAt(page, '.nav-row');
    carl.socket.emit('message', `meanwhile ${visit}`);
    await page.locator('.nav-row .count', { hasText: String(visit) }).waitFor();
    assert.equal(history.sent, asked, 'older messages were fetched for a room that is not in sight');
    await page.locator('.nav-row').click();
    await view('room');
    await focusAt(page, 'textarea');
    await until(async () => Math.abs((await top(page, inSight)) - before) < 1.5, `${inSight} to be where it was`);
  }
  await page.getByRole('button', { name: 'Jump to latest, 3 new messages' }).click();
  await page.getByText('meanwhile 3', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Back to rooms' }).click();
  await view('list');
  carl.socket.emit('message', 'at the end');
  await page.locator('.nav-row .count').waitFor();
  await page.locator('.nav-row').click();
  await page.getByText('at the end', { exact: true }).waitFor(); // it was followed
  await page.locator('.nav-row .count').waitFor({ state: 'detached' });
  assert.deepEqual(ann.problems, []);
}, SLOW);

test('more unread than the first page holds: it opens at them, and only what was in sight is read', async (t) => {
  const server = await startPalaver(t);
  const carl = script(t, server, 'Carl');
  await fill(carl, 1, 40);
  const browser = await openBrowser(t);
  const ann = await arrive(t, browser, server, 'Ann');
  await until(async () => (await marker(ann.page)) === 40, 'all to be read');
  await ann.page.goto('about:blank');
  await fill(carl, 41, 340);
  await ann.page.goto(`${server.url}/chat`);
  await ann.page.locator('.jump').waitFor();
  assert.equal(await drawn(ann.page, 'line 340'), false);
  assert.equal(await ann.page.locator('.new-line').count(), 0, 'the line at one that is not the first unread');
  const line = ann.page.locator('.new-line');
  await scrollUpTo(ann.page, async () => {
    const now = await reading(ann.page);
    assert.ok(now.line || now.marker === 40, 'read without having been in sight');
    return line.isVisible();
  }, 'the line');
  const first = await line.evaluate((one) => one.nextElementSibling.querySelector('.msg-text').textContent);
  assert.equal(first, 'line 41');
  await until(async () => (await marker(ann.page)) > 40, 'what is in sight to be read');
  assert.ok((await marker(ann.page)) < 300);
  await ann.page.locator('.jump').click();
  await until(async () => (await marker(ann.page)) === 340, 'all to be read');
  await ann.page.goto('about:blank');
  await fill(carl, 341, 640);
  await ann.page.goto(`${server.url}/chat`);
  await ann.page.locator('.jump').waitFor();
  assert.equal(await marker(ann.page), 340);
  await ann.page.locator('.log').hover();
  await until(async () => {
    await ann.page.mouse.wheel(0, 2000);
    return (await marker(ann.page)) === 640;
  }, 'who goes all the way down to have read it');
  assert.deepEqual(ann.problems, []);
}, SLOW);

test('a draft that two tabs have is sent once', async (t) => {
  const server = await startPalaver(t);
  const browser = await openBrowser(t);
  const ann = await arrive(t, browser, server, 'Ann');
  await ann.page.locator('textarea').fill('a draft');
  const two = await ann.open();
  await two.goto(`${server.url}/chat`);
  await until(async () => (await two.locator('textarea').inputValue()) === 'a draft', 'the second tab to have it');
  await ann.page.locator('textarea').press('Enter');
  await shows(ann.page, ['a draft']);
  await until(async () => (await two.locator('textarea').inputValue()) === '', 'it to be gone from the second tab');
  await two.reload();
  await shows(two, ['a draft']);
  assert.equal(await two.locator('textarea').inputValue(), '');
  assert.deepEqual(ann.problems, []);
}, SLOW);

test('a message of very many lines is folded, and opens downwards', async (t) => {
  const server = await startPalaver(t);
  const carl = script(t, server, 'Carl');
  await fill(carl, 1, 3);
  await carl.ask('message', Array.from({ length: 9000 }, (_, i) => `l ${i}`).join('\n'));
  const browser = await openBrowser(t);
  const ann = await arrive(t, browser, server, 'Ann');
  const more = ann.page.getByRole('button', { name: 'Show more' });
  await more.waitFor();
  const height = () => ann.page.getByRole('log').evaluate((log) => log.scrollHeight);
  assert.ok((await height()) < 3000, `${await height()} px high`);
  assert.deepEqual(await inaccessible(ann.page), []);
  const before = await top(ann.page, 'Carl');
  await more.press('Enter');
  await until(async () => (await height()) > 9000 * 10, 'all of it');
  assert.ok(Math.abs((await top(ann.page, 'Carl')) - before) < 1, 'it has moved');
  await focusAt(ann.page, 'article.msg');
  assert.deepEqual(ann.problems, []);
}, SLOW);

test('axe finds nothing, light and dark, wide and narrow, and nothing breaks the policy', async (t) => {
  const server = await startPalaver(t);
  const browser = await openBrowser(t);
  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of [{ width: 1440, height: 900 }, { width: 360, height: 740 }]) {
      const person = await openPerson(browser, { colorScheme, viewport });
      const page = await person.open();
      await page.goto(`${server.url}/chat`);
      await page.getByRole('textbox').waitFor();
      assert.deepEqual(await inaccessible(page), [], `the first page, ${colorScheme}, ${viewport.width}`);
      await joinAs(page, server.url, 'Ann');
      await say(page, `hello in ${colorScheme} at ${viewport.width}, see https://example.org/`);
      await until(async () => (await shown(page)).at(-1)?.own === false, 'it to be sent');
      assert.deepEqual(await inaccessible(page), [], `the room, ${colorScheme}, ${viewport.width}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `the page is ${wide} px wider than the screen`);
      assert.deepEqual(person.problems, []);
      await person.context.close();
    }
  }
}, { timeout_ms: 240000 });

test('by keyboard alone: join, write, walk through the log, and back', async (t) => {
  const server = await startPalaver(t);
  const browser = await openBrowser(t);
  const person = await openPerson(browser);
  t.after(() => person.context.close());
  const page = await person.open();
  await page.goto(`${server.url}/chat`);
  await page.getByRole('textbox').waitFor();
  await page.keyboard.type('Ann');
  await page.keyboard.press('Enter');
  await ready(page);
  for (const region of ['.nav-row', '.log', 'textarea']) { // an empty room has a log too
    await page.keyboard.press('F6');
    await focusAt(page, region);
  }
  await page.keyboard.type('first');
  await page.keyboard.press('Enter');
  await page.keyboard.type('second');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('line');
  await page.keyboard.press('Enter');
  await shows(page, ['first', 'second\nline']);
  await page.keyboard.press('Shift+F6');
  await focusAt(page, 'article.msg, [role=log]');
  await page.keyboard.press('ArrowUp');
  await focusAt(page, 'article.msg');
  const described = await page.evaluate(() => document.activeElement.getAttribute('aria-describedby').split(' ')
    .map((id) => document.getElementById(id)?.textContent).join(' '));
  assert.equal(described, 'second\nline');
  await page.keyboard.press('Escape');
  await focusAt(page, 'textarea');
  assert.deepEqual(person.problems, []);
}, SLOW);

await run();
