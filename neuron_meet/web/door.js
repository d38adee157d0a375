/** Before a meeting: how one looks and sounds, under which name one comes in. */
import { byId, initials, label, markFields, problem, showView } from "./dom.js";
import { t } from "./language.js";
import { peopleByCode, remembered } from "./rest.js";
import { showLevel } from "./speech.js";
import { mediaProblem } from "./words.js";

/**
 * Show the door of `room`. `entered` resolves with the name once one joins; `close` ends what runs here. Camera and
 * microphone that are on stay on in `devices`.
 */
export function openDoor({ room, me, stale, devices, go }) {
  const closing = new AbortController();
  const { signal } = closing;
  const on = (target, event, handler) => target.addEventListener(event, handler, { signal });
  const name = byId("door-name");

  byId("door-title").textContent = room.name;
  byId("door-facts").textContent = facts(room, me);
  peopleByCode(room.code)
    .then((people) => !signal.aborted && (byId("door-facts").textContent = facts(room, me, people)))
    .catch(() => {});
  name.value = me?.displayName ?? remembered.get("name");
  problem(byId("door-media"), null);
  problem(byId("door-problem"), null);
  markFields(byId("door-form"), {});
  if (stale) {
    const signIn = () => {
      remembered.set("after-sign-in", location.pathname);
      go("/");
    };
    problem(byId("door-problem"), t("Your sign-in has expired. You can come in as a guest, or sign in again first."), { text: t("Sign in"), do: signIn });
  }

  const start = async (kinds) => {
    const failed = [];
    for (const kind of kinds) {
      try {
        await devices.start(kind);
        remembered.set(`${kind}.off`, "");
      } catch (error) {
        failed.push({ kind, error });
      }
    }
    if (signal.aborted) return;
    const same = failed.length === 2 && failed[0].error.name === failed[1].error.name;
    const said = same
      ? [mediaProblem(failed[0].error, "camera and microphone")]
      : failed.map(({ kind, error }) => mediaProblem(error, kind));
    const retry = failed.some(({ error }) => error.name !== "InsecureContext");
    problem(byId("door-media"), said.join(" ") || null, retry ? { text: t("Try again"), do: () => start(failed.map(({ kind }) => kind)) } : undefined);
  };
  const toggle = (kind) => {
    if (!devices[kind]) return start([kind]);
    devices.stop(kind);
    remembered.set(`${kind}.off`, "yes");
  };
  const show = () => {
    const preview = byId("preview");
    const stream = devices.camera ? new MediaStream([devices.camera]) : null;
    if (preview.srcObject?.getTracks()[0] !== devices.camera) preview.srcObject = stream;
    preview.hidden = !stream;
    byId("preview-face").textContent = initials(name.value || t("You"));
    button("door-mic", "mic", devices.microphone, "microphone");
    button("door-camera", "camera", devices.camera, "camera");
  };

  const entered = new Promise((resolve) => {
    on(byId("door-form"), "submit", (event) => {
      event.preventDefault();
      const displayName = name.value.trim();
      if (markFields(event.target, displayName ? {} : { displayName: t("Enter the name under which the others see you.") })) return;
      closing.abort();
      resolve(displayName);
    });
  });
  on(byId("door-mic"), "click", () => toggle("microphone"));
  on(byId("door-camera"), "click", () => toggle("camera"));
  on(name, "input", show);
  on(devices, "change", show);
  noticeOtherTab(room.code, me, signal);
  showLevel("preview-level", devices, signal);
  showView("door");
  show();
  start(["microphone", "camera"].filter((kind) => !remembered.get(`${kind}.off`)));
  return { entered, close: () => closing.abort() };
}

/** What is known of the room; of who is in it only once `people` is. */
function facts(room, me, people) {
  const isHost = me?.id === room.host.id;
  const said = [isHost ? t("You are the host.") : t("Hosted by {name}.", { name: room.host.displayName ?? t("the host") })];
  if (room.isLocked && !isHost) said.push(t("It is locked: nobody else gets in at the moment."));
  else if (room.settings?.waitingRoom && !isHost) said.push(t("The host lets people in."));
  if (people?.length) {
    const names = people.slice(0, 3).map((person) => person.displayName).join(", ");
    const more = people.length - 3;
    said.push(more > 0 ? t("In it now: {names} and {count} more.", { names, count: more }) : t("In it now: {names}.", { names }));
  } else if (people) said.push(t("Nobody is in it yet."));
  return said.join(" ");
}

function button(id, iconName, isOn, what) {
  const words = isOn ? `Switch the ${what} off` : `Switch the ${what} on`;
  label(byId(id), isOn ? iconName : `${iconName}-off`, t(words), isOn);
}

/** Twice in one browser: say so, for two microphones in one room howl, and one account is in a meeting once. */
function noticeOtherTab(code, me, signal) {
  const channel = new BroadcastChannel(`neuron-meet:${code}`);
  signal.addEventListener("abort", () => channel.close());
  channel.onmessage = ({ data }) => {
    if (data !== "here") return;
    const text = me
      ? t("You are in this meeting in another tab already. If you join here, that tab leaves.")
      : t("This meeting is open in another tab already. If you join here too, you are in it twice: mute one of them, or you hear an echo.");
    problem(byId("door-problem"), text);
  };
  channel.postMessage("anybody here?");
}
