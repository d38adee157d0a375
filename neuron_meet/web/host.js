/** What only the host does: let people in, lock, change the settings. */
import { attempt } from "./attempt.js";
import { byId, element, notice, problem } from "./dom.js";
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
    byId("lock").textContent = room.isLocked ? "Unlock the meeting" : "Lock the meeting";
    byId("lock").setAttribute("aria-pressed", String(room.isLocked));
  }

  async #lock() {
    const locked = !this.#meeting.room.isLocked;
    const done = await attempt(() => this.#meeting.lock(locked).then(() => true));
    if (done) notice(locked ? "Locked: nobody else gets in." : "Unlocked: whoever has the link gets in.");
  }

  #showWaiting() {
    const waiters = [...this.#meeting.waiting.values()];
    const list = (place) => waiters.map((waiter) => this.#waiter(waiter, place));
    byId("waiters").hidden = waiters.length === 0;
    byId("waiter-list").replaceChildren(...list("li"));
    byId("knocks").replaceChildren(...list("div").slice(0, 3));
  }

  #waiter({ socketId, displayName }, place) {
    const button = (words, kind, act) =>
      element("button", { type: "button", class: `${kind} small`, "aria-label": `${words} ${displayName}`, onclick: () => attempt(act) }, words);
    return element(
      place,
      { class: place === "div" ? "knock" : "" },
      element("span", { class: "person" }, place === "div" ? `${displayName} wants to come in` : displayName),
      button("Admit", "primary", () => this.#meeting.admit(socketId)),
      button("Deny", "quiet", () => this.#meeting.deny(socketId)),
    );
  }

  async #openSettings() {
    const room = await attempt(() => roomById(this.#meeting.room.id));
    if (!room) return;
    problem(byId("room-problem"), null);
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
      notice("The settings hold from now on.");
    } catch (error) {
      problem(byId("room-problem"), error.message);
    }
  }
}

const boxes = (elements) => [...elements].filter((each) => each.type === "checkbox");
