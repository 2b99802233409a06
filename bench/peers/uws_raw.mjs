// uWebSockets.js with raw frames: b... goes to everybody, e... back to its sender.
import { App } from "./uws.mjs";

const ECHO = "e".charCodeAt(0);
const app = App();

app.ws("/*", {
  idleTimeout: 60,
  open: (ws) => ws.subscribe("all"),
  message: (ws, message, isBinary) => {
    if (new Uint8Array(message, 0, 1)[0] === ECHO) ws.send(message, isBinary);
    else app.publish("all", message, isBinary);
  },
});
app.listen("127.0.0.1", Number(process.env.PORT), (listener) => {
  if (!listener) process.exit(1);
});
