// The page at /chat as a person uses it: by what can be seen on it.

import assert from 'node:assert/strict';
import { until } from './wait.mjs';

/** Opens the page and chooses a name. */
export async function joinAs(page, url, name) {
  const answer = await page.goto(`${url}/chat`);
  assert.equal(answer.status(), 200);
  await page.getByRole('textbox').fill(name);
  await page.keyboard.press('Enter');
  await ready(page);
}

/** Until one can write: the composer is there. */
export async function ready(page) {
  await page.locator('textarea').waitFor();
}

export async function say(page, text) {
  await page.locator('textarea').fill(text);
  await page.locator('textarea').press('Enter');
}

/** What stands in the log now: texts in order, those drawn at least; `own` says what is not known to be sent. */
export async function shown(page) {
  return page.locator('article.msg').evaluateAll((all) => all.map((one) => ({
    text: one.querySelector('.msg-text')?.textContent.trim() ?? '',
    own: one.classList.contains('is-sending') || one.classList.contains('is-failed'),
  })));
}

/** Waits until exactly these texts, in this order, are shown and sent, among those that `which` picks. */
export async function shows(page, texts, which = () => true) {
  let last = [];
  try {
    await until(async () => {
      last = (await shown(page)).filter(({ text }) => which(text));
      return JSON.stringify(last) === JSON.stringify(texts.map((text) => ({ text, own: false })));
    }, `the page to show ${JSON.stringify(texts)}`);
  } catch (error) {
    error.message += `; it shows ${JSON.stringify(last)}`;
    throw error;
  }
}
