/** The list of people, with what the host may do to them. */
import { attempt } from "./attempt.js";
import { byId, element, icon } from "./dom.js";
import { t } from "./language.js";

export class People {
  #meeting;
  #devices;

  constructor({ meeting, devices, on }) {
    this.#meeting = meeting;
    this.#devices = devices;
    for (const source of [meeting, devices]) on(source, source === meeting ? "people" : "change", () => this.#show());
    on(byId("mute-all"), "click", () => this.#muteAll());
    this.#show();
  }

  #show() {
    const { me, people } = this.#meeting;
    const focused = document.activeElement?.closest("#people-list [data-key]")?.dataset.key;
    const own = { ...me, isMuted: !this.#devices.isHeard, isVideoOff: !this.#devices.camera };
    byId("people-list").replaceChildren(this.#entry(own, true), ...[...people.values()].map((person) => this.#entry(person, false)));
    byId("how-many").textContent = String(people.size + 1);
    byId("how-many").setAttribute("aria-label", t("{count} in the meeting", { count: people.size + 1 }));
    byId("mute-all").disabled = [...people.values()].every((person) => person.isMuted);
    // The list is made anew: whoever was at a button of it stays there.
    if (focused) byId("people-list").querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #entry(person, mine) {
    const states = [
      person.isHandRaised && ["hand", t("hand raised")],
      person.isScreenSharing && ["screen", t("shares the screen")],
      person.isMuted && ["mic-off", t("muted")],
      person.isVideoOff && ["camera-off", t("no camera")],
    ].filter(Boolean);
    const about = [mine && t("you"), person.isHost && t("host")].filter(Boolean).join(", ");
    return element(
      "li",
      {},
      element("span", { class: "person", dir: "auto" }, person.displayName, about && element("span", { class: "hint" }, ` (${about})`)),
      ...states.map(([name, words]) => element("span", { class: "state", title: words, role: "img", "aria-label": words }, icon(name))),
      ...(this.#meeting.me.isHost && !mine ? this.#controls(person) : []),
    );
  }

  #controls({ socketId, displayName, isMuted }) {
    const button = (what, words, name, properties, act) =>
      element("button", { type: "button", class: "quiet small", "aria-label": name, "data-key": `${what} ${socketId}`, ...properties, onclick: act }, words);
    return [
      button("mute", t("Mute"), t("Mute {name}", { name: displayName }), { disabled: isMuted }, () => attempt(() => this.#meeting.mute(socketId))),
      button("remove", t("Remove"), t("Remove {name}", { name: displayName }), {}, () => this.#remove(socketId, displayName)),
    ];
  }

  /** One after the other: so many requests at once would be too many (docs/protocol.md, limits). */
  async #muteAll() {
    byId("mute-all").disabled = true;
    for (const [socketId, { isMuted }] of [...this.#meeting.people]) {
      if (!isMuted && (await attempt(() => this.#meeting.mute(socketId))) === null) break;
    }
    this.#show();
  }

  #remove(socketId, displayName) {
    const dialog = byId("remove-dialog");
    byId("remove-title").textContent = t("Remove {name}?", { name: displayName });
    dialog.returnValue = "";
    dialog.onclose = () => dialog.returnValue === "remove" && attempt(() => this.#meeting.remove(socketId));
    dialog.showModal();
  }
}
