/**
 * The reference client of the signaling contract (docs/protocol.md): one meeting, and no page code.
 * Copy it with peer.js (WebRTC): it needs socket.io-client 4.6 or newer and a browser's WebRTC.
 *
 *   const meeting = new Meeting({ roomCode: "abc-def-ghi", displayName: "Ada", token });
 *   meeting.addEventListener("status", ({ detail }) => …);   // see `Meeting.status`
 *   meeting.addEventListener("people", () => render(meeting.people));
 *   await meeting.setTrack("audio", microphoneTrack);         // before or after joining, null takes it away
 *   meeting.connect();
 *
 * Events (`detail`): status { status, reason? } · people · came (a person) · went (a person) · room · waiting ·
 * knock (a waiter) · history · chat (a message) · typing (`typists` has changed) · hand (a person) · force-mute ·
 * recovered · rejoined · draining { reconnectInMs } · auth-error { message }.
 */
import { Peers } from "./peer.js";
import { io } from "./socket.io.esm.min.js"; // with a bundler: from "socket.io-client"

const ACK_TIMEOUT_MS = 15_000;
const REJOIN_MS = 3_000;
const UNAVAILABLE = "Service temporarily unavailable";
const TYPING_RENEWAL_MS = 2_000; // the server ends an indicator 3 s after the last typing-start
const TYPING_MS = 5_000; // and what ends it may be lost: it is sent once, and not again after a cut
const MOST_OWN = 1_000;

/** Not crypto.randomUUID, which browsers have on secure pages only. */
const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Meeting extends EventTarget {
  /** connecting → joining → (waiting →) joined; reconnecting in between; over at the end, with a reason. */
  status = "connecting";
  /** { id, code, isLocked, settings: { allowScreenShare, allowChat, waitingRoom } | null } once joined. */
  room = null;
  /** Ourselves, as others see us. */
  me = { socketId: null, isHost: false, isMuted: false, isVideoOff: false, isScreenSharing: false, isHandRaised: false };
  /** The others, by socket id: the contract's participants, each with `stream`, `screen` (a stream: what they share,
   *  where it comes beside the face and not in its place) and `connection` (a state of WebRTC). */
  people = new Map();
  /** For the host: who waits to be let in, by socket id. */
  waiting = new Map();
  /** The newest messages of the room, oldest first. */
  messages = [];
  /** The names of those who type now, by socket id. */
  typists = new Map();

  #socket;
  #roomCode;
  #peers = new Peers();
  #typedAt = 0;
  #unsaid = null; // the message that is not acknowledged yet
  #accountId;
  #own; // the ids of messages that we wrote: with another connection we have another socket id
  #typingEnds = new Map();
  #closing = new AbortController();
  #comeBackInMs = 1_000;
  #untold = new Map(); // what changed while we were away, told when we are back

  /**
   * `token`: an access token of REST, for accounts. `url`: the server's origin, the page's own where not given.
   * `accountId` and `ownMessages` (ids) say which messages of a former visit were ours (see `isOwn`).
   */
  constructor({ roomCode, displayName, token = null, url, accountId = null, ownMessages = [] }) {
    super();
    this.#roomCode = roomCode;
    this.#accountId = accountId;
    this.#own = new Set(ownMessages);
    this.me.displayName = displayName;
    this.#socket = io(url, {
      autoConnect: false,
      transports: ["websocket", "polling"], // websocket at once: no sticky sessions needed, joins are faster
      // Asked at every connection: recovery adds its own `pid` and `offset` to what stands here.
      auth: (send) => send({ ...(token && { token }), displayName, capabilities: ["waiting-room"] }),
    });
    this.#listen();
  }

  /** Connect and join. What comes of it arrives as `status`. */
  connect() {
    const again = { signal: this.#closing.signal };
    // What may have brought a path back, or another network.
    addEventListener("online", () => this.#peers.retry({ all: true }), again);
    let network = navigator.connection?.type;
    const changed = () => {
      if (navigator.connection.type === network) return; // only how fast it is taken to be
      network = navigator.connection.type;
      this.#peers.retry({ all: true });
    };
    navigator.connection?.addEventListener?.("change", changed, again);
    document.addEventListener("visibilitychange", () => document.hidden || this.#peers.retry(), again);
    this.#socket.connect();
  }

  /** Leave for good. */
  leave(reason = "left") {
    if (this.status === "over") return;
    this.#closing.abort();
    this.#dropEverybody();
    this.#become("over", reason);
    this.#socket.disconnect(); // a clean close: the others are told at once, no place is held
  }

  // -- what one does in a meeting. Promises reject with the server's sentence.
  toggleAudio = (enabled) => this.#announce("toggle-audio", { enabled }, { isMuted: !enabled });
  toggleVideo = (enabled) => this.#announce("toggle-video", { enabled }, { isVideoOff: !enabled });
  startScreenShare = () => this.#announce("start-screen-share", {}, { isScreenSharing: true });
  stopScreenShare = () => this.#announce("stop-screen-share", {}, { isScreenSharing: false });
  raiseHand = (raised) => this.#announce("toggle-hand-raise", { raised }, { isHandRaised: raised });
  // Said again after a failure, the same words are the same message: the answer may have been lost, not the message.
  say = async (content) => {
    this.#typedAt = 0; // a message ends the typing indicator
    if (this.#unsaid?.content !== content) this.#unsaid = { content, clientId: randomId() };
    const said = this.#unsaid;
    const ack = await this.#ask("chat-message", said);
    if (this.#unsaid === said) this.#unsaid = null;
    this.#isOurs(ack.message.id); // it may have been shown under a former connection's id
    return ack;
  };
  // -- what the host does
  mute = (targetId) => this.#ask("mute-participant", { targetId });
  remove = (targetId) => this.#ask("remove-participant", { targetId });
  admit = (targetId) => this.#decide("admit-participant", targetId);
  deny = (targetId) => this.#decide("deny-participant", targetId);
  lock = async (locked) => {
    await this.#ask("lock-room", { locked });
    this.#roomIs({ isLocked: locked }); // `room-locked` goes to the others only
  };

  /** Tell the others that we type. Call it at every key; it sends what is needed. */
  typing(isTyping = true) {
    const due = Date.now() - this.#typedAt > TYPING_RENEWAL_MS;
    if (this.status !== "joined" || (isTyping ? !due : this.#typedAt === 0)) return;
    this.#typedAt = isTyping ? Date.now() : 0;
    this.#socket.emit(isTyping ? "typing-start" : "typing-stop", { roomId: this.room.id });
  }

  /**
   * What everybody hears ("audio") or sees of us: "video" is the face, "screen" what is shown beside it, or in its place
   * where a front end knows only one picture. null: nothing.
   */
  setTrack(kind, track) {
    return this.#peers.send(kind, track);
  }

  /** Look for a way to that person now, or to everybody to whom there is none: it is looked for with growing pauses. */
  retryMedia(socketId) {
    if (socketId === undefined) this.#peers.retry();
    else this.#peers.get(socketId)?.retry();
  }

  /** Whether that message of `messages`, or of REST's, is ours: also one of a former connection or visit. */
  isOwn({ id, senderId, userId = null }) {
    const account = this.#accountId;
    return this.#own.has(id) || senderId === this.me.socketId || (account !== null && (senderId === account || userId === account));
  }

  /** The ids of our messages, newest last, to be given to the next visit. */
  get ownMessages() {
    return [...this.#own];
  }

  /** How the line to each person is since the last call, by socket id (a promise): see `Peers.quality`. */
  quality() {
    return this.#peers.quality();
  }

  /** How loud each person was since the last call, 0 to 1, by socket id (a promise). */
  levels() {
    return this.#peers.levels();
  }

  // -- the socket
  #listen() {
    const on = (event, handler) => this.#socket.on(event, handler);
    on("connect", () => {
      this.me.socketId = this.#socket.id;
      // Connection state recovery: same id, still in the room, and what was missed arrives by itself.
      if (this.#socket.recovered && this.room) {
        this.#become("joined");
        for (const tell of this.#untold.values()) tell().catch(() => {});
        this.#untold.clear();
        this.#peers.retry();
        this.#tell("recovered");
      } else {
        this.#join();
      }
    });
    on("disconnect", (reason) => {
      if (this.status === "over") return;
      for (const socketId of [...this.typists.keys()]) this.#types(socketId, null); // nobody tells us when they end
      this.#become(this.room ? "reconnecting" : "connecting"); // media flows on: the peer connections need no signaling
      // The library does not come back by itself when the server closed the socket on purpose.
      if (reason === "io server disconnect") setTimeout(() => this.#retry(), this.#comeBackInMs);
    });
    on("connect_error", () => {
      if (this.status === "over") return;
      this.#become(this.room ? "reconnecting" : "connecting");
      if (!this.#socket.active) setTimeout(() => this.#retry(), this.#comeBackInMs);
    });
    on("room-joined", (joined) => this.#joined(joined));
    on("join-error", ({ message }) => this.#refused(message));
    on("waiting-room", () => this.#become("waiting"));
    on("auth-error", (detail) => this.#tell("auth-error", detail)); // a guest from here on
    on("server-draining", ({ reconnectInMs }) => {
      this.#comeBackInMs = reconnectInMs;
      this.#tell("draining", { reconnectInMs });
    });
    on("force-disconnect", ({ reason }) => this.leave(reason)); // removed, or joined from another device
    on("room-ended", ({ reason }) => this.leave(reason));
    on("force-mute", () => {
      this.me.isMuted = true;
      this.#tell("force-mute");
    });

    on("user-joined", ({ participant }) => {
      this.#enter(participant); // their offer follows
      this.#tell("came", participant);
    });
    on("user-left", ({ socketId }) => {
      const person = this.people.get(socketId);
      this.#drop(socketId);
      if (person) this.#tell("went", person);
    });
    on("user-toggle-audio", ({ socketId, enabled }) => this.#change(socketId, { isMuted: !enabled }));
    on("user-toggle-video", ({ socketId, enabled }) => this.#change(socketId, { isVideoOff: !enabled }));
    on("screen-share-started", ({ socketId }) => this.#change(socketId, { isScreenSharing: true }));
    on("screen-share-stopped", ({ socketId }) => this.#change(socketId, { isScreenSharing: false }));
    on("user-hand-lowered", ({ socketId }) => this.#change(socketId, { isHandRaised: false }));
    on("user-hand-raised", ({ socketId }) => {
      this.#change(socketId, { isHandRaised: true });
      this.#tell("hand", this.people.get(socketId));
    });

    on("offer", ({ senderId, sdp }) => this.#peer(senderId, false)?.offered(sdp));
    on("answer", ({ senderId, sdp }) => this.#peers.get(senderId)?.answered(sdp));
    on("ice-candidate", ({ senderId, candidate }) => this.#peers.get(senderId)?.candidate(candidate));

    on("chat-message", (message) => {
      this.messages.push(message);
      if (message.senderId === this.me.socketId) this.#isOurs(message.id);
      this.#types(message.senderId, null); // who has sent it types no longer, whatever else was lost
      this.#tell("chat", message);
    });
    on("user-typing", ({ socketId, displayName, isTyping }) => this.#types(socketId, isTyping ? displayName : null));
    on("room-locked", ({ locked }) => this.#roomIs({ isLocked: locked }));
    on("room-settings", ({ isLocked, ...settings }) => this.#roomIs({ isLocked, settings }));
    on("waiting-participant", (waiter) => {
      const isNew = !this.waiting.has(waiter.socketId);
      this.waiting.set(waiter.socketId, waiter);
      this.#tell("waiting");
      if (isNew) this.#tell("knock", waiter);
    });
    on("waiting-participant-left", ({ socketId }) => {
      this.waiting.delete(socketId);
      this.#tell("waiting");
    });
  }

  #retry() {
    if (this.status !== "over") this.#socket.connect();
  }

  async #join() {
    this.#become("joining");
    const join = { roomCode: this.#roomCode, displayName: this.me.displayName };
    try {
      const ack = await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck("join-room", join);
      // Success and waiting arrive as events too, as does a later admission: those are handled there.
      if (!ack.success && !ack.waiting) this.#refused(ack.error);
    } catch {
      if (this.#socket.connected) this.#refused(UNAVAILABLE); // else we reconnect, and join again
    }
  }

  #joined({ roomId, roomCode, isHost, participants, messages, settings, waiting = [], iceServers = [] }) {
    const again = this.room !== null;
    this.#dropEverybody();
    this.#untold.clear();
    this.#peers.iceServers = iceServers; // none given: host candidates only. Ask no third party's server.
    this.room = { id: roomId, code: roomCode, isLocked: this.room?.isLocked ?? false, settings };
    this.messages = messages;
    this.waiting = new Map(waiting.map((waiter) => [waiter.socketId, waiter]));
    const { isMuted, isVideoOff, isScreenSharing, isHandRaised } = this.me;
    Object.assign(this.me, { socketId: this.#socket.id, isHost });
    this.#become("joined");
    // The server takes a newcomer's microphone and camera for switched on, and knows nothing of a former self.
    if (isMuted) this.toggleAudio(false).catch(() => {});
    if (isVideoOff) this.toggleVideo(false).catch(() => {});
    if (isScreenSharing) this.startScreenShare().catch(() => {});
    if (isHandRaised) this.raiseHand(true).catch(() => {});
    for (const participant of participants) {
      this.#enter(participant);
      this.#peer(participant.socketId, true); // of any two, the one who comes later offers
    }
    for (const name of ["room", "people", "waiting", "history"]) this.#tell(name);
    if (again) this.#tell("rejoined");
  }

  #refused(reason) {
    if (this.status !== "joining" && this.status !== "waiting") return;
    if (!this.room || reason !== UNAVAILABLE) return this.leave(reason);
    // We were in it: the server, or its database, is only just coming back.
    this.#become("reconnecting");
    setTimeout(() => this.#socket.connected && this.status === "reconnecting" && this.#join(), REJOIN_MS);
  }

  // -- people
  #enter(participant) {
    this.#drop(participant.socketId); // they may come again with the same id
    this.people.set(participant.socketId, { ...participant, stream: new MediaStream(), screen: new MediaStream(), connection: "new" });
    this.#tell("people");
  }

  #change(socketId, state) {
    Object.assign(socketId === this.me.socketId ? this.me : (this.people.get(socketId) ?? {}), state);
    this.#tell("people");
  }

  #drop(socketId) {
    this.#peers.close(socketId);
    this.#types(socketId, null);
    if (this.people.delete(socketId)) this.#tell("people");
  }

  #dropEverybody() {
    for (const socketId of [...this.people.keys()]) this.#drop(socketId);
  }

  #peer(socketId, offers) {
    const person = this.people.get(socketId);
    if (!person || this.#peers.get(socketId)) return this.#peers.get(socketId);
    return this.#peers.open(socketId, {
      offers,
      stream: person.stream,
      screen: person.screen,
      emit: (event, content) => this.#socket.emit(event, { targetId: socketId, ...content }),
      reachable: () => this.status === "joined",
      changed: (connection) => this.#change(socketId, { connection }),
    });
  }

  // -- sending
  async #ask(event, content) {
    if (this.status !== "joined") throw new Error("Not in this room");
    const payload = { roomId: this.room.id, ...content };
    const ack = await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload);
    if (!ack.success) throw new Error(ack.error);
    return ack;
  }

  async #announce(event, content, state) {
    if (this.status !== "joined") {
      this.#untold.set(Object.keys(state)[0], () => this.#announce(event, content, state));
      return void Object.assign(this.me, state); // told once we are in
    }
    await this.#ask(event, content);
    Object.assign(this.me, state);
    this.#tell("people");
  }

  async #decide(event, targetId) {
    await this.#ask(event, { targetId });
    this.waiting.delete(targetId);
    this.#tell("waiting");
  }

  #types(socketId, displayName) {
    clearTimeout(this.#typingEnds.get(socketId));
    this.#typingEnds.delete(socketId);
    if (displayName !== null) {
      this.typists.set(socketId, displayName);
      this.#typingEnds.set(socketId, setTimeout(() => this.#types(socketId, null), TYPING_MS));
    } else if (!this.typists.delete(socketId)) return;
    this.#tell("typing");
  }

  #isOurs(id) {
    this.#own.add(id);
    if (this.#own.size > MOST_OWN) this.#own.delete(this.#own.values().next().value);
  }

  #roomIs(change) {
    Object.assign(this.room ?? {}, change);
    this.#tell("room");
  }

  #become(status, reason) {
    this.status = status;
    this.#tell("status", { status, reason });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
