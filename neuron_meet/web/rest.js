/** The REST calls that the page makes, and the account that is signed in. */
import { t } from "./language.js";

/** A refusal: `status` (0: the server was not reached), a sentence, and a sentence for each field that is wrong. */
export class RestError extends Error {
  constructor(status, message, fields = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

/** What a field takes, in words for people: the server's own are for programs. */
const FIELDS = {
  displayName: "Enter a name of 2 to 50 letters.",
  email: "Enter an e-mail address, such as ada@example.org.",
  password: "Enter a password of 8 to 100 characters.",
  name: "Enter a name of 1 to 100 letters.",
  maxParticipants: "Enter a number from 2 to 100.",
};

/** The signed-in account's token, or null. Kept until one signs out or it turns out to be stale. */
export const token = () => remembered.get("token") || null;
export const signOut = () => remembered.set("token", "");

/** The account that is signed in, or null. A token that is no longer valid is forgotten; `onStale` is told. */
export async function account(onStale = () => {}) {
  if (!token()) return null;
  try {
    return await call("GET", "/auth/me");
  } catch (error) {
    if (error.status !== 401) throw error;
    signOut();
    onStale();
    return null;
  }
}

export const register = (email, password, displayName) => signIn("/auth/register", { email, password, displayName });
export const login = (email, password) => signIn("/auth/login", { email, password });
export const createRoom = (room) => call("POST", "/rooms", room);
export const endRoom = (id) => call("DELETE", `/rooms/${id}`);
export const roomById = (id) => call("GET", `/rooms/${id}`);
export const changeSettings = (id, settings) => call("PATCH", `/rooms/${id}/settings`, settings);
export const roomByCode = (code) => call("GET", `/rooms/code/${code}`);
export const peopleByCode = (code) => call("GET", `/rooms/code/${code}/participants`);
export const myRooms = () => call("GET", "/users/me/rooms");
/** The newest 50 messages, or those just older than `before`, as a meeting has them; for accounts that were in the room. */
export async function olderMessages(id, before) {
  const rows = await call("GET", `/rooms/${id}/messages?limit=50${before ? `&before=${before}` : ""}`);
  return rows.map((row) => ({ ...row, timestamp: row.createdAt }));
}

async function signIn(path, body) {
  const { accessToken, user } = await call("POST", path, body);
  remembered.set("token", accessToken);
  return user;
}

async function call(method, path, body) {
  const headers = {};
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`/api${path}`, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new RestError(0, t("The server cannot be reached. Check your network, then try again."));
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new RestError(answer.status, sentence(answer, content), answer.status === 400 ? fieldsIn(content) : {});
  return content;
}

/** One sentence, in words for people. */
function sentence(answer, { message = "" }) {
  const seconds = answer.headers.get("Retry-After") ?? 60;
  if (answer.status === 429) return t("That was too often. Wait {seconds} seconds, then try again.", { seconds });
  if (answer.status >= 500) return t("The server cannot do this right now. Try again in a minute.");
  if (message === "Invalid credentials") return t("E-mail address or password is wrong.");
  if (message === "Email already registered") return t("There is an account with this e-mail address. Sign in instead.");
  if (answer.status === 404) return t("That is not there any more.");
  if (answer.status === 403) return t("Only the host can do that.");
  return t("The server did not take this: {reason}.", { reason: [message].flat().join("; ") || answer.status });
}

/** The fields that the server's sentences are about ("displayName must be …"): each begins with the field's name. */
function fieldsIn({ message = [] }) {
  const named = [message].flat().map((text) => String(text).split(" ")[0]);
  return Object.fromEntries(named.filter((name) => name in FIELDS).map((name) => [name, t(FIELDS[name])]));
}

/** Browsers may deny storage (private windows, blocked cookies): then it lasts as long as the page. */
const memory = new Map();
function stored(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

/** A small choice that outlives the page where the browser allows it; `forNow`, `now`: this tab only. */
export const remembered = {
  now: (name) => stored(() => sessionStorage.getItem(`neuron-meet.${name}`)) ?? "",
  forNow: (name, value) => stored(() => sessionStorage.setItem(`neuron-meet.${name}`, value)),
  get: (name) => stored(() => localStorage.getItem(`neuron-meet.${name}`)) ?? memory.get(name) ?? "",
  set: (name, value) => {
    memory.set(name, value);
    stored(() => localStorage.setItem(`neuron-meet.${name}`, value));
  },
};
