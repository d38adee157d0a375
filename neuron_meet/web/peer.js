/**
 * WebRTC with the others: offers, answers and candidates in and out, media both ways. No signaling and no page code.
 */
const UPLOAD_BITS_PER_SECOND = 3_000_000; // for all pictures that we send: everybody gets one of their own

/** The peer connections of one meeting, by socket id, and what is sent on all of them. */
export class Peers {
  iceServers = [];
  #tracks = { audio: null, video: null };
  #all = new Map();

  get(id) {
    return this.#all.get(id);
  }

  /**
   * Begin one. `offers`: whether this side makes the offers; `stream`: what comes in is added to it;
   * `emit(event, content)` sends offer { sdp }, answer { sdp }, ice-candidate { candidate }; `changed(state)` is told
   * the connection's state.
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

  /** Send that "audio" or "video" track to everybody from now on, null for none. */
  async send(kind, track) {
    this.#tracks[kind] = track;
    await Promise.allSettled([...this.#all.values()].map((peer) => peer.send(kind, track)));
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
  #heard = { energy: 0, seconds: 0 };
  #limit = null;
  #work = Promise.resolve(); // what arrives is handled in the order in which it arrived

  constructor(options) {
    this.#options = options;
    const pc = (this.#connection = new RTCPeerConnection({ iceServers: options.iceServers }));
    pc.onicecandidate = ({ candidate }) => options.emit("ice-candidate", { candidate });
    pc.ontrack = ({ track }) => options.stream.addTrack(track);
    pc.onconnectionstatechange = () => {
      options.changed(pc.connectionState);
      if (pc.connectionState === "connected") this.limit(this.#limit);
      if (pc.connectionState === "failed" && options.offers) pc.restartIce(); // makes a new offer
    };
    if (!options.offers) return;
    pc.onnegotiationneeded = () => this.#offer();
    // Both directions from the start, also without camera: switching one on later needs no new offer.
    for (const kind of ["audio", "video"]) {
      pc.addTransceiver(options.tracks[kind] ?? kind, { direction: "sendrecv" });
    }
  }

  async #offer() {
    this.#making = true;
    try {
      await this.#connection.setLocalDescription();
      this.#options.emit("offer", { sdp: this.#connection.localDescription });
    } catch {
      // closed meanwhile
    } finally {
      this.#making = false;
    }
  }

  offered(sdp) {
    this.#then(async (pc) => {
      const collision = this.#making || pc.signalingState !== "stable";
      if (collision && this.#options.offers) return; // impolite: ours stands
      await pc.setRemoteDescription(sdp);
      for (const transceiver of pc.getTransceivers()) {
        transceiver.direction = "sendrecv";
        await transceiver.sender.replaceTrack(this.#options.tracks[transceiver.receiver.track.kind]);
      }
      await pc.setLocalDescription();
      this.#options.emit("answer", { sdp: pc.localDescription });
    });
  }

  answered(sdp) {
    this.#then((pc) => pc.setRemoteDescription(sdp));
  }

  candidate(candidate) {
    this.#then((pc) => pc.addIceCandidate(candidate ?? undefined));
  }

  async send(kind, track) {
    const transceiver = this.#connection.getTransceivers().find((each) => each.receiver.track.kind === kind);
    await transceiver?.sender.replaceTrack(track);
  }

  limit(bitsPerSecond) {
    this.#limit = bitsPerSecond;
    for (const sender of this.#connection.getSenders()) {
      const parameters = sender.getParameters();
      if (sender.track?.kind !== "video" || !parameters.encodings?.length) continue;
      parameters.encodings[0].maxBitrate = bitsPerSecond;
      sender.setParameters(parameters).catch(() => {});
    }
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
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #then(step) {
    // A peer that sends nonsense harms its own connection only.
    this.#work = this.#work.then(() => step(this.#connection)).catch(() => {});
  }
}
