/** How loud a microphone is: for the meters, and for who speaks while muted. */
import { byId, notice } from "./dom.js";
import { t } from "./language.js";

const LOUD = 0.06;
const LOOK_EVERY_MS = 100;
const LOUD_TIMES = 4; // within the last ten looks: a cough is none
const AGAIN_AFTER_MS = 20_000;

/**
 * Call `heard(level)`, 0 to 1, ten times a second for what `track()` gives, as long as `signal` lasts; look again
 * at `track()` with each change of `devices`.
 */
export function listenTo(devices, track, heard, signal) {
  let context;
  let source = null;
  let listened = null;
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    source?.disconnect();
    source = null;
    heard(0);
  };
  const changed = () => {
    const wanted = signal.aborted ? null : track();
    if (wanted === listened) return;
    stop();
    listened = wanted;
    if (!wanted) return;
    context ??= new AudioContext();
    source = context.createMediaStreamSource(new MediaStream([wanted]));
    const analyser = new AnalyserNode(context, { fftSize: 4096 });
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize); // 85 ms of 100: what is said between two looks counts, too
    timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      heard(Math.min(1, (4 * Math.hypot(...samples)) / Math.sqrt(samples.length)));
    }, LOOK_EVERY_MS);
  };
  devices.addEventListener("change", changed, { signal });
  signal.addEventListener("abort", () => {
    stop();
    context?.close();
  });
  changed();
}

/** Tell who speaks while muted. What is listened to never leaves the page. */
export function noticeMutedSpeech({ devices, signal }) {
  let recent = [];
  let toldAt = -Infinity;
  listenTo(
    devices,
    () => devices.listenedWhileMuted,
    (level) => {
      recent = level === 0 ? [] : [...recent.slice(-9), level > LOUD];
      if (recent.filter(Boolean).length < LOUD_TIMES || performance.now() - toldAt < AGAIN_AFTER_MS) return;
      toldAt = performance.now();
      notice(t("You are muted, but you are speaking. Press M to be heard."));
    },
    signal,
  );
}

/** Show the microphone's level in that meter. */
export function showLevel(meterId, devices, signal) {
  listenTo(devices, () => devices.microphone, (level) => (byId(meterId).value = level), signal);
}
