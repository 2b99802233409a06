// Checks the colour roles of tokens.css against WCAG 2.2 AA in both themes: node tests/contrast.mjs [-v]
import { readFileSync } from 'node:fs';

const css = readFileSync(new URL('../src/styles/tokens.css', import.meta.url), 'utf8').split('@media')[0];
const role = {};
for (const [, name, light, dark] of css.matchAll(/--c-([\w-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)/gi))
  role[name] = [light, dark];
for (const [, name, both] of css.matchAll(/--c-([\w-]+):\s*(#[0-9a-f]{6});/gi)) role[name] = [both, both];

const luminance = (hex) => {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
};

const surfaces = ['canvas', 'side', 'sunken', 'raised', 'hover', 'side-hover'];
const pairs = [];
const on = (least, front, ...backs) => backs.forEach((back) => pairs.push([least, front, back]));

on(4.5, 'text', ...surfaces, 'press', 'notice-soft', 'accent-soft', 'danger-soft', 'mark', 'code');
on(4.5, 'text-2', ...surfaces, 'press', 'notice-soft', 'accent-soft', 'danger-soft');
on(4.5, 'text-3', ...surfaces, 'notice-soft', 'accent-soft', 'code');
on(4.5, 'accent-text', ...surfaces, 'accent-soft', 'notice-soft');
on(4.5, 'notice-text', 'canvas', 'side', 'sunken', 'raised', 'hover', 'notice-soft');
on(4.5, 'danger-text', 'canvas', 'side', 'sunken', 'raised', 'hover', 'danger-soft');
on(4.5, 'ok-text', 'canvas', 'side', 'sunken', 'raised', 'ok-soft');
on(4.5, 'on-accent', 'accent', 'accent-hover');
on(4.5, 'on-selected', 'selected');
on(4.5, 'on-notice', 'notice');
on(4.5, 'on-danger', 'danger', 'danger-hover');
on(4.5, 'on-brand', 'brand', 'brand-2');
on(4.5, 'on-brand-2', 'brand', 'brand-2');
for (let i = 1; i <= 8; i++) on(4.5, 'av-ink', `av-${i}`);
for (const part of ['keyword', 'type', 'string', 'number', 'call', 'comment']) on(4.5, `syn-${part}`, 'code');
on(3, 'edge', 'canvas', 'side', 'sunken', 'raised');
on(3, 'focus', ...surfaces, 'accent-soft', 'notice-soft', 'danger-soft');
on(3, 'ok', 'canvas', 'side', 'raised');
on(3, 'danger', 'canvas', 'side', 'raised');
on(3, 'accent', 'canvas', 'side', 'raised');
on(3, 'brand-mark', 'brand');
on(3, 'chart-1', 'canvas');
on(3, 'chart-2', 'canvas');

let failed = 0;
const lowest = {};
for (const [least, front, back] of pairs)
  for (const [i, theme] of ['light', 'dark'].entries()) {
    const ratio = contrast(role[front][i], role[back][i]);
    const key = `${least >= 4.5 ? 'text' : 'shapes'}, ${theme}`;
    if (!(ratio >= lowest[key]?.ratio)) lowest[key] = { ratio, what: `${front} on ${back}` };
    if (ratio < least) failed++;
    if (ratio < least || process.argv[2] === '-v')
      console.log(
        `${ratio < least ? 'FAIL' : 'ok  '} ${theme.padEnd(5)} ${ratio.toFixed(2)} (${least}) ${front} on ${back}`,
      );
  }
for (const [key, { ratio, what }] of Object.entries(lowest)) console.log(`lowest, ${key}: ${ratio.toFixed(2)} ${what}`);
console.log(`${pairs.length * 2 - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
