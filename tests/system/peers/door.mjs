// The door on npm's socket.io: the twin of tests/servers/door.c in what Node's server has: allowRequest, middleware, and
// handlers of any event. HTTP, sio_with() and figures are ours alone.

import { createServer } from 'node:http';
import process from 'node:process';
import { Server } from 'socket.io';

const GOOD_ORIGIN = 'http://good.example';
const REFUSALS = {
  bare: ['no "entry"'],
  data: ['ünï', { code: 7, why: [1, null] }],
  number: ['', 42],
};

const http = createServer((request, response) => {
  response.writeHead(404).end();
});

const io = new Server(http, {
  connectTimeout: Number(process.env.CONNECT_TIMEOUT ?? 45000),
  allowRequest(request, callback) {
    const { origin = GOOD_ORIGIN } = request.headers;
    callback(origin === GOOD_ORIGIN ? null : 'a "foreign" origin', origin === GOOD_ORIGIN);
  },
});

function admit(socket, next) {
  const [message, data] = REFUSALS[socket.handshake.auth.as] ?? [];
  next(message === undefined ? undefined : Object.assign(new Error(message), { data }));
}

io.use(admit);
io.of('/closed').use((socket, next) => next(new Error('Forbidden')));
io.of('/silent');
io.on('connection', (socket) => {
  socket.emit('welcome', socket.request.headers['x-name'] ?? '');
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === 'function' ? args.pop() : () => {};
    ack(event, ...args);
  });
});

http.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`door: listening on 127.0.0.1:${http.address().port}`);
});
