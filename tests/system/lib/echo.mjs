// The guards of the servers that send back what they are sent, ws_echo and eio_echo. Their witnesses never stop talking.

import assert from 'node:assert/strict';
import { EngineClient } from './engine.mjs';
import { Guard } from './guard.mjs';
import { slower, until } from './wait.mjs';
import { frame, OP, Peer } from './ws.mjs';

const WARM_CLIENTS = 20;
const WARM_BYTES = 900000;
const PACE_MS = 5;
const WAIT_MS_MAX = 2000 * slower; // for an echo, however busy this program is itself

// Says something, waits for its echo, says the next thing. `echo(text)` fails when something else comes.
class Witness {
  heard = 0;
  longest_ms = 0;
  error = null;

  constructor(echo) {
    this.echo = echo;
    this.#talk();
  }

  async #talk() {
    try {
      for (;;) {
        const asked = performance.now();
        await this.echo(`said by the witness, ${this.heard}`);
        this.heard += 1;
        this.longest_ms = Math.max(this.longest_ms, performance.now() - asked);
        await new Promise((resolve) => setTimeout(resolve, PACE_MS));
      }
    } catch (error) {
      this.error = error;
    }
  }

  async isServed() {
    const enough = this.heard + 2; // of which the second was asked for after this call
    await until(() => this.error || this.heard >= enough, 'the witness to be served');
    assert.equal(this.error, null, `the witness: ${this.error?.message}`);
    assert.ok(this.longest_ms < WAIT_MS_MAX, `the witness waited ${Math.round(this.longest_ms)} ms`);
  }
}

class EchoGuard extends Guard {
  warmBytes = WARM_BYTES;

  async warmUp() {
    for (const open of this.ways()) {
      const clients = await Promise.all(Array.from({ length: WARM_CLIENTS }, open));
      await Promise.all(clients.map((client, i) => client.echo(i === 0 ? 'x'.repeat(this.warmBytes) : 'x')));
      await Promise.all(clients.map((client) => client.leave()));
    }
  }

  async enter() {
    const [open] = this.ways();
    const { echo } = await open();
    this.witness = new Witness(echo);
  }

  async begin() {
    this.witness.longest_ms = 0;
  }

  async isServed() {
    await this.witness.isServed();
    for (const open of this.ways()) {
      const newcomer = await open();
      try {
        await newcomer.echo('said by a new client');
      } finally {
        await newcomer.leave();
      }
    }
  }

  async stop() {
    await this.witness.isServed();
    await super.stop();
  }
}

/** Of plain WebSockets. */
export class WsGuard extends EchoGuard {
  static kind = 'ws_echo';

  /** How clients come: each gives `echo(text)` and `leave()`. */
  ways() {
    return [async () => {
      const peer = await Peer.open(this.server);
      return { echo: (text) => peer.echoes(text), leave: () => peer.destroy() };
    }];
  }
}

/** Of plain WebSockets in a hall, where each hears all: its own words are among them. */
export class HallGuard extends WsGuard {
  static kind = 'hall';

  ways() {
    return [async () => {
      const peer = await Peer.open(this.server);
      const echo = async (text) => {
        peer.send(text);
        await peer.frames.take(({ payload }) => payload.equals(Buffer.from(text)), 'its own words');
      };
      return { echo, leave: () => peer.destroy() };
    }];
  }
}

/** Of Engine.IO alone. */
export class EioGuard extends EchoGuard {
  static kind = 'eio_echo';

  ways() {
    return ['websocket', 'polling'].map((transport) => async () => {
      const client = await EngineClient.open(this.server, { transport });
      const echo = async (text) => {
        client.send(text);
        assert.equal(await client.next('the echo'), text);
      };
      const leave = async () => {
        if (transport === 'polling') {
          client.sendPacket('1');
          await client.whenClosed();
        }
        client.terminate();
      };
      return { echo, leave };
    });
  }
}

export async function opened(t, options = {}) {
  const peer = await Peer.open(t.server, options);
  t.after(() => peer.destroy());
  return peer;
}

/** Each of these is answered with that code, and the end; sent as a whole, and in single bytes, behind a message that is none. */
export async function allClosed(t, cases, code) {
  for (const [what, sent] of cases) {
    for (const step of [sent.length, 1]) {
      const peer = await opened(t);
      peer.write(frame(OP.TEXT, 'fine'));
      await peer.hears('fine');
      for (let at = 0; at < sent.length; at += step) {
        await peer.write(sent.subarray(at, at + step));
      }
      await peer.isClosed(code, `${what}, in steps of ${step}`);
    }
  }
}
