/** The list of people, with what the host may do to them. */
import { attempt } from "./attempt.js";
import { byId, element, icon } from "./dom.js";

export class People {
  #meeting;
  #devices;

  constructor({ meeting, devices, on }) {
    this.#meeting = meeting;
    this.#devices = devices;
    for (const source of [meeting, devices]) on(source, source === meeting ? "people" : "change", () => this.#show());
    this.#show();
  }

  #show() {
    const { me, people } = this.#meeting;
    const focused = document.activeElement?.closest("#people-list [data-key]")?.dataset.key;
    const own = { ...me, isMuted: !this.#devices.isHeard, isVideoOff: !this.#devices.camera };
    byId("people-list").replaceChildren(this.#entry(own, true), ...[...people.values()].map((person) => this.#entry(person, false)));
    byId("how-many").textContent = String(people.size + 1);
    byId("how-many").setAttribute("aria-label", `${people.size + 1} in the meeting`);
    // The list is made anew: whoever was at a button of it stays there.
    if (focused) byId("people-list").querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #entry(person, mine) {
    const states = [
      person.isHandRaised && ["hand", "hand raised"],
      person.isScreenSharing && ["screen", "shares the screen"],
      person.isMuted && ["mic-off", "muted"],
      person.isVideoOff && ["camera-off", "no camera"],
    ].filter(Boolean);
    const about = [mine && "you", person.isHost && "host"].filter(Boolean).join(", ");
    return element(
      "li",
      {},
      element("span", { class: "person" }, person.displayName, about && element("span", { class: "hint" }, ` (${about})`)),
      ...states.map(([name, words]) => element("span", { class: "state", title: words, role: "img", "aria-label": words }, icon(name))),
      ...(this.#meeting.me.isHost && !mine ? this.#controls(person) : []),
    );
  }

  #controls({ socketId, displayName, isMuted }) {
    const button = (what, words, properties, act) =>
      element("button", { type: "button", class: "quiet small", "aria-label": `${words} ${displayName}`, "data-key": `${what} ${socketId}`, ...properties, onclick: act }, words);
    return [
      button("mute", "Mute", { disabled: isMuted }, () => attempt(() => this.#meeting.mute(socketId))),
      button("remove", "Remove", {}, () => this.#remove(socketId, displayName)),
    ];
  }

  #remove(socketId, displayName) {
    const dialog = byId("remove-dialog");
    byId("remove-title").textContent = `Remove ${displayName}?`;
    dialog.returnValue = "";
    dialog.onclose = () => dialog.returnValue === "remove" && attempt(() => this.#meeting.remove(socketId));
    dialog.showModal();
  }
}
