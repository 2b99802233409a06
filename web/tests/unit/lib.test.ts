// The pure parts: rows, links, emoji, lengths, names, times, ids, pauses.

import { expect, test } from 'vitest';

import { Backoff } from '../../src/lib/backoff';
import { hueOf, initialsOf } from '../../src/lib/face';
import { cleanText, cutParts, foldAt, isEmojiOnly, splitLinks, utf8Bytes } from '../../src/lib/text';
import { dayLabel, dayOf, nextDay } from '../../src/lib/time';
import { uuidv7 } from '../../src/lib/uuid';
import { buildRows, GROUP_MS } from '../../src/models/rows';
import { COMMANDS, ERROR_CODES, type FailureCode, toAnswer } from '../../src/protocol';
import { why } from '../../src/strings';
import { ANN, BEN, entry } from './fake';

const links = (text: string) => splitLinks(text).flatMap((part) => ('href' in part ? [part.text] : []));

test.each([
  ['see https://example.org.', ['https://example.org']],
  ['(https://example.org/a_(b))', ['https://example.org/a_(b)']],
  ['https://a.example, http://b.example!', ['https://a.example', 'http://b.example']],
  ['<https://example.org>', ['https://example.org']],
  ['日本語https://example.org/あ。', ['https://example.org/あ']],
  ['xhttps://example.org https:// http://', []],
  ['javascript:alert(1) data:text/html,x ftp://example.org', []],
  ['no links', []],
])('links of %j', (text, expected) => {
  expect(links(text)).toEqual(expected);
  expect(
    splitLinks(text)
      .map((part) => part.text)
      .join(''),
  ).toBe(text);
});

test('a hostile text takes no time', () => {
  const start = performance.now();
  for (const piece of ['https://a/)', 'http', ')', 'https://', '(((', 'https://a.' + ')'.repeat(3000)]) {
    splitLinks(piece.repeat(65536 / piece.length));
  }
  expect(performance.now() - start).toBeLessThan(500);
});

test.each([
  ['🎉🌊', true],
  ['👩‍👩‍👧 👍🏽', true],
  ['🇵🇹', true],
  ['1', false],
  ['🎉 yes', false],
  ['', false],
  ['🎉'.repeat(9), false],
])('emoji only: %j', (text, expected) => expect(isEmojiOnly(text)).toBe(expected));

test('a text of more than forty lines is folded, between words, and without a link that is cut', () => {
  expect(foldAt('')).toBe(null);
  expect(foldAt('\n'.repeat(39))).toBe(null);
  expect(foldAt('\n'.repeat(65_535))).toBe(29);
  expect(foldAt('x'.repeat(3200))).toBe(null);
  expect(foldAt('x'.repeat(3201))).toBe(2400);
  const words = 'word and '.repeat(400);
  expect(words.slice(0, foldAt(words)!)).toMatch(/(word|and)$/);
  const party = `x${'🎉'.repeat(3000)}`;
  expect(party.slice(0, foldAt(party)!)).toMatch(/^x🎉+$/u);
  const parts = [{ text: 'see ' }, { text: 'https://a.example', href: 'https://a.example/' }, { text: ' there' }];
  expect(cutParts(parts, 10)).toEqual([{ text: 'see ' }]);
  expect(cutParts(parts, 23)).toEqual([...parts.slice(0, 2), { text: ' t' }]);
});

test('bytes, as the server counts them', () => {
  for (const text of ['', 'abc', 'üñ', '日本語', '🎉', 'a🎉b']) {
    expect(utf8Bytes(text)).toBe(new TextEncoder().encode(text).length);
  }
});

test('a text is cleaned of what the server refuses', () => {
  expect(cleanText('\n  a\0b\ud800 \n')).toBe('  ab\ufffd');
  expect(cleanText('  indented\n    more \n \n')).toBe('  indented\n    more');
  expect(cleanText(' \n\t ')).toBe('');
  expect(cleanText('a\n\nb 🎉')).toBe('a\n\nb 🎉');
});

test('faces', () => {
  expect(initialsOf('Mara Ellis')).toBe('ME');
  expect(initialsOf('森 春香')).toBe('森');
  expect(initialsOf('عمر حداد')).toBe('ع');
  expect(initialsOf('ann')).toBe('A');
  expect(new Set(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => hueOf(1, name))).size).toBeGreaterThan(2);
  const hues = new Set(Array.from({ length: 100 }, (_, id) => hueOf(id)));
  expect([...hues].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(hueOf(7)).toBe(hueOf('7'));
});

test('days', () => {
  const words = { today: 'Today', yesterday: 'Yesterday' };
  const today = dayOf(new Date(2025, 10, 24, 12).getTime());
  expect(dayLabel(today, today, words)).toBe('Today');
  expect(dayLabel(dayOf(today - 1), today, words)).toBe('Yesterday');
  expect(dayLabel(dayOf(new Date(2025, 10, 20).getTime()), today, words)).toBe('Thursday, November 20');
  expect(dayLabel(dayOf(new Date(2024, 0, 1).getTime()), today, words)).toContain('2024');
  expect(nextDay(today)).toBe(new Date(2025, 10, 25).getTime());
});

test('ids sort by time, also within a millisecond and when the clock goes back', () => {
  const now = Date.now() + 1e6;
  const ids = Array.from({ length: 5000 }, (_, i) => uuidv7(i === 2500 ? now - 50 : now));
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(5000);
  expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('pauses double, end somewhere, and are not all the same', () => {
  const least = new Backoff({ first_ms: 100, max_ms: 1000, random: () => 0 });
  expect([least.next(), least.next(), least.next(), least.next(), least.next()]).toEqual([50, 100, 200, 400, 500]);
  const most = new Backoff({ first_ms: 100, max_ms: 1000, random: () => 1 });
  expect([most.next(), most.next()]).toEqual([100, 200]);
  most.reset();
  expect(most.next()).toBe(100);
});

test('answers: what is not one is unknown', () => {
  expect(toAnswer(null)).toMatchObject({ ok: false, error: 'unknown' });
  expect(toAnswer({ ok: false, error: 'new_code', message: 'x' })).toMatchObject({ error: 'unknown', message: 'x' });
  expect(toAnswer({ ok: false, error: 'busy', retry_ms: 5 })).toMatchObject({ error: 'busy', retry_ms: 5 });
  expect(toAnswer<'typing'>({ ok: true })).toEqual({ ok: true });
});

test('each error has its words', () => {
  const codes: FailureCode[] = [...ERROR_CODES, 'lost', 'timeout'];
  for (const error of codes) expect(why({ error, message: '' })).toMatch(/\.$/);
  expect(why({ error: 'invalid', message: 'A name has 1 to 32 characters' })).toBe('A name has 1 to 32 characters.');
  expect(Object.keys(COMMANDS)).toContain('message.send');
});

const rows = (input: Partial<Parameters<typeof buildRows>[0]>) =>
  buildRows({ entries: [], more: false, items: [], me: ANN, writer: () => ANN, newAfter: null, ...input });

test('rows: groups of five minutes, days, the line', () => {
  const noon = new Date(2025, 10, 24, 12).getTime();
  const entries = [
    entry(1, BEN, { at: noon }),
    entry(2, BEN, { at: noon + 1000 }),
    entry(3, { id: BEN.id, name: 'Benny' }, { at: noon + 2000 }), // shares an id
    entry(4, ANN, { at: noon + 3000 }),
    entry(5, ANN, { at: noon + 3000 + GROUP_MS }),
    entry(6, ANN, { at: noon + 24 * 3_600_000 }),
    entry(7, BEN, { at: noon + 24 * 3_600_000 + 1 }),
    entry(8, BEN, { at: noon + 24 * 3_600_000 + 2 }),
  ];
  const drawn = rows({ entries, newAfter: 3 });
  expect(drawn.map(({ first }) => first)).toEqual([true, false, true, true, true, true, true, false]);
  expect(drawn.map(({ day }) => day !== null)).toEqual([true, false, false, false, false, true, false, false]);
  expect(drawn.findIndex(({ fresh }) => fresh)).toBe(6); // one's own are not new
});

test('rows that were drawn do not change when older ones come', () => {
  const entries = Array.from({ length: 60 }, (_, i) => entry(i + 1, i % 3 ? BEN : ANN, { at: i * 3_600_000 }));
  const later = rows({ entries: entries.slice(30), more: true });
  const all = rows({ entries });
  expect(later).toEqual(all.slice(31));
});

test('rows: an item of the outbox is drawn until its entry is there, under the same key', () => {
  const item = { cid: 'c1', owner: 'o', room: 1, text: 'x', at: 5_000_000, tried: true };
  const waiting = rows({ entries: [entry(1, BEN, { cid: 'c1' })], items: [item] });
  expect(waiting.map(({ text }) => text)).toEqual(['text 1', 'x']);
  const there = rows({
    entries: [entry(1, BEN, { cid: 'c1' }), entry(2, ANN, { cid: 'c1', text: 'x' })],
    items: [item],
  });
  expect(there.map(({ key }) => key)).toEqual(waiting.map(({ key }) => key));
  expect(there[1]!.item).toBe(null);
});

test('rows: what waits opens no day, and is of whoever has written it', () => {
  const noon = new Date(2025, 10, 24, 12).getTime();
  const item = { cid: 'c1', owner: 'o', room: 1, text: 'x', at: noon - 24 * 3_600_000, tried: true };
  const drawn = rows({
    entries: [entry(1, ANN, { at: noon })],
    items: [item, { ...item, cid: 'c2', owner: 'p', at: noon }],
    writer: ({ owner }) => (owner === 'p' ? BEN : ANN),
  });
  expect(drawn.map(({ day }) => day !== null)).toEqual([true, false, false]);
  expect(drawn.map(({ first }) => first)).toEqual([true, true, true]);
  expect(drawn.map(({ author, mine }) => [author, mine])).toEqual([
    [ANN, true],
    [ANN, true],
    [BEN, false],
  ]);
  expect(drawn[2]!.key).toBe('3:c2');
});

test('rows: what another guest has left is drawn once, as the entry that it has become', () => {
  const item = { cid: 'c1', owner: 'p', room: 1, text: 'x', at: 1, tried: true };
  const both = { items: [item], writer: () => BEN };
  expect(rows({ entries: [entry(1, BEN, { cid: 'c1' })], ...both }).map(({ key }) => key)).toEqual(['3:c1']);
  // The oldest one, which is not drawn yet, too.
  expect(rows({ entries: [entry(1, BEN, { cid: 'c1' }), entry(2)], more: true, ...both })).toHaveLength(1);
  expect(rows({ entries: [entry(1, ANN, { cid: 'c1' })], ...both })).toHaveLength(2);
});

test('rows: the line waits until the first unread entry is sure to be loaded', () => {
  const entries = Array.from({ length: 60 }, (_, i) => entry(i + 1));
  const line = (from: number, newAfter: number) =>
    rows({ entries: entries.slice(from), more: from > 0, newAfter }).find(({ fresh }) => fresh)?.entry?.seq;
  expect(line(0, 0)).toBe(1);
  expect(line(20, 10)).toBe(undefined);
  expect(line(20, 20)).toBe(undefined); // 21 is loaded, but not drawn
  expect(line(20, 21)).toBe(22);
  expect(line(0, 10)).toBe(11);
});
