/** The bar of buttons: microphone, camera, screen, hand, panels, devices, leaving. */
import { attempt } from "./attempt.js";
import { openDevices } from "./device-choice.js";
import { byId, label, notice, problem } from "./dom.js";
import { t } from "./language.js";
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
    on(byId("settings"), "click", () => openDevices(devices, meeting.me.displayName));
    on(byId("full-screen"), "click", () => this.#toggleFullScreen());
    on(document, "fullscreenchange", () => this.#show());
    byId("full-screen").hidden = !document.fullscreenEnabled;
    byId("screen").hidden = !navigator.mediaDevices?.getDisplayMedia; // phones have none
    on(byId("more"), "click", () => openMenu(byId("more-menu").hidden));
    // A choice ends the menu, and so does a click beside it.
    on(document, "click", ({ target }) => target.closest("#more") || openMenu(false));
    on(byId("leave"), "click", () => this.#leave());
    on(byId("end-for-all"), "click", () => this.#end());
    for (const id of PANELS) {
      on(byId(id), "click", () => openPanel(byId(`${id}-panel`).hidden ? id : null));
      on(byId(`${id}-panel`).querySelector("[data-close]"), "click", () => this.#closePanel(id));
    }
    on(document, "keydown", (event) => {
      const open = PANELS.find((id) => !byId(`${id}-panel`).hidden);
      if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
      if (!byId("more-menu").hidden) {
        openMenu(false);
        byId("more").focus();
      } else if (open) this.#closePanel(open);
    });

    on(devices, "change", () => this.#sync());
    on(devices, "lost", ({ detail: kind }) => kind !== "screen" && notice(t(`The ${kind} is gone. Plug it in again, or choose another under “Devices”.`), "problem"));
    on(meeting, "force-mute", () => {
      devices.hear(false);
      if (this.#devices.microphone) notice(t("The host muted you. You can unmute yourself."));
    });
    on(meeting, "people", () => this.#show());
    on(meeting, "room", () => this.#show());
    signal.addEventListener("abort", () => {
      openPanel(null);
      openMenu(false);
      if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
      for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    });
    openPanel(null);
    openMenu(false);
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
        await this.#meeting.setTrack("audio", devices.sound);
        await this.#meeting.setTrack("video", devices.face);
        await this.#meeting.setTrack("screen", devices.screen);
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
    const button = (id, isOn, iconName, words) => label(byId(id), iconName, t(words), isOn);
    button("mic", devices.isHeard, devices.isHeard ? "mic" : "mic-off", devices.isHeard ? "Mute" : "Unmute");
    button("camera", Boolean(devices.camera), devices.camera ? "camera" : "camera-off", devices.camera ? "Stop camera" : "Start camera");
    button("screen", Boolean(devices.screen), "screen", devices.screen ? "Stop sharing" : "Share screen");
    button("hand", me.isHandRaised, "hand", me.isHandRaised ? "Lower hand" : "Raise hand");
    const mayShare = me.isHost || (room?.settings?.allowScreenShare ?? true);
    byId("screen").disabled = !mayShare && !devices.screen;
    if (!mayShare) byId("screen").title = t("The host has switched screen sharing off for others");
    label(byId("full-screen"), "full", document.fullscreenElement ? t("Leave full screen") : t("Full screen"));
  }

  async #toggleFullScreen() {
    try {
      await (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen());
    } catch {
      notice(t("The browser does not allow full screen here."), "problem");
    }
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

function openMenu(isOpen) {
  byId("more-menu").hidden = !isOpen;
  byId("more").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) byId("more-menu").querySelector("button:not([hidden])").focus();
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
