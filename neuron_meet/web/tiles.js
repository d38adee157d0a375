/** The pictures of everybody, laid out so that they are as large as the room that there is allows. */
import { byId, element, icon, initials } from "./dom.js";

const MOST_TILES = 25;
const GAP = 12;
const WIDEST = 16 / 9;
const TALLEST = { landscape: 4 / 3, portrait: 3 / 4 };
const LEVEL_EVERY_MS = 300;
const AUDIBLE = 0.02;
const LINGERS_MS = 900; // a pause between two words is no end

export class Tiles {
  #meeting;
  #devices;
  #holder = byId("tiles");
  #tiles = new Map(); // by socket id, "me" for ourselves
  #sounds = new Map();
  #spoke = new Map(); // when somebody was last heard

  constructor({ meeting, devices, signal, on }) {
    this.#meeting = meeting;
    this.#devices = devices;
    this.#holder.replaceChildren();
    const update = () => this.#update();
    on(meeting, "people", update);
    on(devices, "change", update);
    on(byId("unblock-sound"), "click", () => this.#playAll());
    const resized = new ResizeObserver(() => this.#layOut());
    resized.observe(this.#holder);
    const levels = setInterval(() => this.#showLevels(), LEVEL_EVERY_MS);
    signal.addEventListener("abort", () => {
      resized.disconnect();
      clearInterval(levels);
      for (const sound of this.#sounds.values()) sound.remove();
      byId("unblock-sound").hidden = true;
    });
    update();
  }

  #update() {
    const { me, people } = this.#meeting;
    const everybody = [["me", me], ...people];
    // Sharing and raised hands first, where not everybody fits.
    const rank = ([, person]) => (person.isScreenSharing ? 0 : person.isHandRaised ? 1 : 2);
    const crowded = everybody.length > MOST_TILES;
    if (crowded) everybody.sort((a, b) => rank(a) - rank(b));
    const shown = everybody.slice(0, crowded ? MOST_TILES - 1 : MOST_TILES);
    const presenter = shown.find(([id, person]) => id !== "me" && person.isScreenSharing)?.[0];

    const tiles = shown.map(([id, person]) => this.#tile(id, person, id === presenter));
    if (crowded) tiles.push(this.#rest(everybody.length - shown.length));
    const before = [...this.#holder.children];
    // Moving a video element stops it: touch the list only where it has changed.
    if (tiles.length !== before.length || tiles.some((tile, index) => tile !== before[index])) this.#holder.replaceChildren(...tiles);
    const ids = new Set(shown.map(([id]) => id));
    for (const id of this.#tiles.keys()) if (!ids.has(id) && id !== "rest") this.#tiles.delete(id);
    this.#holder.classList.toggle("presenting", Boolean(presenter));
    this.#hear();
    this.#layOut();
  }

  #tile(id, person, presents) {
    let tile = this.#tiles.get(id);
    if (!tile) {
      tile = element("div", { class: "tile", role: "listitem" });
      // Sound comes from an element of its own (below), so that it goes on where there is no tile.
      const video = element("video", { autoplay: true, playsInline: true, muted: true, "aria-hidden": "true" });
      tile.append(video, element("div", { class: "face", "aria-hidden": "true" }), element("p", { class: "caption" }));
      this.#tiles.set(id, tile);
    }
    const mine = id === "me";
    const track = mine ? this.#devices.picture : null;
    const stream = mine ? this.#ownStream(tile, track) : person.stream;
    const [video, face, caption] = tile.children;
    if (video.srcObject !== stream) video.srcObject = stream;
    const seen = mine ? track !== null : !person.isVideoOff || person.isScreenSharing;
    const muted = mine ? !this.#devices.isHeard : person.isMuted;
    const name = mine ? `${person.displayName} (you)` : person.displayName;
    const trouble = mine || ["connected", "new"].includes(person.connection) ? "" : person.connection === "failed" ? "no connection to them" : "connecting…";
    video.hidden = !seen;
    face.textContent = initials(person.displayName);
    tile.dataset.person = person.displayName;
    tile.classList.toggle("mine", mine && !person.isScreenSharing);
    tile.classList.toggle("screen", person.isScreenSharing);
    tile.classList.toggle("presenter", presents);
    tile.classList.toggle("raised", person.isHandRaised);
    tile.style.setProperty("--hue", String(hue(person.displayName)));
    const words = [name, person.isHost && "host", muted && "muted", person.isHandRaised && "hand raised", person.isScreenSharing && "shares the screen", trouble];
    tile.setAttribute("aria-label", words.filter(Boolean).join(", "));
    caption.replaceChildren(
      ...[person.isHandRaised && icon("hand"), muted && icon("mic-off"), person.isScreenSharing && icon("screen")].filter(Boolean),
      element("span", {}, trouble ? `${name} · ${trouble}` : name),
    );
    return tile;
  }

  #ownStream(tile, track) {
    if (!track) return null;
    const before = tile.firstChild.srcObject;
    return before?.getTracks()[0] === track ? before : new MediaStream([track]);
  }

  #rest(count) {
    const tile = this.#tiles.get("rest") ?? element("div", { class: "tile rest", role: "listitem" });
    this.#tiles.set("rest", tile);
    tile.textContent = `and ${count} more`;
    return tile;
  }

  /** One sound element a person. */
  #hear() {
    const { people } = this.#meeting;
    for (const [id, sound] of this.#sounds) {
      if (people.get(id)?.stream === sound.srcObject) continue;
      sound.remove();
      this.#sounds.delete(id);
    }
    for (const [id, person] of people) {
      if (this.#sounds.has(id)) continue;
      const sound = element("audio", { autoplay: true, srcObject: person.stream });
      byId("sounds").append(sound);
      this.#sounds.set(id, sound);
      this.#play(sound);
    }
  }

  #play(sound) {
    sound.play().catch((error) => {
      // Browsers play sound only after a click on the page.
      if (error.name === "NotAllowedError") byId("unblock-sound").hidden = false;
    });
  }

  #playAll() {
    byId("unblock-sound").hidden = true;
    for (const sound of this.#sounds.values()) this.#play(sound);
  }

  async #showLevels() {
    const levels = await this.#meeting.levels();
    const now = performance.now();
    for (const [id, level] of levels) {
      if (level > AUDIBLE) this.#spoke.set(id, now);
      this.#tiles.get(id)?.classList.toggle("speaking", now - (this.#spoke.get(id) ?? -Infinity) < LINGERS_MS);
    }
  }

  /** The number of columns that makes tiles largest; tiles are as wide as a film at most, and on a
   *  phone as tall as a portrait. */
  #layOut() {
    const count = this.#holder.children.length;
    const { clientWidth, clientHeight } = this.#holder;
    if (!count || !clientWidth || this.#holder.classList.contains("presenting")) return;
    const tallest = clientWidth > clientHeight ? TALLEST.landscape : TALLEST.portrait;
    let best = { area: 0, width: clientWidth, height: clientHeight };
    for (let columns = 1; columns <= count; columns += 1) {
      const rows = Math.ceil(count / columns);
      let width = (clientWidth - GAP * (columns - 1)) / columns;
      let height = (clientHeight - GAP * (rows - 1)) / rows;
      if (width > height * WIDEST) width = height * WIDEST;
      if (height > width / tallest) height = width / tallest;
      if (width * height > best.area) best = { area: width * height, width, height };
    }
    this.#holder.style.setProperty("--tile-width", `${Math.floor(best.width)}px`);
    this.#holder.style.setProperty("--tile-height", `${Math.floor(best.height)}px`);
  }
}

function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}
