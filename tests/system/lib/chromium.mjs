// A real browser for the system tests: Chromium by playwright, pages that keep what went wrong in them, and axe.
// CHROMIUM names the browser.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { chromium } from 'playwright-core';
import { limits } from './wait.mjs';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
// What a browser says of a server that is away, or that does not know it yet.
const EXPECTED = /Failed to load resource|WebSocket connection to .* failed/;

/** A browser that is closed when the test ends. */
export async function openBrowser(t) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    timeout: limits.wait_ms * 3,
  });
  t.after(() => browser.close());
  return browser;
}

/** A person with cookies of their own: a context whose pages report errors and breaches of the policy to `problems`. */
export async function openPerson(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...options });
  const problems = [];
  context.setDefaultTimeout(limits.wait_ms);
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  context.on('page', (page) => {
    page.on('console', (message) => {
      if (message.type() === 'error' && !EXPECTED.test(message.text())) {
        problems.push(message.text());
      }
    });
    page.on('pageerror', (error) => problems.push(String(error)));
  });
  return { context, problems, open: () => context.newPage() };
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong with a page, in words. */
export async function inaccessible(page) {
  await page.evaluate(axe); // the page's policy does not hold for what is evaluated
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
}
