// What is read: it never moves by itself, it is followed only near the end, and the page stays small.

import assert from 'node:assert/strict';

import { axe, join, rest, say, until } from './lib.mjs';

const TEXTS = ['short', 'a longer one, '.repeat(30), 'of\nthree\nlines', '🎉', 'see https://example.org/a/b?c=d'];

function fill(server, count, from = 0) {
  const ben = server.addUser('Ben').user;
  const start = Date.now() - (count + from) * 400_000;
  for (let i = 0; i < count; i++) {
    server.append(ben, `${i}: ${TEXTS[i % TEXTS.length]}`, { at: start + i * 400_000 });
  }
  return ben;
}

/**
 * Scrolls up by steps; after each, whatever is on the screen must stand still for some frames. Returns the worst move, which is
 * Infinity where a message is not there any more.
 */
function worstMove(page, steps, step) {
  return page.evaluate(
    async ([count, px]) => {
      const log = document.querySelector('.log');
      const frame = () => new Promise(requestAnimationFrame);
      const places = () =>
        new Map([...log.querySelectorAll('article.msg')].map((row) => [row.dataset.key, row.getBoundingClientRect()]));
      let worst = 0;
      for (let i = 0; i < count; i++) {
        log.scrollTop -= px;
        await frame();
        await frame();
        const before = [...places()].filter(([, { top, bottom }]) => bottom > 60 && top < innerHeight);
        for (let wait = 0; wait < 12; wait++) {
          await frame();
          const now = places();
          for (const [key, { top }] of before) {
            worst = Math.max(worst, Math.abs(top - (now.get(key)?.top ?? Infinity)));
          }
        }
      }
      return worst;
    },
    [steps, step],
  );
}

async function fillAndGrow(page, text) {
  const height = () => page.evaluate(() => document.querySelector('#compose').getBoundingClientRect().height);
  const before = await height();
  await page.fill('#compose', text);
  await until('the field to grow', async () => (await height()) > before);
}

export async function older_messages_come_without_a_jump(world) {
  fill(world.server, 400);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
  await rest(page);
  world.server.delay_ms = 80; // they come while it is looked at what moves
  const worst = await worstMove(page, 60, 450);
  assert.ok(worst < 1.5, `moved by ${worst} px`);
  assert.ok((await page.locator('article.msg').count()) < 80, 'everything is drawn');
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
  await page.waitForSelector('article.msg');
  await rest(page);
  await page.evaluate(() => (document.querySelector('.log').scrollTop -= 1500));
  const place = async () => {
    const [key, top] = (await rest(page)).row;
    return [key, Math.round(top)];
  };
  const before = await place();
  for (let i = 0; i < 3; i++) world.server.say(ben, `new ${i}`);
  await page.getByRole('button', { name: 'Jump to latest, 3 new messages' }).waitFor();
  assert.deepEqual(await place(), before);
  await fillAndGrow(page, 'a field\nthat\ngrows\nby\nlines');
  assert.deepEqual(await place(), before);
  await page.click('.jump');
  await until('the end', () => page.getByText('new 2', { exact: true }).isVisible());
  await page.waitForSelector('.jump', { state: 'detached' });
  assert.equal(await page.locator('.new-line').count(), 1);
  world.server.say(ben, 'followed');
  await until('the next one', () => page.getByText('followed', { exact: true }).isVisible());
  await rest(page);
  await page.evaluate(() => (document.querySelector('.log').scrollTop -= 1500));
  assert.ok((await rest(page)).fromEnd > 1000, 'it is not away from the end');
  await say(page, 'my own goes to the end');
  await until('my own', () => page.getByText('my own goes to the end').isVisible());
  const { fromEnd } = await rest(page);
  assert.ok(fromEnd < 2, `${fromEnd} px from the end`);
}

export async function the_field_that_grows_keeps_the_end_in_sight(world) {
  fill(world.server, 60);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
  await fillAndGrow(page, 'one\ntwo\nthree\nfour\nfive\nsix');
  await rest(page);
  await page.setViewportSize({ width: 800, height: 500 });
  await until('the window to be smaller', () => page.evaluate(() => innerWidth === 800 && innerHeight === 500));
  const { fromEnd } = await rest(page);
  assert.ok(fromEnd < 2, `${fromEnd} px from the end`);
}

export async function it_opens_at_the_first_unread(world) {
  const ben = fill(world.server, 60);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
  await until('read', () => page.evaluate(() => Object.values(localStorage).includes('60')));
  await page.goto('about:blank');
  for (let i = 0; i < 40; i++) world.server.append(ben, `unread ${i}`);
  await page.goto(world.url);
  await until('the line', () => page.locator('.new-line').isVisible());
  const top = () => page.evaluate(() => document.querySelector('.new-line')?.getBoundingClientRect().top ?? NaN);
  await until('the line to be where it belongs', async () => Math.abs((await top()) - 275) < 60);
  // Longer than the list keeps it there by itself.
  const worst = await page.evaluate(async () => {
    let off = 0;
    for (let i = 0; i < 120; i++) {
      await new Promise(requestAnimationFrame);
      const now = document.querySelector('.new-line')?.getBoundingClientRect().top ?? Infinity;
      off = Math.max(off, Math.abs(now - 275));
    }
    return off;
  });
  assert.ok(worst < 60, `it has moved by ${worst} px`);
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
  await rest(page);
  await page.locator('.log').hover();
  await page.mouse.wheel(0, -100_000); // as a reader does: where nobody has moved anything, the page keeps its place
  await until('the one before it', () => page.getByText('9: see').isVisible());
}

/**
 * While one entry comes after the other: 'read' as soon as more than `seq` are, 'paused' if before that none came for a while,
 * else what is wrong. It is the page that notes when they come, so how slow anybody else is plays no part.
 */
function readWhileTheyCome(page, seq) {
  return page.evaluate(
    ([wanted, pauseMs, comeMax]) =>
      new Promise((resolve) => {
        const log = document.querySelector('.log');
        const newest = () => [...log.querySelectorAll('article.msg')].at(-1)?.dataset.key;
        const isRead = () => Number(Object.entries(localStorage).find(([key]) => key.includes('.read.'))?.[1]);
        let key = newest();
        let at = performance.now();
        let come = 0;
        const look = () => {
          if (newest() === key) return null;
          const before = at;
          key = newest();
          at = performance.now();
          if (at - before >= pauseMs) return 'paused';
          if (document.querySelector('.jump')) return 'not followed';
          if (isRead() > wanted) return 'read';
          return ++come < comeMax ? null : `only ${isRead()} of ${wanted} read, though ${come} have come since`;
        };
        const rows = new MutationObserver(() => {
          const how = look();
          if (how === null) return;
          rows.disconnect();
          resolve(how);
        });
        rows.observe(log, { childList: true, subtree: true });
      }),
    [seq, 250, 100],
  );
}

export async function a_busy_room_is_read(world) {
  const ben = fill(world.server, 10);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
  // It is never quiet for as long as what is in sight takes to be read; where the machine was too slow for that, begin anew.
  let said = 0;
  const talk = setInterval(() => world.server.say(ben, `and on ${said++}`), 50);
  let how = 'paused';
  try {
    for (let tries = 0; how === 'paused' && tries < 5; tries++) {
      how = await readWhileTheyCome(page, world.server.entries.length + 10);
    }
  } finally {
    clearInterval(talk);
  }
  assert.equal(how, 'read', how === 'paused' ? 'the entries never came steadily' : how);
}

export async function a_gap_is_filled(world) {
  const ben = fill(world.server, 10);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
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
  const again = strip.getByRole('button', { name: 'Try again' });
  await strip.getByText('The messages do not come.').waitFor();
  assert.equal(await page.textContent('.conn'), 'Connected');
  assert.deepEqual(await axe(page), []);
  await again.focus();
  world.server.fault = () => undefined; // from now on it may go by itself
  await page.keyboard.press('Enter');
  await strip.waitFor({ state: 'detached' });
  await page.waitForSelector('article.msg');
  world.server.fault = unavailable('room.sync');
  world.server.push('gap', {});
  await strip.getByText('Newer messages do not come.').waitFor();
  await again.focus();
  world.server.fault = () => undefined; // from now on it may go by itself
  await page.keyboard.press('Enter');
  await strip.waitFor({ state: 'detached' });
  await until('the focus at the field', () => page.evaluate(() => document.activeElement?.id === 'compose'));
}

export async function page_up_ends_the_following(world) {
  const ben = fill(world.server, 60);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
  await page.locator('.log').focus();
  await page.keyboard.press('PageUp');
  await page.waitForSelector('.jump');
  const place = (await rest(page)).top;
  world.server.say(ben, 'meanwhile');
  await page.getByRole('button', { name: 'Jump to latest, 1 new message' }).waitFor();
  const now = (await rest(page)).top;
  assert.ok(Math.abs(now - place) < 2, `moved by ${now - place} px`);
}

export async function another_database_is_another_log(world) {
  const ben = fill(world.server, 30);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
  world.server.entries = [];
  world.server.append(ben, 'a restored one');
  world.server.io.of('/chat').disconnectSockets(true);
  let texts = [];
  await until('the other log', async () => {
    texts = await page.locator('article.msg .msg-text').allTextContents();
    return texts.includes('a restored one');
  });
  assert.deepEqual(texts, ['a restored one']);
}

export async function a_long_day_stays_small(world) {
  const ben = fill(world.server, 20);
  const page = await world.page(await world.context());
  await join(page, world.url, 'Ann');
  await page.waitForSelector('article.msg');
  for (let i = 0; i < 1700; i++) world.server.say(ben, `line ${i}`);
  await until('the last', () => page.getByText('line 1699', { exact: true }).isVisible(), 30_000);
  // A window of 1,500 rows, the most that is kept, is some 69,000 px high; all 1,720 would be 79,000.
  const height = () => page.evaluate(() => document.querySelector('.log').scrollHeight);
  await until('the oldest to be forgotten', async () => (await height()) < 70_000);
  const { fromEnd } = await rest(page);
  assert.ok(fromEnd < 2, `${fromEnd} px from the end`);
  await until('the last again', () => page.getByText('line 1699', { exact: true }).isVisible());
  assert.ok((await page.locator('article.msg').count()) < 80, 'everything is drawn');
  const worst = await worstMove(page, 10, 450);
  assert.ok(worst < 1.5, `moved by ${worst} px`);
  await until(
    'what was forgotten',
    async () => {
      await page.evaluate(() => (document.querySelector('.log').scrollTop = 0));
      return page.getByText('0: short', { exact: true }).isVisible();
    },
    30_000,
  );
}
