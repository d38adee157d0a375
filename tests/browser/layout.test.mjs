// Nothing that can be pressed lies outside the window, or under something else, however wide and high that is.
// Three widths here; all of them, and every state with every other, with LAYOUT=whole (make walk).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { URL_OF_SERVER, account, depart, door, enter, healthy, inMeeting, launch, person, picture, rest, says, signedIn, until } from "./browser.mjs";

const WHOLE = process.env.LAYOUT === "whole";
const ALL = [[320, 568], [568, 320], [390, 844], [844, 390], [768, 1024], [1024, 768], [1366, 768], [768, 1366], [1920, 1080], [1080, 1920]];
const SIZES = WHOLE ? ALL : [[320, 568], [844, 390], [1024, 768]];
const LONG = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwaren".slice(0, 50);
const NAMES = { short: ["Weekly", "Ann"], long: [`${LONG} ${LONG}`.slice(0, 100), LONG] };
const PANELS = ["none", "chat", "people", "more"];

let browser;
const sockets = [];
before(async () => (browser = await launch()));
after(async () => {
  for (const socket of sockets) socket.disconnect();
  await browser.close();
});

/** What can be pressed and is not to be reached, in the page as it stands. */
const unreachable = async () => {
  for (let frames = 0; frames < 2; frames += 1) await new Promise(requestAnimationFrame); // tiles follow the window a frame later
  const modal = document.querySelector("dialog[open]");
  const faults = [];
  for (const each of (modal ?? document).querySelectorAll("button, a[href], input, select, textarea")) {
    if (!each.checkVisibility({ visibilityProperty: true }) || each.closest("#sounds")) continue;
    const box = each.getBoundingClientRect();
    let scroller = each.parentElement;
    while (scroller && !/auto|scroll/.test(getComputedStyle(scroller).overflowY)) scroller = scroller.parentElement;
    const name = `${each.id || each.getAttribute("aria-label") || each.textContent.trim()} ${Math.round(box.left)}…${Math.round(box.right)}, ${Math.round(box.top)}…${Math.round(box.bottom)}`;
    const within = scroller ? scroller.getBoundingClientRect() : { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
    if (box.left < within.left - 1 || box.right > within.right + 1) faults.push(`${name}: cut off at a side`);
    if (within.left < -1 || within.right > innerWidth + 1 || within.top < -1 || within.bottom > innerHeight + 1) faults.push(`${name}: in a list that lies outside`);
    if (scroller && within.bottom - within.top < 32) faults.push(`${name}: in a list of no height`);
    const isPage = !scroller && !each.closest(".meeting, dialog"); // which scrolls as a whole
    if (!scroller && !isPage && (box.top < -1 || box.bottom > innerHeight + 1)) faults.push(`${name}: above or below the window`);
    if (!scroller && each.closest(".bar, .top, .panel, .knocks") && !each.disabled) {
      const hit = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
      if (hit && !each.contains(hit) && !hit.closest(".menu")) faults.push(`${name}: under ${hit.id || hit.className}`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return faults;
};

const faults = [];
async function check(page, state) {
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    const found = await page.evaluate(unreachable);
    if (found.length) faults.push(`${state}, ${width} × ${height}: ${found.slice(0, 3).join("; ")}`);
    if (process.env.NEURON_MEET_PICTURES) await picture(page, `layout-${state.replaceAll(/[^a-z]+/gi, "-")}-${width}x${height}`);
  }
}

async function join(code, displayName) {
  const socket = io(URL_OF_SERVER, { auth: { capabilities: ["waiting-room"] }, transports: ["websocket"], forceNew: true });
  sockets.push(socket);
  const { success, waiting, error } = await socket.emitWithAck("join-room", { roomCode: code, displayName });
  assert.ok(success || waiting, error);
  return socket;
}

async function panel(page, wanted) {
  await page.evaluate((id) => {
    for (const each of document.querySelectorAll(".bar [aria-expanded=true]")) each.click();
    if (id !== "none") document.getElementById(id).click();
  }, wanted);
}

for (const [kind, [roomName, name]] of Object.entries(NAMES)) {
  test(`a meeting with ${kind} names`, async () => {
    const host = await account(name);
    const room = await rest("POST", "/rooms", { name: roomName }, host.token);
    const page = await person(browser);
    await signedIn(page, host);
    await enter(page, room.code);
    await inMeeting(page);
    const panels = WHOLE || kind === "long" ? PANELS : ["none", "people"];
    for (const open of panels) {
      await panel(page, open);
      await check(page, `${kind} names, alone, ${open} open`);
    }
    const guests = [];
    for (let number = 1; number < 9; number += 1) guests.push(await join(room.code, `${name.slice(0, 48)} ${number}`));
    await rest("PATCH", `/rooms/${room.id}/settings`, { waitingRoom: true }, host.token);
    for (let number = 1; number < 4; number += 1) await join(room.code, `${name.slice(0, 48)}-${number}`);
    await rest("PATCH", `/rooms/${room.id}/settings`, { isLocked: true }, host.token);
    await until(page, () => document.querySelectorAll(".tile").length === 9 && document.querySelectorAll(".knock").length === 3 && !document.querySelector("#locked").hidden);
    for (const open of PANELS) {
      await panel(page, open);
      await check(page, `${kind} names, nine and three who wait, ${open} open`);
    }
    guests[0].emit("start-screen-share", { roomId: room.id });
    await page.locator(".tiles.presenting").waitFor();
    for (const open of WHOLE ? PANELS : ["none", "chat"]) {
      await panel(page, open);
      await check(page, `${kind} names, one shows the screen, ${open} open`);
    }
    await panel(page, "none");
    if (kind === "long" || WHOLE) {
      for (const id of ["device-dialog", "keys-dialog", "room-dialog", "leave-dialog"]) {
        await page.evaluate((dialog) => document.getElementById(dialog).showModal(), id);
        await check(page, `${kind} names, ${id}`);
        await page.evaluate((dialog) => document.getElementById(dialog).close(), id);
      }
      await page.goto(URL_OF_SERVER);
      await page.locator("#rooms li").first().waitFor();
      await check(page, `${kind} names, start page, signed in`);
    }
    healthy(page);
    await depart(page);
    for (const socket of sockets.splice(0)) socket.disconnect();
  });
}

test("before and after a meeting", async () => {
  const host = await account(LONG);
  const room = await rest("POST", "/rooms", { name: NAMES.long[0] }, host.token);
  const page = await person(browser);
  await page.goto(URL_OF_SERVER);
  await page.locator("#home").waitFor();
  await check(page, "start page");
  await door(page, room.code);
  await check(page, "door");
  await page.goto(`${URL_OF_SERVER}/join/zzz-zzz-zzz`);
  await says(page, "There is no such meeting");
  await check(page, "ending");
  healthy(page);
  await depart(page);
});

for (const [locale, direction, join_, chat] of [["de-AT", "ltr", "An der Besprechung teilnehmen", "Nachricht an alle"], ["ar-EG", "rtl", "الانضمام إلى الاجتماع", "رسالة إلى الجميع"]]) {
  test(`in the browser's language: ${locale}`, async () => {
    const host = await account(LONG);
    const room = await rest("POST", "/rooms", { name: "Weekly" }, host.token);
    const page = await person(browser, { locale });
    await signedIn(page, host);
    await door(page, room.code);
    assert.deepEqual(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]), [locale.split("-")[0], direction]);
    await page.getByRole("button", { name: join_ }).click();
    await inMeeting(page);
    await join(room.code, "Gus");
    for (const open of ["none", "chat", "people"]) {
      await panel(page, open);
      await check(page, `${locale}, ${open} open`);
    }
    assert.equal(await page.locator("#chat-text").getAttribute("placeholder"), chat);
    healthy(page);
    await depart(page);
  });
}

test("nothing was out of reach", () => assert.deepEqual(faults, []));
