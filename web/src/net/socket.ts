// The transport: socket.io-client on /chat. Reconnection is ours (models/connection), so the library's is off.

import { io, type Socket } from 'socket.io-client';

import type { Transport, TransportEvents } from '../models/transport';
import {
  type Answer,
  type Args,
  type CommandName,
  EVENTS,
  failure,
  NAMESPACE,
  notSent,
  type EventName,
  type Pushed,
  toAnswer,
} from '../protocol';

const CONNECT_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 15_000; // the server answers each command within 10 s

export class SocketTransport implements Transport {
  #socket: Socket | null = null;

  open(events: TransportEvents): void {
    this.close();
    const socket = io(NAMESPACE, {
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnection: false,
      timeout: CONNECT_TIMEOUT_MS,
      forceNew: true,
    });
    this.#socket = socket;
    const ended = (reason: string) => {
      if (this.#socket !== socket) return;
      this.close();
      events.closed(reason);
    };
    socket.on('connect', () => events.opened());
    socket.on('connect_error', (error) => ended(error.message));
    socket.on('disconnect', (reason) => ended(reason));
    for (const event of Object.keys(EVENTS) as EventName[]) {
      socket.on(event, (data: Pushed[typeof event]) => {
        if (this.#socket === socket) events.pushed(event, data);
      });
    }
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.disconnect();
    socket?.io.engine?.close();
  }

  readonly call = async <C extends CommandName>(command: C, args: Args[C]): Promise<Answer<C>> => {
    const socket = this.#socket;
    // Not connected, it would be kept and sent on the next connection, before its hello.
    if (!socket?.connected) return notSent();
    try {
      return toAnswer<C>(await socket.timeout(ANSWER_TIMEOUT_MS).emitWithAck(command, args));
    } catch {
      return failure(socket.connected ? 'timeout' : 'lost');
    }
  };
}
