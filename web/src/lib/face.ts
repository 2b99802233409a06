// What stands for a person without a picture: one or two letters, and one of eight colours by id and name.

import type { Id } from '../protocol';

const HUES = 8;

/** 1 to 8: the same for a person everywhere. The name counts too: guests of the simplest client share an id. */
export function hueOf(id: Id, name = ''): number {
  let hash = 0x811c9dc5; // FNV-1a
  for (const char of `${name} ${id}`) {
    hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (((hash ^ (hash >>> 13)) >>> 0) % HUES) + 1;
}

/** "Mara Ellis" -> "ME", "森 春香" -> "森": two initials for alphabets with capitals, else one character. */
export function initialsOf(name: string): string {
  const words = name.split(' ').filter((word) => word !== '');
  const first = firstGrapheme(words[0] ?? '');
  const last = words.length > 1 ? firstGrapheme(words[words.length - 1]!) : '';
  const cased = (letter: string) => letter.toLowerCase() !== letter.toUpperCase();
  return (cased(first) && cased(last) ? first + last : first).toUpperCase();
}

function firstGrapheme(word: string): string {
  for (const { segment } of new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(word)) return segment;
  return '';
}
