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
