// How it looks and is used: both themes, three widths, nothing that axe finds, nothing wider than the screen, by keyboard.

import assert from 'node:assert/strict';
import { join as path } from 'node:path';
import process from 'node:process';

import { axe, clickAfter, furnish, join, say, until } from './lib.mjs';

const SIZES = [
  { width: 1440, height: 900 },
  { width: 1024, height: 768 },
  { width: 360, height: 740 },
];
async function shot(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: path(process.env.SHOTS, `${name}.png`) });
}

const pages = (viewport, colorScheme) => async (world) => {
  const people = furnish(world.server);
  const name = `${viewport.width}-${colorScheme}`;
  const context = await world.context({ colorScheme, viewport });
  const page = await world.page(context);
  const fits = async (what) => {
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${what} at ${name} is ${over} px too wide`);
    assert.deepEqual(await axe(page), [], `${what} at ${name}`);
  };
  await page.goto(world.url);
  await page.waitForSelector('#name');
  await fits('welcome');
  await shot(page, `welcome-${name}`);
  await page.fill('#name', ' ');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.field-error');
  await fits('welcome with an error');
  await join(page, world.url, 'Mara Ellis');
  await page.waitForSelector('article.msg');
  await say(page, 'Crew confirmed: Rui, Bea and Anselmo. The harbour office has the names.');
  await until('it to be sent', async () => (await page.locator('.is-sending').count()) === 0);
  world.server.push('typing', { room: 1, user: people['森 春香'] });
  world.server.push('typing', { room: 1, user: people['Inês Carvalho'] });
  await page.fill('#compose', 'Low water is at 07:40, so we leave the quay at');
  await page.waitForSelector('.typing-dots');
  await fits('room');
  await shot(page, `room-${name}`);
  await states(world, page, fits, name);
};

export const pages_wide_and_light = pages(SIZES[0], 'light');
export const pages_wide_and_dark = pages(SIZES[0], 'dark');
export const pages_narrower_and_light = pages(SIZES[1], 'light');
export const pages_narrower_and_dark = pages(SIZES[1], 'dark');
export const pages_of_a_phone_and_light = pages(SIZES[2], 'light');
export const pages_of_a_phone_and_dark = pages(SIZES[2], 'dark');

/** Failed, waiting and away; the menu; on a phone the list. */
async function states(world, page, fits, name) {
  world.server.fault = (command, args) =>
    command !== 'message.send'
      ? undefined
      : args.text.startsWith('And')
        ? { ok: false, error: 'invalid', message: 'The room is in slow mode.' }
        : { ok: false, error: 'unavailable', message: '' };
  await say(page, 'And the tide table for Thursday, with the low at 07:40.');
  await page.waitForSelector('.is-failed');
  await say(page, 'We leave the quay at 06:15, so that there is slack before the low.');
  await page.waitForSelector('.is-sending .msg-state');
  await fits('states');
  await shot(page, `states-${name}`);
  const { port } = world.server;
  await world.server.stop();
  await say(page, 'Spare shackles are in the blue crate. Bea has the key.');
  await page.waitForSelector('.strip');
  await page.waitForSelector('.is-sending:last-child .msg-state');
  await fits('away');
  await shot(page, `away-${name}`);
  world.server.fault = () => undefined;
  await world.server.start(port);
  await until('all to be sent', async () => (await page.locator('.is-sending, .strip').count()) === 0, 60_000);
  if (name.startsWith('360')) {
    await page.click('.back');
    await page.waitForSelector('.side');
    await fits('list');
    await shot(page, `list-${name}`);
  }
  await page.click('.me .icon-btn');
  await page.waitForSelector('[role="menu"]');
  await fits('menu');
  await shot(page, `menu-${name}`);
  await page.keyboard.press('Escape');
}

export async function an_empty_room(world) {
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.empty');
  assert.deepEqual(await axe(page), []);
  await shot(page, 'empty');
  await say(page, 'the first thing');
  await page.waitForSelector('article.msg');
  assert.deepEqual(await axe(page), []);
  await shot(page, 'first-message');
}

export async function the_theme_is_chosen_and_kept(world) {
  const page = await world.page(await world.context({ colorScheme: 'light' }));
  await join(page, world.url, 'Ann');
  await page.click('.me .icon-btn');
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  const dark = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await until('dark', async () => (await dark()) === 'rgb(21, 26, 25)');
  assert.equal(await page.getAttribute('meta[name="theme-color"]', 'content'), 'rgb(21, 26, 25)');
  await page.reload();
  await page.waitForSelector('#compose');
  assert.equal(await dark(), 'rgb(21, 26, 25)');
}

export async function by_keyboard(world) {
  furnish(world.server);
  const page = await world.page(await world.context());
  const focused = (selector) =>
    until(`the focus at ${selector}`, () => page.evaluate((s) => document.activeElement?.matches(s), selector));
  const text = () => page.evaluate(() => document.activeElement?.querySelector('.msg-text')?.textContent);
  await page.goto(world.url);
  await focused('#name');
  await page.keyboard.type('Ann');
  await page.keyboard.press('Enter');
  await focused('#compose');
  await page.waitForSelector('article.msg');
  await page.keyboard.press('F6');
  await focused('.nav-row');
  await page.keyboard.press('F6');
  await focused('.log');
  await page.keyboard.press('ArrowUp');
  await focused('.msg');
  assert.match(await text(), /^The notice is out/);
  await page.keyboard.press('ArrowUp');
  await until('the one before', async () => /🎉/.test(await text()));
  await page.keyboard.press('Home');
  await until('the first', async () => /^The swell/.test(await text()));
  await page.keyboard.press('Enter');
  await focused('.msg-tools button');
  await page.keyboard.press('Escape');
  await focused('#compose');
  await page.keyboard.press('Shift+F6');
  await focused('.msg');
  await page.keyboard.press('x'); // typing anywhere writes
  await focused('#compose');
  assert.equal(await page.inputValue('#compose'), 'x');
  await page.keyboard.press('Control+/');
  await page.waitForSelector('dialog[open]');
  assert.deepEqual(await axe(page), []);
  await page.keyboard.press('Escape');
  await focused('#compose');
}

export async function back_works_on_a_phone(world) {
  const page = await world.page(await world.context({ viewport: SIZES[2], hasTouch: true }));
  const view = (name) => until(name, async () => (await page.getAttribute('.app', 'data-view')) === name);
  await join(page, world.url, 'Ann');
  await view('room');
  await page.locator('.skip').focus();
  await page.keyboard.press('Enter');
  await until('the field', () => page.evaluate(() => document.activeElement?.id === 'compose'));
  await view('room');
  await say(page, 'to be copied');
  await page.locator('article.msg').tap();
  await page.locator('.msg-tools button').tap();
  await page.waitForSelector('.toast');
  await page.click('.back');
  await view('list');
  await until('the room to have the focus', () => page.evaluate(() => document.activeElement?.matches('.nav-row')));
  await page.click('.nav-row');
  await view('room');
  await page.goBack();
  await view('list');
}

export async function doors(world) {
  const page = await world.page(await world.context());
  world.server.fault = (command) =>
    command === 'http.hello' ? { ok: false, error: 'guests_refused', message: '' } : undefined;
  await page.goto(world.url);
  await page.waitForSelector('.note');
  assert.deepEqual(await axe(page), []);
  await shot(page, 'guests-refused');
  world.server.fault = (command) =>
    command === 'http.hello' ? { ok: false, error: 'unavailable', message: '' } : undefined;
  await page.reload();
  await page.waitForSelector('.starting-inner', { timeout: 5000 });
  assert.deepEqual(await axe(page), []);
  await shot(page, 'starting');
  await clickAfter(() => (world.server.fault = () => undefined), page.locator('.starting .btn'));
  await page.waitForSelector('#name');
  await page.fill('#name', 'x'.repeat(40));
  await page.keyboard.press('Enter');
  await page.waitForSelector('.field-error');
  assert.match(await page.textContent('.field-error'), /1 to 32 characters/);
  await shot(page, 'welcome-error');
}
