// ws with raw frames: b... goes to everybody, e... back to its sender.
import { WebSocketServer } from "ws";

const ECHO = "e".charCodeAt(0);
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.env.PORT) });

server.on("connection", (ws) => {
  ws.on("message", (message, binary) => {
    if (message[0] === ECHO) ws.send(message, { binary });
    else for (const client of server.clients) client.send(message, { binary });
  });
});
