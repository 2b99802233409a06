// The picture of README.md: two people talk on the page of examples/broadcast, each in a browser context of their own.
//
//	node tools/screenshot.mjs [PROGRAM] [FILE]      (build/examples/broadcast, docs/images/broadcast.png)
//
// Needs the npm packages of tests/system/ and a Chromium (CHROMIUM, /usr/bin/chromium).

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import process from 'node:process';

const require = createRequire(new URL('../tests/system/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const [program = 'build/examples/broadcast', file = 'docs/images/broadcast.png'] = process.argv.slice(2);
const PORT = '3000';
const ADDRESS = `127.0.0.1:${PORT}/chat`;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const SCALE = 1.5;
const TALK = [
  [0, 'Is anybody there?'],
  [1, 'I am. What runs behind this page?'],
  [0, 'Forty lines of C, on libsio.'],
  [1, 'And the client?'],
  [0, 'The official one, unmodified.'],
];

async function open(browser, name) {
  const page = await browser.newPage({ viewport: { width: 520, height: 330 }, deviceScaleFactor: SCALE });
  await page.goto(`http://${ADDRESS}`);
  await page.fill('#name', name);
  await page.waitForFunction('socket.connected');
  return page;
}

async function talk(people) {
  for (const [said, [who, text]] of TALK.entries()) {
    await people[who].fill('#text', text);
    await people[who].click('button');
    for (const person of people) {
      await person.waitForFunction((count) => document.querySelectorAll('#messages li').length === count, said + 1);
    }
  }
}

async function picture(browser, people) {
  const page = await browser.newPage({ viewport: { width: 1112, height: 396 }, deviceScaleFactor: SCALE });
  const windows = [];
  for (const person of people) {
    const shot = (await person.screenshot()).toString('base64');
    windows.push(`<figure><figcaption>${ADDRESS}</figcaption><img src="data:image/png;base64,${shot}"></figure>`);
  }
  await page.setContent(`<style>
    body { margin: 0; padding: 20px; display: flex; gap: 32px; background: #e8eaed; font: 13px sans-serif }
    figure { margin: 0; background: #fff; border-radius: 8px; overflow: hidden; box-shadow: 0 1px 4px #0004 }
    figcaption { background: #d3d6db; padding: 5px 12px; color: #333 }
    img { display: block; width: 520px }</style>${windows.join('')}`);
  await page.screenshot({ path: file });
}

const server = spawn(program, { env: { ...process.env, PORT }, stdio: ['ignore', 'pipe', 'inherit'] });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
try {
  await new Promise((resolve) => server.stdout.once('data', resolve));
  const people = [await open(browser, 'Ann'), await open(browser, 'Ben')];
  await talk(people);
  await picture(browser, people);
} finally {
  await browser.close();
  server.kill();
}
