// The operator's page at the admin address: who gets in, what it shows, what its buttons do.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { URL_OF_SERVER, accessible, account, depart, healthy, launch, person, picture, rest } from "./browser.mjs";

const { ADMIN_URL, ADMIN_TOKEN } = process.env;
const NAME = '<img src="x" onerror="document.title=1">Gus';
let browser;
const sockets = [];
before(async () => (browser = await launch()));
after(async () => {
  for (const socket of sockets) socket.disconnect();
  await browser.close();
});

/** A socket in the room, and the promise of the first of an event. */
async function member(code, displayName, token) {
  const socket = io(URL_OF_SERVER, { auth: token ? { token } : {}, transports: ["websocket"], forceNew: true });
  sockets.push(socket);
  socket.first = (event) => new Promise((done) => socket.once(event, done));
  const reply = await socket.emitWithAck("join-room", { roomCode: code, displayName });
  assert.equal(reply.success, true, JSON.stringify(reply));
  return socket;
}

test("an operator looks, removes somebody, ends the meeting", async () => {
  const ada = await account("Ada Host");
  const room = await rest("POST", "/rooms", { name: "Weekly" }, ada.token);
  const host = await member(room.code, "Ada Host", ada.token);
  const gus = await member(room.code, NAME);
  const page = await person(browser);
  const answers = [];
  page.on("dialog", (dialog) => (answers.shift() ? dialog.accept() : dialog.dismiss()));
  await page.goto(ADMIN_URL);
  await accessible(page);
  const said = page.getByRole("status");
  const enter = async (token) => {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Show" }).click();
  };

  await enter(`${ADMIN_TOKEN}x`);
  await said.getByText("Unauthorized").waitFor();
  assert.equal(await page.getByRole("main").isVisible(), false);

  await enter(ADMIN_TOKEN);
  const line = page.getByRole("row").filter({ hasText: room.code });
  await line.waitFor();
  assert.equal(await said.textContent(), "");
  assert.deepEqual((await line.getByRole("cell").allTextContents()).slice(0, 4), [room.code, "Ada Host", "2", "0"]);
  const settings = await page.locator("#settings").textContent();
  assert.match(settings, /ADMIN_TOKEN\(set, not shown\)/);
  assert.ok(!settings.includes(ADMIN_TOKEN));
  await line.getByRole("button", { name: "People" }).click();
  const guest = page.getByRole("row").filter({ hasText: "Gus" });
  await guest.waitFor();
  assert.equal(await guest.getByRole("cell").first().textContent(), NAME); // as text, whatever is in it
  await accessible(page);
  await picture(page, "admin");

  const removed = gus.first("force-disconnect");
  answers.push(false, true);
  await guest.getByRole("button", { name: "Remove" }).click(); // asked, and not meant
  await guest.getByRole("button", { name: "Remove" }).click();
  assert.deepEqual(await removed, { reason: "Removed by the operator" });
  await guest.waitFor({ state: "detached" });
  await line.getByRole("cell").nth(2).filter({ hasText: /^1$/ }).waitFor();

  const ended = host.first("room-ended");
  answers.push(true);
  await line.getByRole("button", { name: "End" }).click();
  assert.equal((await ended).reason, "The operator ended the meeting");
  await line.waitFor({ state: "detached" });

  const shown = page.waitForResponse((answer) => answer.url().endsWith("/rooms"));
  await page.getByLabel("Log level").selectOption("warning");
  await shown;
  const level = await fetch(`${ADMIN_URL}/log-level`, { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } });
  assert.deepEqual(await level.json(), { logLevel: "warning" });
  assert.notEqual(await page.title(), "1");
  healthy(page);
  await depart(page);
});
