/** The page: which view the address asks for, and the way from the door through the meeting to its end. */
import { Devices } from "./devices.js";
import { offerDevices } from "./device-choice.js";
import { openDoor } from "./door.js";
import { byId, element, showView } from "./dom.js";
import { showHome } from "./home.js";
import { account, remembered, roomByCode, signOut } from "./rest.js";
import { codeIn } from "./codes.js";
import { ending } from "./words.js";

const devices = new Devices();
const wasReloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
let isFirst = true;
let current = null; // what the view on screen has running: { stop() }

for (const holder of document.querySelectorAll("[data-devices]")) offerDevices(holder, devices, { speaker: "speaker" in holder.dataset });
byId("sign-out").onclick = () => {
  signOut();
  route();
};
addEventListener("popstate", route);
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
route();

function go(path) {
  history.pushState(null, "", path);
  route();
}

/** Show what the address names. Nothing of the former view goes on. */
async function route() {
  current?.stop();
  const visit = (current = { stop: () => devices.stopAll() });
  document.title = "Neuron Meet";
  const asked = /^\/join\/([^/]*)\/?$/.exec(location.pathname)?.[1];
  const code = asked === undefined ? null : codeIn(asked);
  const room = code && roomByCode(code); // asked for together with the account: each takes a round trip
  room?.catch(() => {}); // told below
  try {
    let stale = false;
    const me = await account(() => (stale = true));
    if (visit !== current) return;
    showAccount(me);
    if (asked === undefined) showHome({ me, stale, go });
    else if (!code) showEnding("Invalid room code");
    else await openMeeting(visit, { code, asked, me, stale, coming: room });
  } catch (error) {
    if (visit === current) showEnding(error.status === 0 ? "unreachable" : "Service temporarily unavailable");
  }
}

async function openMeeting(visit, { code, asked, me, stale, coming }) {
  if (code !== asked) history.replaceState(null, "", `/join/${code}`);
  let room;
  try {
    room = await coming;
  } catch (error) {
    if (error.status === 404) return showEnding("Room not found");
    if (error.status === 429) return showEnding("Too many requests");
    throw error;
  }
  if (visit !== current) return;
  if (!room.isActive) return showEnding("Room is no longer active");
  document.title = `${room.name} · Neuron Meet`;
  const before = wasReloaded && isFirst ? remembered.now(`in.${code}`) : "";
  isFirst = false;
  let displayName = before;
  let part;
  // Fetched while one looks at the door: whoever only looks at the start page does without.
  const fetchMeeting = () => (part = import("./meeting.js").catch(() => null));
  if (before) {
    fetchMeeting();
    await startAgain();
  } else {
    const door = openDoor({ room, me, stale, devices, go });
    visit.stop = () => {
      door.close();
      devices.stopAll();
    };
    fetchMeeting();
    displayName = await door.entered;
    remembered.set("name", displayName);
  }
  const loaded = await part;
  if (visit !== current) return;
  if (!loaded) {
    visit.stop();
    return showEnding("incomplete");
  }
  const meeting = loaded.enterMeeting({
    room,
    me,
    displayName,
    devices,
    over: (reason) => {
      visit.stop();
      showEnding(reason);
    },
  });
  visit.stop = () => {
    meeting.stop();
    devices.stopAll();
  };
}

/** What was on before the page was loaded again, without asking anew: whoever reloads wants to be where they were. */
async function startAgain() {
  const isMuted = remembered.now("muted") === "yes";
  const kinds = ["microphone", "camera"].filter((kind) => !remembered.get(`${kind}.off`));
  await Promise.allSettled(kinds.map((kind) => devices.start(kind)));
  if (isMuted) devices.hear(false);
}

function showAccount(me) {
  byId("who").hidden = !me;
  byId("who-name").textContent = me ? (me.displayName ?? me.name) : "";
}

function showEnding(reason) {
  const { title, text, ways } = ending(reason);
  byId("ending-title").textContent = title;
  byId("ending-text").textContent = text;
  const follow = (to) => {
    if (to === "again") return route();
    if (to === "reload") return location.reload(); // what was not fetched once is not asked for again by the same document
    if (to !== "sign-in") return go(to);
    remembered.set("after-sign-in", location.pathname);
    go("/");
  };
  const buttons = ways.map((way, index) =>
    element("button", { type: "button", class: index ? "quiet" : "primary", onclick: () => follow(way.to) }, way.text),
  );
  byId("ending-ways").replaceChildren(...buttons);
  showView("ending");
}
