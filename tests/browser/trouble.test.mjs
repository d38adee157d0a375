// What goes wrong before and around a meeting: a sentence each, and a way on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MANY_CAMERAS, URL_OF_SERVER, account, control, depart, door, enter, healthy, hosting, inMeeting, launch, person, picture, rest, says, seat, sees, signedIn, tile, until } from "./browser.mjs";

let browser;
let hanna;
let code;
before(async () => {
  browser = await launch([], MANY_CAMERAS);
  ({ page: hanna, code } = await hosting(browser));
});
after(() => browser.close());

/** Open the door, be told what is missing, and come in without. */
async function comesWithout(page, sentence, name) {
  await door(page, code);
  await says(page, sentence);
  await page.locator("#door-media").getByRole("button", { name: "Try again" }).waitFor();
  await picture(page, name);
  await page.locator("#door-name").fill(name);
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await sees(page, "Hanna Host");
  await tile(hanna, name, name);
}

/** The same in a browser of its own, started so. */
async function without(arguments_, permissions, sentence, name) {
  const [more, less = []] = arguments_;
  const other = await launch(more, [...less, ...MANY_CAMERAS]);
  try {
    const page = await person(other, { permissions });
    await comesWithout(page, sentence, name);
    if (permissions.includes("camera")) await sees(hanna, name);
    healthy(page);
  } finally {
    await other.close();
  }
}

// Without that argument, Chromium allows what the context has permission for and nothing else.
const ASKED = [[], ["--use-fake-ui-for-media-stream"]];
const CAMERALESS = [["--use-fake-device-for-media-stream=device-count=0"], ["--use-fake-device-for-media-stream"]];

test("no camera", () => without(CAMERALESS, [], /No camera was found\. Plug one in/, "no-camera"));
test("neither camera nor microphone", async () => {
  const page = await person(browser);
  // Chromium has no switch for this that works on a machine with a microphone.
  await page.addInitScript(() => {
    navigator.mediaDevices.enumerateDevices = async () => [];
    navigator.mediaDevices.getUserMedia = async () => Promise.reject(new DOMException("", "NotFoundError"));
  });
  await comesWithout(page, /No camera or microphone was found\. Plug one in/, "nothing-found");
  healthy(page);
  await depart(page);
});
test("nothing allowed", () => without(ASKED, [], /does not allow the camera and microphone\. Click the symbol/, "not-allowed"));
test("no microphone allowed", () => without(ASKED, ["camera"], /does not allow the microphone\. Click/, "no-microphone"));

test("over plain http on another host", async () => {
  const page = await person(browser, { permissions: [] });
  await door(page, code, URL_OF_SERVER.replace("127.0.0.1", "meet.test"));
  await says(page, /only to secure pages\. Open this page over https/);
  await picture(page, "insecure");
  await page.locator("#door-name").fill("Plain");
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await sees(page, "Hanna Host");
  await page.getByRole("button", { name: /Copy the link/ }).click();
  await says(page, "The link is copied");
  healthy(page);
  await depart(page);
});

test("scripts switched off, and scripts blocked", async () => {
  const off = await person(browser, { javaScriptEnabled: false });
  await off.goto(`${URL_OF_SERVER}/join/${code}`);
  await off.locator("noscript").getByRole("heading", { name: "Scripts are switched off" }).waitFor();
  await picture(off, "no-scripts");
  const blocked = await person(browser);
  await blocked.route("**/main.*.js", (route) => route.abort());
  await blocked.goto(`${URL_OF_SERVER}/join/${code}`);
  await until(blocked, () => getComputedStyle(document.querySelector(".late")).opacity === "1");
  await picture(blocked, "blocked");
  await blocked.unroute("**/main.*.js");
  await blocked.getByRole("link", { name: "reload it" }).click();
  await blocked.locator("#door").waitFor();
  // The part that is fetched at the door is lost: said, and a way on.
  await blocked.route("**/signaling.*.js", (route) => route.abort());
  await blocked.reload();
  await blocked.locator("#door-name").fill("Unlucky");
  await blocked.getByRole("button", { name: "Join the meeting" }).click();
  await says(blocked, "The page did not load wholly");
  await blocked.unroute("**/signaling.*.js");
  await blocked.getByRole("button", { name: "Try again" }).click();
  await blocked.locator("#door").waitFor();
  await depart(off, blocked);
});

test("wrong codes, and no code", async () => {
  const page = await person(browser);
  await page.goto(`${URL_OF_SERVER}/join/what-is-this`);
  await says(page, "This is no meeting code");
  await page.goto(`${URL_OF_SERVER}/join/%E0%A4%A`);
  await says(page, "This is no meeting code");
  await page.goto(`${URL_OF_SERVER}/join/zzz-zzz-zzz`);
  await says(page, "There is no such meeting");
  await picture(page, "no-such-meeting");
  await page.getByRole("button", { name: "Go to the start page" }).click();
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await says(page, "Enter the code or the link");
  await page.getByLabel("Code or link").fill("abc-def");
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await says(page, "they look like abc-def-ghi");
  // A pasted link, with more around it.
  await page.getByLabel("Code or link").fill(`${URL_OF_SERVER}/join/${code}/?from=mail`);
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.locator("#door").waitFor();
  await page.locator("#door-name").fill("  ");
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await says(page, "Enter the name under which");
  await page.goBack();
  await page.locator("#home").waitFor();
  healthy(page);
  await depart(page);
});

test("an ended meeting, and one for accounts only", async () => {
  const host = await account("Olga");
  const ended = await rest("POST", "/rooms", {}, host.token);
  await rest("DELETE", `/rooms/${ended.id}`, undefined, host.token);
  const page = await person(browser);
  await page.goto(`${URL_OF_SERVER}/join/${ended.code}`);
  await says(page, "This meeting is over");

  const closed = await rest("POST", "/rooms", {}, host.token);
  await rest("PATCH", `/rooms/${closed.id}/settings`, { allowGuestAccess: false }, host.token);
  await enter(page, closed.code, "Gus");
  await says(page, "This meeting is for accounts only");
  await picture(page, "accounts-only");
  // Sign in, wrongly first, and be back at the door.
  const member = await account("Mina Member");
  await page.getByRole("button", { name: "Sign in" }).click();
  await says(page, "Sign in, and you are taken back to the meeting.");
  await page.getByLabel("E-mail address").fill(member.email);
  await page.getByLabel("Password").fill("something else");
  await page.locator("#account-submit").click();
  await says(page, "E-mail address or password is wrong.");
  await page.getByLabel("Password").fill(member.password);
  await page.locator("#account-submit").click();
  await page.locator("#door").waitFor();
  await until(page, () => document.querySelector("#door-name").value === "Mina Member");
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await inMeeting(page);
  healthy(page);
  await depart(page);
});

test("twice in one browser", async () => {
  // A guest is there twice, and is told beforehand.
  const gus = await person(browser);
  await enter(gus, code, "Gus");
  await inMeeting(gus);
  const again = await seat(gus.context());
  await door(again, code);
  await says(again, "This meeting is open in another tab already.");
  // An account is there once: the new tab takes over, and can be taken back.
  const { page, code: own } = await hosting(browser);
  const second = await seat(page.context());
  await door(second, own);
  await says(second, "If you join here, that tab leaves.");
  await says(second, "In it now: Hanna Host.");
  await picture(second, "twice");
  await signedIn(second, { token: await page.evaluate(() => localStorage.getItem("neuron-meet.token")) });
  await second.getByRole("button", { name: "Join the meeting" }).click();
  await inMeeting(second);
  await says(page, "You joined from another tab or device");
  await picture(page, "taken-over");
  await page.getByRole("button", { name: "Take it back here" }).click();
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await inMeeting(page);
  await says(second, "You joined from another tab or device");
  healthy(page, second, gus, again);
  await depart(gus, page);
});

test("a stale login", async () => {
  const page = await person(browser);
  await page.goto(URL_OF_SERVER);
  const stale = () => page.evaluate(() => localStorage.setItem("neuron-meet.token", "not.a.token"));
  await stale();
  await page.reload();
  await says(page, "Your sign-in has expired. Sign in again.");
  await stale();
  await door(page, code);
  await says(page, "You can come in as a guest, or sign in again first.");
  await picture(page, "stale");
  await page.locator("#door-name").fill("Was Somebody");
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await sees(hanna, "Was Somebody");
  await control(page, "Leave");
  healthy(page);
});
