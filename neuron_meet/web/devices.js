/** Microphone, camera and screen of this person. A track is null while its device is off. */
import { remembered } from "./rest.js";

const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const CAMERA = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } };
const KINDS = { microphone: "audioinput", camera: "videoinput", speaker: "audiooutput" };

/** Events: `change` (something is on or off), `lost` (detail: "microphone", "camera" or "screen": it ended by itself). */
export class Devices extends EventTarget {
  microphone = null;
  camera = null;
  screen = null;
  /** While muted, the microphone for ourselves: for telling who speaks while muted. */
  listenedWhileMuted = null;
  /** Whether no picture is sent, for the sake of the sound. */
  soundOnly = false;
  #screenSound = null;
  #mixed = null; // { context, track, of: [tracks] }: microphone and the screen's sound in one
  #visit = 0; // what is granted after `stopAll` was asked for too late

  /** Whether the microphone is heard. */
  get isHeard() {
    return this.microphone?.enabled ?? false;
  }

  /** The id of the loudspeaker that was chosen, "" for the browser's own. */
  get speaker() {
    return remembered.get("speaker");
  }

  /** The face that others get. */
  get face() {
    return this.soundOnly ? null : this.camera;
  }

  /** What others hear: the microphone, with the sound of what is shared. */
  get sound() {
    if (!this.#screenSound) return this.microphone;
    const of = [this.microphone, this.#screenSound].filter(Boolean);
    if (this.#mixed?.of.length === of.length && of.every((track, index) => track === this.#mixed.of[index])) return this.#mixed.track;
    this.#mixed?.context.close();
    const context = new AudioContext();
    const mix = context.createMediaStreamDestination();
    for (const track of of) context.createMediaStreamSource(new MediaStream([track])).connect(mix);
    this.#mixed = { context, of, track: mix.stream.getAudioTracks()[0] };
    return this.#mixed.track;
  }

  /** Switch "microphone" or "camera" on. Throws what the browser throws (words.js: mediaProblem). */
  async start(kind, deviceId = remembered.get(kind)) {
    const visit = this.#visit;
    const track = await open(kind, deviceId);
    if (visit === this.#visit) this.#take(kind, track);
    else track.stop();
  }

  /** Choose a device for now and for the next time; it is switched on. "speaker" is where one hears the others. */
  async choose(kind, deviceId) {
    remembered.set(kind, deviceId);
    if (kind === "speaker") this.#changed();
    else await this.start(kind, deviceId);
  }

  /** Have `sound`, an element, be heard where one has chosen. */
  async playOn(sound) {
    if (sound.setSinkId && sound.sinkId !== this.speaker) await sound.setSinkId(this.speaker).catch(() => {}); // not there any more
  }

  /** Silence the microphone or let it be heard. It stays open, so that unmuting is instant. */
  hear(heard) {
    if (this.microphone) this.microphone.enabled = heard;
    remembered.forNow("muted", heard ? "" : "yes");
    this.#listenWhileMuted();
    this.#changed();
  }

  /** Send no picture of ours, or send it again. What is shared is sent all the same: it was asked for. */
  sendSoundOnly(soundOnly) {
    this.soundOnly = soundOnly;
    this.#changed();
  }

  /** Ask for a screen, window or tab, with its sound where there is one. Throws what the browser throws. */
  async share() {
    if (!devices().getDisplayMedia) throw Object.assign(new Error(), { name: "NotFoundError" });
    const stream = await devices().getDisplayMedia({ video: { frameRate: { ideal: 15 } }, audio: true, systemAudio: "include" });
    const [track] = stream.getVideoTracks();
    track.contentHint = "detail";
    this.#screenSound = stream.getAudioTracks()[0] ?? null;
    this.#take("screen", track);
  }

  /** Switch "microphone", "camera" or "screen" off: its light goes out. */
  stop(kind) {
    this.#take(kind, null);
  }

  stopAll() {
    this.#visit += 1;
    this.soundOnly = false;
    for (const kind of ["microphone", "camera", "screen"]) this.stop(kind);
  }

  /** The devices there are: [{ id, name }]. Names are known only once one of the kind was allowed. */
  async list(kind) {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all
      .filter((device) => device.kind === KINDS[kind] && device.deviceId)
      .map(({ deviceId, label }, index) => ({ id: deviceId, name: label || `${kind} ${index + 1}` }));
  }

  #take(kind, track) {
    const before = this[kind];
    if (before) {
      before.onended = null;
      before.stop();
    }
    if (track && kind === "microphone" && before) track.enabled = before.enabled;
    this[kind] = track;
    if (kind === "screen" && !track) this.#endScreenSound();
    if (kind === "microphone") this.#listenWhileMuted();
    if (track) {
      // Unplugged, or ended with the browser's own button.
      track.onended = () => {
        this[kind] = null;
        if (kind === "screen") this.#endScreenSound();
        if (kind === "microphone") this.#listenWhileMuted();
        this.#changed();
        this.dispatchEvent(new CustomEvent("lost", { detail: kind }));
      };
    }
    this.#changed();
  }

  #endScreenSound() {
    this.#screenSound?.stop();
    this.#screenSound = null;
    this.#mixed?.context.close();
    this.#mixed = null;
  }

  #listenWhileMuted() {
    this.listenedWhileMuted?.stop();
    const isMuted = this.microphone && !this.microphone.enabled;
    this.listenedWhileMuted = isMuted ? this.microphone.clone() : null;
    if (isMuted) this.listenedWhileMuted.enabled = true;
  }

  #changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}

/** A track of that device, or of any where it is not there any more. */
async function open(kind, deviceId) {
  const ask = async (wanted) => {
    const constraints = { ...(kind === "camera" ? CAMERA : MICROPHONE), ...wanted };
    const stream = await devices().getUserMedia(kind === "camera" ? { video: constraints } : { audio: constraints });
    return stream.getTracks()[0];
  };
  if (!deviceId) return ask({});
  try {
    // Exactly that one: of an ideal one browsers make something else when another fits the resolution better.
    return await ask({ deviceId: { exact: deviceId } });
  } catch (error) {
    if (error.name !== "OverconstrainedError" && error.name !== "NotFoundError") throw error;
    return ask({});
  }
}

/** The browser's devices. Pages over plain http have none (Media Capture and Streams, §9: secure contexts). */
function devices() {
  if (!navigator.mediaDevices) throw Object.assign(new Error(), { name: window.isSecureContext ? "NotFoundError" : "InsecureContext" });
  return navigator.mediaDevices;
}
