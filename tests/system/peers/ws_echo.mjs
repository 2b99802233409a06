// The echo of plain WebSockets on npm's ws: the twin of examples/ws_echo.c in what that package has; the server's own pings are written
// here. ORIGIN and FRAGMENTS_MAX are ours alone.

import { createServer } from 'node:http';
import process from 'node:process';
import { WebSocketServer } from 'ws';

const number = (name, fallback) => Number(process.env[name] ?? fallback);
const interval_ms = number('PING_INTERVAL', 25000);
const timeout_ms = number('PING_TIMEOUT', 20000);

const http = createServer((request, response) => {
  const status = /^\/(\?|$)/.test(request.url) ? 426 : 404;
  response.writeHead(status, { 'content-length': 0, upgrade: 'websocket' }).end();
});

const server = new WebSocketServer({ server: http, path: '/', maxPayload: number('MESSAGE_BYTES_MAX', 1000000) });

// Pinged so long after its last pong, and cut if it says nothing for so long.
function beat(socket) {
  let timer;
  const rest = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      socket.ping();
      timer = setTimeout(() => socket.terminate(), timeout_ms);
    }, interval_ms);
  };
  socket.on('pong', rest);
  socket.on('close', () => clearTimeout(timer));
  rest();
}

server.on('connection', (socket) => {
  beat(socket);
  socket.on('error', () => {});
  socket.on('message', (data, binary) => socket.send(data, { binary }));
});

process.on('SIGTERM', () => {
  server.clients.forEach((socket) => socket.close(1012));
  http.close(() => process.exit(0));
  http.closeIdleConnections();
});

http.listen(number('PORT', 3000), '127.0.0.1', () => {
  console.log(`ws_echo: listening on 127.0.0.1:${http.address().port}`);
});
