// Joins a meeting with the official client, says who is there and what they write, and sends each line typed.
//   node examples/client.mjs http://127.0.0.1:3001 abc-def-ghi Ada      (elsewhere: npm install socket.io-client)
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, roomCode, displayName = "Ada"] = process.argv.slice(2);
const socket = io(url); // with an account: io(url, { auth: { token } })
let room;

socket.on("connect", () => {
  if (socket.recovered) return; // a short loss: still in the room, and nothing was missed
  socket.emit("join-room", { roomCode, displayName }, (reply) => {
    if (reply.success) return;
    console.log(`Not admitted: ${reply.error}`);
    process.exit(1);
  });
});
socket.on("room-joined", (joined) => {
  room = joined;
  console.log(`Joined, with: ${joined.participants.map((each) => each.displayName).join(", ") || "nobody yet"}`);
});
socket.on("user-joined", ({ participant }) => console.log(`${participant.displayName} joined`));
socket.on("chat-message", ({ senderName, content }) => console.log(`${senderName}: ${content}`));
socket.on("connect_error", (error) => console.log(`No connection: ${error.message}`));

const lines = createInterface({ input: process.stdin });
lines.on("line", (content) => socket.emit("chat-message", { roomId: room?.roomId, content }));
lines.on("close", () => socket.disconnect());
