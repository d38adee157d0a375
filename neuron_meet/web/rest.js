/** The REST calls that the page makes, and the account that is signed in. */

/** A refusal: `status` (0: the server was not reached) and a sentence. */
export class RestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

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
/** The messages just older than that one; for accounts that were in the room. */
export const olderMessages = (id, before) => call("GET", `/rooms/${id}/messages?limit=50&before=${before}`);

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
    throw new RestError(0, "The server cannot be reached. Check your network, then try again.");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new RestError(answer.status, sentence(answer, content));
  return content;
}

/** A list of what is wrong, or one sentence, in words for people. */
function sentence(answer, { message = `The server answered ${answer.status}` }) {
  const wait = answer.headers.get("Retry-After");
  if (answer.status === 429) return `That was too often. Wait ${wait ?? "a few"} seconds, then try again.`;
  if (answer.status >= 500) return "The server cannot do this right now. Try again in a minute.";
  if (message === "Invalid credentials") return "E-mail address or password is wrong.";
  if (message === "Email already registered") return "There is an account with this e-mail address. Sign in instead.";
  const all = [message].flat().map((text) => text.charAt(0).toUpperCase() + text.slice(1).replace("displayName", "name"));
  return all.join(". ").replace(/\.?$/, ".");
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

/** A small choice that outlives the page where the browser allows it. */
export const remembered = {
  get: (name) => stored(() => localStorage.getItem(`neuron-meet.${name}`)) ?? memory.get(name) ?? "",
  set: (name, value) => {
    memory.set(name, value);
    stored(() => localStorage.setItem(`neuron-meet.${name}`, value));
  },
};
