// From the start page to a meeting of three who see, hear and read each other.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MANY_CAMERAS, URL_OF_SERVER, control, depart, door, enter, gone, guest, healthy, hosting, inMeeting, launch, person, picture, says, sees, tile, until } from "./browser.mjs";

let browser;
before(async () => (browser = await launch([], MANY_CAMERAS)));
after(() => browser.close());

test("a new host and two guests meet", async () => {
  const hanna = await person(browser);
  await hanna.goto(URL_OF_SERVER);
  await picture(hanna, "home");
  await hanna.getByLabel("Your name").first().fill("Hanna Host");
  await hanna.getByLabel("E-mail address").fill(`${crypto.randomUUID()}@example.com`);
  await hanna.getByLabel("Password").fill("correct horse battery");
  await hanna.getByRole("button", { name: "Create account and start" }).click();
  await hanna.locator("#door-camera[data-on=true]").waitFor();
  await picture(hanna, "door");
  await hanna.getByRole("button", { name: "Join the meeting" }).click(); // the second click
  await inMeeting(hanna);
  await picture(hanna, "alone");
  await hanna.getByRole("button", { name: "Copy link" }).click();
  await says(hanna, "The link is copied");
  const link = await hanna.evaluate(() => navigator.clipboard.readText());
  const code = new URL(link).pathname.split("/").at(-1);
  assert.equal(link, `${URL_OF_SERVER}/join/${code}`);

  // By the link; by the code, typed as people type.
  const gus = await guest(browser, code, "Gus Guest");
  const kai = await person(browser);
  await kai.goto(URL_OF_SERVER);
  await kai.getByLabel("Code or link").fill(` ${code.replaceAll("-", "").toUpperCase()} `);
  await kai.getByRole("button", { name: "Join", exact: true }).click();
  await kai.locator("#door-camera[data-on=true]").waitFor();
  await kai.locator("#door-name").fill("Kai");
  await kai.locator("#door-name").press("Enter");
  await inMeeting(kai);

  await Promise.all([
    sees(hanna, "Gus Guest"), sees(hanna, "Kai"), sees(gus, "Hanna Host"), sees(gus, "Kai"), sees(kai, "Hanna Host"), sees(kai, "Gus Guest"),
  ]);
  await picture(hanna, "three");
  // Sound comes, too: the fake microphone beeps.
  const speaks = (name) => hanna.locator(`.tile.speaking[data-person="${name}"]`);
  await Promise.all([speaks("Gus Guest").waitFor(), speaks("Kai").waitFor()]);

  // Microphone and camera, off and on again, as the others see it.
  await control(gus, "Mute");
  await tile(hanna, "Gus Guest", "muted");
  await speaks("Gus Guest").waitFor({ state: "detached" });
  await control(gus, "Stop camera");
  await hanna.locator('.tile[data-person="Gus Guest"] video').waitFor({ state: "hidden" });
  await picture(hanna, "camera-off");
  await control(gus, "Start camera");
  await sees(hanna, "Gus Guest");
  await control(gus, "Unmute");
  await until(hanna, () => !document.querySelector('.tile[data-person="Gus Guest"]').getAttribute("aria-label").includes("muted"));

  // A hand, which who comes later sees raised.
  await control(gus, "Raise hand");
  await tile(hanna, "Gus Guest", "hand raised");
  await says(hanna, "Gus Guest raised a hand.");

  // Chat: typing, messages, unread ones counted, a link that is one; markup is text.
  await control(hanna, "Chat");
  await control(gus, "Chat");
  await gus.getByLabel("Message", { exact: true }).pressSequentially("Hello <b>all</b>, ");
  await says(hanna, "Gus Guest is typing…");
  await gus.getByLabel("Message", { exact: true }).pressSequentially("https://example.org/x.");
  await gus.keyboard.press("Enter");
  await says(hanna, "Hello <b>all</b>,");
  await until(hanna, () => document.querySelector("#typing").textContent === "");
  assert.equal(await hanna.locator("#message-list a").getAttribute("href"), "https://example.org/x");
  await until(kai, () => document.querySelector("#unread").textContent === "1");
  await picture(hanna, "chat");

  // Screen, in place of the camera, and back.
  await control(kai, "Share screen");
  await tile(hanna, "Kai", "shares the screen");
  await sees(hanna, "Kai");
  await picture(hanna, "screen");
  await control(kai, "Stop sharing");
  await until(hanna, () => !document.querySelector(".tiles.presenting"));
  await sees(hanna, "Kai");

  // Reload: back in it without the door, muted as before; the new self sees the hand and the messages, its own as such.
  await control(kai, "Chat");
  await kai.getByLabel("Message", { exact: true }).fill("Mine, www.example.org/y");
  await kai.keyboard.press("Enter");
  await says(hanna, "Mine, ");
  assert.equal(await hanna.locator("#message-list a").last().getAttribute("href"), "https://www.example.org/y");
  await control(kai, "Mute");
  await tile(hanna, "Kai", "muted");
  await kai.reload();
  await inMeeting(kai);
  await tile(hanna, "Kai", "muted");
  await until(kai, () => document.querySelector("#message-list .mine .text")?.textContent.startsWith("Mine"));
  assert.equal(await kai.locator("#message-list .mine").count(), 1);
  await control(kai, "Unmute");
  await sees(kai, "Hanna Host");
  await sees(hanna, "Kai");
  await tile(kai, "Gus Guest", "hand raised");
  await control(kai, "Chat");
  await says(kai, "Hello <b>all</b>,");

  // Leave.
  await control(kai, "Leave");
  await says(kai, "You left the meeting");
  await picture(kai, "left");
  await gone(hanna, "Kai");
  await kai.getByRole("button", { name: "Join again" }).click();
  await kai.locator("#door").waitFor();
  healthy(hanna, gus, kai);
  await depart(hanna, gus, kai);
});

test("devices are chosen, remembered, and left off", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await person(browser);
  await door(gus, code);
  const cameras = gus.locator("#door select").nth(1);
  await until(gus, () => document.querySelectorAll("#door select")[1].options.length === 3);
  // The second of Chromium's fake cameras gives depth (Y16), which is no picture.
  await cameras.selectOption({ index: 2 });
  const chosen = await cameras.locator("option").nth(2).getAttribute("value");
  await until(gus, (id) => document.querySelector("#preview").srcObject.getTracks()[0].getSettings().deviceId === id, chosen);
  await gus.getByRole("button", { name: "Switch the microphone off" }).click();
  await gus.reload();
  await until(gus, (id) => document.querySelector("#preview").srcObject?.getTracks()[0].getSettings().deviceId === id, chosen);
  await gus.locator("#door-mic[data-on=false]").waitFor();
  await enter(gus, code, "Gus");
  await tile(hanna, "Gus", "muted");
  await sees(hanna, "Gus");
  // During the meeting, too.
  await control(gus, "Devices");
  await gus.locator("#device-dialog select").nth(1).selectOption({ index: 0 });
  await until(gus, (id) => document.querySelector(".tile.mine video").srcObject.getTracks()[0].getSettings().deviceId !== id, chosen);
  await gus.getByRole("button", { name: "Done" }).click();
  await sees(hanna, "Gus");
  // Who comes without anything is heard once they unmute.
  await control(gus, "Unmute");
  await until(hanna, () => !document.querySelector('.tile[data-person="Gus"]').getAttribute("aria-label").includes("muted"));
  await until(hanna, () => document.querySelector('.tile[data-person="Gus"]').classList.contains("speaking"));
  healthy(hanna, gus);
});
