// The page in a real browser against the small server of tests/server/: what only a browser can tell. Prints TAP, a point
// for each check. `npm run browser`; in tests/tests.toml it is web/browser.
//
//	node tests/browser/run.mjs [PATTERN]      only the checks whose name has it
//	SHOTS=folder                              pictures of the pages as well
//	TIMES=1                                   how long each check takes

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

/** Null where the check is passed; its own error comes before one of the tidying up. */
async function run(browser, check) {
  const world = await openWorld(browser);
  const error = await within(CHECK_MS, check(world)).then(
    () => (world.problems.length > 0 ? new Error('the page complains') : null),
    (reason) => reason,
  );
  const untidy = await world.close().then(
    () => null,
    (reason) => reason,
  );
  return (error ?? untidy) && { error: error ?? untidy, problems: world.problems };
}

const browser = await openBrowser();
const left = checks.values();
let points = 0;
let failed = 0;

async function lane() {
  for (const [name, check] of left) {
    const began = performance.now();
    const fault = await run(browser, check).catch((error) => ({ error, problems: [] })); // no world could be had
    if (fault) failed++;
    print(`${fault ? 'not ok' : 'ok'} ${++points} - ${name.replaceAll('_', ' ')}`);
    if (fault) comment(fault.error.stack ?? String(fault.error));
    for (const problem of fault?.problems ?? []) comment(`the page says: ${problem}`);
    if (process.env.TIMES) comment(`${Math.round(performance.now() - began)} ms`);
  }
}

print(`1..${checks.length}`);
await Promise.all(Array.from({ length: LANES }, lane));
await browser.close();
process.exit(failed === 0 && checks.length > 0 ? 0 : 1);
