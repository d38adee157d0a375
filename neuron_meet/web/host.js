/** What only the host does: let people in, lock, change the settings. */
import { attempt } from "./attempt.js";
import { byId, element, markFields, notice, problem, showRefusal } from "./dom.js";
import { t } from "./language.js";
import { changeSettings, roomById } from "./rest.js";

export class Host {
  #meeting;

  constructor({ meeting, on }) {
    this.#meeting = meeting;
    on(meeting, "waiting", () => this.#showWaiting());
    on(meeting, "room", () => this.#showRoom());
    on(byId("lock"), "click", () => this.#lock());
    on(byId("open-room-settings"), "click", () => this.#openSettings());
    on(byId("room-form"), "submit", (event) => {
      event.preventDefault();
      this.#save(event.target);
    });
    on(byId("room-dialog").querySelector("[data-cancel]"), "click", () => byId("room-dialog").close());
    on(meeting, "history", () => this.#learn());
    this.#showWaiting();
    byId("host-foot").hidden = true;
  }

  /** The lock is not part of `room-joined`. */
  async #learn() {
    if (!this.#meeting.me.isHost) return;
    const { isLocked } = await roomById(this.#meeting.room.id).catch(() => ({}));
    if (isLocked === undefined || !this.#meeting.room) return;
    this.#meeting.room.isLocked = isLocked;
    this.#meeting.dispatchEvent(new CustomEvent("room"));
  }

  #showRoom() {
    const { me, room } = this.#meeting;
    byId("host-foot").hidden = !me.isHost;
    byId("lock").textContent = room.isLocked ? t("Unlock the meeting") : t("Lock the meeting");
  }

  async #lock() {
    const locked = !this.#meeting.room.isLocked;
    const done = await attempt(() => this.#meeting.lock(locked).then(() => true));
    if (done) notice(locked ? t("Locked: nobody else gets in.") : t("Unlocked: whoever has the link gets in."));
  }

  #showWaiting() {
    const waiters = [...this.#meeting.waiting.values()];
    const list = (place) => waiters.map((waiter) => this.#waiter(waiter, place));
    byId("waiters").hidden = waiters.length === 0;
    byId("waiter-list").replaceChildren(...list("li"));
    byId("knocks").replaceChildren(...list("div").slice(0, 3));
  }

  #waiter({ socketId, displayName }, place) {
    const button = (words, name, kind, act) =>
      element("button", { type: "button", class: `${kind} small`, "aria-label": name, onclick: () => attempt(act) }, words);
    const name = displayName;
    return element(
      place,
      { class: place === "div" ? "knock" : "" },
      element("span", { class: "person", dir: "auto" }, place === "div" ? t("{name} wants to come in", { name }) : name),
      button(t("Admit"), t("Admit {name}", { name }), "primary", () => this.#meeting.admit(socketId)),
      button(t("Deny"), t("Deny {name}", { name }), "quiet", () => this.#meeting.deny(socketId)),
    );
  }

  async #openSettings() {
    const room = await attempt(() => roomById(this.#meeting.room.id));
    if (!room) return;
    problem(byId("room-problem"), null);
    markFields(byId("room-form"), {});
    const { elements } = byId("room-form");
    for (const box of boxes(elements)) box.checked = room.settings?.[box.name] ?? false;
    elements.maxParticipants.value = room.settings?.maxParticipants ?? 100;
    byId("room-dialog").showModal();
  }

  async #save(form) {
    const { elements } = form;
    const settings = Object.fromEntries(boxes(elements).map((box) => [box.name, box.checked]));
    try {
      await changeSettings(this.#meeting.room.id, { ...settings, maxParticipants: Number(elements.maxParticipants.value) });
      byId("room-dialog").close();
      notice(t("The settings hold from now on."));
    } catch (error) {
      showRefusal(form, byId("room-problem"), error);
    }
  }
}

const boxes = (elements) => [...elements].filter((each) => each.type === "checkbox");
