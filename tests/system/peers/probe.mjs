// The probe server on npm's socket.io: the twin of tests/servers/probe.c, which has the same events and options.
// Namespaces / and /custom; see README.md for what each event does.

import { createServer } from 'node:http';
import process from 'node:process';
import { Server } from 'socket.io';

const number = (name, fallback) => Number(process.env[name] ?? fallback);

const http = createServer((request, response) => {
  response.writeHead(404).end();
});

const io = new Server(http, {
  pingInterval: number('PING_INTERVAL', 25000),
  pingTimeout: number('PING_TIMEOUT', 20000),
  maxHttpBufferSize: number('MAX_PAYLOAD', 1000000),
  connectTimeout: number('CONNECT_TIMEOUT', 45000),
  upgradeTimeout: number('UPGRADE_TIMEOUT', 10000),
});

const QUESTION_MS = 1000;
const reasons = [];
let held = [];

// Splits what a handler got into its arguments and the acknowledgement, if the client asked for one.
function split(args) {
  const ack = typeof args.at(-1) === 'function' ? args.pop() : () => {};
  return { args, ack };
}

function on(socket, event, handler) {
  socket.on(event, (...all) => {
    const { args, ack } = split(all);
    handler(args, ack);
  });
}

function talk(namespace, socket) {
  on(socket, 'message', (args) => namespace.emit('message', ...args));
  on(socket, 'others', (args) => socket.broadcast.emit('others', ...args));
  on(socket, 'echo', (args, ack) => ack(...args));
  on(socket, 'join', ([room], ack) => {
    socket.join(room);
    ack('ok');
  });
  on(socket, 'leave', ([room], ack) => {
    socket.leave(room);
    ack('ok');
  });
  on(socket, 'say', ([room, ...args]) => socket.to(room).emit('said', room, ...args));
  on(socket, 'say-all', ([room, ...args]) => namespace.in(room).emit('said', room, ...args));
  on(socket, 'flood', ([count, bytes]) => {
    for (let i = 0; i < count; i++) {
      socket.emit('flood', i, 'x'.repeat(bytes));
    }
  });
  on(socket, 'sparing', ([from, count, bytes], ack) => {
    for (let i = from; i < from + count; i++) {
      socket.volatile.broadcast.emit('maybe', i);
      socket.broadcast.emit('surely', i, '0'.repeat(bytes));
    }
    ack();
  });
}

function acknowledge(socket) {
  on(socket, 'hold', (args, ack) => held.push(ack));
  on(socket, 'hold-count', (args, ack) => ack(held.length));
  on(socket, 'release', ([value]) => {
    const acks = held;
    held = [];
    for (const ack of acks) {
      ack(value);
    }
  });
  on(socket, 'ask', (args) => {
    socket.timeout(QUESTION_MS).emit('question', ...args, (error, ...answer) => {
      if (error) {
        socket.emit('unanswered');
      } else {
        socket.emit('answered', ...answer);
      }
    });
  });
}

function look(namespace, socket) {
  on(socket, 'who', (args, ack) => ack(namespace.sockets.size));
  on(socket, 'reasons', (args, ack) => ack(reasons));
  on(socket, 'stats', (args, ack) => ack({ late_acks: 0 }));
  on(socket, 'kick', () => socket.disconnect());
  on(socket, 'kick-close', () => socket.disconnect(true));
  on(socket, 'cut', () => socket.conn.close());
}

for (const name of ['/', '/custom']) {
  const namespace = io.of(name);
  namespace.on('connection', (socket) => {
    console.log(`connect ${name} ${socket.id}`);
    socket.on('disconnect', (reason) => {
      console.log(`disconnect ${name} ${socket.id} ${reason}`);
      reasons.push(reason);
    });
    talk(namespace, socket);
    acknowledge(socket);
    look(namespace, socket);
    socket.emit('welcome', { nsp: name, auth: socket.handshake.auth });
    socket.emit('first', (...answer) => socket.emit('first-answer', ...answer));
  });
}

http.listen(number('PORT', 3000), '127.0.0.1', () => {
  console.log(`probe: listening on 127.0.0.1:${http.address().port}`);
});
