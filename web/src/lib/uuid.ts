// UUIDv7 (RFC 9562): names that sort in the order in which they were made, also within one millisecond.

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const COUNTER_MAX = 0xfff;

let lastMs = 0;
let counter = 0;

/** `now` and `random` are for tests. Works without a secure context, where crypto.randomUUID is missing. */
export function uuidv7(now = Date.now(), random: (bytes: Uint8Array<ArrayBuffer>) => void = fill): string {
  const bytes = new Uint8Array(16);
  random(bytes);
  if (now > lastMs) {
    lastMs = now;
    counter = ((bytes[6]! << 8) | bytes[7]!) & 0x7ff; // the upper half stays free for what comes in the same millisecond
  } else if (++counter > COUNTER_MAX) {
    lastMs++;
    counter = 0;
  }
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(lastMs / 2 ** (8 * (5 - i))) & 0xff;
  bytes[6] = 0x70 | (counter >> 8);
  bytes[7] = counter & 0xff;
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = Array.from(bytes, (byte) => HEX[byte]!);
  return [hex.slice(0, 4), hex.slice(4, 6), hex.slice(6, 8), hex.slice(8, 10), hex.slice(10)]
    .map((part) => part.join(''))
    .join('-');
}

/** Whatever is made from now on sorts after this one, also when the clock was set back. */
export function afterUuid(uuid: string): void {
  const ms = parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
  const count = parseInt(uuid.slice(15, 18), 16);
  if (uuid[14] !== '7' || !Number.isSafeInteger(ms) || !Number.isSafeInteger(count) || ms < lastMs) return;
  counter = ms > lastMs ? count : Math.max(counter, count);
  lastMs = ms;
}

function fill(bytes: Uint8Array<ArrayBuffer>): void {
  crypto.getRandomValues(bytes);
}
