// What is written: there within a frame, once, in order, through reloads, lost answers, other tabs and a server that is away.

import assert from 'node:assert/strict';

import { axe, clickAfter, join, say, until } from './lib.mjs';

const shown = (page) =>
  page.locator('article.msg').evaluateAll((all) => all.map((one) => one.querySelector('.msg-text').textContent.trim()));
const shows = (page, texts) =>
  until(`the page to show ${texts}`, async () => JSON.stringify(await shown(page)) === JSON.stringify(texts), 20_000);
/** What was written before is drawn, and nothing of it waits any more. */
const settled = (page) =>
  until(
    'all to be sent',
    () => page.evaluate(() => document.querySelector('article.msg') && !document.querySelector('.is-sending')),
    20_000,
  );
const logged = (world) => world.server.entries.map(({ text }) => text);

export async function local_echo_within_a_frame(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await say(page, 'warm up');
  await page.waitForSelector('article.msg');
  await settled(page);
  world.server.fault = (command) => (command === 'message.send' ? null : undefined); // no answer
  const echo = await page.evaluate(async () => {
    const field = document.querySelector('#compose');
    field.value = 'echo';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
    const began = performance.now();
    field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
    const there = () => {
      const row = [...document.querySelectorAll('article.msg')].find((one) => one.textContent.includes('echo'));
      return row && getComputedStyle(row).visibility === 'visible' && row.getBoundingClientRect().height > 0;
    };
    // The callback of the next frame runs before its layout: what is painted then is what the one after it sees.
    let frames = 0;
    for (; ; frames++) {
      await new Promise(requestAnimationFrame);
      if (there()) break;
    }
    while (!document.querySelector('.msg-state')) await new Promise(requestAnimationFrame);
    return {
      frames,
      state_ms: performance.now() - began,
      state: document.querySelector('.msg-state').textContent,
    };
  });
  assert.ok(echo.frames <= 1, `${echo.frames} frames`);
  assert.ok(echo.state_ms >= 490, `Sending… before its time: after ${echo.state_ms} ms`);
  assert.match(echo.state, /Sending/);
}

export async function a_reload_keeps_what_waits(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  world.server.fault = (command) => (command === 'message.send' ? null : undefined); // no answer
  await say(page, 'one');
  await say(page, 'two');
  await page.fill('#compose', 'a draft');
  await shows(page, ['one', 'two']);
  await page.reload();
  await page.waitForSelector('#compose');
  assert.equal(await page.inputValue('#compose'), 'a draft');
  await shows(page, ['one', 'two']);
  world.server.fault = () => undefined;
  await page.reload();
  await page.waitForSelector('#compose');
  await settled(page);
  await shows(page, ['one', 'two']);
  assert.deepEqual(logged(world), ['one', 'two']);
}

export async function the_browser_is_asked_once_to_keep_what_is_written(world) {
  const page = await world.page(await world.context());
  await page.addInitScript(() => {
    globalThis.asked = 0;
    StorageManager.prototype.persist = () => {
      globalThis.asked++;
      return Promise.reject(new TypeError('not here'));
    };
  });
  const asked = () => page.evaluate(() => globalThis.asked);
  await join(page, world.url, 'Ann');
  assert.equal(await asked(), 0);
  await say(page, 'one');
  assert.equal(await asked(), 1);
  await say(page, 'two');
  await shows(page, ['one', 'two']);
  assert.equal(await asked(), 1);
}

export async function a_lost_answer_is_no_second_message(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  let lose = true;
  world.server.fault = (command, args, user) => {
    if (command !== 'message.send' || !lose) return undefined;
    lose = false;
    world.server.send(user, args); // committed and pushed, but not answered
    setImmediate(() => world.server.io.of('/chat').disconnectSockets(true));
    return null;
  };
  await say(page, 'once');
  await say(page, 'then');
  await settled(page);
  await shows(page, ['once', 'then']);
  assert.deepEqual(logged(world), ['once', 'then']);
}

export async function two_tabs_one_outbox(world) {
  const context = await world.context();
  const one = await world.page(context);
  const two = await world.page(context);
  await join(one, world.url, 'Ann');
  await two.goto(world.url);
  await two.waitForSelector('#compose');
  world.server.delay_ms = 30;
  const texts = [];
  for (let i = 0; i < 5; i++) {
    for (const [tab, name] of [
      [one, 'one'],
      [two, 'two'],
    ]) {
      texts.push(`${name} ${i}`);
      await say(tab, texts.at(-1));
    }
  }
  await shows(one, texts);
  await shows(two, texts);
  await settled(one);
  await settled(two);
  assert.deepEqual(logged(world), texts);
  assert.equal(world.server.calls.filter(([command]) => command === 'message.send').length, 10);
}

export async function two_tabs_at_the_door_are_one_guest(world) {
  const context = await world.context();
  const one = await world.page(context);
  const two = await world.page(context);
  for (const tab of [one, two]) {
    await tab.goto(world.url);
    await tab.waitForSelector('#name');
  }
  await join(one, world.url, 'Ann');
  await two.waitForSelector('#compose');
  assert.equal(await two.textContent('.me-name'), 'Ann');
  assert.equal(world.server.users.size, 1);
}

export async function what_a_guest_of_before_has_left(world) {
  const { server } = world;
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  const { port } = server;
  await server.stop();
  for (const text of ['one of Ann', 'two of Ann', 'three of Ann']) await say(page, text);
  await page.fill('#compose', 'a draft of Ann');
  server.users.clear();
  await server.start(port);
  await page.waitForSelector('#name', { timeout: 20_000 });
  await page.fill('#name', 'Bob');
  await page.keyboard.press('Enter');
  await shows(page, ['one of Ann', 'two of Ann', 'three of Ann', 'a draft of Ann']);
  await page.waitForSelector('.is-failed');
  assert.match(await page.textContent('.is-failed'), /Not sent, written as Ann/);
  assert.equal(server.entries.length, 0);
  const button = (text, name) => page.locator('.msg', { hasText: text }).getByRole('button', { name }).click();
  await button('one of Ann', 'Send as me');
  await button('two of Ann', 'Delete');
  await until('it to be sent', () => server.entries.length === 1);
  await shows(page, ['one of Ann', 'three of Ann', 'a draft of Ann']);
  await page.reload();
  await shows(page, ['one of Ann', 'three of Ann', 'a draft of Ann']);
  assert.equal(server.entries[0].author.name, 'Bob');
  await button('a draft of Ann', 'Send as me');
  await until('the draft to be sent', () => server.entries.length === 2);
}

export async function drafts_of_two_tabs(world) {
  const context = await world.context();
  const one = await world.page(context);
  const two = await world.page(context);
  await join(one, world.url, 'Ann');
  await two.goto(world.url);
  await two.waitForSelector('#compose');
  await one.fill('#compose', 'a draft of one');
  await say(two, 'ok');
  await shows(one, ['ok']);
  await one.reload();
  await one.waitForSelector('#compose');
  assert.equal(await one.inputValue('#compose'), 'a draft of one');
  await two.reload();
  await two.waitForSelector('#compose');
  assert.equal(await two.inputValue('#compose'), '');
}

export async function away_and_back(world) {
  const { server } = world;
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await say(page, 'before');
  await settled(page);
  const { port } = server;
  const stopped = Date.now();
  await server.stop();
  await say(page, 'waits');
  await page.waitForSelector('.strip');
  assert.ok(Date.now() - stopped >= 1990, 'the strip came too soon');
  assert.match(await page.textContent('.strip'), /1 message waits/);
  assert.match(await page.textContent('.conn'), /Offline|Connecting/);
  assert.equal(await page.isEnabled('#compose'), true);
  const ben = server.addUser('Ben').user;
  for (let i = 0; i < 230; i++) server.append(ben, `missed ${i}`);
  await clickAfter(() => server.start(port), page.locator('.strip .btn'));
  await page.waitForSelector('.strip', { state: 'detached' });
  await until('what waited to be sent', () => logged(world).includes('waits'));
  assert.deepEqual(logged(world).slice(-2), ['missed 229', 'waits']);
  const end = JSON.stringify(['missed 228', 'missed 229', 'waits']);
  await until('the end', async () => JSON.stringify((await shown(page)).slice(-3)) === end);
  await settled(page);
}

export async function what_waits_can_be_edited_and_deleted(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await world.server.stop();
  await say(page, 'to be edited');
  await say(page, 'to be deleted');
  await page.locator('.msg', { hasText: 'to be deleted' }).hover();
  await page.locator('.msg', { hasText: 'to be deleted' }).getByRole('button', { name: 'Delete' }).click();
  await page.locator('.msg', { hasText: 'to be edited' }).hover();
  await page.locator('.msg', { hasText: 'to be edited' }).getByRole('button', { name: 'Edit' }).click();
  await until('the text in the field', async () => (await page.inputValue('#compose')) === 'to be edited');
  await until('the focus there', () => page.evaluate(() => document.activeElement?.id === 'compose'));
  await until('both to be gone', async () => (await page.locator('article.msg').count()) === 0);
}

export async function failed_for_good(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  world.server.fault = (command) =>
    command === 'message.send' ? { ok: false, error: 'not_found', message: '' } : undefined;
  await say(page, 'nowhere');
  await page.waitForSelector('.is-failed .msg-state');
  assert.match(await page.textContent('.is-failed'), /Not sent: the room is not there/);
  const alert = page.locator('main > [role="alert"]');
  const alerted = async () => /Not sent: the room is not there/.test((await alert.textContent()) ?? '');
  await until('it to be said', alerted);
  const told = await alert.locator('span').elementHandle();
  await say(page, 'nowhere either');
  await until('the second failure to be said too', async () => !(await told.evaluate((one) => one.isConnected)));
  await until('it to be said again', alerted);
  const second = page.locator('.msg', { hasText: 'nowhere either' });
  await second.getByRole('button', { name: 'Delete' }).press('Enter');
  await second.waitFor({ state: 'detached' });
  await until('the focus in the page', () =>
    page.evaluate(() => document.activeElement?.matches('.log, .msg, #compose')),
  );
  world.server.fault = () => undefined;
  await page.getByText('Retry').click();
  await settled(page);
  await shows(page, ['nowhere']);
  assert.deepEqual(logged(world), ['nowhere']);
}

export async function the_focus_stays_at_the_message_that_goes_out(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  world.server.fault = (command) =>
    command === 'message.send' ? { ok: false, error: 'unavailable', message: '' } : undefined;
  await say(page, 'in a moment');
  await page.locator('.is-sending').getByRole('button', { name: 'Copy' }).focus();
  world.server.fault = () => undefined;
  await settled(page);
  await until('the focus at the message', () => page.evaluate(() => document.activeElement?.matches('article.msg')));
}

/** The database refuses what is written, while the server is away: the tab keeps it. */
export async function a_database_that_is_full(world) {
  const { server } = world;
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.evaluate(() => {
    IDBObjectStore.prototype.put = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  const { port } = server;
  await server.stop();
  await say(page, 'kept by the tab');
  await page.waitForSelector('.strip');
  assert.match(await page.textContent('.strip'), /1 message waits in this tab only/);
  assert.deepEqual(await axe(page), []);
  await server.start(port);
  await page.reload();
  await page.waitForSelector('#compose');
  assert.equal(await page.inputValue('#compose'), '');
  await shows(page, ['kept by the tab']);
  await settled(page);
  assert.deepEqual(logged(world), ['kept by the tab']);
}

export async function too_long_is_told(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.fill('#compose', 'x'.repeat(65537));
  await page.press('#compose', 'Enter');
  assert.match(await page.textContent('.composer-note'), /Too long by 1 byte/);
  assert.equal(world.server.entries.length, 0);
  await page.fill('#compose', 'x'.repeat(65536));
  await page.press('#compose', 'Enter');
  await settled(page);
  assert.equal(world.server.entries.length, 1);
}
