// A raw Socket.IO client on EngineClient: packets are read with the official parser, written as text by the test
// or with the official encoder. Anything the parser refuses is a violation, kept in `violation`.

import { Decoder, Encoder, PacketType } from 'socket.io-parser';
import { EngineClient } from './engine.mjs';
import { deferred, Inbox, within } from './wait.mjs';

export { PacketType };

export class SioClient extends EngineClient {
  packets = new Inbox();
  violation = null;
  sockets = new Map();
  #decoder = new Decoder();
  #encoder = new Encoder();
  #acks = new Map();
  #nextAck = 1;

  constructor(server, options) {
    super(server, options);
    this.onEvent = options?.onEvent ?? null;
    this.keepAll = options?.keepAll ?? true;
    this.#decoder.on('decoded', (packet) => this.#decoded(packet));
  }

  /** Opens a session and joins the namespace; the greeting events are consumed. */
  static async join(server, options = {}, nsp = '/', auth = undefined) {
    const client = await this.open(server, options);
    await client.connectTo(nsp, auth);
    return client;
  }

  receive(packet) {
    super.receive(packet);
    while (this.inbox.items.length > 0) {
      const message = this.inbox.items.shift();
      try {
        this.#decoder.add(message);
      } catch (error) {
        this.violation ??= new Error(`${error.message} in ${String(message).slice(0, 300)}`);
      }
    }
  }

  close(reason) {
    super.close(reason);
    this.packets.end(reason);
    for (const { reject } of this.#acks.values()) {
      reject(new Error(`ended: ${reason}`));
    }
    this.#acks.clear();
  }

  #decoded(packet) {
    const key = `${packet.nsp} ${packet.id}`;
    if (packet.type === PacketType.ACK && this.#acks.has(key)) {
      const { resolve } = this.#acks.get(key);
      this.#acks.delete(key);
      resolve(packet.data);
    } else if (packet.type === PacketType.EVENT && this.onEvent?.(packet)) {
      // the test has dealt with it
    } else if (this.keepAll) {
      this.packets.push(packet);
    }
  }

  encode(packet) {
    return this.#encoder.encode(packet);
  }

  async connectTo(nsp = '/', auth = undefined) {
    this.send(...this.encode({ type: PacketType.CONNECT, nsp, data: auth }));
    const reply = await this.packets.take(
      (packet) => packet.nsp === nsp && [PacketType.CONNECT, PacketType.CONNECT_ERROR].includes(packet.type),
      `the reply to CONNECT ${nsp}`,
    );
    if (reply.type === PacketType.CONNECT_ERROR) {
      throw new Error(reply.data.message);
    }
    this.sockets.set(nsp, reply.data.sid);
    await this.event('first', nsp);
    return reply.data.sid;
  }

  emit(...args) {
    this.emitIn('/', ...args);
  }

  emitIn(nsp, ...args) {
    this.send(...this.encode({ type: PacketType.EVENT, nsp, data: args }));
  }

  /** Emits with a request for an acknowledgement; resolves with its arguments. */
  async ask(...args) {
    return this.askIn('/', ...args);
  }

  async askIn(nsp, ...args) {
    const id = this.#nextAck++;
    const ack = deferred();
    this.#acks.set(`${nsp} ${id}`, ack);
    this.send(...this.encode({ type: PacketType.EVENT, nsp, id, data: args }));
    return within(ack.promise, `the acknowledgement of ${String(args[0])}`);
  }

  /** The next event of that name, other packets dropped: its arguments. */
  async event(name, nsp = '/') {
    const fits = ({ type, nsp: from, data }) => type === PacketType.EVENT && from === nsp && data[0] === name;
    const packet = await this.packets.take(fits, `the event ${name}`);
    return packet.data.slice(1);
  }

  /** Fails if what came so far was malformed. */
  check() {
    if (this.violation) {
      throw this.violation;
    }
  }
}
