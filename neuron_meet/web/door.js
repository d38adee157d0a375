/** Before a meeting: how one looks and sounds, under which name one comes in. */
import { byId, initials, label, problem, showView } from "./dom.js";
import { peopleByCode, remembered } from "./rest.js";
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
  if (stale) {
    const signIn = () => {
      remembered.set("after-sign-in", location.pathname);
      go("/");
    };
    problem(byId("door-problem"), "Your sign-in has expired. You can come in as a guest, or sign in again first.", { text: "Sign in", do: signIn });
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
    problem(byId("door-media"), said.join(" ") || null, retry ? { text: "Try again", do: () => start(failed.map(({ kind }) => kind)) } : undefined);
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
    byId("preview-face").textContent = initials(name.value || "You");
    button("door-mic", "mic", devices.microphone, "microphone");
    button("door-camera", "camera", devices.camera, "camera");
  };

  const entered = new Promise((resolve) => {
    on(byId("door-form"), "submit", (event) => {
      event.preventDefault();
      const displayName = name.value.trim();
      if (!displayName) {
        problem(byId("door-problem"), "Enter the name under which the others see you.");
        return name.focus();
      }
      closing.abort();
      resolve(displayName);
    });
  });
  on(byId("door-mic"), "click", () => toggle("microphone"));
  on(byId("door-camera"), "click", () => toggle("camera"));
  on(name, "input", show);
  on(devices, "change", show);
  noticeOtherTab(room.code, me, signal);
  showLevel(devices, signal);
  showView("door");
  show();
  start(["microphone", "camera"].filter((kind) => !remembered.get(`${kind}.off`)));
  return { entered, close: () => closing.abort() };
}

/** What is known of the room; of who is in it only once `people` is. */
function facts(room, me, people) {
  const said = [me?.id === room.host.id ? "You are the host." : `Hosted by ${room.host.displayName ?? "the host"}.`];
  if (room.isLocked && me?.id !== room.host.id) said.push("It is locked: nobody else gets in at the moment.");
  else if (room.settings?.waitingRoom && me?.id !== room.host.id) said.push("The host lets people in.");
  if (people?.length) {
    const names = people.slice(0, 3).map((person) => person.displayName).join(", ");
    const more = people.length > 3 ? ` and ${people.length - 3} more` : "";
    said.push(`In it now: ${names}${more}.`);
  } else if (people) said.push("Nobody is in it yet.");
  return said.join(" ");
}

function button(id, iconName, isOn, what) {
  label(byId(id), isOn ? iconName : `${iconName}-off`, isOn ? `Switch the ${what} off` : `Switch the ${what} on`);
  byId(id).setAttribute("aria-pressed", String(Boolean(isOn)));
}

/** Twice in one browser: say so, for two microphones in one room howl, and one account is in a meeting once. */
function noticeOtherTab(code, me, signal) {
  const channel = new BroadcastChannel(`neuron-meet:${code}`);
  signal.addEventListener("abort", () => channel.close());
  channel.onmessage = ({ data }) => {
    if (data !== "here") return;
    const text = me
      ? "You are in this meeting in another tab already. If you join here, that tab leaves."
      : "This meeting is open in another tab already. If you join here too, you are in it twice: mute one of them, or you hear an echo.";
    problem(byId("door-problem"), text);
  };
  channel.postMessage("anybody here?");
}

/** The microphone's level, so that one sees that it hears. */
function showLevel(devices, signal) {
  const meter = byId("preview-level");
  let context;
  let source;
  const listen = () => {
    source?.disconnect();
    source = null;
    meter.value = 0;
    if (!devices.microphone || signal.aborted) return;
    context ??= new AudioContext();
    source = context.createMediaStreamSource(new MediaStream([devices.microphone]));
    const analyser = context.createAnalyser();
    analyser.fftSize = 512;
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const mine = source;
    const draw = () => {
      if (signal.aborted || source !== mine) return;
      analyser.getFloatTimeDomainData(samples);
      meter.value = Math.min(1, 4 * Math.hypot(...samples) / Math.sqrt(samples.length));
      setTimeout(draw, 80);
    };
    draw();
  };
  let heard = null;
  const changed = () => {
    if (devices.microphone === heard) return;
    heard = devices.microphone;
    listen();
  };
  devices.addEventListener("change", changed, { signal });
  signal.addEventListener("abort", () => context?.close());
  changed();
}
