// For everybody: screen readers, keyboards, phones, dark rooms; and a crowd.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { URL_OF_SERVER, accessible, accessibleInBoth, control, depart, door, healthy, hosting, inMeeting, launch, person, picture, says, sees, until } from "./browser.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test("no serious violation, light and dark", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await person(browser);
  await gus.goto(URL_OF_SERVER);
  await gus.locator("#home").waitFor();
  await accessibleInBoth(gus, "home");
  await door(gus, code);
  await gus.locator("#door-camera[data-on=true]").waitFor();
  await accessibleInBoth(gus, "door");
  await gus.locator("#door-name").fill("Gus");
  await gus.getByRole("button", { name: "Join the meeting" }).click();
  await sees(hanna, "Gus");
  await accessibleInBoth(gus);
  await control(hanna, "Chat");
  await hanna.getByLabel("Message", { exact: true }).fill("https://example.org and more");
  await hanna.keyboard.press("Enter");
  await says(hanna, "and more");
  await accessibleInBoth(hanna, "chat");
  await control(hanna, "People");
  await accessibleInBoth(hanna);
  await hanna.getByRole("button", { name: "Meeting settings" }).click();
  await hanna.locator("#room-dialog").waitFor();
  await accessibleInBoth(hanna, "settings");
  await hanna.keyboard.press("Escape");
  await control(gus, "Leave");
  await says(gus, "You left the meeting");
  await accessibleInBoth(gus);
  healthy(hanna, gus);
  await depart(hanna, gus);
});

test("with the keyboard alone", async () => {
  const { page: hanna, code } = await hosting(browser);
  const page = await person(browser);
  await page.goto(URL_OF_SERVER);
  await page.locator("#home").waitFor();
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute("aria-label"));
  const focuses = (id) => until(page, (wanted) => document.activeElement.id === wanted, id);
  const tabTo = async (id) => {
    for (let step = 0; step < 30 && (await focused()) !== id; step += 1) await page.keyboard.press("Tab");
    assert.equal(await focused(), id);
  };
  await tabTo("code");
  await page.keyboard.type(code);
  await page.keyboard.press("Enter");
  await page.locator("#door").waitFor();
  await focuses("door-title"); // where one is, said by a screen reader
  await page.locator("#door-camera[data-on=true]").waitFor();
  await tabTo("door-name");
  await page.keyboard.type("Tab Only");
  await page.keyboard.press("Enter");
  await inMeeting(page);
  await sees(hanna, "Tab Only");
  await focuses("meeting-title");
  await tabTo("hand");
  await page.keyboard.press("Enter");
  await says(hanna, "Tab Only raised a hand.");
  await tabTo("chat");
  await page.keyboard.press("Enter");
  await focuses("chat-text");
  await page.keyboard.type("Two lines");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("in one message");
  await page.keyboard.press("Enter");
  await until(hanna, () => document.querySelector("#unread").textContent === "1");
  await page.keyboard.press("Escape");
  await focuses("chat");
  // The menu and what it opens; Escape leads back to where one was.
  await tabTo("more");
  await page.keyboard.press("Enter");
  await focuses("settings");
  await accessible(page);
  await page.keyboard.press("Enter");
  await page.locator("#device-dialog[open]").waitFor();
  await accessible(page);
  await page.keyboard.press("Escape");
  await page.locator("#device-dialog").waitFor({ state: "hidden" });
  await tabTo("more");
  await page.keyboard.press("Enter");
  await tabTo("open-keys");
  await page.keyboard.press("Enter");
  await page.locator("#keys-dialog[open]").waitFor();
  await accessible(page);
  await page.keyboard.press("Escape");
  await tabTo("leave");
  await page.keyboard.press("Space");
  await says(page, "You left the meeting");
  healthy(hanna, page);
  await depart(hanna, page);
});

test("on a phone", async () => {
  const phone = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
  const { page: hanna, code } = await hosting(browser);
  const fits = async (page) => {
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${over} px too wide`);
  };
  const page = await person(browser, phone);
  await page.goto(URL_OF_SERVER);
  await page.locator("#home").waitFor();
  await fits(page);
  await picture(page, "phone-home");
  await door(page, code);
  await page.locator("#door-camera[data-on=true]").waitFor();
  await fits(page);
  await picture(page, "phone-door");
  await page.locator("#door-name").fill("Phone");
  await page.getByRole("button", { name: "Join the meeting" }).tap();
  await sees(page, "Hanna Host");
  await fits(page);
  await picture(page, "phone-meeting");
  const seen = await page.evaluate(() =>
    [...document.querySelectorAll(".bar > button")].map((button) => {
      const { left, right, bottom, width, height } = button.getBoundingClientRect();
      return left >= 0 && right <= innerWidth && bottom <= innerHeight && width >= 40 && height >= 44;
    }),
  );
  assert.deepEqual(seen, seen.map(() => true), "every control is on the screen, and large enough for a thumb");
  await page.getByRole("button", { name: "Chat", exact: true }).tap();
  await page.getByLabel("Message", { exact: true }).fill("From the train");
  await page.getByRole("button", { name: "Send" }).tap();
  await says(page, "From the train");
  await picture(page, "phone-chat");
  await accessible(page);
  await page.getByRole("button", { name: "Close the chat" }).tap();
  await control(hanna, "Share screen");
  await page.locator(".tile.presenter").waitFor();
  await sees(page, "Hanna Host");
  await picture(page, "phone-screen");
  healthy(hanna, page);
  await depart(hanna, page);
});

test("a crowd: 25 tiles, and the rest counted", async () => {
  const { page: hanna, code } = await hosting(browser);
  const sockets = [];
  const join = async (number) => {
    const socket = io(URL_OF_SERVER, { transports: ["websocket"], forceNew: true });
    sockets.push(socket);
    const ack = await socket.emitWithAck("join-room", { roomCode: code, displayName: `Person ${number}` });
    assert.equal(ack.success, true);
    socket.emit("toggle-video", { roomId: ack.roomId, enabled: false });
  };
  const tiles = async (count) => {
    await until(hanna, (wanted) => document.querySelectorAll(".tile").length === wanted, count);
    return hanna.evaluate(() => {
      const stage = document.querySelector("#tiles").getBoundingClientRect();
      const boxes = [...document.querySelectorAll(".tile")].map((each) => each.getBoundingClientRect());
      const inside = boxes.every((box) => box.left >= stage.left - 1 && box.right <= stage.right + 1 && box.top >= stage.top - 1 && box.bottom <= stage.bottom + 1);
      const apart = boxes.every((one, index) => boxes.slice(index + 1).every((other) => one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top));
      return { inside, apart, width: boxes[0].width };
    });
  };
  try {
    let before = Infinity;
    for (const count of [2, 5, 10, 17, 25]) {
      while (sockets.length < count - 1) await join(sockets.length + 1);
      const { inside, apart, width } = await tiles(count);
      assert.ok(inside && apart, `${count} tiles inside the stage, none over another`);
      assert.ok(width <= before && width > 120, `${count}: ${width} px`);
      before = width;
    }
    await picture(hanna, "crowd");
    await join(25);
    await join(26);
    await says(hanna, "and 3 more");
    await until(hanna, () => document.querySelector("#how-many").textContent === "27");
    assert.equal(await hanna.locator(".tile").count(), 25);
    healthy(hanna);
  } finally {
    for (const socket of sockets) socket.disconnect();
  }
});
