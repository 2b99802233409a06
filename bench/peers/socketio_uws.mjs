// The same program on Socket.IO over uWebSockets.js: the strongest rival that speaks the same protocol.
import { Server } from "socket.io";
import { App } from "./uws.mjs";

const app = App();
const io = new Server();

io.attachApp(app);
io.on("connection", (socket) => {
  socket.on("message", (...args) => io.emit("message", ...args));
  socket.on("echo", (text, reply) => reply(text));
});
app.listen("127.0.0.1", Number(process.env.PORT), (listener) => {
  if (!listener) process.exit(1);
});
