// Two people talk on the broadcast example's page /chat, each in a browser of their own: Chromium, driven by
// playwright. The page has #form with #text (and perhaps #name), and #messages whose items hold what was said.
// CHROMIUM names the browser; SHOT, if set, is where a screenshot goes.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { chromium } from 'playwright-core';
import { io } from 'socket.io-client';
import { startServer } from './lib/server.mjs';
import { Person } from './lib/person.mjs';
import { run, test } from './lib/tap.mjs';
import { limits, until } from './lib/wait.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const server = await startServer('broadcast');

// A browser with the page open; errors of the page and its console are kept in `errors`.
class Reader {
  errors = [];

  static async open(t) {
    const reader = new Reader();
    const folder = mkdtempSync(join(tmpdir(), 'palaver-browser-'));
    t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
    reader.context = await chromium.launchPersistentContext(folder, { executablePath: CHROMIUM, args: FLAGS });
    t.after(() => reader.context.close());
    reader.page = reader.context.pages()[0] ?? (await reader.context.newPage());
    reader.page.setDefaultTimeout(limits.wait_ms);
    reader.page.on('console', (message) => message.type() === 'error' && reader.errors.push(message.text()));
    reader.page.on('pageerror', (error) => reader.errors.push(String(error)));
    const answer = await reader.page.goto(`${server.url}/chat`);
    assert.equal(answer.status(), 200);
    return reader;
  }

  async say(text) {
    await this.page.fill('#text', text);
    await this.page.press('#text', 'Enter');
  }

  // Waits until what was said stands in the list, and returns the whole list's text.
  async reads(text) {
    const items = this.page.locator('#messages > *');
    return until(async () => {
      const all = await items.allTextContents();
      return all.some((item) => item.includes(text)) && all;
    }, `the page to show ${text}`);
  }

  // Whether the page is connected shows when what it says comes back; it may take a moment after loading.
  async arrives(name) {
    if ((await this.page.locator('#name').count()) > 0) {
      await this.page.fill('#name', name);
    }
    await this.say(`${name} is here`);
    await this.reads(`${name} is here`);
  }
}

test('two people talk on the page, and hear a third who has no browser', async (t) => {
  const alice = await Reader.open(t);
  const bob = await Reader.open(t);
  await alice.arrives('alice');
  await bob.arrives('bob');
  await alice.say('hello, bob: ünï 日本語 👋');
  await bob.reads('hello, bob: ünï 日本語 👋');
  await alice.reads('hello, bob: ünï 日本語 👋');
  await bob.say('hello, alice');
  await alice.reads('hello, alice');
  const carol = await Person.arrive(io, server, { transports: ['websocket'] });
  t.after(() => carol.leave());
  carol.say('message', 'hello from a script');
  await alice.reads('hello from a script');
  await bob.say('and goodbye');
  assert.match(String((await carol.hears('message')).join()), /hello from a script/);
  assert.match(String((await carol.hears('message')).join()), /and goodbye/);
  const list = await alice.reads('and goodbye');
  const order = ['alice is here', 'bob is here', 'hello, bob', 'hello, alice', 'hello from a script', 'and goodbye'];
  const places = order.map((text) => list.findIndex((item) => item.includes(text)));
  assert.deepEqual(places, [...places].sort((a, b) => a - b), `order on the page: ${JSON.stringify(list)}`);
  if (process.env.SHOT) {
    await alice.page.screenshot({ path: process.env.SHOT });
  }
  assert.deepEqual([...alice.errors, ...bob.errors], []);
}, { timeout_ms: 90000 });

test('what is said is text: markup stays inert', async (t) => {
  const alice = await Reader.open(t);
  await alice.arrives('alice');
  const carol = await Person.arrive(io, server, { transports: ['polling'] });
  t.after(() => carol.leave());
  carol.say('message', '<img src=x onerror="document.title=\'taken\'"><b>bold</b>');
  await alice.reads('<b>bold</b>');
  assert.notEqual(await alice.page.title(), 'taken');
  assert.equal(await alice.page.locator('#messages img').count(), 0);
  assert.deepEqual(alice.errors, []);
}, { timeout_ms: 60000 });

test('the server ends when told, without complaints', () => server.stop());

await run();
