/** Who comes, goes and knocks: a sentence, a sound that can be switched off, and a count in the window's title. */
import { announce, byId, notice } from "./dom.js";
import { t } from "./language.js";
import { remembered } from "./rest.js";

const TOGETHER_MS = 700; // of those who come or go within it one sentence tells
const TONES = { came: [523, 659], went: [659, 523], knock: [784, 784, 784] }; // Hz, one after the other
const TONE_SECONDS = 0.12;

export class Announce {
  #meeting;
  #title;
  #unread = 0;
  #gathered = new Map();
  #timer = null;
  #audio = null;

  constructor({ meeting, room, on, signal }) {
    this.#meeting = meeting;
    this.#title = `${room.name} · Neuron Meet`;
    on(meeting, "came", ({ detail }) => this.#gather(detail.displayName, "came"));
    on(meeting, "went", ({ detail }) => this.#gather(detail.displayName, "went"));
    on(meeting, "knock", ({ detail }) => {
      announce(t("{name} wants to come in", { name: detail.displayName }));
      this.#sound("knock");
    });
    on(meeting, "waiting", () => this.#showTitle());
    on(meeting, "unread", ({ detail }) => {
      this.#unread = detail;
      this.#showTitle();
    });
    on(byId("sounds-on"), "click", () => {
      remembered.set("sounds.off", this.#isSilent ? "" : "yes");
      this.#showSetting();
    });
    signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      this.#audio?.close();
    });
    this.#showSetting();
    this.#showTitle();
  }

  get #isSilent() {
    return remembered.get("sounds.off") === "yes";
  }

  #showSetting() {
    byId("sounds-on").setAttribute("aria-pressed", String(!this.#isSilent));
  }

  /** Who goes and comes again at once (a reload, another connection) did neither. */
  #gather(name, what) {
    const before = this.#gathered.get(name);
    if (before === "went" && what === "came") this.#gathered.delete(name);
    else this.#gathered.set(name, what);
    this.#timer ??= setTimeout(() => this.#tell(), TOGETHER_MS);
  }

  #tell() {
    this.#timer = null;
    const tell = (what, one, more) => {
      const names = [...this.#gathered].filter(([, did]) => did === what).map(([name]) => name);
      if (names.length === 0) return;
      notice(names.length === 1 ? t(one, { name: names[0] }) : t(more, { name: names[0], count: names.length - 1 }));
      this.#sound(what);
    };
    tell("went", "{name} has left.", "{name} and {count} more have left.");
    tell("came", "{name} is here.", "{name} and {count} more are here.");
    this.#gathered.clear();
  }

  /** Unread messages and people who wait, so that one sees them in another tab. */
  #showTitle() {
    const count = this.#unread + this.#meeting.waiting.size;
    document.title = count ? `(${count}) ${this.#title}` : this.#title;
  }

  #sound(what) {
    if (this.#isSilent) return;
    const context = (this.#audio ??= new AudioContext());
    if (context.state === "suspended") return void context.resume().catch(() => {}); // before the first click
    TONES[what].forEach((frequency, index) => {
      const at = context.currentTime + index * TONE_SECONDS * 1.2;
      const tone = new OscillatorNode(context, { frequency });
      const loudness = new GainNode(context, { gain: 0 });
      loudness.gain.setValueAtTime(0, at);
      loudness.gain.linearRampToValueAtTime(0.06, at + 0.02);
      loudness.gain.linearRampToValueAtTime(0, at + TONE_SECONDS);
      tone.connect(loudness).connect(context.destination);
      tone.start(at);
      tone.stop(at + TONE_SECONDS);
    });
  }
}
