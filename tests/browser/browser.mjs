// Chromium with fake camera, microphone and screen, and people who use the meeting page in contexts of their own.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

export const URL_OF_SERVER = process.env.NEURON_MEET_URL;
const PICTURES = process.env.NEURON_MEET_PICTURES;
const DEADLINE_MS = 60_000; // generous: the tests run beside others on few cores
const PASSWORD = "correct horse battery";

const ARGUMENTS = [
  "--no-sandbox",
  "--use-fake-device-for-media-stream=device-count=3,fps=5",
  "--use-fake-ui-for-media-stream",
  "--auto-select-desktop-capture-source=Entire screen",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-gpu",
  // Addresses of this machine stand in candidates as they are: there is no multicast DNS in containers.
  "--disable-features=WebRtcHideLocalIpsWithMdns,Translate,MediaRouter,OptimizationHints",
  // A page of this name is no secure context, as one over plain http on another host.
  "--host-resolver-rules=MAP meet.test 127.0.0.1",
];

/**
 * What its cameras see, in YUV4MPEG2: small, so that the tests measure the page and not the encoding of video, and moving,
 * so that frames go on.
 */
function film() {
  const [width, height] = [256, 144];
  const frame = (light) => Buffer.concat([Buffer.from("FRAME\n"), Buffer.alloc(width * height, light), Buffer.alloc((width * height) / 2, 128)]);
  const file = join(mkdtempSync(join(tmpdir(), "neuron-meet-film-")), "film.y4m");
  writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F5:1 Ip A1:1 C420jpeg\n`), frame(90), frame(110), frame(130)]));
  return file;
}

/** For `launch`: cameras are three, each with a picture of its own size. */
export const MANY_CAMERAS = ["--use-file-for-fake-video-capture"];

/** A browser; `more` are further arguments of Chromium, those in `without` are left out. */
export async function launch(more = [], without = []) {
  const kept = [...ARGUMENTS, `--use-file-for-fake-video-capture=${film()}`].filter((argument) => !without.includes(argument.split("=")[0]));
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: [...kept, ...more] });
}

/** One person: a context, its page, and what went wrong in it. */
export async function person(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"], ...options });
  context.setDefaultTimeout(DEADLINE_MS);
  return seat(context);
}

/** A page in a context, watched: errors of scripts, refused by the Content-Security-Policy included. */
export async function seat(context) {
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => {
    // The browser itself reports answers such as 404 and lost connections, which the page handles.
    const foreseen = /Failed to load resource|WebSocket connection|ERR_/.test(message.text());
    if (message.type() === "error" && !foreseen) page.errors.push(message.text());
  });
  return page;
}

export const healthy = (...pages) => assert.deepEqual(pages.flatMap((page) => page.errors), []);

/** Go, all of them: a meeting that nobody looks at would go on taking its share of two cores. */
export async function depart(...pages) {
  for (const page of pages) await page.context().close();
}

/** A new account over REST: { token, id, name }. */
export async function account(name) {
  const email = `${crypto.randomUUID()}@example.com`;
  const { user, accessToken } = await rest("POST", "/auth/register", { email, password: PASSWORD, displayName: name });
  return { token: accessToken, id: user.id, name, email, password: PASSWORD };
}

export async function rest(method, path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${URL_OF_SERVER}/api${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

/** Be signed in, as the page keeps it. */
export async function signedIn(page, { token }) {
  await page.addInitScript((value) => localStorage.setItem("neuron-meet.token", value), token);
}

/** Open the meeting's door. */
export async function door(page, code, url = URL_OF_SERVER) {
  await page.goto(`${url}/join/${code}`);
  await page.locator("#door").waitFor();
}

/** Come in, under that name (an account's own where there is none). */
export async function enter(page, code, name, url = URL_OF_SERVER) {
  await door(page, code, url);
  await page.locator("#door-camera[data-on=true]").waitFor();
  if (name) await page.locator("#door-name").fill(name);
  await page.getByRole("button", { name: "Join the meeting" }).click();
}

export async function inMeeting(page) {
  await page.locator("#meeting").waitFor();
}

/** A host with an account and a new room, both in it: { page, code, room, host }. `prepare` is given the context. */
export async function hosting(browser, settings = {}, prepare = async () => {}) {
  const host = await account("Hanna Host");
  const room = await rest("POST", "/rooms", { name: "Weekly" }, host.token);
  if (Object.keys(settings).length) await rest("PATCH", `/rooms/${room.id}/settings`, settings, host.token);
  const page = await person(browser);
  await prepare(page.context());
  await signedIn(page, host);
  await enter(page, room.code);
  await inMeeting(page);
  return { page, code: room.code, room, host };
}

export async function guest(browser, code, name, options) {
  const page = await person(browser, options);
  await enter(page, code, name);
  await inMeeting(page);
  return page;
}

/** That `holds`, a function in the page, comes to return something true: asked ten times a second, not each frame. */
export function until(page, holds, argument) {
  return page.waitForFunction(holds, argument, { polling: 100 });
}

/** That `page` sees the picture of `name` move: it has a size, and its frames go on. */
export async function sees(page, name) {
  const frames = await until(page, (who) => {
    const video = document.querySelector(`.tile[data-person="${who}"] video`);
    const count = video && !video.hidden && video.videoWidth > 0 ? video.getVideoPlaybackQuality().totalVideoFrames : 0;
    return count > 0 && count;
  }, name);
  const before = await frames.jsonValue();
  await until(
    page,
    ([who, count]) => document.querySelector(`.tile[data-person="${who}"] video`).getVideoPlaybackQuality().totalVideoFrames > count + 2,
    [name, before],
  );
}

/** That the tile of `name` is described so (what a screen reader says of it). */
export async function tile(page, name, words) {
  await until(
    page,
    ([who, text]) => [...document.querySelectorAll(".tile")].some((each) => each.dataset.person === who && each.getAttribute("aria-label").includes(text)),
    [name, words],
  );
}

export async function gone(page, name) {
  await page.locator(`.tile[data-person="${name}"]`).waitFor({ state: "detached" });
}

const IN_MENU = ["Devices", "Speaker view", "Show all alike", "Small self-view", "Full screen", "Leave full screen", "Send sound only", "Sounds when people come and go", "Keyboard shortcuts"];

export async function control(page, name) {
  if (IN_MENU.includes(name)) await page.locator("#more").click();
  await page.locator(".bar").getByRole("button", { name }).click();
}

export async function says(page, text) {
  await page.getByText(text).first().waitFor();
}

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const OF_COLOURS = ["color-contrast", "link-in-text-block"]; // all rules of these tags that look at colours

/** `accessible` in light and in dark, where nothing but the colours is another; with a picture of each, if named. */
export async function accessibleInBoth(page, name) {
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" }); // no colour on its way to another
    if (name) await picture(page, `${name}-${colorScheme}`);
    await accessible(page, colorScheme === "dark" ? OF_COLOURS : undefined);
  }
}

/** No violation of WCAG 2.2 A and AA that axe-core calls serious or critical, of all `rules` or these. */
export async function accessible(page, rules) {
  const axe = new AxeBuilder({ page });
  const { violations } = await (rules ? axe.withRules(rules) : axe.withTags(TAGS)).analyze();
  const bad = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(bad.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target}: ${node.failureSummary}`).join(" | ")}`), []);
}

/** A picture for people to look at. */
export async function picture(page, name) {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}
