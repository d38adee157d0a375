// What a host does: mute, remove, lock, let in, turn away, change the settings, end.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { control, depart, door, enter, gone, guest, healthy, hosting, inMeeting, launch, person, picture, says, sees, tile, until } from "./browser.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const inList = (page, name) => page.locator("#people-panel").getByRole("button", { name, exact: true });

test("mute, remove, lock", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await guest(browser, code, "Gus");
  await sees(hanna, "Gus");
  await control(hanna, "People");
  await picture(hanna, "people");

  await inList(hanna, "Mute Gus").click();
  await says(gus, "The host muted you.");
  await tile(hanna, "Gus", "muted");
  await gus.locator("#mic[data-on=false]").waitFor();
  await control(gus, "Unmute");
  await until(hanna, () => !document.querySelector('.tile[data-person="Gus"]').getAttribute("aria-label").includes("muted"));

  await inList(hanna, "Lock the meeting").click();
  await gus.locator("#locked").waitFor();
  const kai = await person(browser);
  await enter(kai, code, "Kai");
  await says(kai, "The meeting is locked");
  await picture(kai, "locked");
  await inList(hanna, "Unlock the meeting").click();
  await gus.locator("#locked").waitFor({ state: "hidden" });
  await kai.getByRole("button", { name: "Try again" }).click();
  await kai.locator("#door-camera[data-on=true]").waitFor();
  await kai.getByRole("button", { name: "Join the meeting" }).click();
  await sees(kai, "Gus");

  await inList(hanna, "Remove Gus").click();
  await picture(hanna, "remove");
  await hanna.getByRole("button", { name: "Remove", exact: true }).click();
  await says(gus, "The host removed you");
  assert.deepEqual(await gus.locator("#notices .notice").allTextContents(), []); // what was said in there is over
  await picture(gus, "removed");
  await gone(kai, "Gus");
  await enter(gus, code, "Gus");
  await says(gus, "You cannot come back to this meeting");
  healthy(hanna, gus, kai);
  await depart(hanna, gus, kai);
});

test("the waiting room", async () => {
  const { page: hanna, code } = await hosting(browser, { waitingRoom: true });
  const gus = await person(browser);
  await door(gus, code);
  await says(gus, "The host lets people in.");
  await enter(gus, code, "Gus");
  await says(gus, "Waiting for the host");
  await picture(gus, "waiting");
  await says(hanna, "Gus wants to come in");
  await picture(hanna, "knock");
  await hanna.locator("#knocks").getByRole("button", { name: "Admit Gus" }).click();
  await inMeeting(gus);
  await sees(hanna, "Gus");
  await sees(gus, "Hanna Host");

  const kai = await person(browser);
  await enter(kai, code, "Kai");
  await hanna.locator("#knocks").getByRole("button", { name: "Deny Kai" }).click();
  await says(kai, "The host did not let you in");
  await picture(kai, "denied");

  // Whoever stops waiting is no longer asked for.
  const mia = await person(browser);
  await enter(mia, code, "Mia");
  await says(hanna, "Mia wants to come in");
  await mia.getByRole("button", { name: "Leave" }).click();
  await says(mia, "You left the meeting");
  await hanna.locator("#knocks").getByText("Mia wants to come in").waitFor({ state: "detached" });
  healthy(hanna, gus, kai, mia);
  await depart(hanna, gus, kai, mia);
});

test("settings, and the end for all", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await guest(browser, code, "Gus");
  await control(hanna, "People");
  await hanna.getByRole("button", { name: "Meeting settings" }).click();
  await hanna.locator("#room-dialog[open]").waitFor(); // before it is filled, every box is off, and `uncheck` is content
  await hanna.getByLabel("Everybody may share a screen").uncheck();
  await hanna.getByLabel("Everybody may write in the chat").uncheck();
  await hanna.getByLabel("Newcomers start muted").check();
  await hanna.getByLabel("Most people at a time").fill("1");
  await hanna.getByRole("button", { name: "Save" }).click();
  await says(hanna, "Enter a number from 2 to 100.");
  await hanna.getByLabel("Most people at a time").fill("3");
  await hanna.getByRole("button", { name: "Save" }).click();
  await says(hanna, "The settings hold from now on.");
  await gus.locator("#screen:disabled").waitFor();
  await control(gus, "Chat");
  await gus.locator("#chat-text:disabled").waitFor();

  const kai = await person(browser);
  await enter(kai, code, "Kai");
  await says(kai, "The host muted you."); // looked for at once: a notice goes by itself
  await kai.locator("#mic[data-on=false]").waitFor();
  const mia = await person(browser);
  await enter(mia, code, "Mia");
  await says(mia, "The meeting is full");
  await picture(mia, "full");

  await control(hanna, "Leave");
  await picture(hanna, "leave");
  await hanna.getByRole("button", { name: "End for all" }).click();
  for (const page of [hanna, gus, kai]) await says(page, "The host ended it for everybody.");
  await picture(gus, "ended");
  await ended(mia, code);
  healthy(hanna, gus, kai, mia);
});

async function ended(page, code) {
  await page.getByRole("button", { name: "Try again" }).click();
  await says(page, "This meeting is over");
  await page.waitForURL(`**/join/${code}`);
}
