/** The chat: the newest messages, older ones on demand, who types, and how many are unread. */
import { byId, element, problem } from "./dom.js";
import { language, t } from "./language.js";
import { olderMessages, remembered, token } from "./rest.js";
import { refusal } from "./words.js";

const ADDRESS = /((?:https?:\/\/|\bwww\.)[^\s<>"']+[^\s<>"'.,;:!?)\]])/i;
const PAGE = 50;
const NEAR_PX = 40;

export class Chat {
  #meeting;
  #list = byId("message-list");
  #unread = 0;
  #roomCode;

  constructor({ meeting, room, on }) {
    this.#meeting = meeting;
    this.#roomCode = room.code;
    this.#list.replaceChildren();
    problem(byId("chat-problem"), null);
    this.#showTypists();
    this.#count(0);
    on(meeting, "history", () => this.#showAll());
    on(meeting, "chat", ({ detail }) => this.#arrived(detail));
    on(meeting, "typing", () => this.#showTypists());
    on(meeting, "room", () => this.#allow());
    // What kept a message back is over with the connection; its text still waits to be sent.
    on(meeting, "status", ({ detail }) => detail.status === "joined" && problem(byId("chat-problem"), null));
    on(byId("chat-form"), "submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    const text = byId("chat-text");
    text.value = "";
    on(text, "input", () => {
      meeting.typing(text.value.trim() !== "");
      grow(text);
    });
    on(text, "keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    on(byId("earlier"), "click", () => this.#earlier());
    on(byId("messages"), "scroll", () => this.#isAtEnd() && (byId("new-messages").hidden = true));
    on(byId("new-messages"), "click", () => {
      this.#toEnd();
      byId("messages").focus();
    });
    on(byId("chat-panel"), "toggled", () => {
      this.#count(0);
      byId("new-messages").hidden = true;
    });
    on(document, "visibilitychange", () => document.hidden || byId("chat-panel").hidden || this.#count(0));
  }

  async #send() {
    const text = byId("chat-text");
    const content = text.value.trim();
    if (!content) return text.focus();
    problem(byId("chat-problem"), null);
    try {
      await this.#meeting.say(content);
      this.#toEnd();
      if (text.value.trim() === content) text.value = "";
      grow(text);
    } catch (error) {
      problem(byId("chat-problem"), refusal(error)); // the text stays, to be sent again
    }
    text.focus();
  }

  #showAll() {
    const { messages } = this.#meeting;
    this.#list.replaceChildren(...messages.map((message) => this.#entry(message)));
    byId("no-messages").hidden = messages.length > 0;
    byId("earlier").hidden = !token() || messages.length === 0;
    byId("only-newest").hidden = Boolean(token()) || messages.length < PAGE;
    this.#toEnd();
  }

  #arrived(message) {
    const atEnd = this.#isAtEnd();
    byId("no-messages").hidden = true;
    this.#list.append(this.#entry(message));
    const mine = this.#meeting.isOwn(message);
    if (mine) remembered.forNow(`own.${this.#roomCode}`, JSON.stringify(this.#meeting.ownMessages));
    if (byId("chat-panel").hidden || document.hidden) {
      if (!mine) this.#count(this.#unread + 1);
      if (byId("chat-panel").hidden) return;
    }
    if (atEnd || mine) this.#toEnd();
    else byId("new-messages").hidden = false; // who reads further up is not moved
  }

  #entry(message) {
    return messageEntry(message, this.#meeting.isOwn(message));
  }

  async #earlier() {
    const button = byId("earlier");
    button.disabled = true;
    try {
      const older = await olderMessages(this.#meeting.room.id, this.#meeting.messages[0].id);
      const holder = byId("messages");
      const fromEnd = holder.scrollHeight - holder.scrollTop;
      this.#meeting.messages.unshift(...older);
      this.#list.prepend(...older.map((message) => this.#entry(message)));
      holder.scrollTop = holder.scrollHeight - fromEnd;
      button.hidden = older.length < PAGE;
    } catch (error) {
      problem(byId("chat-problem"), error.message);
    } finally {
      button.disabled = false;
    }
  }

  #showTypists() {
    const names = [...this.#meeting.typists.values()];
    const [one, two] = names;
    if (names.length > 2) byId("typing").textContent = t("Several people are typing…");
    else if (two) byId("typing").textContent = t("{one} and {two} are typing…", { one, two });
    else byId("typing").textContent = one ? t("{name} is typing…", { name: one }) : "";
  }

  #allow() {
    const { room, me } = this.#meeting;
    const allowed = me.isHost || (room.settings?.allowChat ?? true);
    byId("chat-text").disabled = !allowed;
    byId("chat-text").placeholder = allowed ? t("Message to everybody") : t("The host has switched the chat off");
  }

  #count(unread) {
    this.#unread = unread;
    byId("unread").hidden = unread === 0;
    byId("unread").textContent = unread ? `${unread > 99 ? "99+" : unread}` : "";
    byId("unread").setAttribute("aria-label", t("{count} unread", { count: unread }));
    this.#meeting.dispatchEvent(new CustomEvent("unread", { detail: unread }));
  }

  #isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = byId("messages");
    return scrollTop + clientHeight > scrollHeight - NEAR_PX;
  }

  #toEnd() {
    byId("messages").scrollTop = byId("messages").scrollHeight;
    byId("new-messages").hidden = true;
  }
}

/** A message as an entry of a list; `mine`: it is ours. */
export function messageEntry(message, mine) {
  const at = new Date(message.timestamp);
  const isToday = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleString(language, { ...(!isToday && { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit" });
  const name = message.senderName ?? t("Somebody");
  return element(
    "li",
    { class: mine ? "mine" : "" },
    element("p", { class: "from" }, element("strong", {}, mine ? t("You") : name), element("time", { dateTime: message.timestamp, title: at.toLocaleString(language) }, time)),
    element("p", { class: "text", dir: "auto" }, ...linked(message.content)),
  );
}

/** As high as its text needs; the style sheet says how high at most. */
function grow(text) {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
}

/** The text with its web addresses as links. */
function linked(text) {
  return text.split(ADDRESS).map((part, index) => {
    if (index % 2 === 0) return part;
    const href = /^https?:/i.test(part) ? part : `https://${part}`;
    return element("a", { href, target: "_blank", rel: "noopener noreferrer" }, part);
  });
}
