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
];
export const WIDE = { width: 1440, height: 900 };

const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** `server`: the address of a running one; otherwise a fake one is started. */
export async function openWorld() {
  const server = await new FakeServer().start();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  const problems = [];
  const world = {
    server,
    browser,
    problems,
    url: `http://127.0.0.1:${server.port}/chat`,
    context: (options = {}) => browser.newContext({ viewport: WIDE, reducedMotion: 'reduce', ...options }),
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
      await browser.close();
      await server.stop();
    },
  };
  return world;
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

export async function axe(page) {
  // The page's CSP holds for scripts that are added to it, not for what is evaluated in it.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
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
