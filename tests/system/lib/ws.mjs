// WebSockets by hand (RFC 6455): frames whose every bit is the test's own, and a client that shows each frame that came.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { RawSocket } from './http.mjs';
import { deferred, Inbox, slower, within } from './wait.mjs';

export const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };
export const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='; // RFC 6455, 1.3
/** In which a fault is told: nothing is waited for but the server's turn. */
export const PROMPT_MS = 2000 * slower;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const LENGTH_BYTES = { 126: 2, 127: 8 };
const NAMES = Object.fromEntries(Object.entries(OP).map(([name, number]) => [number, name.toLowerCase()]));

/**
 * The head of a frame that announces so many bytes. `mask`: null for none; `form`: how many bytes the length is written in, 0, 2 or 8,
 * if not the fewest.
 */
export function head(opcode, length, { fin = true, rsv = 0, mask = MASK, form = undefined } = {}) {
  const bytes = form ?? (length < 126 ? 0 : length < 65536 ? 2 : 8);
  const out = Buffer.alloc(2 + bytes);
  out[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  out[1] = (mask ? 0x80 : 0) | { 0: Number(length), 2: 126, 8: 127 }[bytes];
  if (bytes === 2) {
    out.writeUInt16BE(Number(length), 2);
  } else if (bytes === 8) {
    out.writeBigUInt64BE(BigInt(length), 2);
  }
  return mask ? Buffer.concat([out, mask]) : out;
}

function masked(payload, mask) {
  const out = Buffer.from(payload);
  if (mask?.some((byte) => byte !== 0)) {
    for (let i = 0; i < out.length; i++) {
      out[i] ^= mask[i & 3];
    }
  }
  return out;
}

/** A frame; options as those of head(), and `length`: what it announces, if not what it has. */
export function frame(opcode, payload = '', options = {}) {
  const data = Buffer.from(payload);
  const { mask = MASK, length = data.length } = options;
  return Buffer.concat([head(opcode, length, options), masked(data, mask)]);
}

/** The payload of a close frame. */
export function closing(code, reason = '') {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return Buffer.concat([bytes, Buffer.from(reason)]);
}

/** One message in frames of so many bytes, with `between` in front of each but the first. */
export function fragments(opcode, payload, bytes, { mask = MASK, between = Buffer.alloc(0) } = {}) {
  const data = Buffer.from(payload);
  const out = [];
  for (let at = 0; at === 0 || at < data.length; at += bytes) {
    const options = { mask, fin: at + bytes >= data.length };
    out.push(at ? between : Buffer.alloc(0), frame(at ? OP.CONTINUATION : opcode, data.subarray(at, at + bytes), options));
  }
  return Buffer.concat(out);
}

/** A request for a WebSocket; `lines`: further headers; `without`: names of those that are left out. */
export function handshake({ method = 'GET', path = '/', version = 'HTTP/1.1', key = KEY, lines = [], without = [] } = {}) {
  const usual = ['Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`];
  const kept = usual.filter((line) => !without.includes(line.slice(0, line.indexOf(':'))));
  return `${method} ${path} ${version}\r\n${[...kept, ...lines].join('\r\n')}\r\n\r\n`;
}

/** The next answer on a RawSocket, whole, which is then taken from what it has received. */
export async function nextAnswer(socket) {
  const [text, status] = await socket.match(/^HTTP\/1\.1 (\d{3}) [^]*?\r\n\r\n/);
  const fields = text.split('\r\n').slice(1, -2).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]);
  const headers = Object.fromEntries(fields);
  const length = Number(headers['content-length'] ?? 0);
  if (length > 0) {
    await socket.match(new RegExp(`^[^]{${text.length + length}}`));
  }
  const body = socket.text.slice(text.length, text.length + length);
  socket.received = socket.received.subarray(text.length + length);
  return { status: Number(status), headers, body, names: fields.map(([name]) => name) };
}

/** A RawSocket on which requests are asked one after the other: `ask(bytes)` resolves with the answer. */
export async function asker(t, server) {
  const socket = await RawSocket.open(server);
  t.after(() => socket.destroy());
  const ask = (bytes) => {
    socket.write(bytes);
    return nextAnswer(socket);
  };
  return { socket, ask };
}

/** The WebSocket that was made of a RawSocket echoes. */
export async function echoesOn(socket, text) {
  socket.write(frame(OP.TEXT, text));
  const wanted = frame(OP.TEXT, text, { mask: null }).toString('latin1');
  await socket.match({ exec: (received) => received.startsWith(wanted) && [wanted], toString: () => `the echo of ${text}` });
  socket.received = socket.received.subarray(wanted.length);
}

export function described({ opcode, fin, payload }) {
  const kind = `${NAMES[opcode] ?? `opcode ${opcode}`}${fin ? '' : ' (unfinished)'}`;
  if (opcode === OP.CLOSE) {
    return `${kind} ${payload.length < 2 ? 1005 : payload.readUInt16BE()}`;
  }
  return `${kind} of ${payload.length} ${JSON.stringify(payload.toString('latin1', 0, 60))}`;
}

// What comes, cut into frames. A frame that no server may send is a fault.
class Reader {
  #chunks = [];
  #bytes = 0;
  #wanted = 2;

  constructor(onFrame) {
    this.onFrame = onFrame;
  }

  feed(chunk) {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted) {
      return;
    }
    let data = Buffer.concat(this.#chunks);
    for (;;) {
      const size = this.#frameBytes(data);
      if (data.length < size) {
        this.#wanted = size;
        break;
      }
      const [first, second] = data;
      const at = 2 + (LENGTH_BYTES[second] ?? 0);
      this.onFrame({ opcode: first & 15, fin: first >= 0x80, payload: data.subarray(at, size) });
      data = data.subarray(size);
    }
    this.#chunks = [data];
    this.#bytes = data.length;
  }

  // How many bytes the frame at the front has, as far as that is known.
  #frameBytes(data) {
    if (data.length < 2) {
      return 2;
    }
    const [first, second] = data;
    assert.equal(first & 0x70, 0, 'the server set a reserved bit');
    assert.ok(second < 0x80, 'the server masked a frame');
    assert.ok((first & 8) === 0 || (first >= 0x80 && second < 126), 'the server sent a control frame that is too long, or in pieces');
    const more = LENGTH_BYTES[second] ?? 0;
    if (more === 0) {
      return 2 + second;
    }
    if (data.length < 2 + more) {
      return 2 + more;
    }
    const length = more === 2 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
    assert.ok(length > (more === 2 ? 125 : 65535), `the server wrote the length ${length} in ${more} bytes`);
    return 2 + more + length;
  }
}

/**
 * A client that has shaken hands. Frames come to `frames`, as { opcode, fin, payload }, but for pings and pongs, which may overtake others:
 * they come to `pings` and `pongs`. Pings are answered unless `answersPings` is false. It ends its side when the server has ended its
 * own, unless `allowHalfOpen`.
 */
export class Peer {
  frames = new Inbox();
  pings = new Inbox();
  pongs = new Inbox();
  ended = deferred(); // the server has ended its side, or the connection broke
  closed = false; // nothing of the connection is left

  static async open(server, { path = '/', lines = [], behind = '', answersPings = true, allowHalfOpen = false } = {}) {
    const peer = new Peer();
    peer.answersPings = answersPings;
    peer.socket = connect({ port: server.port, host: '127.0.0.1', noDelay: true, allowHalfOpen });
    peer.#listen();
    await once(peer.socket, 'connect');
    const key = randomBytes(16).toString('base64');
    peer.write(Buffer.concat([Buffer.from(handshake({ path, lines, key })), Buffer.from(behind)]));
    const answer = await within(peer.#answer.promise, 'the answer to the handshake');
    assert.match(answer, /^HTTP\/1\.1 101 /);
    const accept = createHash('sha1').update(key + GUID).digest('base64');
    assert.equal(/\r\nsec-websocket-accept: ([^\r]*)\r\n/i.exec(answer)?.[1], accept);
    peer.answer = answer;
    return peer;
  }

  #answer = deferred();
  #received = Buffer.alloc(0);
  #reader = new Reader((one) => this.#take(one));

  #listen() {
    this.socket.on('data', (chunk) => this.#feed(chunk));
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.socket.on('end', () => this.#end('the server ended the connection'));
    this.socket.on('close', () => {
      this.closed = true;
      this.#end(this.error ? `the connection broke, ${this.error.code}` : 'the connection has ended');
    });
  }

  #end(why) {
    this.#answer.reject(new Error(why));
    this.frames.end(why);
    this.pings.end(why);
    this.pongs.end(why);
    this.ended.resolve(this.error ?? null);
  }

  #feed(chunk) {
    if (this.answer) {
      this.#frames(chunk);
      return;
    }
    this.#received = Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf('\r\n\r\n') + 4;
    if (end > 3) {
      this.answer = this.#received.toString('latin1', 0, end);
      this.#answer.resolve(this.answer);
      this.#frames(this.#received.subarray(end));
    }
  }

  #frames(chunk) {
    try {
      this.#reader.feed(chunk);
    } catch (fault) {
      this.#end(fault.message);
      this.destroy();
    }
  }

  #take(one) {
    ({ [OP.PING]: this.pings, [OP.PONG]: this.pongs }[one.opcode] ?? this.frames).push(one);
    if (one.opcode === OP.PING && this.answersPings) {
      this.write(frame(OP.PONG, one.payload));
    }
  }

  /** Resolves when the bytes are with the kernel, or the connection has gone. */
  write(bytes) {
    return new Promise((resolve) => this.socket.write(bytes, () => resolve()));
  }

  send(data, options = {}) {
    return this.write(frame(typeof data === 'string' ? OP.TEXT : OP.BINARY, data, options));
  }

  next(what, wait_ms = undefined) {
    return this.frames.next(what, wait_ms);
  }

  /** The next message is that string or those bytes. */
  async hears(data) {
    const [opcode, wanted] = [typeof data === 'string' ? OP.TEXT : OP.BINARY, Buffer.from(data)];
    const one = await this.next(`a message of ${wanted.length} bytes`);
    const parts = [one.payload];
    for (let last = one; !last.fin; parts.push(last.payload)) {
      last = await this.next('the rest of the message');
      assert.equal(last.opcode, OP.CONTINUATION, described(last));
    }
    const heard = Buffer.concat(parts);
    const [is, should] = [described({ ...one, fin: true, payload: heard }), described({ opcode, fin: true, payload: wanted })];
    assert.equal(is, should);
    assert.ok(heard.equals(wanted), `${is}, but some other bytes`);
  }

  async echoes(data) {
    this.send(data);
    await this.hears(data);
  }

  /** The next pong carries that. */
  async hearsPong(payload) {
    const { payload: heard } = await this.pongs.next('a pong');
    assert.equal(heard.toString('latin1'), Buffer.from(payload).toString('latin1'));
  }

  async pongsFor(payload = 'are you there') {
    this.write(frame(OP.PING, payload));
    await this.hearsPong(payload);
  }

  /** The next that comes is the close frame, with that code, and soon; then the server ends the connection, and nothing else comes. */
  async isClosed(code, what = 'what was sent') {
    const one = await this.next('the close frame', PROMPT_MS).catch((error) => assert.fail(`${what}: ${error.message}`));
    assert.equal(described(one), `close ${code}`, what);
    await this.hasEnded(what);
    assert.deepEqual(this.frames.items.map(described), [], `${what}: something came behind the close frame`);
  }

  hasEnded(what = 'the connection', wait_ms = undefined) {
    return within(this.ended.promise, `the server to end the connection after ${what}`, wait_ms);
  }

  get bytesNotTaken() {
    return this.socket.writableLength;
  }

  destroy() {
    this.socket.destroy();
  }

  reset() {
    this.socket.resetAndDestroy();
  }
}

/** A frame with reserved bits. */
export const rsv = (opcode, bits, payload = 'x', more = {}) => frame(opcode, payload, { rsv: bits, ...more });
