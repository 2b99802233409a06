// Someone in a chat, on an official JavaScript client: what was heard is kept, in order, and can be waited for.

import { deferred, Inbox, within } from './wait.mjs';

export class Person {
  heard = new Inbox();
  #connected = deferred();
  #gone = deferred();

  /** `io` is the client library's entry; options go to it; `answer` replies to the probe's questions. */
  constructor(io, server, options = {}, nsp = '/') {
    this.socket = io(server.url + nsp, { forceNew: true, reconnection: false, ...options });
    this.socket.onAny((...event) => this.#hear(event));
    this.socket.on('connect', () => this.#connected.resolve());
    this.socket.on('connect_error', (error) => this.#connected.reject(error));
    this.socket.on('disconnect', (reason) => {
      this.#gone.resolve(reason);
      this.#gone = deferred();
    });
    this.answer = (...args) => args;
  }

  static async arrive(io, server, options, nsp) {
    const person = new Person(io, server, options, nsp);
    await person.connected();
    return person;
  }

  #hear(event) {
    const reply = event.at(-1);
    if (typeof reply === 'function') {
      event.pop();
      const answer = this.answer(...event.slice(1));
      if (answer) {
        reply(...answer);
      }
    }
    this.heard.push(event);
  }

  connected() {
    return within(this.#connected.promise, 'the client to connect');
  }

  /** The reason of the next disconnect, as this side has it. Ask before it happens. */
  disconnected() {
    return within(this.#gone.promise, 'the client to be disconnected');
  }

  say(...args) {
    this.socket.emit(...args);
  }

  ask(...args) {
    const ack = deferred();
    this.socket.emit(...args, (...answer) => ack.resolve(answer));
    return within(ack.promise, `the acknowledgement of ${args[0]}`);
  }

  /** The arguments of the next event of that name; others before it are dropped. */
  async hears(name) {
    const event = await this.heard.take(([heard]) => heard === name, `the event ${name}`);
    return event.slice(1);
  }

  get transport() {
    return this.socket.io.engine.transport.name;
  }

  leave() {
    this.socket.disconnect();
    this.socket.io.engine?.close();
  }
}

/** What `connect_error` has, of a client that must not come in. `where` is a server, options go to the client library `io`. */
export async function refused(t, io, where, options = {}, nsp = '/') {
  const socket = io(where.url + nsp, { forceNew: true, reconnection: false, ...options });
  const error = deferred();
  socket.on('connect', () => error.reject(new Error('it was let in')));
  socket.on('connect_error', (what) => error.resolve(what));
  t.after(() => {
    socket.disconnect();
    socket.io.engine?.close();
  });
  return within(error.promise, 'connect_error');
}
