// The network fails and comes back within the grace: nobody leaves, nothing is missed, media goes on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { URL_OF_SERVER, control, depart, enter, healthy, hosting, inMeeting, launch, person, picture, says, sees, tile } from "./browser.mjs";
import { Network } from "./network.mjs";

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
