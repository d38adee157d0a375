/** In a meeting: the view around signaling.js. What one clicks goes to devices and meeting; what changes is shown. */
import { Announce } from "./announce.js";
import { Chat } from "./chat.js";
import { linkTo } from "./codes.js";
import { Controls } from "./controls.js";
import { byId, element, notice, showView } from "./dom.js";
import { Host } from "./host.js";
import { Keys } from "./keys.js";
import { t } from "./language.js";
import { Line } from "./line.js";
import { People } from "./people.js";
import { remembered, signOut, token } from "./rest.js";
import { Meeting } from "./signaling.js";
import { noticeMutedSpeech } from "./speech.js";
import { Tiles } from "./tiles.js";
import { STATUS } from "./words.js";

/**
 * Join `room` (as REST shows it by its code) with what is on in `devices`; `me`: the account, or null. `over(reason)`
 * is called at the end, once, unless `stop` was called before.
 */
export function enterMeeting({ room, me, displayName, devices, over }) {
  const ownMessages = JSON.parse(remembered.now(`own.${room.code}`) || "[]");
  const meeting = new Meeting({ roomCode: room.code, displayName, token: token(), accountId: me?.id, ownMessages });
  const ending = new AbortController();
  let unloading = false;
  const { signal } = ending;
  const on = (target, event, handler) => target.addEventListener(event, handler, { signal });
  const parts = { meeting, devices, room, signal, on };

  byId("meeting-title").textContent = room.name;
  byId("copy-code").textContent = room.code;
  byId("copy").setAttribute("aria-label", t("Copy the link of {code}", { code: room.code }));
  byId("link").value = linkTo(room.code);
  meeting.me.displayName = displayName;
  new Tiles(parts);
  new Announce(parts);
  new Chat(parts);
  new People(parts);
  new Host(parts);
  new Controls(parts);
  new Keys(parts);
  new Line(parts);
  noticeMutedSpeech(parts);

  on(meeting, "status", ({ detail: { status, reason } }) => {
    if (status === "joined") remembered.forNow(`in.${room.code}`, displayName);
    if (status === "over") {
      if (!unloading) remembered.forNow(`in.${room.code}`, "");
      stop();
      return over(reason);
    }
    showStatus(meeting, status);
  });
  on(meeting, "room", () => (byId("locked").hidden = !meeting.room.isLocked));
  on(meeting, "people", () => showAlone(meeting));
  on(meeting, "recovered", () => notice(t("You are back. Nothing was missed.")));
  on(meeting, "rejoined", () => notice(t("You are back in the meeting.")));
  on(meeting, "draining", () => notice(t("The server restarts in a moment. You will be connected again by yourself."), "problem"));
  on(meeting, "hand", ({ detail: person }) => person && notice(t("{name} raised a hand.", { name: person.displayName })));
  on(meeting, "auth-error", () => {
    signOut();
    notice(t("Your sign-in has expired: you are in this meeting as a guest. Sign in again on the start page."), "problem");
  });
  on(byId("waiting-leave"), "click", () => meeting.leave());
  on(byId("copy"), "click", () => copyLink(room.code));
  on(byId("copy-link"), "click", () => copyLink(room.code));
  on(window, "pagehide", () => {
    unloading = true; // a reload comes back
    meeting.leave();
  });
  const channel = new BroadcastChannel(`neuron-meet:${room.code}`);
  channel.onmessage = ({ data }) => data === "anybody here?" && channel.postMessage("here");

  function stop() {
    if (signal.aborted) return;
    ending.abort();
    channel.close();
    meeting.leave();
  }
  showStatus(meeting, "connecting");
  meeting.connect();
  return { stop };
}

function showStatus(meeting, status) {
  const [short, long] = STATUS[status].map((sentence) => t(sentence));
  byId("status").textContent = status === "joined" ? "" : short;
  byId("status").title = long;
  byId("status").dataset.status = status;
  if (meeting.room) {
    if (document.body.dataset.shown !== "meeting") showView("meeting");
    return;
  }
  byId("waiting-title").textContent = short;
  byId("waiting-text").textContent = long;
  if (document.body.dataset.shown !== "waiting") showView("waiting");
}

function showAlone(meeting) {
  byId("alone").hidden = meeting.people.size > 0;
}

async function copyLink(code) {
  try {
    await write(linkTo(code));
    notice(t("The link is copied. Send it to whoever should come."));
  } catch {
    notice(t("The browser does not let this page copy. This is the link: {link}", { link: linkTo(code) }), "problem");
  }
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages over plain http have no clipboard, but may copy what is selected.
  const holder = document.body.appendChild(element("textarea", { value: text, readOnly: true }));
  holder.select();
  const copied = document.execCommand("copy");
  holder.remove();
  if (!copied) throw new Error("copying is not allowed");
}
