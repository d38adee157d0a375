/** The pictures of everybody, laid out so that they are as large as the room that there is allows. */
import { byId, element, icon, initials, label } from "./dom.js";
import { t } from "./language.js";
import { remembered } from "./rest.js";

const MOST_TILES = 25;
const GAP = 12;
const WIDEST = 16 / 9;
const TALLEST = { landscape: 4 / 3, portrait: 3 / 4 };
const LEVEL_EVERY_MS = 300;
const AUDIBLE = 0.02;
const LINGERS_MS = 900; // a pause between two words is no end
const STAYS_MS = 2_500; // in speaker view, whoever is large stays so: pictures that change all the time tire

export class Tiles {
  #meeting;
  #devices;
  #holder = byId("tiles");
  #tiles = new Map(); // by socket id, "me" for ourselves
  #sounds = new Map();
  #spoke = new Map(); // when somebody was last heard
  #pinned = null; // the id of whom one has chosen to be large
  #speaker = { id: null, since: -Infinity };
  #speakerId = null; // where the sounds are played

  constructor({ meeting, devices, signal, on }) {
    this.#meeting = meeting;
    this.#devices = devices;
    on(byId("layout"), "click", () => this.#choose("layout", this.#isSpeakerView ? "" : "speaker"));
    on(byId("self-view"), "click", () => this.#choose("self-view", this.#isSelfSmall ? "" : "small"));
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

  get #isSpeakerView() {
    return remembered.get("layout") === "speaker";
  }

  get #isSelfSmall() {
    return remembered.get("self-view") === "small";
  }

  #choose(what, value) {
    remembered.set(what, value);
    this.#update();
  }

  #pin(id) {
    this.#pinned = this.#pinned === id ? null : id;
    this.#update();
  }

  /** Who is shown large: whom one has pinned, who shows a screen, in speaker view who speaks; else nobody. */
  #largest(shown) {
    const { people } = this.#meeting;
    if (this.#pinned === "me" || people.has(this.#pinned)) return this.#pinned;
    this.#pinned = null;
    const sharing = shown.find(([id, person]) => id !== "me" && person.isScreenSharing)?.[0];
    if (sharing || !this.#isSpeakerView) return sharing;
    return people.has(this.#speaker.id) ? this.#speaker.id : people.keys().next().value;
  }

  #update() {
    const { me, people } = this.#meeting;
    label(byId("layout"), "layout", this.#isSpeakerView ? t("Show all alike") : t("Speaker view"));
    byId("self-view").setAttribute("aria-pressed", String(this.#isSelfSmall));
    const everybody = [["me", me], ...people];
    // Who is large, who shows something and who has a hand up come first, where not everybody fits.
    const rank = ([id, person]) => (id === this.#pinned ? 0 : person.isScreenSharing ? 1 : person.isHandRaised ? 2 : 3);
    const crowded = everybody.length > MOST_TILES;
    if (crowded) everybody.sort((a, b) => rank(a) - rank(b));
    const shown = everybody.slice(0, crowded ? MOST_TILES - 1 : MOST_TILES);
    const presenter = this.#largest(shown);

    const tiles = shown.map(([id, person]) => this.#tile(id, person, id === presenter));
    if (crowded) tiles.push(this.#rest(everybody.length - shown.length));
    const before = [...this.#holder.children];
    // Moving a video element stops it: touch the list only where it has changed.
    if (tiles.length !== before.length || tiles.some((tile, index) => tile !== before[index])) this.#holder.replaceChildren(...tiles);
    const ids = new Set(shown.map(([id]) => id));
    for (const id of this.#tiles.keys()) if (!ids.has(id) && id !== "rest") this.#tiles.delete(id);
    this.#holder.classList.toggle("presenting", Boolean(presenter));
    this.#holder.classList.toggle("small-self", this.#isSelfSmall && people.size > 0 && presenter !== "me");
    this.#hear();
    this.#layOut();
  }

  #tile(id, person, presents) {
    let tile = this.#tiles.get(id);
    if (!tile) {
      tile = element("div", { class: "tile", role: "listitem" });
      // Sound comes from an element of its own (below), so that it goes on where there is no tile.
      const video = element("video", { autoplay: true, playsInline: true, muted: true, "aria-hidden": "true" });
      const act = (does, ...content) => element("button", { type: "button", onclick: does, ...content[0] }, ...content.slice(1));
      tile.append(
        video,
        element("div", { class: "face", "aria-hidden": "true" }),
        element("p", { class: "caption" }),
        element(
          "div",
          { class: "tile-buttons" },
          act(() => this.#meeting.retryMedia(id), { class: "retry", hidden: true }, t("Try again")),
          act(() => this.#devices.stop("screen"), { class: "stop-sharing", hidden: true }, t("Stop sharing")),
          act(() => this.#pin(id), { class: "pin" }, icon("pin")),
        ),
      );
      this.#tiles.set(id, tile);
    }
    const mine = id === "me";
    const track = mine ? this.#devices.camera : null; // not one's own screen, in which it would be seen again
    const hasBoth = !mine && person.isScreenSharing && person.screen.getTracks().length > 0;
    const stream = mine ? this.#ownStream(tile, track) : hasBoth ? person.screen : person.stream;
    const [video, face, caption, buttons] = tile.children;
    showBeside(tile, hasBoth && !person.isVideoOff ? person.stream : null);
    if (video.srcObject !== stream) video.srcObject = stream;
    const seen = mine ? track !== null : !person.isVideoOff || person.isScreenSharing;
    const muted = mine ? !this.#devices.isHeard : person.isMuted;
    const name = mine ? t("{name} (you)", { name: person.displayName }) : person.displayName;
    const hasNoPath = !mine && person.connection === "failed";
    const trouble = mine || ["connected", "new"].includes(person.connection) ? "" : hasNoPath ? t("no connection to them") : t("connecting…");
    const line = !mine && !trouble && (person.line === "poor" || person.line === "bad");
    const says = trouble || (mine && person.isScreenSharing && t("you share your screen"));
    video.hidden = !seen;
    face.textContent = initials(person.displayName);
    tile.dataset.person = person.displayName;
    const [retry, stop, pin] = buttons.children;
    retry.hidden = !hasNoPath;
    stop.hidden = !(mine && person.isScreenSharing);
    pin.setAttribute("aria-label", t("Pin {name}", { name: person.displayName }));
    pin.title = t("Keep large");
    pin.setAttribute("aria-pressed", String(this.#pinned === id));
    tile.classList.toggle("mine", mine);
    tile.classList.toggle("self", mine);
    tile.classList.toggle("screen", !mine && person.isScreenSharing);
    tile.classList.toggle("presenter", presents);
    tile.classList.toggle("raised", person.isHandRaised);
    tile.style.setProperty("--hue", String(hue(person.displayName)));
    const words = [name, person.isHost && t("host"), muted && t("muted"), person.isHandRaised && t("hand raised"), person.isScreenSharing && t("shares the screen"), line && t("bad connection"), trouble];
    tile.setAttribute("aria-label", words.filter(Boolean).join(", "));
    caption.replaceChildren(
      ...[person.isHandRaised && icon("hand"), muted && icon("mic-off"), person.isScreenSharing && icon("screen")].filter(Boolean),
      ...(line ? [element("span", { class: "quality", title: t("bad connection") }, icon("line"))] : []),
      element("span", { dir: "auto" }, says ? `${name} · ${says}` : name),
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
    tile.textContent = t("and {count} more", { count });
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
      this.#devices.playOn(sound);
      this.#play(sound);
    }
    if (this.#speakerId === this.#devices.speaker) return;
    this.#speakerId = this.#devices.speaker;
    for (const sound of this.#sounds.values()) this.#devices.playOn(sound);
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
    const [loudest, level] = [...levels].reduce((most, each) => (each[1] > most[1] ? each : most), [null, AUDIBLE]);
    if (level <= AUDIBLE || loudest === this.#speaker.id || now - this.#speaker.since < STAYS_MS) return;
    this.#speaker = { id: loudest, since: now };
    if (this.#isSpeakerView) this.#update();
  }

  /** The number of columns that makes tiles largest; tiles are as wide as a film at most, and on a
   *  phone as tall as a portrait. */
  #layOut() {
    const isSelfApart = this.#holder.classList.contains("small-self");
    const count = this.#holder.children.length - (isSelfApart ? 1 : 0);
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

/** The face of who shares a screen, in a corner of it; null: none. */
function showBeside(tile, stream) {
  const before = tile.querySelector(".beside");
  if (!stream) return before?.remove();
  if (before) return;
  tile.append(element("video", { class: "beside", autoplay: true, playsInline: true, muted: true, "aria-hidden": "true", srcObject: stream }));
}

function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}
