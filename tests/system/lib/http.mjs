// HTTP as the tests need it: one request with every byte of the answer at hand, or raw bytes on a raw socket.

import { request as httpRequest, Agent } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { gunzipSync, inflateSync } from 'node:zlib';
import { deferred, within } from './wait.mjs';

export const SEPARATOR = '\x1e';
export const EIO_PATH = '/socket.io/';

/** The target of an Engine.IO request: `query` is an object; null and undefined values are left out. */
export function target(query, path = EIO_PATH) {
  const pairs = Object.entries(query).filter(([, value]) => value != null);
  return `${path}?${pairs.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&')}`;
}

function inflated(headers, body) {
  switch (body.length > 0 && headers['content-encoding']) {
    case 'gzip':
      return gunzipSync(body);
    case 'deflate':
      return inflateSync(body);
    default:
      return body;
  }
}

/**
 * Sends one request (wait_ms: Infinity for a poll that may take its time) and resolves with { status, headers, body, text }. The returned promise has `abort()`,
 * which cuts the connection, and `sent`, which resolves when the request's last byte is with the kernel.
 */
export function request(server, { method = 'GET', path, headers = {}, body, agent = false, wait_ms }) {
  const options = { host: '127.0.0.1', port: server.port, method, path, headers, agent };
  const call = httpRequest(options);
  const sent = deferred();
  const answer = new Promise((resolve, reject) => {
    call.on('error', reject);
    call.on('response', (response) => {
      const chunks = [];
      response.on('error', reject);
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const raw = Buffer.concat(chunks);
        const plain = inflated(response.headers, raw);
        const { statusCode: status, headers: fields } = response;
        resolve({ status, headers: fields, body: plain, text: plain.toString(), wire: raw.length });
      });
    });
  });
  call.on('finish', () => call.socket?.write('', () => sent.resolve()) ?? sent.resolve());
  if (body !== undefined) {
    call.setHeader('content-length', Buffer.byteLength(body));
    call.write(body);
  }
  call.end();
  const result = within(answer, `the answer to ${method} ${path}`, wait_ms);
  result.catch(() => {});
  result.sent = sent.promise;
  result.abort = () => call.destroy();
  return result;
}

/** An agent whose requests spread over many kept-alive connections. */
export function manyConnections(sockets = 16) {
  return new Agent({ keepAlive: true, maxSockets: sockets, maxFreeSockets: sockets, scheduling: 'fifo' });
}

// A TCP connection on which the test writes what it likes.
export class RawSocket {
  constructor(socket) {
    this.socket = socket;
    this.received = Buffer.alloc(0);
    this.ended = deferred();
    this.changed = deferred();
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.ended.resolve(this.received);
      this.#wake();
    });
    socket.on('end', () => socket.end());
  }

  #wake() {
    const { resolve } = this.changed;
    this.changed = deferred();
    resolve();
  }

  static async open(server) {
    const socket = connect({ port: server.port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new RawSocket(socket);
  }

  write(bytes) {
    return new Promise((resolve) => this.socket.write(bytes, resolve));
  }

  get text() {
    return this.received.toString('latin1');
  }

  // Waits until what was received fits, and returns the match.
  async match(pattern) {
    const look = async () => {
      for (;;) {
        const found = pattern.exec(this.text);
        if (found || this.closed) {
          return found;
        }
        await this.changed.promise;
      }
    };
    const found = await within(look(), `${pattern} in ${JSON.stringify(this.text.slice(0, 400))}`);
    if (!found) {
      throw new Error(`connection closed before ${pattern}; got ${JSON.stringify(this.text.slice(0, 400))}`);
    }
    return found;
  }

  whenClosed() {
    return within(this.ended.promise, 'the server to close the connection');
  }

  destroy() {
    this.socket.destroy();
  }
}
