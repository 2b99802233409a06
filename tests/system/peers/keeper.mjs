// A server on npm's socket.io whose clients may come back as who they were: the twin of tests/servers/keeper.c.

import { createServer } from 'node:http';
import process from 'node:process';
import { Server } from 'socket.io';

const number = (name, fallback) => Number(process.env[name] ?? fallback);

const http = createServer((request, response) => response.writeHead(404).end());
const io = new Server(http, {
  pingInterval: number('PING_INTERVAL', 25000),
  pingTimeout: number('PING_TIMEOUT', 20000),
  connectionStateRecovery: {
    maxDisconnectionDuration: number('RECOVERY_WINDOW', 120000),
    skipMiddlewares: !process.env.ASKS,
  },
});
const held = [];

const rooms = (socket) => [...socket.rooms].filter((room) => room !== socket.id).sort();

function say(to, room, except, ...args) {
  const inside = room === '' ? to : to.to(room);
  (except === '' ? inside : inside.except(except)).emit('said', ...args);
}

const events = {
  rooms: (socket, args, ack) => ack(rooms(socket)),
  join: (socket, [room], ack) => {
    socket.join(room);
    ack(rooms(socket));
  },
  set: (socket, [text], ack) => {
    socket.data.text = text;
    ack();
  },
  who: (socket, args, ack) => ack(socket.recovered, socket.data.text ?? ''),
  say: (socket, [room, except, what], ack) => {
    say(io, room, except, what);
    ack();
  },
  'say-volatile': (socket, [room, except, what], ack) => {
    say(io.volatile, room, except, what, 'a text');
    ack();
  },
  others: (socket, args, ack) => {
    socket.broadcast.emit('said', ...args);
    ack();
  },
  self: (socket, args, ack) => {
    socket.emit('said', ...args);
    ack();
  },
  hold: (socket, args, ack) => held.push(ack),
  release: (socket, args, ack) => {
    held.splice(0).forEach((answer) => answer('released'));
    ack();
  },
  kick: (socket) => socket.disconnect(),
  'kick-close': (socket) => socket.disconnect(true),
  cut: (socket) => socket.conn.close(),
  known: (socket, args, ack) => ack(io.of('/').sockets.size),
};

io.use((socket, next) => next(socket.handshake.auth.refused ? new Error('Forbidden') : undefined));
io.on('connection', (socket) => {
  for (const [name, handle] of Object.entries(events)) {
    socket.on(name, (...args) => {
      const ack = typeof args.at(-1) === 'function' ? args.pop() : () => {};
      handle(socket, args, ack);
    });
  }
});
http.listen(number('PORT', 3000), '127.0.0.1', () => console.log(`keeper: listening on 127.0.0.1:${http.address().port}`));
process.on('SIGTERM', () => process.exit(0));
