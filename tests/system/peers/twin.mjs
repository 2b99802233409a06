// The server of the differential tests on npm's socket.io: the twin of tests/servers/twin.c, which has the same namespaces and
// events. README.md says what each does.

import { createServer } from 'node:http';
import process from 'node:process';
import { Server } from 'socket.io';

const number = (name, fallback) => Number(process.env[name] ?? fallback);
const list = (text) => (text === '' ? [] : text.split(','));

const http = createServer((request, response) => response.writeHead(404).end());
const origin = ['http://one.example', 'http://two.example'];
const cors = {
  any: { origin: '*' },
  named: { origin, credentials: true },
  all: { origin, credentials: true, methods: ['GET', 'POST'], allowedHeaders: ['X-One', 'X-Two'], exposedHeaders: 'X-Hello', maxAge: 600 },
}[process.env.CORS];

const io = new Server(http, {
  ...(cors ? { cors } : {}),
  ...(process.env.COOKIE ? { cookie: { name: 'io', path: '/', httpOnly: true, sameSite: 'lax' } } : {}),
  pingInterval: number('PING_INTERVAL', 25000),
  pingTimeout: number('PING_TIMEOUT', 20000),
  connectTimeout: number('CONNECT_TIMEOUT', 45000),
  upgradeTimeout: number('UPGRADE_TIMEOUT', 10000),
});
io.engine.on('initial_headers', (headers, request) => {
  if (request.headers['x-from']) {
    headers['X-Hello'] = `hello ${request.headers['x-from']}`;
  }
});
const seen = { in: [], out: [] };

// Whom a client means: rooms and exceptions as lists in text; from the socket (not itself) or from the namespace.
function target(from, rooms, except) {
  const whole = list(rooms).reduce((to, room) => to.to(room), from);
  return list(except).reduce((to, room) => to.except(room), whole);
}

const whom = (socket, [who, rooms, except]) => target(who === 'others' ? socket.broadcast : socket.nsp, rooms, except);

function rooms(socket) {
  return [...socket.rooms].filter((room) => room !== socket.id).sort();
}

const events = {
  join: (socket, [room], ack) => {
    socket.join(room);
    ack(rooms(socket));
  },
  leave: (socket, [room], ack) => {
    socket.leave(room);
    ack(rooms(socket));
  },
  rooms: (socket, args, ack) => ack(rooms(socket)),
  say: (socket, [who, in_, except, ...args], ack) => {
    whom(socket, [who, in_, except]).emit('said', ...args);
    ack('ok');
  },
  'say-uncompressed': (socket, [who, in_, except, ...args], ack) => {
    whom(socket, [who, in_, except]).compress(false).emit('said', ...args);
    ack('ok');
  },
  'say-local': (socket, [who, in_, except, ...args], ack) => {
    whom(socket, [who, in_, except]).local.emit('said', ...args);
    ack('ok');
  },
  'join-all': (socket, [who, in_, except, room], ack) => {
    whom(socket, [who, in_, except]).socketsJoin(room);
    ack('ok');
  },
  'leave-all': (socket, [who, in_, except, room], ack) => {
    whom(socket, [who, in_, except]).socketsLeave(room);
    ack('ok');
  },
  'send-away': (socket, [who, in_, except, close], ack) => {
    whom(socket, [who, in_, except]).disconnectSockets(close === 'close');
    ack('ok');
  },
  fetch: async (socket, args, ack) => {
    const found = await whom(socket, args).fetchSockets();
    ack(found.map(({ id }) => id).sort());
  },
  'ask-all': (socket, [who, in_, except, ms], ack) => {
    whom(socket, [who, in_, except]).timeout(ms).emit('question', 'all', (error, answers) => ack(!error, answers.sort()));
  },
  seen: (socket, args, ack) => ack(seen.in.splice(0), seen.out.splice(0)),
  nothing: (socket, args, ack) => {
    socket.emit('said', 'nothing');
    ack('handled');
  },
  'leave-us': (socket) => socket.disconnect(),
};

function serve(namespace) {
  namespace.on('connection', (socket) => {
    const { name } = socket.handshake.auth;
    for (const [event, handle] of Object.entries(events)) {
      socket.on(event, (...args) => {
        const ack = typeof args.at(-1) === 'function' ? args.pop() : () => {};
        handle(socket, args, ack);
      });
    }
    socket.on('disconnecting', (reason) => socket.to('watchers').emit('going', name, reason, rooms(socket)));
    socket.on('disconnect', (reason) => socket.to('watchers').emit('gone', name, reason, rooms(socket)));
    socket.emit('welcome', socket.nsp.name, socket.handshake.query.from ?? null, socket.handshake.headers['x-from'] ?? null,
      Math.abs(Date.now() - socket.handshake.issued) < 60000, socket.handshake.secure);
  });
}

// What a client asks for by its auth: {"wait": ms} lets it wait, {"refuse": n} is refused by the n-th function.
function middleware(n) {
  return (socket, next) => {
    const { wait = 0, refuse = 0 } = socket.handshake.auth;
    const decide = () => {
      if (refuse !== n) {
        next();
        return;
      }
      const error = new Error(`refused by ${n}`);
      error.data = { step: n };
      next(error);
    };
    if (wait > 0) {
      setTimeout(decide, wait);
    } else {
      decide();
    }
  };
}

for (const namespace of [io.of('/'), io.of(/^\/child-\d+$/)]) {
  namespace.use(middleware(1));
  namespace.use(middleware(2));
  serve(namespace);
}

// Everything is seen here, and what begins with "no" goes no further.
const watched = io.of('/watched');
watched.on('connection', (socket) => {
  socket.onAny((name, ...args) => seen.in.push([name, ...args.filter((arg) => typeof arg !== 'function')]));
  socket.onAnyOutgoing((name, ...args) => seen.out.push([name, ...args]));
  socket.use(([name, ...args], next) => {
    if (!name.startsWith('no')) {
      next();
      return;
    }
    args.at(-1)?.('dropped');
    next(new Error('dropped'));
  });
  socket.on('error', () => {});
});
serve(watched);

http.listen(number('PORT', 3000), '127.0.0.1', () => {
  console.log(`twin: listening on 127.0.0.1:${http.address().port}`);
});
