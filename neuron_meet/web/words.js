/** What happened, in plain words, and what to do about it. The keys are the contract's texts (docs/protocol.md). */

import { t } from "./language.js";

const HOME = { text: "Go to the start page", to: "/" };
const AGAIN = { text: "Try again", to: "again" };

/** Why one is not, or no longer, in a meeting: { title, text, ways: [{ text, to }] }. `to`: a path, "again", "reload" or "sign-in". */
const ENDINGS = {
  left: { title: "You left the meeting", text: "The link still works while the meeting goes on.", ways: [{ text: "Join again", to: "again" }, HOME] },
  "The host ended the meeting": { title: "The meeting is over", text: "The host ended it for everybody.", ways: [HOME] },
  "The operator ended the meeting": { title: "The meeting is over", text: "Whoever runs this server ended it for everybody.", ways: [HOME] },
  "Removed by the operator": { title: "You were removed", text: "Whoever runs this server took you out of the meeting. You cannot come back to it for now.", ways: [HOME] },
  "Removed by host": { title: "The host removed you", text: "You cannot come back to this meeting for now. If that was a mistake, ask the host.", ways: [HOME] },
  "Joined from another device": { title: "You joined from another tab or device", text: "The meeting goes on there. You can take it back to this tab.", ways: [{ text: "Take it back here", to: "again" }, HOME] },
  "Invalid room code": { title: "This is no meeting code", text: "A code looks like abc-def-ghi: nine letters in three groups. Check the link that you were sent.", ways: [HOME] },
  "Room not found": { title: "There is no such meeting", text: "Check the link or the code for a missing letter, or ask whoever invited you for a new one.", ways: [HOME] },
  "Room is no longer active": { title: "This meeting is over", text: "The host has ended it. Ask for the link of the next one, or start your own.", ways: [HOME] },
  "You were removed from this meeting": { title: "You cannot come back to this meeting", text: "The host removed you. If that was a mistake, ask the host.", ways: [HOME] },
  "Room is locked": { title: "The meeting is locked", text: "The host lets nobody else in at the moment. Ask the host to unlock it, then try again.", ways: [AGAIN, HOME] },
  "Authentication required": { title: "This meeting is for accounts only", text: "Guests cannot come in. Sign in or create an account, then join again.", ways: [{ text: "Sign in", to: "sign-in" }, HOME] },
  "Room is full": { title: "The meeting is full", text: "As many people are in it as it allows. Try again when somebody has left.", ways: [AGAIN, HOME] },
  "The host did not let you in": { title: "The host did not let you in", text: "You can ask again in five minutes. Perhaps tell the host who you are first.", ways: [AGAIN, HOME] },
  "Service temporarily unavailable": { title: "The server cannot do this right now", text: "It is restarting, or its database is away. This usually takes less than a minute.", ways: [AGAIN, HOME] },
  incomplete: { title: "The page did not load wholly", text: "Something was lost on the way, or a blocker keeps it back. Try again.", ways: [{ ...AGAIN, to: "reload" }, HOME] },
  unreachable: { title: "The server cannot be reached", text: "Check your network, then try again. If others have the same trouble, the server may be down.", ways: [AGAIN, HOME] },
  "Too many requests": { title: "That was too often", text: "Wait a minute, then try again.", ways: [AGAIN, HOME] },
};

export function ending(reason) {
  const found = ENDINGS[reason] ?? { title: "You are not in the meeting", text: "The server said: {reason}.", ways: [AGAIN, HOME] };
  const ways = found.ways.map(({ text, to }) => ({ text: t(text), to }));
  return { title: t(found.title), text: t(found.text, { reason }), ways };
}

/** The state of the connection: [short, longer]. */
export const STATUS = {
  connecting: ["Connecting…", "Connecting to the server. If this takes long, check your network."],
  joining: ["Joining…", "Connected. Coming into the meeting."],
  waiting: ["Waiting for the host", "The host has been told. You come in as soon as they let you."],
  joined: ["Connected", "You are in the meeting."],
  reconnecting: ["Reconnecting…", "The connection to the server is lost. It is being tried again; your place is kept for a few seconds, and those you can hear stay."],
};

/** Refusals of what one did in a meeting. */
const REFUSALS = {
  "Not authorized": "Only the host can do that.",
  "Screen sharing is disabled": "The host has switched screen sharing off for others.",
  "Chat is disabled": "The host has switched the chat off for others.",
  "Message is too long": "This message is too long. Send it in parts.",
  "Message content is required": "Write something first.",
  "Too many messages": "That was too fast. Wait a few seconds, then send it again.",
  "Too many requests": "That was too fast. Wait a few seconds, then try again.",
  "Failed to send message": "The message was not sent: the server cannot store it right now. Try again in a minute.",
  "Not in this room": "You are not connected to the meeting right now. Wait for the connection to come back.",
  "Participant not found": "They have already left.",
  "operation has timed out": "The server did not answer. Try again.",
  "socket has been disconnected": "The connection was lost. Wait for it to come back, then try again.",
};

export function refusal(error) {
  const text = String(error?.message ?? error);
  return text in REFUSALS ? t(REFUSALS[text]) : t("That did not work: {reason}.", { reason: text });
}

/** Why there is no camera, microphone or screen. `error`: what the browser threw; `what`: "camera", "microphone" … */
export function mediaProblem(error, what) {
  const values = { what: t(`the ${what}`) };
  switch (error?.name) {
    case "InsecureContext":
      return t("Browsers give {what} only to secure pages. Open this page over https, or on the server's own machine as http://localhost. You can still join: you see and hear the others, and use the chat.", values);
    case "NotAllowedError":
    case "SecurityError":
      return t("The browser does not allow {what}. Click the symbol beside the address, allow it there, then try again. You can also join without.", values);
    case "NotFoundError":
    case "OverconstrainedError":
      return t(`No ${what.replace(" and ", " or ")} was found. Plug one in, then try again. You can also join without.`);
    case "NotReadableError":
    case "AbortError":
      return t("Another program or tab uses {what}. Close that one, then try again. You can also join without.", values);
    default:
      return t("This does not start: {what} ({reason}). Try again, or join without.", { ...values, reason: error?.name ?? "?" });
  }
}
