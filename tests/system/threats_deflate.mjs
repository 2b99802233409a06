// Bad input by the numbers of the list of threats, 28, 38 and 39: compressed WebSocket messages, which have not been agreed on.

import assert from 'node:assert/strict';
import { constants, deflateRawSync } from 'node:zlib';
import { allClosed, opened, WsGuard } from './lib/echo.mjs';
import { run, test } from './lib/tap.mjs';
import { asker, frame, handshake, OP, rsv } from './lib/ws.mjs';

const bytes = (hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

const guard = await WsGuard.start();

guard.threat('threat 28: compression with parameters twice, 16, abc, or good ones: declined', async (t) => {
  for (const offer of [
    'permessage-deflate; server_max_window_bits=10; server_max_window_bits=10', 'permessage-deflate; client_max_window_bits=16',
    'permessage-deflate; server_max_window_bits=abc', 'permessage-deflate; client_no_context_takeover; client_no_context_takeover',
    'permessage-deflate; server_max_window_bits', 'permessage-deflate; client_max_window_bits=7, permessage-deflate', 'permessage-deflate',
    'permessage-deflate; client_max_window_bits', 'x-webkit-deflate-frame', 'permessage-deflate; unknown=1', 'permessage-bzip2, permessage-deflate; server_max_window_bits="10"',
    Array(300).fill('permessage-deflate; client_max_window_bits').join(),
  ]) {
    const peer = await opened(t, { lines: [`Sec-WebSocket-Extensions: ${offer}`] });
    assert.doesNotMatch(peer.answer, /sec-websocket-extensions/i, offer.slice(0, 100));
    await peer.echoes('uncompressed '.repeat(200));
    peer.write(rsv(OP.TEXT, 4, bytes('f2 48 cd c9 c9 07 00'))); // RFC 7692, 7.2.3.1: "Hello"
    await peer.isClosed(1002, offer.slice(0, 100));
  }
  for (const offer of [';', '=', 'permessage-deflate;;', 'permessage-deflate; =1', ',', '"', 'permessage-deflate; a="', '']) {
    const { ask } = await asker(t, t.server);
    const { status, names } = await ask(handshake({ lines: [`Sec-WebSocket-Extensions: ${offer}`] }));
    assert.ok([101, 400].includes(status), `${offer} got ${status}`); // no list at all: that may be said
    assert.ok(!names.includes('sec-websocket-extensions'), offer);
  }
});

/** So much of it as compressed messages have: zeros that take a thousandth. */
function bomb(times) {
  const million = deflateRawSync(Buffer.alloc(1 << 20), { level: 9, finishFlush: constants.Z_SYNC_FLUSH });
  return Buffer.concat(Array(times).fill(million));
}

// There is no compression yet: so of these numbers what a client sends that believes it has been agreed on.
guard.threat('threat 38: 6 MB that would inflate to 6 GB: 1002, and nothing is inflated', async (t) => {
  const sent = bomb(6000);
  assert.ok(sent.length > 6e6 && sent.length < 7e6);
  for (const offer of [[], ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits']]) {
    const peer = await opened(t, { lines: offer });
    peer.write(rsv(OP.BINARY, 4, sent));
    await peer.isClosed(1002, 'the whole');
    const piecewise = await opened(t, { lines: offer });
    piecewise.write(rsv(OP.TEXT, 4, sent.subarray(0, 60000), { fin: false }));
    piecewise.write(frame(OP.CONTINUATION, sent.subarray(60000, 120000)));
    await piecewise.isClosed(1002, 'in fragments');
  }
});

guard.threat('threat 39: what is no compressed data: 1002', (t) => allClosed(t, [
  ['noise', rsv(OP.TEXT, 4, bytes('ff ff ff ff'))], ['a block of no type', rsv(OP.BINARY, 4, bytes('07 00'))],
  ['a stored block of another length', rsv(OP.TEXT, 4, bytes('00 05 00 05 00 41'))], ['a distance before the beginning', rsv(OP.TEXT, 4, bytes('4b 04 82 00'))],
  ['nothing', rsv(OP.TEXT, 4)], ['half of it', rsv(OP.TEXT, 4, bytes('f2 48'))],
], 1002));

test('the server ends without complaints', () => guard.stop());

await run();
