// Engine.IO alone on npm's engine.io: the twin of examples/eio_echo.c.

import { createServer } from 'node:http';
import process from 'node:process';
import { Server } from 'engine.io';

const number = (name, fallback) => Number(process.env[name] ?? fallback);

const http = createServer((request, response) => {
  response.writeHead(404).end();
});

const engine = new Server({
  pingInterval: number('PING_INTERVAL', 25000),
  pingTimeout: number('PING_TIMEOUT', 20000),
  upgradeTimeout: number('UPGRADE_TIMEOUT', 10000),
  maxHttpBufferSize: number('MAX_PAYLOAD', 1000000),
});
engine.attach(http, { path: '/engine.io/' });
engine.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(data));
});

process.on('SIGTERM', () => {
  engine.close();
  http.close(() => process.exit(0));
  http.closeIdleConnections();
});

http.listen(number('PORT', 3000), '127.0.0.1', () => {
  console.log(`eio_echo: listening on 127.0.0.1:${http.address().port}`);
});
