// uWebSockets.js, asserted to be the native one: the package falls back to JavaScript silently.
import uws from "@trufflesuite/uws-js-unofficial";

if (!uws.App.toString().includes("[native code]")) {
  console.error("uWebSockets.js is not native under Node " + process.version);
  process.exit(1);
}

export const App = uws.App;
