/** How the lines are: said in the tiles, and when ours is bad for long, sound goes first. */
import { byId, notice } from "./dom.js";
import { t } from "./language.js";

const EVERY_MS = 3_000;
const BAD_LOSS = 0.08;
const POOR_LOSS = 0.03;
const BAD_ROUND_TRIP_MS = 900;
const POOR_ROUND_TRIP_MS = 400;
const BAD_TIMES = 3; // in a row, before the picture is taken away
const GOOD_TIMES = 7; // in a row, before it comes back: what goes at once comes and goes

/** "good", "poor", "bad", or null where nothing is known. */
export function grade({ lost, lostThere, roundTripMs }) {
  const loss = Math.max(lost ?? 0, lostThere ?? 0);
  if (lost === null && lostThere === null && roundTripMs === null) return null;
  if (loss > BAD_LOSS || (roundTripMs ?? 0) > BAD_ROUND_TRIP_MS) return "bad";
  return loss > POOR_LOSS || (roundTripMs ?? 0) > POOR_ROUND_TRIP_MS ? "poor" : "good";
}

export class Line {
  #meeting;
  #devices;
  #bad = 0;
  #good = 0;
  #byItself = false; // whether we took the picture away, not they

  constructor({ meeting, devices, on, signal }) {
    this.#meeting = meeting;
    this.#devices = devices;
    const timer = setInterval(() => this.#look(), EVERY_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    on(byId("audio-only"), "click", () => {
      this.#byItself = false;
      this.#bad = 0;
      devices.sendSoundOnly(!devices.soundOnly);
    });
    on(devices, "change", () => byId("audio-only").setAttribute("aria-pressed", String(devices.soundOnly)));
    devices.sendSoundOnly(false);
  }

  async #look() {
    const lines = await this.#meeting.quality();
    const grades = [];
    for (const [id, line] of lines) {
      const person = this.#meeting.people.get(id);
      if (!person || person.connection !== "connected") continue;
      const found = grade(line);
      if (found) grades.push(found);
      if (person.line === found) continue;
      person.line = found;
      this.#meeting.dispatchEvent(new CustomEvent("people"));
    }
    this.#weigh(grades);
  }

  /** Ours is bad when most lines are: one that is bad is the other's. */
  #weigh(grades) {
    if (grades.length === 0) return;
    const isBad = grades.filter((each) => each === "bad").length * 2 > grades.length;
    this.#bad = isBad ? this.#bad + 1 : 0;
    this.#good = isBad ? 0 : this.#good + 1;
    const devices = this.#devices;
    if (this.#bad >= BAD_TIMES && !devices.soundOnly && devices.face) {
      this.#byItself = true;
      devices.sendSoundOnly(true);
      notice(t("Your connection is bad: the others hear you, and see you again when it is better."), "problem");
    } else if (this.#byItself && devices.soundOnly && this.#good >= GOOD_TIMES) {
      this.#byItself = false;
      devices.sendSoundOnly(false);
      notice(t("Your connection is better: the others see you again."));
    }
  }
}
