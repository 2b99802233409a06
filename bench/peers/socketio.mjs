// The peer that counts: the broadcast program on Socket.IO for Node, as its documentation has it.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.on("message", (...args) => io.emit("message", ...args));
  socket.on("echo", (text, reply) => reply(text));
});
http.listen(Number(process.env.PORT), "127.0.0.1");
