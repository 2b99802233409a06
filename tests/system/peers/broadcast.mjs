// The broadcast example on npm's socket.io: the twin of examples/broadcast.
// What anyone emits as `message` everybody hears; `echo` is acknowledged with what came; /chat is a page to talk on.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { Server } from 'socket.io';

const page = readFileSync(new URL('./chat.html', import.meta.url));

const http = createServer((request, response) => {
  if (request.url === '/chat') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
  } else {
    response.writeHead(404).end();
  }
});

const io = new Server(http);

io.on('connection', (socket) => {
  console.log(`${socket.id} connected`);
  socket.on('disconnect', (reason) => console.log(`${socket.id} disconnected: ${reason}`));
  socket.on('message', (...args) => {
    if (typeof args.at(-1) === 'function') {
      args.pop();
    }
    io.emit('message', ...args);
  });
  socket.on('echo', (...args) => {
    const ack = args.pop();
    if (typeof ack === 'function') {
      ack(...args);
    }
  });
});

http.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`broadcast: listening on 127.0.0.1:${http.address().port}`);
});
