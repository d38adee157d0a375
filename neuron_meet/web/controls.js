/** The bar of buttons: microphone, camera, screen, hand, panels, devices, leaving. */
import { attempt } from "./attempt.js";
import { byId, label, notice, problem } from "./dom.js";
import { endRoom, remembered } from "./rest.js";
import { mediaProblem } from "./words.js";

const PANELS = ["chat", "people"];

export class Controls {
  #meeting;
  #devices;
  #telling = Promise.resolve();

  constructor({ meeting, devices, on, signal }) {
    this.#meeting = meeting;
    this.#devices = devices;
    on(byId("mic"), "click", () => this.#toggleMicrophone());
    on(byId("camera"), "click", () => this.#toggleCamera());
    on(byId("screen"), "click", () => this.#toggleScreen());
    on(byId("hand"), "click", () => attempt(() => meeting.raiseHand(!meeting.me.isHandRaised)));
    on(byId("settings"), "click", () => {
      problem(byId("device-problem"), null);
      byId("device-dialog").showModal();
    });
    on(byId("leave"), "click", () => this.#leave());
    on(byId("end-for-all"), "click", () => this.#end());
    for (const id of PANELS) {
      on(byId(id), "click", () => openPanel(byId(`${id}-panel`).hidden ? id : null));
      on(byId(`${id}-panel`).querySelector("[data-close]"), "click", () => this.#closePanel(id));
    }
    on(document, "keydown", (event) => {
      const open = PANELS.find((id) => !byId(`${id}-panel`).hidden);
      if (event.key === "Escape" && open && !document.querySelector("dialog[open]")) this.#closePanel(open);
    });

    on(devices, "change", () => this.#sync());
    on(devices, "lost", ({ detail: kind }) => kind !== "screen" && notice(`The ${kind} is gone. Plug it in again, or choose another under “Devices”.`, "problem"));
    on(meeting, "force-mute", () => {
      devices.hear(false);
      if (this.#devices.microphone) notice("The host muted you. You can unmute yourself.");
    });
    on(meeting, "people", () => this.#show());
    on(meeting, "room", () => this.#show());
    signal.addEventListener("abort", () => {
      openPanel(null);
      for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    });
    openPanel(null);
    this.#sync();
    this.#show();
  }

  /** What is sent, and what the others are told, follows what is on. */
  #sync() {
    const { me } = this.#meeting;
    const devices = this.#devices;
    this.#show();
    this.#telling = this.#telling.then(() =>
      attempt(async () => {
        await this.#meeting.setTrack("audio", devices.microphone);
        await this.#meeting.setTrack("video", devices.picture);
        if (me.isMuted === devices.isHeard) await this.#meeting.toggleAudio(devices.isHeard);
        if (me.isVideoOff === Boolean(devices.camera)) await this.#meeting.toggleVideo(Boolean(devices.camera));
        if (me.isScreenSharing && !devices.screen) await this.#meeting.stopScreenShare();
      }),
    );
  }

  async #toggleMicrophone() {
    const devices = this.#devices;
    if (devices.microphone) return devices.hear(!devices.isHeard);
    await this.#start("microphone");
  }

  async #toggleCamera() {
    if (!this.#devices.camera) return this.#start("camera");
    remembered.set("camera.off", "yes");
    this.#devices.stop("camera");
  }

  async #start(kind) {
    try {
      await this.#devices.start(kind);
      remembered.set(`${kind}.off`, "");
    } catch (error) {
      notice(mediaProblem(error, kind), "problem");
    }
  }

  async #toggleScreen() {
    const devices = this.#devices;
    if (devices.screen) return devices.stop("screen");
    try {
      await devices.share();
    } catch (error) {
      // Closing the browser's own choice is no problem.
      if (error.name !== "NotAllowedError") notice(mediaProblem(error, "screen"), "problem");
      return;
    }
    const allowed = await attempt(() => this.#meeting.startScreenShare().then(() => true));
    if (!allowed) devices.stop("screen");
  }

  #show() {
    const { me, room } = this.#meeting;
    const devices = this.#devices;
    const button = (id, pressed, iconName, words) => {
      label(byId(id), iconName, words);
      byId(id).setAttribute("aria-pressed", String(pressed));
    };
    button("mic", devices.isHeard, devices.isHeard ? "mic" : "mic-off", devices.isHeard ? "Mute" : "Unmute");
    button("camera", Boolean(devices.camera), devices.camera ? "camera" : "camera-off", devices.camera ? "Stop camera" : "Start camera");
    button("screen", Boolean(devices.screen), "screen", devices.screen ? "Stop sharing" : "Share screen");
    button("hand", me.isHandRaised, "hand", me.isHandRaised ? "Lower hand" : "Raise hand");
    const mayShare = me.isHost || (room?.settings?.allowScreenShare ?? true);
    byId("screen").disabled = !mayShare && !devices.screen;
    if (!mayShare) byId("screen").title = "The host has switched screen sharing off for others";
  }

  #closePanel(id) {
    openPanel(null);
    byId(id).focus();
  }

  #leave() {
    if (!this.#meeting.me.isHost) return this.#meeting.leave();
    const dialog = byId("leave-dialog");
    problem(byId("leave-problem"), null);
    dialog.returnValue = "";
    dialog.onclose = () => dialog.returnValue === "leave" && this.#meeting.leave();
    dialog.showModal();
  }

  async #end() {
    try {
      await endRoom(this.#meeting.room.id); // everybody, we too, gets `room-ended`
    } catch (error) {
      problem(byId("leave-problem"), error.message);
    }
  }
}

/** Open one panel beside the pictures, or none. */
function openPanel(wanted) {
  for (const id of PANELS) {
    const panel = byId(`${id}-panel`);
    panel.hidden = id !== wanted;
    byId(id).setAttribute("aria-expanded", String(id === wanted));
    if (id === wanted) panel.dispatchEvent(new CustomEvent("toggled"));
  }
  if (wanted === "chat") {
    byId("messages").scrollTop = byId("messages").scrollHeight;
    byId("chat-text").focus();
  } else if (wanted) byId("people-panel").querySelector("[data-close]").focus();
}
