// What Engine.IO says to requests that it refuses, and how it is seen that a session has gone.

import assert from 'node:assert/strict';
import { RawSocket, request, target } from './http.mjs';
import { until } from './wait.mjs';

/** What a request that is refused is told, by its code. */
export const ERROR_TEXTS = {
  0: 'Transport unknown',
  1: 'Session ID unknown',
  2: 'Bad handshake method',
  3: 'Bad request',
  5: 'Unsupported protocol version',
};

/** The headers of a handshake of a WebSocket. */
export const UPGRADE = [
  'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
].join('\r\n');

// [method, query, code]: where several things are wrong, the first check in the specified order answers.
const ERRORS = [
  ['GET', {}, 0],
  ['GET', { EIO: 4 }, 0],
  ['GET', { EIO: 4, transport: 'foo' }, 0],
  ['GET', { EIO: 4, transport: '' }, 0],
  ['GET', { EIO: 4, transport: 'Polling' }, 0],
  ['GET', { EIO: 4, transport: '__proto__' }, 0],
  ['GET', { EIO: 4, transport: 'webtransport' }, 0],
  ['POST', { EIO: 3, transport: 'foo', sid: 'nobody' }, 0],
  ['GET', { EIO: 4, transport: 'polling', sid: 'nobody' }, 1],
  ['POST', { EIO: 4, transport: 'polling', sid: 'nobody' }, 1],
  ['PUT', { EIO: 3, transport: 'polling', sid: 'constructor' }, 1],
  ['GET', { EIO: 4, transport: 'polling', sid: 'x'.repeat(2000) }, 1],
  ['GET', { EIO: 4, transport: 'websocket', sid: 'nobody' }, 1],
  ['GET', { EIO: 4, transport: 'websocket', sid: 'SESSION' }, 3],
  ['POST', { EIO: 3, transport: 'websocket', sid: 'SESSION' }, 3],
  ['GET', { EIO: 3, transport: 'polling', sid: 'SESSION' }, 3],
  ['GET', { transport: 'polling', sid: 'SESSION' }, 3],
  ['POST', { EIO: 4, transport: 'polling' }, 2],
  ['PUT', { EIO: 4, transport: 'polling' }, 2],
  ['DELETE', { EIO: 3, transport: 'polling' }, 2],
  ['OPTIONS', { EIO: 4, transport: 'polling' }, 2],
  ['POST', { EIO: 4, transport: 'websocket' }, 2],
  ['GET', { EIO: 4, transport: 'websocket' }, 3],
  ['GET', { EIO: 3, transport: 'websocket' }, 3],
  ['GET', { transport: 'polling' }, 5],
  ['GET', { EIO: 3, transport: 'polling' }, 5],
  ['GET', { EIO: 5, transport: 'polling' }, 5],
  ['GET', { EIO: '4 ', transport: 'polling' }, 5],
];

export const error = (code) => JSON.stringify({ code, message: ERROR_TEXTS[code] });

const short = (what) => JSON.stringify(what).slice(0, 200);

/** That request gets 400 and the code, as JSON. */
export async function isError(server, method, query, code) {
  const { status, headers, text } = await request(server, { method, path: target(query, server.path) });
  const what = `${method} ${short(query)}`;
  assert.deepEqual([status, text], [400, error(code)], what);
  assert.match(headers['content-type'], /^application\/json/, what);
}

/** All of the table, where `sid` is a session by polling. */
export async function allErrors(server, sid) {
  for (const [method, query, code] of ERRORS) {
    await isError(server, method, { ...query, sid: query.sid === 'SESSION' ? sid : query.sid }, code);
  }
}

/** The handshake of a WebSocket gets 400, and the message of that code as a page. */
export async function isErrorOfWebSocket(server, query, code) {
  const socket = await RawSocket.open(server);
  try {
    socket.write(`GET ${target(query, server.path)} HTTP/1.1\r\n${UPGRADE}\r\n\r\n`);
    const text = (await socket.whenClosed()).toString();
    assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/, short(query));
    assert.match(text, /\r\ncontent-type: text\/html\r\n/i);
    assert.equal(text.slice(text.indexOf('\r\n\r\n') + 4), ERROR_TEXTS[code], short(query));
  } finally {
    socket.destroy();
  }
}

/** The server does not know the session any more; polls before that are refused, or told of the end and nothing else. */
export async function isGone(client) {
  const { server } = client;
  const path = target({ EIO: 4, transport: 'polling', sid: client.sid }, server.path);
  await until(async () => {
    const { status, text } = await request(server, { path });
    assert.ok(status === 400 || text === '1', `a session that has ended answered ${status} ${text}`);
    return text === error(1);
  }, 'the session to be unknown');
}
