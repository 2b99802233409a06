// The focus is not lost with the button that had it.

import { afterEach, beforeEach, expect, test } from 'vitest';

import { keepFocus } from '../../src/lib/focus';

let root: HTMLElement;
let end: () => void;

beforeEach(() => {
  const make = (parent: Element, name: string, kind = 'div') => {
    const made = document.createElement(kind);
    made.className = name;
    made.tabIndex = -1;
    parent.append(made);
    return made;
  };
  root = make(document.body, 'log-wrap');
  make(make(root, 'strip'), 'now', 'button');
  const log = make(root, 'log');
  make(make(log, 'log-top'), 'again', 'button');
  make(make(log, 'msg'), 'retry', 'button');
  make(document.body, 'field', 'textarea');
  end = keepFocus(root, () => document.querySelector('.field'));
});
afterEach(() => {
  end();
  document.body.replaceChildren();
});

const at = (selector: string) => document.querySelector<HTMLElement>(selector)!;

async function goes(button: string, what = button): Promise<string> {
  at(button).focus();
  expect(document.activeElement).toBe(at(button));
  at(what).remove();
  await new Promise((resolve) => setTimeout(resolve, 0));
  return (document.activeElement as HTMLElement).className;
}

test.each([
  ['.retry', '.retry', 'msg'],
  ['.retry', '.msg', 'log'],
  ['.again', '.again', 'log'],
  ['.now', '.strip', matchMedia('(pointer: fine)').matches ? 'field' : 'log'],
])('%s goes with %s: the focus is at %s', async (button, what, place) => {
  expect(await goes(button, what)).toBe(place);
});

test('who is elsewhere by then is left there', async () => {
  at('.retry').focus();
  at('.field').focus();
  at('.retry').remove();
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(document.activeElement).toBe(at('.field'));
});
