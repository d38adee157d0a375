// Drives many sockets of the official client, commanded by JSON lines on stdin; tells what they see as JSON lines.
//
// in:  {op: "open", socket, url, options (socket.io-client's; localAddress: where the connections come from;
//        client: another package than socket.io-client; parser: the name of its package;
//        ca: the certificate of a server on this machine, whatever its name)}
//      · {op: "emit", socket, event, args, ack?} · {op: "close" | "kill" | "drop", socket}
//      {op: "connect", socket, auth?, url?}: a closed socket once more
// out: {socket, event, args} for every event, {socket, ack, args} for every acknowledgement,
//      {socket, event: "$connected" | "$refused" | "$disconnected" | "$upgraded", args}, with a parser "$closed" too
//      {socket, event: "$sent", args: [event]} for each try of a client with retries
//
// JSON has no bytes, no infinite number and no absent value: {"$bytes": base64}, {"$number": text} stand for them.
import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const require = createRequire(import.meta.url);
const sockets = new Map();

const received = (key, value) =>
  typeof value === "number" && !Number.isFinite(value) ? { $number: String(value) } : value;
const tell = (message) => process.stdout.write(`${JSON.stringify(message, received)}\n`);
const sent = (key, value) => (value && value.$bytes !== undefined ? Buffer.from(value.$bytes, "base64") : value);

const lookup = (name, { all }, found) =>
  all ? found(null, [{ address: "127.0.0.1", family: 4 }]) : found(null, "127.0.0.1", 4);

function open({ socket: number, url, options: { localAddress, ca, client, ...options } }) {
  // Not keepAlive: xmlhttprequest-ssl 2.1 never ends the request that it repeats where a used connection was closed.
  if (ca) options.agent = new SecureAgent({ localAddress, ca, lookup });
  else if (localAddress) options.agent = new Agent({ localAddress, keepAlive: true });
  if (options.parser) options.parser = require(options.parser);
  const socket = (client ? require(client).io : io)(url, { forceNew: true, reconnection: false, ...options });
  sockets.set(number, socket);
  socket.on("connect", () => {
    const { transport } = socket.io.engine;
    const { id, recovered } = socket;
    const args = [{ id, recovered, transport: transport.name, extensions: transport.ws?.extensions }];
    tell({ socket: number, event: "$connected", args });
  });
  socket.io.engine.on("upgrade", (transport) => tell({ socket: number, event: "$upgraded", args: [transport.name] }));
  socket.on("connect_error", (error) => tell({ socket: number, event: "$refused", args: [error.message] }));
  socket.on("disconnect", (reason, details) => {
    const { code, reason: text } = details?.context ?? {};
    if (options.parser && code) tell({ socket: number, event: "$closed", args: [{ code, text }] });
    tell({ socket: number, event: "$disconnected", args: [reason] });
  });
  if (options.retries) socket.onAnyOutgoing((event) => tell({ socket: number, event: "$sent", args: [event] }));
  socket.onAny((event, ...args) => tell({ socket: number, event, args }));
}

// What a dead network does: the connection is cut without a close frame and without a packet.
function kill(socket) {
  socket.io.engine.transport.ws?._socket?.destroy(); // there is none while it is not connected
}

const commands = {
  open,
  emit({ socket, event, args, ack }) {
    const done = ack === undefined ? [] : [(...answer) => tell({ socket, ack, args: answer })];
    sockets.get(socket).emit(event, ...args, ...done);
  },
  close({ socket }) {
    sockets.get(socket).disconnect();
  },
  kill({ socket }) {
    kill(sockets.get(socket));
  },
  drop({ socket }) {
    sockets.get(socket).io.engine.close();
  },
  connect({ socket: number, auth, url }) {
    const socket = sockets.get(number);
    if (url) socket.io.uri = url;
    if (auth) socket.auth = auth;
    socket.connect();
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line, sent);
    commands[command.op](command);
  })
  .on("close", () => process.exit(0));
