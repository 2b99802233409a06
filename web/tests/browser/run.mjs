// The page in a real browser against the small server of tests/server/: what only a browser can tell. Prints TAP, a point
// for each check. `npm run browser`; in tests/tests.toml it is web/browser.
//
//	node tests/browser/run.mjs [PATTERN]      only the checks whose name has it
//	SHOTS=folder                              pictures of the pages as well
//	TIMES=1                                   how long each check takes

import assert from 'node:assert/strict';
import process from 'node:process';

import { openBrowser, openWorld } from './lib.mjs';
import * as reading from './reading.mjs';
import * as looks from './looks.mjs';
import * as sending from './sending.mjs';

const CHECK_MS = 120_000;
const LANES = 3; // they wait most of their time, each for its own page and server

const pattern = process.argv[2] ?? '';
const checks = Object.entries({ ...reading, ...looks, ...sending }) // the longest are not the last
  .filter(([name]) => name.includes(pattern));
const print = (line) => process.stdout.write(`${line}\n`);
const comment = (text) => text.split('\n').forEach((line) => print(`# ${line}`));

function within(ms, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function run(browser, check) {
  const world = await openWorld(browser);
  try {
    await within(CHECK_MS, check(world));
    assert.deepEqual(world.problems, []);
  } catch (error) {
    error.problems = world.problems;
    throw error;
  } finally {
    await world.close();
  }
}

const browser = await openBrowser();
const left = checks.values();
let points = 0;
let failed = 0;

async function lane() {
  for (const [name, check] of left) {
    const began = performance.now();
    const error = await run(browser, check).then(
      () => null,
      (reason) => reason,
    );
    if (error) failed++;
    print(`${error ? 'not ok' : 'ok'} ${++points} - ${name.replaceAll('_', ' ')}`);
    if (error) comment(error.stack ?? String(error));
    for (const problem of error?.problems ?? []) comment(`the page says: ${problem}`);
    if (process.env.TIMES) comment(`${Math.round(performance.now() - began)} ms`);
  }
}

print(`1..${checks.length}`);
await Promise.all(Array.from({ length: LANES }, lane));
await browser.close();
process.exit(failed === 0 && checks.length > 0 ? 0 : 1);
