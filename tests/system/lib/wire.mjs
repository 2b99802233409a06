// A wire between a client and a server that can be cut: in order, by a reset, or so that only one side hears of it.

import { createServer, connect } from 'node:net';

export class Wire {
  pairs = new Set();

  static async to(server) {
    const wire = new Wire();
    wire.listener = createServer((near) => wire.#join(near, server.port));
    await new Promise((resolve) => wire.listener.listen(0, '127.0.0.1', resolve));
    wire.port = wire.listener.address().port;
    wire.url = `http://127.0.0.1:${wire.port}`;
    return wire;
  }

  #join(near, port) {
    const far = connect(port, '127.0.0.1');
    const pair = { near, far };
    this.pairs.add(pair);
    near.setNoDelay(true);
    far.setNoDelay(true);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    near.on('data', (data) => far.write(data));
    far.on('data', (data) => near.write(data));
    near.on('close', () => pair.half || far.destroy());
    far.on('close', () => {
      near.destroy();
      this.pairs.delete(pair);
    });
  }

  /** All connections: 'end' in order, 'reset', or 'half': the server does not hear of it. Those that come later are served. */
  cut(how) {
    for (const pair of this.pairs) {
      if (pair.half) {
        continue;
      }
      pair.half = how === 'half';
      if (how === 'reset') {
        pair.far.resetAndDestroy();
        pair.near.resetAndDestroy();
      } else {
        pair.near.destroy();
      }
    }
  }

  close() {
    this.listener.close();
    for (const { near, far } of this.pairs) {
      near.destroy();
      far.destroy();
    }
  }
}
