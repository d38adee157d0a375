/** Microphone, camera and screen of this person. A track is null while its device is off. */
import { remembered } from "./rest.js";

const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const CAMERA = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } };

/** Events: `change` (something is on or off), `lost` (detail: "microphone", "camera" or "screen": it ended by itself). */
export class Devices extends EventTarget {
  microphone = null;
  camera = null;
  screen = null;
  #visit = 0; // what is granted after `stopAll` was asked for too late

  /** Whether the microphone is heard. */
  get isHeard() {
    return this.microphone?.enabled ?? false;
  }

  /** The picture that others get: the screen while it is shared, else the camera. */
  get picture() {
    return this.screen ?? this.camera;
  }

  /** Switch "microphone" or "camera" on. Throws what the browser throws (words.js: mediaProblem). */
  async start(kind, deviceId = remembered.get(kind)) {
    const visit = this.#visit;
    const track = await open(kind, deviceId);
    if (visit === this.#visit) this.#take(kind, track);
    else track.stop();
  }

  /** Choose a device for now and for the next time; it is switched on. */
  async choose(kind, deviceId) {
    remembered.set(kind, deviceId);
    await this.start(kind, deviceId);
  }

  /** Silence the microphone or let it be heard. It stays open, so that unmuting is instant. */
  hear(heard) {
    if (this.microphone) this.microphone.enabled = heard;
    this.#changed();
  }

  /** Ask for a screen, window or tab. Throws what the browser throws. */
  async share() {
    if (!devices().getDisplayMedia) throw Object.assign(new Error(), { name: "NotFoundError" });
    const stream = await devices().getDisplayMedia({ video: { frameRate: { ideal: 15 } } });
    const [track] = stream.getVideoTracks();
    track.contentHint = "detail";
    this.#take("screen", track);
  }

  /** Switch "microphone", "camera" or "screen" off: its light goes out. */
  stop(kind) {
    this.#take(kind, null);
  }

  stopAll() {
    this.#visit += 1;
    for (const kind of ["microphone", "camera", "screen"]) this.stop(kind);
  }

  /** The devices there are: [{ id, name }]. Names are known only once one of the kind was allowed. */
  async list(kind) {
    const type = kind === "camera" ? "videoinput" : "audioinput";
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all
      .filter((device) => device.kind === type && device.deviceId)
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
    if (track) {
      // Unplugged, or ended with the browser's own button.
      track.onended = () => {
        this[kind] = null;
        this.#changed();
        this.dispatchEvent(new CustomEvent("lost", { detail: kind }));
      };
    }
    this.#changed();
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
