/** Keys of the meeting, those of the field, and the sheet that shows them. They can be switched off (WCAG 2.1.4). */
import { byId, element } from "./dom.js";
import { t } from "./language.js";
import { remembered } from "./rest.js";

/** [key, id of the button that it presses, what it does] */
const KEYS = [
  ["m", "mic", "Microphone on or off"],
  ["v", "camera", "Camera on or off"],
  ["s", "screen", "Share the screen"],
  ["h", "hand", "Raise or lower the hand"],
  ["c", "chat", "Chat"],
  ["p", "people", "People"],
  ["l", "layout", "Speaker view or all alike"],
  ["f", "full-screen", "Full screen"],
  ["?", "open-keys", "This sheet"],
];
const WRITES = "input:not([type=checkbox]), textarea, select, [contenteditable]";
const ACTS_ON_SPACE = "button, a, input, select, textarea, summary";

export class Keys {
  #devices;
  #talks = false;

  constructor({ devices, on, signal }) {
    this.#devices = devices;
    const isOn = () => remembered.get("keys.off") !== "yes";
    byId("keys").replaceChildren(
      ...[...KEYS, ["Space", null, "Hold to talk while muted"], ["Esc", null, "Close what is open"]].flatMap(([key, , does]) => [
        element("dt", {}, element("kbd", {}, key.length === 1 ? key.toUpperCase() : t(key))),
        element("dd", {}, t(does)),
      ]),
    );
    on(byId("open-keys"), "click", () => {
      byId("keys-on").checked = isOn();
      byId("keys-dialog").showModal();
    });
    on(byId("keys-on"), "change", ({ target }) => remembered.set("keys.off", target.checked ? "" : "yes"));
    on(document, "keydown", (event) => isOn() && this.#pressed(event));
    on(document, "keyup", (event) => event.key === " " && this.#endTalk());
    on(window, "blur", () => this.#endTalk()); // the key goes up somewhere else
    signal.addEventListener("abort", () => this.#endTalk());
  }

  #pressed(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    if (document.body.dataset.shown !== "meeting" || document.querySelector("dialog[open]") || target.closest?.(WRITES)) return;
    if (key === " ") return this.#talk(event);
    if (event.repeat) return;
    const [, id] = KEYS.find(([letter]) => letter === key.toLowerCase()) ?? [];
    const button = id && byId(id);
    if (!button || button.disabled || button.hidden) return;
    event.preventDefault();
    button.click();
  }

  #talk(event) {
    // On a button that the keyboard has come to, Space presses it; on one that was only clicked, it talks.
    if (event.target.closest?.(ACTS_ON_SPACE)?.matches(":focus-visible") && !this.#talks) return;
    event.preventDefault();
    if (event.repeat || this.#talks || !this.#devices.microphone || this.#devices.isHeard) return;
    this.#talks = true;
    this.#devices.hear(true);
  }

  #endTalk() {
    if (!this.#talks) return;
    this.#talks = false;
    this.#devices.hear(false);
  }
}
