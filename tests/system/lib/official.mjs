// npm's engine.io-client, as the tests use it.

import assert from 'node:assert/strict';
import { Socket } from 'engine.io-client';
import { deferred, Inbox, within } from './wait.mjs';

const short = (what) => JSON.stringify(what.toString()).slice(0, 100);

// A client whose messages come to `heard`.
export class Official {
  heard = new Inbox();
  opened = deferred();
  upgraded = deferred();
  closed = deferred();

  constructor(where, transports) {
    this.socket = new Socket(where.url, { path: where.path, transports });
    this.socket.on('open', () => this.opened.resolve());
    this.socket.on('upgrade', () => this.upgraded.resolve());
    this.socket.on('message', (data) => this.heard.push(data));
    this.socket.on('error', (error) => this.opened.reject(error));
    this.socket.on('close', (reason) => {
      this.closed.resolve(reason);
      this.heard.end(reason);
    });
  }

  static async arrive(t, transports, where) {
    const client = new this(where, transports);
    t.after(() => client.socket.close());
    await within(client.opened.promise, 'the client to be open');
    return client;
  }

  get sid() {
    return this.socket.id;
  }

  async hears(wanted) {
    const heard = await this.heard.next('the echo');
    assert.equal(typeof heard, typeof wanted);
    assert.ok(Buffer.from(heard).equals(Buffer.from(wanted)), `${short(heard)} is not ${short(wanted)}`);
  }
}
