// A browser that polls, and whose connection is reset under a waiting poll: it repeats the request by itself or tells its
// page, and in either case nothing is lost.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";
import { URL_OF_SERVER, account, depart, launch, person, rest, until } from "./browser.mjs";
import { Network } from "./network.mjs";

const CUTS = 8;

let browser;
let network;
before(async () => {
  browser = await launch();
  network = await Network.to(URL_OF_SERVER);
});
after(async () => {
  await browser.close();
  network.close();
});

test("a poll's connection is cut: every message comes once, in order", async () => {
  const { token } = await account("Hanna Host");
  const room = await rest("POST", "/rooms", { name: "Weekly" }, token);
  const hanna = io(URL_OF_SERVER, { transports: ["websocket"], auth: { token } });
  const asked = (event, payload) => hanna.timeout(60_000).emitWithAck(event, payload);
  assert.equal((await asked("join-room", { roomCode: room.code, displayName: "Hanna" })).success, true);

  const page = await person(browser);
  await page.goto(network.url);
  const joined = await page.evaluate(async (roomCode) => {
    const { io } = await import("/assets/socket.io.esm.min.js");
    const socket = io({ transports: ["polling"], reconnectionDelay: 10, reconnectionDelayMax: 50 });
    window.heard = [];
    window.recoveries = [];
    socket.on("connect", () => window.recoveries.push(socket.recovered));
    socket.on("chat-message", ({ content }) => window.heard.push(content));
    return socket.timeout(60_000).emitWithAck("join-room", { roomCode, displayName: "Gus" });
  }, room.code);
  assert.equal(joined.success, true);

  const said = [];
  const say = async () => {
    said.push(`message ${said.length}`);
    const ack = await asked("chat-message", { roomId: room.id, content: said.at(-1) });
    assert.equal(ack.success, true);
  };
  for (let cuts = 0; cuts < CUTS; cuts += 1) {
    // A browser repeats by itself what went out on a connection that had carried requests before.
    while (!network.polls.some((number) => number > 1)) await (network.polls.length ? say() : pause(5));
    network.cutPolls();
    await say();
  }
  await until(page, (last) => window.heard.includes(last), said.at(-1));
  assert.deepEqual(await page.evaluate(() => window.heard), said);
  const [first, ...later] = await page.evaluate(() => window.recoveries);
  assert.equal(first, false);
  assert.ok(later.every(Boolean), "whoever noticed the cut got its place back");
  hanna.disconnect();
  await depart(page);
});
