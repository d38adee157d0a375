// The network fails and comes back within the grace: nobody leaves, nothing is missed, media goes on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";
import { URL_OF_SERVER, account, control, depart, enter, healthy, hosting, inMeeting, launch, person, picture, rest, says, sees, tile, until } from "./browser.mjs";
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

test("cut and back: recovered", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await person(browser);
  await enter(gus, code, "Gus", network.url);
  await inMeeting(gus);
  await sees(gus, "Hanna Host");
  await control(gus, "Chat");
  // Whether the tile stays the same element shows whether Gus ever left.
  await hanna.evaluate(() => (document.querySelector('.tile[data-person="Gus"]').dataset.same = "yes"));

  network.cut();
  await says(gus, "Reconnecting…");
  await picture(gus, "reconnecting");
  // Meanwhile: the others go on, he does too, and sees them all the time.
  await control(hanna, "Chat");
  await hanna.getByLabel("Message", { exact: true }).fill("Still there?");
  await hanna.keyboard.press("Enter");
  await control(hanna, "Raise hand");
  await control(gus, "Mute");
  await sees(gus, "Hanna Host");
  await gus.getByLabel("Message", { exact: true }).fill("Can you read this?");
  await gus.keyboard.press("Enter");
  await says(gus, "Wait for the connection to come back.");

  network.mend();
  await says(gus, "You are back. Nothing was missed.");
  await gus.locator("#chat-problem").waitFor({ state: "hidden" });
  await picture(gus, "recovered");
  await says(gus, "Still there?");
  await tile(gus, "Hanna Host", "hand raised");
  await tile(hanna, "Gus", "muted"); // what changed meanwhile is told
  await gus.keyboard.press("Enter"); // the text is still there
  await says(hanna, "Can you read this?");
  assert.equal(await hanna.locator('.tile[data-person="Gus"]').getAttribute("data-same"), "yes");
  await sees(hanna, "Gus");
  healthy(hanna, gus);
  await depart(hanna, gus);
});

test("the server cannot be reached", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await person(browser);
  await gus.goto(network.url);
  await gus.getByLabel("Code or link").fill(code);
  network.cut();
  await gus.getByRole("button", { name: "Join", exact: true }).click();
  await says(gus, "The server cannot be reached");
  await picture(gus, "unreachable");
  network.mend();
  await gus.getByRole("button", { name: "Try again" }).click();
  await gus.locator("#door").waitFor();
  healthy(hanna, gus);
});

// The browser repeats the request by itself or tells its page, and in either case nothing is lost.
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
