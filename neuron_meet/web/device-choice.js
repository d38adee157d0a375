/** Lists to choose devices from, kept current, and the dialog around them, where one sees, hears and is heard. */
import { byId, element, initials, problem } from "./dom.js";
import { t } from "./language.js";
import { showLevel } from "./speech.js";
import { mediaProblem } from "./words.js";

const KINDS = { microphone: "Microphone", camera: "Camera", speaker: "Loudspeaker" };
const TONE_SECONDS = 0.8;

/** Put the lists into `holder`; `speaker`: also where one hears. What goes wrong is said in the `.problem` beside it. */
export function offerDevices(holder, devices, { speaker = false } = {}) {
  const kinds = Object.entries(KINDS).filter(([kind]) => kind !== "speaker" || (speaker && "setSinkId" in HTMLMediaElement.prototype));
  const selects = kinds.map(([kind, name]) => {
    const select = element("select", {});
    select.addEventListener("change", () => choose(kind, select.value));
    holder.append(element("label", {}, t(name), select));
    return [kind, select];
  });
  const refresh = async () => {
    for (const [kind, select] of selects) {
      const found = await devices.list(kind);
      const inUse = kind === "speaker" ? devices.speaker : devices[kind]?.getSettings().deviceId;
      select.replaceChildren(...found.map(({ id, name }) => element("option", { value: id, selected: id === inUse }, name)));
      const none = devices[kind] ? "In use" : kind === "speaker" ? "The browser's own" : "None available";
      if (found.length === 0) select.append(element("option", { value: "" }, t(none)));
      select.disabled = found.length === 0;
    }
  };
  const choose = async (kind, id) => {
    const says = holder.parentElement.querySelector(".problem");
    try {
      await devices.choose(kind, id);
      problem(says, null);
    } catch (error) {
      problem(says, mediaProblem(error, kind));
    }
  };
  devices.addEventListener("change", refresh);
  navigator.mediaDevices?.addEventListener?.("devicechange", refresh);
  refresh();
}

/** Open the dialog in which one chooses and tries one's devices. */
export function openDevices(devices, name) {
  const dialog = byId("device-dialog");
  const closing = new AbortController();
  const preview = byId("device-preview");
  const show = () => {
    if (preview.srcObject?.getTracks()[0] !== devices.camera) preview.srcObject = devices.camera ? new MediaStream([devices.camera]) : null;
    preview.hidden = !devices.camera;
  };
  preview.nextElementSibling.textContent = initials(name);
  problem(byId("device-problem"), null);
  devices.addEventListener("change", show, { signal: closing.signal });
  byId("test-tone").onclick = () => playTone(devices);
  dialog.addEventListener("close", () => closing.abort(), { once: true });
  closing.signal.addEventListener("abort", () => (preview.srcObject = null));
  show();
  showLevel("device-level", devices, closing.signal);
  dialog.showModal();
}

/** From the chosen loudspeaker, as the others' voices. */
async function playTone(devices) {
  const context = new AudioContext();
  const mix = context.createMediaStreamDestination();
  const tone = new OscillatorNode(context, { frequency: 440 });
  const loudness = new GainNode(context, { gain: 0.2 });
  tone.connect(loudness).connect(mix);
  const sound = new Audio();
  sound.srcObject = mix.stream;
  byId("test-tone").disabled = true;
  await devices.playOn(sound);
  await sound.play().catch(() => {});
  tone.start();
  tone.stop(context.currentTime + TONE_SECONDS);
  tone.onended = () => {
    byId("test-tone").disabled = false;
    sound.srcObject = null;
    context.close();
  };
}
