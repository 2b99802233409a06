// The pictures of README.md: people talk in the lobby of a palaver of their own, seen light, dark and on a phone.
//
//	node tools/screenshot.mjs [PROGRAM] [FOLDER]      (build/src/app/palaver, docs/images)
//
// Needs the npm packages of tests/system/ and a Chromium (CHROMIUM, /usr/bin/chromium).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../tests/system/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const { io } = require('socket.io-client');

const [program = 'build/src/app/palaver', folder = 'docs/images'] = process.argv.slice(2);
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const VIEWS = [
  ['room-light', 'Amina', { viewport: { width: 1200, height: 750 }, colorScheme: 'light' }],
  ['room-dark', 'Miriam', { viewport: { width: 1200, height: 750 }, colorScheme: 'dark' }],
  ['room-phone', 'Jürgen', { viewport: { width: 360, height: 740 }, colorScheme: 'light', deviceScaleFactor: 2 }],
];
const TALK = [
  ['Amina', 'Morning all. The old well is dry again, shall we talk about the new one today?'],
  ['Jürgen', 'Yes. I have the drawings: https://example.org/well/drawings'],
  ['Jürgen', 'Forty metres, they say.\nPerhaps less by the mango tree.'],
  ['Miriam', 'By the tree, please. Everybody passes there anyway 🌳'],
  ['さくら', '賛成です。木の下がいいと思います。'],
  ['cron', 'disk of the pump house: 41 % full, all well'],
  ['Jürgen', '👍'],
  ['Miriam', 'Then it is settled?'],
  ['Amina', 'Not before Lotte has spoken, she knows the ground best.'],
];

function ask(socket, event, ...args) {
  return socket.timeout(10000).emitWithAck(event, ...args);
}

// Each speaks from a client of his own.
async function talk(url) {
  const people = new Map();
  for (const [name, text] of TALK) {
    if (!people.has(name)) {
      const socket = io(`${url}/chat`, { forceNew: true });
      await once(socket, 'connect');
      await ask(socket, 'hello', { name });
      people.set(name, socket);
    }
    await ask(people.get(name), 'message.send', { room: 1, cid: `c${Math.random().toString(36).slice(2)}`, text });
  }
  return people;
}

// The name of the picture, who types in it (once in 3 s is passed on), and how it is looked at.
async function take(browser, url, people, [name, typist, options]) {
  const context = await browser.newContext({ deviceScaleFactor: 1.5, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  await page.goto(`${url}/chat`);
  await page.getByRole('textbox').fill('Lotte');
  await page.keyboard.press('Enter');
  await page.locator('textarea').waitFor();
  await page.getByText(TALK.at(-1)[1]).waitFor();
  await page.locator('textarea').fill('I would dig by the tree. The roots');
  await ask(people.get(typist), 'typing', { room: 1 });
  await page.getByText(`${typist} is typing`).waitFor();
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await context.close();
}

const data = mkdtempSync(join(tmpdir(), 'palaver-picture-'));
const server = spawn(program, ['serve', '--listen', '127.0.0.1:0', '--data', data, '--rate-limits', 'off', '--log-level', 'warn'],
  { stdio: ['ignore', 'pipe', 'inherit'] });
const [line] = await once(createInterface({ input: server.stdout }), 'line');
const url = line.match(/http:\/\/[^/]+/)[0];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
try {
  const people = await talk(url);
  for (const view of VIEWS) {
    await take(browser, url, people, view);
  }
  people.forEach((socket) => socket.close());
} finally {
  await browser.close();
  server.kill();
  rmSync(data, { recursive: true, force: true });
}
