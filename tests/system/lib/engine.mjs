// A raw Engine.IO client: sends exactly what the test says and shows exactly what came, over either transport.
//
//   open ──> polling: GET loop + POST queue ──upgrade()──> websocket
//        └─> websocket
//
// Messages (without the type digit, binary ones as Buffer) arrive in `inbox`; other packets in `control`.

import WebSocket from 'ws';
import { request, target, SEPARATOR } from './http.mjs';
import { deferred, Inbox, within } from './wait.mjs';

/** Splits the body of a poll's response into packets: strings, or Buffers for binary messages. */
export function decodeBody(text) {
  const packets = text === '' ? [] : text.split(SEPARATOR);
  return packets.map((packet) => (packet[0] === 'b' ? Buffer.from(packet.slice(1), 'base64') : packet));
}

/** Joins packets into the body of a POST. */
export function encodeBody(packets) {
  const texts = packets.map((packet) => (Buffer.isBuffer(packet) ? `b${packet.toString('base64')}` : packet));
  return texts.join(SEPARATOR);
}

// A WebSocket with an inbox of frames and a promise of its end.
export class RawWebSocket {
  constructor(server, query, options = {}) {
    const path = target({ EIO: 4, transport: 'websocket', ...query }, server.path);
    this.frames = new Inbox();
    this.end = deferred();
    this.ws = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, options.protocols ?? [], { perMessageDeflate: false, ...options });
    this.opened = deferred();
    this.ws.on('open', () => this.opened.resolve());
    this.ws.on('message', (data, binary) => this.frames.push(binary ? data : data.toString()));
    this.ws.on('unexpected-response', (_, response) => {
      this.opened.reject(new Error(`refused with ${response.statusCode}`));
      this.end.resolve({ code: 0, refused: response.statusCode });
      this.frames.end('refused');
      response.destroy();
    });
    this.ws.on('error', (error) => this.opened.reject(error));
    this.ws.on('close', (code, reason) => {
      this.end.resolve({ code, reason: reason.toString() });
      this.frames.end(`websocket closed with ${code}`);
    });
  }

  static async open(server, query, options) {
    const socket = new RawWebSocket(server, query, options);
    await within(socket.opened.promise, 'the websocket to open');
    return socket;
  }

  send(data) {
    this.ws.send(data, { binary: typeof data !== 'string' });
  }

  next(what) {
    return this.frames.next(what);
  }

  get isOpen() {
    return this.ws.readyState === WebSocket.OPEN;
  }

  whenClosed() {
    return within(this.end.promise, 'the websocket to close');
  }

  terminate() {
    this.ws.terminate();
  }
}

export class EngineClient {
  inbox = new Inbox();
  control = new Inbox();
  end = deferred();
  isClosed = false;
  autoPong = true;
  #posts = [];
  #posting = null;
  #polling = null;
  #paused = false;

  constructor(server, { transport = 'websocket', agent = false, headers = {}, query = {} } = {}) {
    Object.assign(this, { server, transport, agent, headers, query });
  }

  /** Opens a session and, on polling, starts the GET loop unless `loop` is false. */
  static async open(server, options = {}) {
    const client = new this(server, options);
    if (client.transport === 'polling') {
      const { status, text } = await client.get({ EIO: 4, transport: 'polling', ...client.query });
      if (status !== 200) {
        throw new Error(`handshake refused with ${status}: ${text}`);
      }
      client.accept(text.split(SEPARATOR)[0]);
      if (options.loop !== false) {
        client.startPolling();
      }
    } else {
      client.attach(await RawWebSocket.open(server, client.query, { headers: client.headers }));
      await within(client.openPacket.promise, 'the open packet');
    }
    return client;
  }

  openPacket = deferred();

  accept(packet) {
    if (packet[0] !== '0') {
      throw new Error(`expected an open packet, got ${packet}`);
    }
    this.handshake = JSON.parse(packet.slice(1));
    this.sid = this.handshake.sid;
    this.openPacket.resolve();
  }

  get query4() {
    return { EIO: 4, transport: 'polling', sid: this.sid };
  }

  get(query = this.query4, wait_ms = undefined) {
    return request(this.server, { path: target(query, this.server.path), headers: this.headers, agent: this.agent, wait_ms });
  }

  post(body, headers = {}) {
    return request(this.server, {
      method: 'POST',
      path: target(this.query4, this.server.path),
      headers: { 'content-type': 'text/plain;charset=UTF-8', ...this.headers, ...headers },
      agent: this.agent,
      body,
    });
  }

  // One GET, its packets handed out: for tests that poll by hand.
  async poll() {
    const { status, text } = await this.get();
    if (status !== 200) {
      throw new Error(`poll answered ${status} ${text}`);
    }
    return decodeBody(text);
  }

  startPolling() {
    this.#paused = false;
    this.#polling = this.#pollLoop();
  }

  async #pollLoop() {
    while (!this.#paused && !this.isClosed) {
      const answer = await this.get(this.query4, Infinity).catch((error) => ({ status: 0, text: error.message }));
      if (answer.status !== 200) {
        this.close(`poll answered ${answer.status} ${answer.text}`);
        return;
      }
      for (const packet of decodeBody(answer.text)) {
        this.receive(packet);
      }
    }
  }

  attach(socket) {
    this.socket = socket;
    this.transport = 'websocket';
    socket.end.promise.then(({ code }) => this.close(`websocket closed with ${code}`));
    this.#readFrames(socket);
  }

  async #readFrames(socket) {
    socket.ws.removeAllListeners('message');
    for (const frame of socket.frames.items.splice(0)) {
      this.receive(frame);
    }
    socket.ws.on('message', (data, binary) => this.receive(binary ? data : data.toString()));
  }

  receive(packet) {
    if (Buffer.isBuffer(packet)) {
      this.inbox.push(packet);
      return;
    }
    switch (packet[0]) {
      case '0':
        this.accept(packet);
        break;
      case '1':
        this.close('server sent close');
        break;
      case '2':
        this.control.push(packet);
        if (this.autoPong) {
          this.sendPacket('3');
        }
        break;
      case '4':
        this.inbox.push(packet.slice(1));
        break;
      default:
        this.control.push(packet);
    }
  }

  close(reason) {
    if (!this.isClosed) {
      this.isClosed = true;
      this.end.resolve(reason);
      this.inbox.end(reason);
      this.control.end(reason);
    }
  }

  whenClosed() {
    return within(this.end.promise, 'the session to end');
  }

  // Sends an Engine.IO packet: a string with its type digit, or a Buffer as a binary message.
  sendPacket(packet) {
    if (this.transport === 'websocket') {
      this.socket.send(packet);
    } else {
      this.#posts.push(packet);
      this.#posting ??= this.#postAll().finally(() => (this.#posting = null));
    }
  }

  async #postAll() {
    while (this.#posts.length > 0 && !this.isClosed) {
      const body = encodeBody(this.#posts.splice(0));
      const answer = await this.post(body).catch((error) => ({ status: 0, text: error.message }));
      if (answer.status !== 200) {
        this.close(`post answered ${answer.status} ${answer.text}`);
      }
    }
  }

  send(...messages) {
    for (const message of messages) {
      this.sendPacket(Buffer.isBuffer(message) ? message : `4${message}`);
    }
  }

  next(what) {
    return this.inbox.next(what);
  }

  /** Polls no more once the poll that waits has returned. */
  async pausePolling() {
    this.#paused = true;
    await within(this.#polling, 'the last poll to return');
    await this.#posting;
  }

  /** The upgrade as official clients do it; resolves when the session is on the WebSocket. */
  async upgrade() {
    const socket = await RawWebSocket.open(this.server, { sid: this.sid });
    socket.send('2probe');
    const answer = await socket.next('the answer to the probe');
    if (answer !== '3probe') {
      throw new Error(`expected 3probe, got ${answer}`);
    }
    await this.pausePolling();
    socket.send('5');
    this.attach(socket);
    for (const packet of this.#posts.splice(0)) {
      this.sendPacket(packet);
    }
  }

  terminate() {
    this.close('terminated by the test');
    this.socket?.terminate();
  }
}
