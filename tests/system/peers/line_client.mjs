// An official JavaScript client driven by lines: `node line_client.mjs URL websocket|polling|upgrade [AUTH as JSON]`.
// In: {"emit":[name, ...args]} or {"ask":[name, ...args]} or {"leave":true}, one JSON value a line.
// Out: {"connected":true}, {"event":[name, ...args]}, {"ack":[...]}, {"gone":reason}.
// Binary is {"$binary":"base64"} both ways. peers/line_client.py is the same in Python.

import process from 'node:process';
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';
import { fromLine, toLine } from '../lib/lines.mjs';

const [url, name, auth] = process.argv.slice(2);
const transports = name === 'upgrade' ? ['polling', 'websocket'] : [name];
const socket = io(url, { transports, reconnection: false, auth: JSON.parse(auth ?? 'null') ?? undefined });
const print = (value) => process.stdout.write(`${toLine(value)}\n`);

socket.on('connect', () => print({ connected: true }));
socket.on('connect_error', (error) => print({ gone: error.message }));
socket.on('disconnect', (reason) => print({ gone: reason }));
socket.onAny((...event) => {
  const reply = event.at(-1);
  if (typeof reply === 'function') {
    event.pop();
    reply(...event.slice(1));
  }
  print({ event });
});

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = fromLine(line);
    if (command.emit) {
      socket.emit(...command.emit);
    } else if (command.ask) {
      socket.emit(...command.ask, (...args) => print({ ack: args }));
    } else {
      socket.disconnect();
    }
  })
  .on('close', () => process.exit(0));
