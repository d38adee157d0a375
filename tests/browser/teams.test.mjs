// What teams miss where it is missing: who comes and goes, keys, layouts, devices, words at the field, one's own rooms.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { URL_OF_SERVER, account, control, depart, enter, guest, healthy, hosting, inMeeting, launch, person, picture, rest, says, sees, signedIn, tile, until } from "./browser.mjs";
import { speaking } from "./speech.mjs";

let browser;
const sockets = [];
const voice = speaking();
before(async () => (browser = await launch([voice.argument])));
after(async () => {
  rmSync(voice.folder, { recursive: true });
  for (const socket of sockets) socket.disconnect();
  await browser.close();
});

async function join(code, displayName, token) {
  const socket = io(URL_OF_SERVER, { auth: { capabilities: ["waiting-room"], ...(token && { token }) }, transports: ["websocket"], forceNew: true });
  sockets.push(socket);
  const ack = await socket.emitWithAck("join-room", { roomCode: code, displayName });
  assert.ok(ack.success || ack.waiting, ack.error);
  return Object.assign(socket, { roomId: ack.roomId });
}

/** Come in without camera and microphone, which cost a busy machine most. */
async function silently(page, code, name) {
  await page.addInitScript(() => ["camera", "microphone"].forEach((kind) => localStorage.setItem(`neuron-meet.${kind}.off`, "yes")));
  await page.goto(`${URL_OF_SERVER}/join/${code}`);
  await page.locator("#door-name").fill(name);
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await inMeeting(page);
}

const message = (page) => page.getByLabel("Message", { exact: true });
const titled = (page, title) => until(page, (wanted) => document.title === wanted, title);

test("who comes, goes and knocks; unread messages; what others type, when its end is lost", async () => {
  const host = await account("Hanna Host");
  const room = await rest("POST", "/rooms", { name: "Weekly" }, host.token);
  const page = await person(browser);
  await signedIn(page, host);
  // A network that loses the end of typing, which is sent once.
  await page.routeWebSocket(/socket\.io/, (near) => {
    const far = near.connectToServer();
    far.onMessage((frame) => String(frame).includes('"isTyping":false') || near.send(frame));
  });
  await page.addInitScript(() => {
    window.tones = 0;
    const { start } = OscillatorNode.prototype;
    OscillatorNode.prototype.start = function (...at) {
      window.tones += 1;
      return start.apply(this, at);
    };
  });
  await enter(page, room.code);
  await inMeeting(page);
  const gus = await join(room.code, "Gus");
  await says(page, "Gus is here.");
  await until(page, () => window.tones === 2);
  gus.emit("typing-start", { roomId: gus.roomId });
  await control(page, "Chat");
  await says(page, "Gus is typing…");
  await until(page, () => document.querySelector("#typing").textContent === "");

  // Away from the chat: counted, also in the title. Back in it: read.
  await page.keyboard.press("Escape");
  for (let number = 1; number <= 30; number += 1) await gus.emitWithAck("chat-message", { roomId: gus.roomId, content: `Line ${number}` });
  await titled(page, "(30) Weekly · Neuron Meet");
  await control(page, "Chat");
  await titled(page, "Weekly · Neuron Meet");
  // Who reads further up stays there, and is told.
  await page.locator("#messages").evaluate((each) => (each.scrollTop = 0));
  await gus.emitWithAck("chat-message", { roomId: gus.roomId, content: "The newest" });
  await page.getByRole("button", { name: "New messages" }).click();
  await until(page, () => document.querySelector("#new-messages").hidden);
  assert.ok(await page.locator("#message-list li").last().evaluate((each) => each.getBoundingClientRect().bottom < innerHeight));
  // The box grows with its text, whether lines end in it or not, and shrinks again.
  const height = () => page.locator("#chat-text").evaluate((each) => each.offsetHeight);
  const low = await height();
  await message(page).fill("as long as a sentence that goes on and on, ".repeat(3));
  assert.ok((await height()) > low + 20);
  await page.keyboard.press("Enter");
  await until(page, (wanted) => document.querySelector("#chat-text").offsetHeight === wanted, low);
  await page.keyboard.press("Escape");

  // Silenced: no tone more.
  await control(page, "Sounds when people come and go");
  const tones = await page.evaluate(() => window.tones);
  await rest("PATCH", `/rooms/${room.id}/settings`, { waitingRoom: true }, host.token);
  const kai = await join(room.code, "Kai");
  await until(page, () => document.querySelector("#announcer").textContent === "Kai wants to come in");
  await titled(page, "(1) Weekly · Neuron Meet");
  gus.disconnect();
  await says(page, "Gus has left.");
  assert.equal(await page.evaluate(() => window.tones), tones);
  kai.disconnect();
  await titled(page, "Weekly · Neuron Meet");

  // Names say what a click does, and no state says the contrary.
  const bar = await page.locator(".bar").ariaSnapshot();
  assert.deepEqual(bar.match(/button "[^"]*"[^\n]*/g), [
    'button "Mute"', 'button "Stop camera"', 'button "Share screen"', 'button "Raise hand"', 'button "Chat"', 'button "People 1 in the meeting"', 'button "More"', 'button "Leave"',
  ].map((name) => bar.match(/button "[^"]*"[^\n]*/g).find((each) => each.startsWith(name)) ?? `no ${name}`));
  assert.ok(!/pressed/.test(bar), bar);
  healthy(page);
  await depart(page);
});

test("keys, layouts, who speaks while muted", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await guest(browser, code, "Gus");
  await sees(gus, "Hanna Host");
  await gus.locator("#meeting-title").focus();
  await gus.keyboard.press("m");
  await tile(hanna, "Gus", "muted");
  // He speaks all the time, and is told that nobody hears it. Nor does the page send it.
  await says(gus, "You are muted, but you are speaking.");
  await gus.keyboard.down(" ");
  await until(hanna, () => !document.querySelector('.tile[data-person="Gus"]').getAttribute("aria-label").includes("muted"));
  await gus.keyboard.up(" ");
  await tile(hanna, "Gus", "muted");
  await gus.keyboard.press("v");
  await hanna.locator('.tile[data-person="Gus"] video').waitFor({ state: "hidden" });
  await gus.keyboard.press("h");
  await tile(hanna, "Gus", "hand raised");
  await gus.keyboard.press("c");
  await until(gus, () => document.activeElement.id === "chat-text");
  await gus.keyboard.type("mvh"); // letters in a text are letters
  assert.equal(await message(gus).inputValue(), "mvh");
  await gus.keyboard.press("Escape");
  await gus.locator("#meeting-title").focus();
  await gus.keyboard.press("?");
  await gus.locator("#keys-dialog").getByText("Hold to talk while muted").waitFor();
  await picture(gus, "keys");
  await gus.getByLabel("Use these keys").uncheck();
  await gus.getByRole("button", { name: "Done" }).click();
  await gus.locator("#meeting-title").focus();
  await gus.keyboard.press("p");
  assert.equal(await gus.locator("#people-panel").isHidden(), true);

  // Pinned; speaker view, in which somebody is large; the own picture small.
  const kai = await join(code, "Kai");
  await hanna.locator('.tile[data-person="Kai"]').waitFor();
  await hanna.getByRole("button", { name: "Pin Kai" }).click();
  await hanna.locator('.presenter[data-person="Kai"]').waitFor();
  await hanna.getByRole("button", { name: "Pin Kai", pressed: true }).click();
  await hanna.locator(".presenter").waitFor({ state: "detached" });
  await control(hanna, "Speaker view");
  await hanna.locator(".presenter").waitFor();
  await gus.keyboard.press("m"); // not with the keys off
  await control(gus, "Unmute");
  await hanna.locator('.presenter[data-person="Gus"]').waitFor();
  await picture(hanna, "speaker-view");
  await control(hanna, "Show all alike");
  await control(hanna, "Small self-view");
  await hanna.locator(".small-self .tile.self").waitFor();
  await picture(hanna, "small-self");
  await control(hanna, "Full screen");
  await until(hanna, () => document.fullscreenElement !== null);
  await control(hanna, "Leave full screen");
  await until(hanna, () => document.fullscreenElement === null);

  // One's own screen is not shown in itself; it can be ended where one's picture is.
  await control(hanna, "Share screen");
  await tile(gus, "Hanna Host", "shares the screen");
  await sees(gus, "Hanna Host");
  // The face beside it, for who knows two pictures.
  await until(gus, () => {
    const [screen, face] = document.querySelectorAll('.tile[data-person="Hanna Host"] video');
    return face?.videoWidth > 0 && screen.videoWidth > 0 && face.srcObject !== screen.srcObject;
  });
  await picture(gus, "face-beside");
  const late = await person(browser);
  await silently(late, code, "Late");
  await until(late, () => document.querySelector('.tile[data-person="Hanna Host"] .beside')?.videoWidth > 0);
  await sees(late, "Hanna Host");
  await depart(late);
  // A front end that knows one picture gets the screen in place of the face.
  const old = await person(browser);
  await old.route("**/peer.*.js", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace("a=x-two-pictures", "a=x-something-else") });
  });
  await silently(old, code, "Old");
  await sees(old, "Hanna Host");
  await until(old, () => document.querySelector('.tile[data-person="Hanna Host"]').classList.contains("presenter"));
  assert.equal(await old.locator(".beside").count(), 0);
  const size = ([video]) => `${video.videoWidth} × ${video.videoHeight}`;
  const [shown, shared] = [await old.locator('.tile[data-person="Hanna Host"] video').evaluateAll(size), await gus.locator('.tile[data-person="Hanna Host"] > video').evaluateAll(size)];
  assert.equal(shown.split(" × ")[0] / shown.split(" × ")[1], shared.split(" × ")[0] / shared.split(" × ")[1]);
  await depart(old);
  assert.equal(await hanna.locator(".tile.self video").evaluate((each) => each.srcObject.getTracks()[0].getSettings().displaySurface), undefined);
  await hanna.locator(".tile.self").getByRole("button", { name: "Stop sharing" }).click();
  await until(gus, () => !document.querySelector(".tiles.presenting"));

  // Everybody muted at once.
  await control(hanna, "People");
  await hanna.getByRole("button", { name: "Mute all" }).click();
  await says(gus, "The host muted you.");
  await until(hanna, () => document.querySelector("#mute-all").disabled);
  kai.disconnect();
  healthy(hanna, gus);
  await depart(hanna, gus);
});

test("one dialog for devices; a camera that goes on later is bound, too", async () => {
  const { page: hanna, code } = await hosting(browser);
  const gus = await person(browser);
  await gus.addInitScript(() => {
    localStorage.setItem("neuron-meet.camera.off", "yes");
    const Connection = window.RTCPeerConnection;
    window.connections = [];
    window.RTCPeerConnection = class extends Connection {
      constructor(...given) {
        super(...given);
        window.connections.push(this);
      }
    };
  });
  await gus.goto(`${URL_OF_SERVER}/join/${code}`);
  await gus.locator("#door-mic[data-on=true]").waitFor();
  await gus.getByRole("button", { name: "Join the meeting" }).click();
  await gus.getByText("Enter the name under which the others see you.").waitFor();
  const name = gus.locator("#door-name");
  assert.equal(await name.getAttribute("aria-invalid"), "true");
  assert.match(await name.evaluate((each) => document.getElementById(each.getAttribute("aria-describedby")).textContent), /Enter the name/);
  await name.fill("Gus");
  await gus.getByRole("button", { name: "Join the meeting" }).click();
  await sees(gus, "Hanna Host");
  await control(gus, "Start camera");
  await sees(hanna, "Gus");
  const caps = () => window.connections.flatMap((each) => each.getSenders().filter(({ track }) => track?.kind === "video").map((sender) => sender.getParameters().encodings[0].maxBitrate));
  await until(gus, `(${caps})().length === 1 && (${caps})().every((cap) => cap === 1500000)`);

  await control(gus, "Devices");
  await until(gus, () => document.querySelector("#device-preview").videoWidth > 0);
  await until(gus, () => document.querySelector("#device-level").value > 0);
  await gus.getByRole("button", { name: "Play a test tone" }).click();
  await until(gus, () => document.querySelector("#test-tone").disabled);
  await until(gus, () => !document.querySelector("#test-tone").disabled);
  const speakers = gus.getByLabel("Loudspeaker");
  await speakers.selectOption({ index: (await speakers.locator("option").count()) - 1 });
  const chosen = await speakers.inputValue();
  await until(gus, (id) => [...document.querySelectorAll("#sounds audio")].every((each) => each.sinkId === id), chosen);
  await picture(gus, "devices");
  await gus.getByRole("button", { name: "Done" }).click();
  // How a line is said to be: by what is lost either way, and by the time that an answer takes.
  const grades = await gus.evaluate(async () => {
    const { grade } = await import("/assets/line.js");
    const of = (lost, lostThere, roundTripMs) => grade({ lost, lostThere, roundTripMs });
    return [of(null, null, null), of(0.01, null, 40), of(0, 0.05, 40), of(0.2, 0, 40), of(0, 0, 500), of(0, 0, 1_000)];
  });
  assert.deepEqual(grades, [null, "good", "poor", "bad", "poor", "bad"]);
  await control(gus, "Send sound only");
  await gus.locator("#more").click();
  await gus.getByRole("button", { name: "Send sound only", pressed: true }).waitFor();
  healthy(hanna, gus);
  await depart(hanna, gus);
});

test("words at the field; an account that is known; one's own meetings, with what was written", async () => {
  const page = await person(browser);
  await page.goto(URL_OF_SERVER);
  await page.getByRole("button", { name: "Create account and start" }).click();
  for (const [field, sentence] of [["Your name", "Enter a name of 2 to 50 letters."], ["E-mail address", "Enter an e-mail address, such as ada@example.org."], ["Password", "Enter a password of 8 to 100 characters."]]) {
    const input = page.locator("#account-form").getByLabel(field);
    await page.getByText(sentence).waitFor();
    assert.equal(await input.getAttribute("aria-invalid"), "true");
    assert.equal(await input.evaluate((each) => document.getElementById(each.getAttribute("aria-describedby")).textContent), sentence);
  }
  assert.ok(!/displayName|must be|should not/i.test(await page.locator("body").innerText()));
  await until(page, () => document.activeElement.id === "name");
  await picture(page, "fields");
  // Said on one view, gone on the next.
  const olga = await account("Olga Host");
  await page.getByRole("button", { name: "Sign in" }).first().click();
  await page.getByLabel("E-mail address").fill(olga.email);
  await page.getByLabel("Password").fill(olga.password);
  await page.locator("#account-submit").click();
  await page.locator("#start-form").waitFor();

  const rooms = [];
  for (let number = 1; number <= 8; number += 1) rooms.push(await rest("POST", "/rooms", { name: `Room ${number}` }, olga.token));
  const talk = await join(rooms[7].code, "Olga Host", olga.token);
  for (let number = 1; number <= 60; number += 1) await talk.emitWithAck("chat-message", { roomId: talk.roomId, content: `Said ${number}` });
  talk.disconnect();
  await page.reload();
  await page.locator("#rooms li").nth(5).waitFor();
  assert.equal(await page.locator("#rooms li").count(), 6);
  await page.getByRole("button", { name: "Show all" }).click();
  await page.locator("#rooms li").nth(7).waitFor();
  await page.getByRole("button", { name: "Messages of Room 8" }).click();
  await page.locator("#history").getByText("Said 60").waitFor();
  await page.locator("#history-dialog").getByRole("button", { name: "Earlier messages" }).click();
  await page.locator("#history").getByText("Said 1", { exact: true }).waitFor();
  assert.equal(await page.locator("#history li.mine").count(), 60);
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "End Room 3" }).click();
  await page.getByRole("button", { name: "End", exact: true }).click();
  await says(page, "Room 3 is over.");
  await page.locator("#rooms li").filter({ hasText: "Room 3" }).getByText("ended").waitFor();
  // In the meeting, too, there is more than the newest 50.
  await page.goto(`${URL_OF_SERVER}/join/${rooms[7].code}`);
  await page.getByRole("button", { name: "Join the meeting" }).click();
  await inMeeting(page);
  await control(page, "Chat");
  await page.getByRole("button", { name: "Earlier messages" }).click();
  await until(page, () => document.querySelectorAll("#message-list li.mine").length === 60);
  await control(page, "Leave");
  await page.locator("#leave-dialog").getByRole("button", { name: "Leave" }).click();
  await page.getByRole("button", { name: "Go to the start page" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await until(page, () => document.querySelector("#mode-login").getAttribute("aria-pressed") === "true");
  healthy(page);
  await depart(page);
});
