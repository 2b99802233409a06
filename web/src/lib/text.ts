// What is in a message's text: links, emoji, length. Linear in the text; makes parts, never HTML.

export type Part = { text: string } | { text: string; href: string };

const SCHEMES = ['https://', 'http://'];
const LINKS_MAX = 200;
const LINK_CHARS_MAX = 2048;
const TRAILING = '.,;:!?\'"…。、，！？»”’';
const OPENING = '([{';
const CLOSING: Record<string, string> = { ')': '(', ']': '[', '}': '{' };
const EMOJI_UNITS_MAX = 120;
const EMOJI_MAX = 8;
const FOLD_LINES = 40;
const FOLDED_LINES = 30; // so that there is something behind it
const FOLD_LINE_CHARS = 80;

/** Splits a text at its links. The parts together are the text. */
export function splitLinks(text: string): Part[] {
  const parts: Part[] = [];
  let plain = 0;
  let at = 0;
  let links = 0;
  while (links < LINKS_MAX && (at = nextScheme(text, at)) >= 0) {
    const end = linkEnd(text, at);
    const href = wordBefore(text, at) ? null : toHref(text.slice(at, end));
    if (href === null) {
      at = Math.max(end, at + 1);
      continue;
    }
    if (at > plain) parts.push({ text: text.slice(plain, at) });
    parts.push({ text: text.slice(at, end), href });
    links++;
    plain = at = end;
  }
  if (plain < text.length || parts.length === 0) parts.push({ text: text.slice(plain) });
  return parts;
}

function nextScheme(text: string, from: number): number {
  for (let at = text.indexOf('http', from); at >= 0; at = text.indexOf('http', at + 4)) {
    if (SCHEMES.some((scheme) => text.startsWith(scheme, at))) return at;
  }
  return -1;
}

function wordBefore(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1); // NaN at the start
  return (before >= 48 && before <= 57) || (before >= 65 && before <= 90) || (before >= 97 && before <= 122);
}

function endsLink(code: number): boolean {
  return (
    code <= 0x20 ||
    code === 0x3c || // <
    code === 0x3e || // >
    code === 0x22 || // "
    code === 0x60 || // `
    code === 0xa0 ||
    code === 0x3000 ||
    (code >= 0x2000 && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202f)
  );
}

function linkEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && end - start < LINK_CHARS_MAX && !endsLink(text.charCodeAt(end))) end++;
  return start + withoutClosing(text.slice(start, end));
}

/** What closes a sentence, or a bracket that was opened before the link, is not part of it. Returns the length. */
function withoutClosing(link: string): number {
  const open: Record<string, number> = {};
  for (const char of link) {
    if (OPENING.includes(char)) open[char] = (open[char] ?? 0) + 1;
    const opening = CLOSING[char];
    if (opening !== undefined) open[opening] = (open[opening] ?? 0) - 1;
  }
  let end = link.length;
  for (; end > 0; end--) {
    const last = link[end - 1]!;
    if (TRAILING.includes(last)) continue;
    const opening = CLOSING[last];
    if (opening === undefined || open[opening]! >= 0) break;
    open[opening]!++;
  }
  return end;
}

function toHref(text: string): string | null {
  try {
    const url = new URL(text);
    return (url.protocol === 'https:' || url.protocol === 'http:') && url.hostname !== '' ? url.href : null;
  } catch {
    return null;
  }
}

// A property of strings, matched against one grapheme of a short text: there is nothing in it to go back to, and no other
// way to ask what is an emoji without a table of them.
const EMOJI = emojiPattern();

function emojiPattern(): RegExp | null {
  try {
    return new RegExp('^\\p{RGI_Emoji}$', 'v');
  } catch {
    return null; // an older browser draws them small
  }
}

/** A few emoji and nothing else: drawn large. */
export function isEmojiOnly(text: string): boolean {
  if (EMOJI === null || text.length > EMOJI_UNITS_MAX) return false;
  let emoji = 0;
  for (const { segment } of new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text)) {
    if (segment.trim() === '') continue;
    if (!EMOJI.test(segment) || ++emoji > EMOJI_MAX) return false;
  }
  return emoji > 0;
}

/** Where a text of more than some 40 lines is cut until one asks for all of it; null: it is shorter. */
export function foldAt(text: string): number | null {
  let cut = 0;
  let lines = 0;
  for (let at = 0; at <= text.length;) {
    const newline = text.indexOf('\n', at);
    const lineEnd = newline < 0 ? text.length : newline;
    const end = Math.min(lineEnd, at + FOLD_LINE_CHARS);
    if (++lines === FOLDED_LINES) cut = end;
    if (lines > FOLD_LINES) return betweenWords(text, cut);
    at = end === lineEnd ? end + 1 : end;
  }
  return null;
}

/** Here or, rather than within a word, a bit before. */
function betweenWords(text: string, at: number): number {
  if (text[at] === '\n') return at;
  const blank = text.lastIndexOf(' ', at);
  if (blank > at - FOLD_LINE_CHARS) return blank;
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at - 1 : at;
}

/** The parts of the first so many characters, without a link that is cut. */
export function cutParts(parts: readonly Part[], length: number): Part[] {
  const kept: Part[] = [];
  let left = length;
  for (const part of parts) {
    if (left <= 0 || ('href' in part && part.text.length > left)) break;
    kept.push('href' in part ? part : { text: part.text.slice(0, left) });
    left -= part.text.length;
  }
  return kept;
}

/** Bytes of UTF-8, as the server counts them. */
export function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) bytes += 1;
    else if (code < 0x800) bytes += 2;
    else if (code >= 0xd800 && code < 0xdc00 && i + 1 < text.length) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  return bytes;
}

/** The text as it may be sent: without NUL, lone surrogates, blank lines around it, and blanks at its end. */
export function cleanText(text: string): string {
  let clean = '';
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (code === 0) continue;
    clean += code >= 0xd800 && code <= 0xdfff ? '\ufffd' : char;
  }
  const start = clean.length - clean.trimStart().length;
  return clean.slice(clean.lastIndexOf('\n', start - 1) + 1).trimEnd();
}
