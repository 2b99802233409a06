// The page in a real browser against the small server of tests/server/: what only a browser can tell. `npm run browser`.
//
//	node tests/browser/run.mjs [PATTERN]      only the checks whose name has it
//	SHOTS=folder                              pictures of the pages as well

import assert from 'node:assert/strict';
import process from 'node:process';

import { openWorld } from './lib.mjs';
import * as reading from './reading.mjs';
import * as looks from './looks.mjs';
import * as sending from './sending.mjs';

const pattern = process.argv[2] ?? '';
const checks = Object.entries({ ...looks, ...sending, ...reading }).filter(([name]) => name.includes(pattern));
let failed = 0;

for (const [name, check] of checks) {
  const world = await openWorld();
  try {
    await check(world);
    assert.deepEqual(world.problems, []);
    process.stdout.write(`ok ${name}\n`);
  } catch (error) {
    failed++;
    process.stdout.write(`not ok ${name}\n${error.stack}\n`);
    for (const problem of world.problems) process.stdout.write(`  the page says: ${problem}\n`);
  } finally {
    await world.close();
  }
}
process.stdout.write(`${checks.length - failed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);
