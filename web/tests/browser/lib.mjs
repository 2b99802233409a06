// What the browser's checks share: a Chromium of their own, pages that report what the console says, small waits.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import process from 'node:process';

import { chromium } from 'playwright-core';

import { FakeServer } from '../server/server.mjs';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-proxy-server',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', // nobody but 127.0.0.1 is found
];
export const WIDE = { width: 1440, height: 900 };

const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
}

/** For one check: a server of its own, and contexts of the browser that nobody else has. */
export async function openWorld(browser) {
  const server = await new FakeServer().start();
  const problems = [];
  const contexts = [];
  return {
    server,
    problems,
    url: `http://127.0.0.1:${server.port}/chat`,
    async context(options = {}) {
      const context = await browser.newContext({ viewport: WIDE, reducedMotion: 'reduce', ...options });
      contexts.push(context);
      return context;
    },
    async page(context) {
      const page = await context.newPage();
      // What the page is expected to say while the network is cut is no problem.
      page.on('console', (message) => {
        if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())) {
          problems.push(message.text());
        }
      });
      page.on('pageerror', (error) => problems.push(String(error)));
      await page.addInitScript(() => {
        addEventListener('securitypolicyviolation', (event) => {
          console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
        });
      });
      return page;
    },
    async close() {
      for (const context of contexts) await context.close();
      await server.stop();
    },
  };
}

export async function join(page, url, name) {
  await page.goto(url);
  await page.fill('#name', name);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#compose');
}

export async function say(page, text) {
  await page.fill('#compose', text);
  await page.press('#compose', 'Enter');
}

/** Clicks what goes away by itself some time after `change`: it can be clicked before, and is, where it is still there. */
export async function clickAfter(change, button) {
  await button.click({ trial: true });
  await change();
  await button.evaluateAll(([one]) => one?.click());
}

export async function axe(page) {
  // The page's CSP holds for scripts that are added to it, not for what is evaluated in it.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
}

/**
 * Until the list has stood still for a third of a second, with nothing on its way from the server. Returns where it stands
 * then: the first row in sight as [key, its place], `top` and `fromEnd` in px, all of one moment.
 */
export function rest(page) {
  return page.evaluate(
    ([framesMin, framesMax]) =>
      new Promise((resolve, reject) => {
        let last = '';
        let same = 0;
        let frames = 0;
        const look = () => {
          const log = document.querySelector('.log');
          const rows = [...document.querySelectorAll('article.msg')].map((one) => [
            one.dataset.key,
            one.getBoundingClientRect().top,
          ]);
          const now = JSON.stringify([log?.scrollTop, log?.scrollHeight, log?.clientHeight, rows]);
          same = now === last && log?.ariaBusy === 'false' ? same + 1 : 0;
          last = now;
          if (same >= framesMin) {
            const fromEnd = log.scrollHeight - log.scrollTop - log.clientHeight;
            resolve({ row: rows.find(([, top]) => top > 200), top: log.scrollTop, fromEnd });
          } else if (++frames > framesMax) {
            reject(new Error(`the list does not come to rest: ${now}`));
          } else {
            requestAnimationFrame(look);
          }
        };
        look();
      }),
    [20, 600],
  );
}

export async function until(what, condition, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > end) throw new Error(`waited for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const MINUTE = 60_000;

/** A day's talk. */
export function furnish(server, now = Date.now()) {
  const people = {};
  const talk = [
    [
      -1530,
      'Inês Carvalho',
      'The swell is settling. If the model holds, Thursday morning is our window: 1.1 m at 9 s, wind from the north-east.',
    ],
    [
      -1529,
      'Inês Carvalho',
      'Plan: https://harbour.example/plans/recovery-v3.pdf; please read page 2 before you say yes 🙏',
    ],
    [-1500, 'عمر حداد', 'راجعتُ جداول المدّ: أدنى مستوى الساعة ٠٧:٤٠ صباحًا، وهذا مناسب جدًا لسحب العوّامة.'],
    [
      -90,
      '森 春香',
      'おはようございます。7番ブイにファームウェア 2.4.1 を書き込みました。電池は 12.6 V、GPS も正常です。',
    ],
    [-70, 'Sigrid Lund', 'Can the winch crew confirm by noon? The harbour office wants three names.'],
    [-62, 'Tomás Oliveira', 'She has not moved since Friday. Nine metres of scope, holding well.'],
    [
      -50,
      'Adaeze Obi',
      'Do we stay at ten-minute sampling until recovery, or go to two minutes for the last night? The battery allows either.',
    ],
    [-49, 'Adaeze Obi', 'What it would cost:\n  – 0.4 Ah\n  – one more card'],
    [-40, '森 春香', '🎉🌊'],
    [
      -30,
      'Inês Carvalho',
      'The notice is out. Nobody drops a net within half a mile of us: https://harbour.example/notices/118',
    ],
  ];
  for (const [minutes, name, text] of talk) {
    people[name] ??= server.addUser(name).user;
    server.append(people[name], text, { at: now + minutes * MINUTE });
  }
  return people;
}
