// What is read: it never moves by itself, it is followed only near the end, and the page stays small.

import assert from 'node:assert/strict';

import { axe, join, say, until } from './lib.mjs';

const TEXTS = ['short', 'a longer one, '.repeat(30), 'of\nthree\nlines', '🎉', 'see https://example.org/a/b?c=d'];

function fill(server, count, from = 0) {
  const ben = server.addUser('Ben').user;
  const start = Date.now() - (count + from) * 400_000;
  for (let i = 0; i < count; i++) {
    server.append(ben, `${i}: ${TEXTS[i % TEXTS.length]}`, { at: start + i * 400_000 });
  }
  return ben;
}

/** Until nothing has moved for a third of a second. */
async function rest(page) {
  let same = 0;
  let last = '';
  await until('the list to rest', async () => {
    const now = await page.evaluate(() => {
      const log = document.querySelector('.log');
      return `${log.scrollTop} ${log.scrollHeight}`;
    });
    same = now === last ? same + 1 : 0;
    last = now;
    return same > 15;
  });
}

/** Scrolls up by steps; after each, whatever is on the screen must stand still for some frames. Returns the worst move. */
function worstMove(page, steps, step) {
  return page.evaluate(
    async ([count, px]) => {
      const log = document.querySelector('.log');
      const frame = () => new Promise(requestAnimationFrame);
      const places = () => {
        const found = new Map();
        for (const row of log.querySelectorAll('.msg')) {
          const { top, bottom } = row.getBoundingClientRect();
          if (bottom > 60 && top < innerHeight) found.set(row.dataset.key, top);
        }
        return found;
      };
      let worst = 0;
      for (let i = 0; i < count; i++) {
        log.scrollTop -= px;
        await frame();
        await frame();
        const before = places();
        for (let wait = 0; wait < 12; wait++) {
          await frame();
          for (const [key, top] of places()) {
            if (before.has(key)) worst = Math.max(worst, Math.abs(top - before.get(key)));
          }
        }
      }
      return worst;
    },
    [steps, step],
  );
}

export async function older_messages_come_without_a_jump(world) {
  fill(world.server, 400);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  await page.waitForTimeout(400); // settled
  const worst = await worstMove(page, 60, 450);
  assert.ok(worst < 1.5, `moved by ${worst} px`);
  assert.ok((await page.locator('.msg').count()) < 80, 'everything is drawn');
  await until('the beginning', async () => {
    await page.evaluate(() => (document.querySelector('.log').scrollTop -= 3000));
    return (await page.locator('.log-begin').count()) === 1;
  });
  await until('the first message', () => page.getByText('0: short', { exact: true }).isVisible());
}

export async function reading_is_not_disturbed(world) {
  const ben = fill(world.server, 120);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  await page.waitForTimeout(400);
  await page.evaluate(() => (document.querySelector('.log').scrollTop -= 1500));
  await page.waitForTimeout(400);
  const place = () =>
    page.evaluate(() => {
      const row = [...document.querySelectorAll('.msg')].find((one) => one.getBoundingClientRect().top > 200);
      return [row.dataset.key, Math.round(row.getBoundingClientRect().top)];
    });
  const before = await place();
  for (let i = 0; i < 3; i++) world.server.say(ben, `new ${i}`);
  await page.getByRole('button', { name: 'Jump to latest, 3 new messages' }).waitFor();
  assert.deepEqual(await place(), before);
  await page.fill('#compose', 'a field\nthat\ngrows\nby\nlines');
  await page.waitForTimeout(100);
  assert.deepEqual(await place(), before);
  await page.click('.jump');
  await until('the end', () => page.getByText('new 2', { exact: true }).isVisible());
  await page.waitForSelector('.jump', { state: 'detached' });
  assert.equal(await page.locator('.new-line').count(), 1);
  world.server.say(ben, 'followed');
  await until('the next one', () => page.getByText('followed', { exact: true }).isVisible());
  await page.evaluate(() => (document.querySelector('.log').scrollTop -= 1500));
  await page.waitForTimeout(200);
  await say(page, 'my own goes to the end');
  await until('my own', () => page.getByText('my own goes to the end').isVisible());
  const fromEnd = await page.evaluate(() => {
    const log = document.querySelector('.log');
    return log.scrollHeight - log.scrollTop - log.clientHeight;
  });
  assert.ok(fromEnd < 2, `${fromEnd} px from the end`);
}

export async function the_field_that_grows_keeps_the_end_in_sight(world) {
  fill(world.server, 60);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  await page.fill('#compose', 'one\ntwo\nthree\nfour\nfive\nsix');
  await page.waitForTimeout(200);
  await page.setViewportSize({ width: 800, height: 500 });
  await page.waitForTimeout(300);
  const fromEnd = await page.evaluate(() => {
    const log = document.querySelector('.log');
    return log.scrollHeight - log.scrollTop - log.clientHeight;
  });
  assert.ok(fromEnd < 2, `${fromEnd} px from the end`);
}

export async function it_opens_at_the_first_unread(world) {
  const ben = fill(world.server, 60);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  await until('read', () => page.evaluate(() => Object.values(localStorage).includes('60')));
  await page.goto('about:blank');
  for (let i = 0; i < 40; i++) world.server.append(ben, `unread ${i}`);
  await page.goto(world.url);
  await until('the line', () => page.locator('.new-line').isVisible());
  const top = () => page.evaluate(() => document.querySelector('.new-line')?.getBoundingClientRect().top ?? NaN);
  await until('the line to be where it belongs', async () => Math.abs((await top()) - 275) < 60);
  await page.waitForTimeout(2000);
  assert.ok(Math.abs((await top()) - 275) < 60, 'it has moved');
  assert.equal(await page.locator('.jump').count(), 1);
  await page.click('.jump');
  await until('all read', () => page.evaluate(() => Object.values(localStorage).includes('100')));
}

export async function the_largest_message_does_not_blank_the_room(world) {
  const ben = fill(world.server, 10);
  world.server.append(ben, `the largest ${'x'.repeat(65_524)}`);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await until('it', async () => (await page.locator('.msg-text', { hasText: 'the largest' }).count()) === 1);
  await page.evaluate(() => (document.querySelector('.log').scrollTop = 0));
  await until('the one before it', () => page.getByText('9: see').isVisible());
}

export async function a_busy_room_is_read(world) {
  const ben = fill(world.server, 10);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  const busy = setInterval(() => world.server.say(ben, 'and on'), 100);
  try {
    await page.waitForTimeout(2500);
    const read = await page.evaluate(() =>
      Number(Object.entries(localStorage).find(([key]) => key.includes('.read.'))?.[1]),
    );
    assert.ok(read > 20, `read up to ${read} of ${world.server.entries.length}`);
    assert.equal(await page.locator('.jump').count(), 0);
  } finally {
    clearInterval(busy);
  }
}

export async function a_gap_is_filled(world) {
  const ben = fill(world.server, 10);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  world.server.mute = true;
  for (let i = 0; i < 5; i++) world.server.say(ben, `unheard ${i}`);
  world.server.mute = false;
  world.server.push('gap', {});
  await until('the gap', () => page.getByText('unheard 4', { exact: true }).isVisible());
  world.server.mute = true;
  world.server.say(ben, 'unheard 5');
  world.server.mute = false;
  world.server.say(ben, 'heard');
  await until('the hint', () => page.getByText('heard', { exact: true }).isVisible());
  assert.equal(await page.getByText('unheard 5', { exact: true }).isVisible(), true);
}

export async function a_log_that_does_not_come_is_told(world) {
  fill(world.server, 10);
  const unavailable = (command) => (args) =>
    args === command ? { ok: false, error: 'unavailable', message: '' } : undefined;
  world.server.fault = unavailable('room.history');
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  const strip = page.locator('.strip');
  await strip.getByText('The messages do not come.').waitFor();
  assert.equal(await page.textContent('.conn'), 'Connected');
  assert.deepEqual(await axe(page), []);
  world.server.fault = () => undefined;
  await strip.getByRole('button', { name: 'Try again' }).press('Enter');
  await strip.waitFor({ state: 'detached' });
  await page.waitForSelector('.msg');
  world.server.fault = unavailable('room.sync');
  world.server.push('gap', {});
  await strip.getByText('Newer messages do not come.').waitFor();
  world.server.fault = () => undefined;
  await strip.getByRole('button', { name: 'Try again' }).press('Enter');
  await strip.waitFor({ state: 'detached' });
  await until('the focus at the field', () => page.evaluate(() => document.activeElement?.id === 'compose'));
}

export async function page_up_ends_the_following(world) {
  const ben = fill(world.server, 60);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  await page.locator('.log').focus();
  await page.keyboard.press('PageUp');
  await page.waitForSelector('.jump');
  await rest(page);
  const place = await page.evaluate(() => document.querySelector('.log').scrollTop);
  world.server.say(ben, 'meanwhile');
  await page.getByRole('button', { name: 'Jump to latest, 1 new message' }).waitFor();
  const now = await page.evaluate(() => document.querySelector('.log').scrollTop);
  assert.ok(Math.abs(now - place) < 2, `moved by ${now - place} px`);
}

export async function another_database_is_another_log(world) {
  const ben = fill(world.server, 30);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  world.server.entries = [];
  world.server.append(ben, 'a restored one');
  world.server.io.of('/chat').disconnectSockets(true);
  await until('the other log', () => page.getByText('a restored one').isVisible());
  assert.equal(await page.locator('.msg').count(), 1);
}

export async function a_long_day_stays_small(world) {
  const ben = fill(world.server, 20);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('.msg');
  for (let i = 0; i < 1700; i++) world.server.say(ben, `line ${i}`);
  await until('the last', () => page.getByText('line 1699', { exact: true }).isVisible(), 30_000);
  const height = () => page.evaluate(() => document.querySelector('.log').scrollHeight);
  await until('the oldest to be forgotten', async () => (await height()) < 40_000);
  const fromEnd = await page.evaluate(() => {
    const log = document.querySelector('.log');
    return log.scrollHeight - log.scrollTop - log.clientHeight;
  });
  assert.ok(fromEnd < 2, `${fromEnd} px from the end`);
  await until('the last again', () => page.getByText('line 1699', { exact: true }).isVisible());
  assert.ok((await page.locator('.msg').count()) < 80, 'everything is drawn');
  await rest(page); // while rows are still measured, nothing is said of what a hand at the list sees
  assert.ok((await worstMove(page, 10, 450)) < 1.5);
  await until(
    'what was forgotten',
    async () => {
      await page.evaluate(() => (document.querySelector('.log').scrollTop = 0));
      return page.getByText('0: short', { exact: true }).isVisible();
    },
    30_000,
  );
}
