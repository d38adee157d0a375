/**
 * WebRTC with the others: offers, answers and candidates in and out, media both ways. No signaling and no page code.
 */
const UPLOAD_BITS_PER_SECOND = 3_000_000; // for all pictures that we send: everybody gets one of their own
// Without a path another is looked for by itself, after these pauses, the last one again and again. Who made no offer
// begins later: of two at once, one would be for nothing.
const PAUSES_MS = [0, 2_000, 4_000, 8_000, 15_000];
const LATER_MS = 3_000;
const FACE_BITS_PER_SECOND = 300_000; // beside a screen, which needs the rest
// Says in a description that its sender takes a second picture: a screen beside the face. Front ends that do not know
// it skip the line (RFC 8866, §5.13), say nothing of the kind, and get the screen in place of the face.
const TWO_PICTURES = "a=x-two-pictures";

/** The peer connections of one meeting, by socket id, and what is sent on all of them. */
export class Peers {
  iceServers = [];
  #tracks = { audio: null, video: null, screen: null };
  #all = new Map();

  get(id) {
    return this.#all.get(id);
  }

  /**
   * Begin one. `offers`: whether this side makes the offers; `stream`: what comes in is added to it, a screen that
   * comes beside the face to `screen`;
   * `emit(event, content)` sends offer { sdp }, answer { sdp }, ice-candidate { candidate }, as long as `reachable()`;
   * `changed(state)` is told the connection's state.
   */
  open(id, options) {
    const peer = new Peer({ ...options, iceServers: this.iceServers, tracks: this.#tracks });
    this.#all.set(id, peer);
    this.#shareUpload();
    return peer;
  }

  close(id) {
    this.#all.get(id)?.close();
    if (this.#all.delete(id)) this.#shareUpload();
  }

  /** Send that "audio", "video" or "screen" track to everybody from now on, null for none. */
  async send(kind, track) {
    if (this.#tracks[kind] === track) return;
    this.#tracks[kind] = track;
    await Promise.allSettled([...this.#all.values()].map((peer) => peer.send()));
  }

  /** Look for paths now where there is none; `all`: also where there was one a moment ago (the network has changed). */
  retry({ all = false } = {}) {
    for (const peer of this.#all.values()) peer.retry({ all });
  }

  /**
   * How the line to each person was since the last time, by socket id: { lost, lostThere, roundTripMs }. `lost` of what
   * came from them, `lostThere` of what we sent them, both 0 to 1; null where it is not known.
   */
  async quality() {
    return new Map(await Promise.all([...this.#all].map(async ([id, peer]) => [id, await peer.quality()])));
  }

  /** How loud each person was since the last time, 0 to 1, by socket id. */
  async levels() {
    return new Map(await Promise.all([...this.#all].map(async ([id, peer]) => [id, await peer.level()])));
  }

  #shareUpload() {
    const each = Math.round(UPLOAD_BITS_PER_SECOND / Math.max(2, this.#all.size));
    for (const peer of this.#all.values()) peer.limit(each);
  }
}

/** One peer connection, after the pattern of "perfect negotiation" (WebRTC 1.0, §10.7): the offering side is impolite. */
class Peer {
  #connection;
  #options;
  #making = false;
  #takesTwo = false; // whether the other side takes a screen beside the face
  #heard = { energy: 0, seconds: 0 };
  #limit = null;
  #tries = 0;
  #retrying = null; // the timer of the next try
  #counted = { lost: 0, came: 0 };
  #work = Promise.resolve(); // what arrives is handled in the order in which it arrived

  constructor(options) {
    this.#options = options;
    const pc = (this.#connection = new RTCPeerConnection({ iceServers: options.iceServers }));
    pc.onicecandidate = ({ candidate }) => options.emit("ice-candidate", { candidate });
    pc.ontrack = ({ track, transceiver }) => {
      const isScreen = this.#pictures().indexOf(transceiver) > 0;
      (isScreen ? options.screen : options.stream).addTrack(track);
      if (isScreen) options.changed(pc.connectionState);
    };
    pc.onconnectionstatechange = () => {
      options.changed(pc.connectionState);
      if (pc.connectionState === "connected") {
        this.#stopRetrying();
        this.limit(this.#limit);
      } else if (pc.connectionState === "failed" && this.#retrying === null) this.#retrySoon();
    };
    if (!options.offers) return;
    pc.onnegotiationneeded = () => this.#offer();
    // Both directions from the start, also without camera: switching one on later needs no new offer.
    for (const kind of ["audio", "video"]) {
      pc.addTransceiver(this.#trackFor(kind, 0) ?? kind, { direction: "sendrecv" });
    }
  }

  #pictures() {
    return this.#connection.getTransceivers().filter(({ receiver }) => receiver.track.kind === "video");
  }

  /** What the sender of that kind sends, the first of them or the second. */
  #trackFor(kind, index) {
    const { audio, video, screen } = this.#options.tracks;
    if (kind === "audio") return audio;
    if (index > 0) return this.#takesTwo ? screen : null;
    return this.#takesTwo ? video : (screen ?? video);
  }

  async #offer() {
    this.#making = true;
    try {
      await this.#connection.setLocalDescription();
      this.#options.emit("offer", { sdp: marked(this.#connection.localDescription) });
    } catch {
      // closed meanwhile
    } finally {
      this.#making = false;
    }
  }

  /** Look for another path now, unless there is one; with `all` the side that made the offer does so all the same. */
  retry({ all = false } = {}) {
    const { connectionState } = this.#connection;
    if (!this.#options.reachable() || ["new", "closed"].includes(connectionState)) return;
    if (connectionState === "connected" && !(all && this.#options.offers)) return;
    this.#then(async (pc) => {
      if (pc.signalingState === "have-remote-offer" || pc.signalingState === "closed") return;
      this.#making = true;
      try {
        // Not `restartIce`: it waits for the answer to the offer before, which may have been lost on the way.
        await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
        this.#options.emit("offer", { sdp: marked(pc.localDescription) });
      } finally {
        this.#making = false;
      }
    });
  }

  #retrySoon() {
    const pause = PAUSES_MS[Math.min(this.#tries, PAUSES_MS.length - 1)] + (this.#options.offers ? 0 : LATER_MS);
    this.#tries += 1;
    this.#retrying = setTimeout(() => {
      this.retry();
      this.#retrySoon();
    }, pause);
  }

  #stopRetrying() {
    clearTimeout(this.#retrying);
    this.#retrying = null;
    this.#tries = 0;
  }

  offered(sdp) {
    this.#then(async (pc) => {
      const collision = this.#making || pc.signalingState !== "stable";
      if (collision && this.#options.offers) return; // impolite: ours stands
      await pc.setRemoteDescription(sdp);
      this.#takesTwo = isMarked(sdp);
      for (const transceiver of pc.getTransceivers()) transceiver.direction = "sendrecv";
      await this.#fill();
      await pc.setLocalDescription();
      this.limit(this.#limit);
      this.#options.emit("answer", { sdp: marked(pc.localDescription) });
      await this.#add();
    });
  }

  answered(sdp) {
    this.#then(async (pc) => {
      await pc.setRemoteDescription(sdp);
      this.#takesTwo = isMarked(sdp);
      await this.#fill();
      await this.#add();
      this.limit(this.#limit);
    });
  }

  candidate(candidate) {
    this.#then((pc) => pc.addIceCandidate(candidate ?? undefined));
  }

  /** Send what there is to be sent now. */
  send() {
    this.#then(async () => {
      await this.#fill();
      await this.#add();
      this.limit(this.#limit);
    });
    return this.#work;
  }

  /** Each sender gets its track; none needs a new offer for that. */
  async #fill() {
    const met = { audio: 0, video: 0 };
    for (const { sender, receiver } of this.#connection.getTransceivers()) {
      const { kind } = receiver.track;
      const track = this.#trackFor(kind, met[kind]);
      met[kind] += 1;
      if (sender.track !== track) await sender.replaceTrack(track);
    }
  }

  /** A sender for a screen beside the face: made when first needed, by a new offer, and kept. */
  async #add() {
    const pc = this.#connection;
    if (pc.signalingState !== "stable") return; // added with the answer, or after it
    const { screen } = this.#options.tracks;
    if (screen && this.#takesTwo && this.#pictures().length < 2) pc.addTransceiver(screen, { direction: "sendrecv" });
    // Not agreed yet: just made, or our offer of it met theirs. Who makes the offers is told by the browser.
    const isMissing = pc.getTransceivers().some(({ mid, stopped }) => mid === null && !stopped);
    if (isMissing && !this.#options.offers) await this.#offer();
  }

  /** Also of a sender that has no track yet: a camera that goes on later is bound by it from its first frame. */
  limit(bitsPerSecond) {
    this.#limit = bitsPerSecond;
    const isBeside = this.#takesTwo && this.#options.tracks.screen !== null;
    this.#pictures().forEach(({ sender }, index) => {
      const most = isBeside && index === 0 ? Math.min(FACE_BITS_PER_SECOND, bitsPerSecond) : bitsPerSecond;
      const parameters = sender.getParameters();
      if (!parameters.encodings?.length || parameters.encodings[0].maxBitrate === most) return;
      parameters.encodings[0].maxBitrate = most;
      sender.setParameters(parameters).catch(() => {});
    });
  }

  async quality() {
    const stats = [...((await this.#connection.getStats().catch(() => null))?.values() ?? [])];
    const incoming = stats.filter(({ type }) => type === "inbound-rtp");
    const outgoing = stats.filter(({ type, fractionLost }) => type === "remote-inbound-rtp" && fractionLost !== undefined);
    const pair = stats.find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
    const counted = { lost: sum(incoming, "packetsLost"), came: sum(incoming, "packetsReceived") };
    const [lost, came] = [counted.lost - this.#counted.lost, counted.came - this.#counted.came];
    this.#counted = counted;
    return {
      lost: lost + came > 0 ? Math.max(0, lost) / (Math.max(0, lost) + came) : null,
      lostThere: outgoing.length ? Math.max(...outgoing.map((each) => each.fractionLost)) : null,
      roundTripMs: pair?.currentRoundTripTime === undefined ? null : 1_000 * pair.currentRoundTripTime,
    };
  }

  /** By the energy of all that was played, not by a look at this moment, which falls between words. */
  async level() {
    const audio = this.#connection.getReceivers().find((each) => each.track.kind === "audio");
    const stats = [...((await audio?.getStats())?.values() ?? [])].find(({ type }) => type === "inbound-rtp");
    const { totalAudioEnergy: energy = 0, totalSamplesDuration: seconds = 0 } = stats ?? {};
    const passed = seconds - this.#heard.seconds;
    const level = passed > 0 ? Math.sqrt(Math.max(0, energy - this.#heard.energy) / passed) : 0;
    this.#heard = { energy, seconds };
    return level;
  }

  close() {
    this.#stopRetrying();
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #then(step) {
    // A peer that sends nonsense harms its own connection only.
    this.#work = this.#work.then(() => step(this.#connection)).catch(() => {});
  }
}

/** The description with the line that says that we take two pictures, among those of the session. */
function marked({ type, sdp }) {
  return { type, sdp: sdp.replace(/^(t=[^\r\n]*\r?\n)/m, `$1${TWO_PICTURES}\r\n`) };
}

const isMarked = (description) => Boolean(description?.sdp?.includes(TWO_PICTURES));

const sum = (stats, name) => stats.reduce((total, each) => total + (each[name] ?? 0), 0);
