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
  await server.start();
  await shows(ann.page, ['one', 'two', 'three', 'four']);
  const carl = script(t, server, 'Carl');
  await until(() => carl.socket.connected, 'the script to connect');
  const { entries } = await carl.ask('history');
  assert.deepEqual(entries.map(({ text }) => text), ['one', 'two', 'three', 'four']);
  assert.deepEqual(ann.problems, []);
}, SLOW);

test('scrolling up brings older messages, and what is read stays where it is', async (t) => {
  const server = await startPalaver(t);
  const carl = script(t, server, 'Carl');
  await until(() => carl.socket.connected, 'the script to connect');
  for (let i = 1; i <= 240; i += 40) { // more than 64 at once would be refused
    await Promise.all(Array.from({ length: 40 }, (_, j) => carl.ask('message', `line ${i + j}`)));
  }
  const browser = await openBrowser(t);
  const ann = await arrive(t, browser, server, 'Ann');
  const log = ann.page.getByRole('log');
  const drawn = async (text) => (await shown(ann.page)).some((one) => one.text === text);
  await until(() => drawn('line 240'), 'the newest to be shown');
  await until(async () => {
    await log.hover();
    await ann.page.mouse.wheel(0, -2000);
    return drawn('line 1');
  }, 'the oldest to be shown', limits.wait_ms * 3);
  const place = () => ann.page.getByText('line 1', { exact: true }).evaluate((one) => one.getBoundingClientRect().top);
  const before = await place();
  carl.socket.emit('message', 'meanwhile');
  await ann.page.getByRole('button', { name: 'Jump to latest, 1 new message' }).waitFor();
  assert.ok(Math.abs((await place()) - before) < 1, 'the log moved by itself');
  assert.equal(await drawn('meanwhile'), false);
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
  await page.keyboard.type('first');
  await page.keyboard.press('Enter');
  await page.keyboard.type('second');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('line');
  await page.keyboard.press('Enter');
  await shows(page, ['first', 'second\nline']);
  await page.keyboard.press('Shift+F6');
  await until(() => page.evaluate(() => document.activeElement.closest('article.msg, [role=log]') !== null), 'focus in the log');
  await page.keyboard.press('ArrowUp');
  await until(() => page.evaluate(() => document.activeElement.matches('article.msg')), 'a message to have the focus');
  await page.keyboard.press('Escape');
  await until(() => page.evaluate(() => document.activeElement.matches('textarea')), 'the composer to have it again');
  assert.deepEqual(person.problems, []);
}, SLOW);

await run();
