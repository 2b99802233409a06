// The guard of a Socket.IO server, the twin: its witness is an official client.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { EngineClient } from './engine.mjs';
import { Guard as AnyGuard } from './guard.mjs';
import { Person } from './person.mjs';
import { deferred } from './wait.mjs';

const WARM_CLIENTS = 20;
const WARM_BYTES = 900000;

/** A server with a witness, and one who hears why others have gone. */
export class Guard extends AnyGuard {
  static kind = 'twin';

  // Memory that is asked for once, for the first clients and the first large message, is no harm that a threat does.
  async warmUp() {
    for (const transport of ['polling', 'websocket']) {
      const clients = await Promise.all(Array.from({ length: WARM_CLIENTS }, () => EngineClient.open(this.server, { transport })));
      for (const client of clients) {
        client.send('0');
        await client.next('CONNECT');
        await client.next('welcome');
      }
      clients[0].send(`21["say","all","","","${'x'.repeat(WARM_BYTES)}"]`);
      await clients[0].inbox.take((packet) => packet === '31["ok"]', 'the large message');
      clients.forEach((client) => (transport === 'polling' ? client.sendPacket('1') : client.terminate()));
      await Promise.all(clients.map((client) => client.whenClosed()));
    }
  }

  async enter() {
    const transports = ['websocket'];
    this.witness = await Person.arrive(io, this.server, { transports, auth: { name: 'witness' } });
    await this.witness.hears('welcome');
    this.watcher = await Person.arrive(io, this.server, { transports, auth: { name: 'watcher' } });
    await this.watcher.ask('join', 'watchers');
  }

  async begin() {
    this.witness.heard.items.splice(0); // of a threat that has failed before
  }

  async isServed() {
    assert.deepEqual(await this.witness.ask('rooms'), [[]], 'the witness is served');
    assert.deepEqual(this.witness.heard.items.splice(0), [], 'the witness heard what nobody may say');
    const newcomer = await Person.arrive(io, this.server, { transports: ['websocket'] });
    try {
      await newcomer.hears('welcome');
      assert.deepEqual(await newcomer.ask('rooms'), [[]], 'a new client is served');
    } finally {
      newcomer.leave();
    }
  }

  /** The reason that the server had for the end of the client of that name; `goes(name)` is asked before it goes. */
  goes(name) {
    const reason = deferred();
    const listener = (who, why) => {
      if (who === name) {
        this.watcher.socket.off('gone', listener);
        reason.resolve(why);
      }
    };
    this.watcher.socket.on('gone', listener);
    return reason.promise;
  }

  async stop() {
    assert.ok(this.witness.socket.connected, 'the witness is there to the end');
    await super.stop();
  }
}
