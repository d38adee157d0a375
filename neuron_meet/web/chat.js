/** The chat: the newest messages, older ones on demand, who types, and how many are unread. */
import { byId, element, problem } from "./dom.js";
import { olderMessages, token } from "./rest.js";
import { refusal } from "./words.js";

const ADDRESS = /(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/;

export class Chat {
  #meeting;
  #list = byId("message-list");
  #typists = new Map();
  #unread = 0;

  constructor({ meeting, on }) {
    this.#meeting = meeting;
    this.#list.replaceChildren();
    problem(byId("chat-problem"), null);
    this.#typists.clear();
    this.#showTypists();
    this.#count(0);
    on(meeting, "history", () => this.#showAll());
    on(meeting, "chat", ({ detail }) => this.#arrived(detail));
    on(meeting, "typing", ({ detail }) => this.#types(detail));
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
      text.style.setProperty("--lines", String(Math.min(5, text.value.split("\n").length)));
    });
    on(text, "keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    on(byId("earlier"), "click", () => this.#earlier());
    on(byId("chat-panel"), "toggled", () => this.#count(0));
  }

  async #send() {
    const text = byId("chat-text");
    const content = text.value.trim();
    if (!content) return text.focus();
    problem(byId("chat-problem"), null);
    try {
      await this.#meeting.say(content);
      if (text.value.trim() === content) text.value = "";
    } catch (error) {
      problem(byId("chat-problem"), refusal(error)); // the text stays, to be sent again
    }
    text.focus();
  }

  #showAll() {
    this.#list.replaceChildren(...this.#meeting.messages.map((message) => this.#entry(message)));
    byId("no-messages").hidden = this.#meeting.messages.length > 0;
    byId("earlier").hidden = !token() || this.#meeting.messages.length < 50;
    this.#toEnd();
  }

  #arrived(message) {
    const { scrollTop, clientHeight, scrollHeight } = byId("messages");
    const atEnd = scrollTop + clientHeight > scrollHeight - 40;
    byId("no-messages").hidden = true;
    this.#list.append(this.#entry(message));
    if (atEnd) this.#toEnd();
    if (byId("chat-panel").hidden) this.#count(this.#unread + 1);
  }

  #entry(message) {
    const at = new Date(message.timestamp);
    const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const mine = message.senderId === this.#meeting.me.socketId;
    const name = message.senderName ?? "Somebody";
    return element(
      "li",
      { class: mine ? "mine" : "" },
      element("p", { class: "from" }, element("strong", {}, mine ? "You" : name), element("time", { dateTime: message.timestamp, title: at.toLocaleString() }, time)),
      element("p", { class: "text", dir: "auto" }, ...linked(message.content)),
    );
  }

  async #earlier() {
    const button = byId("earlier");
    button.disabled = true;
    try {
      const older = await olderMessages(this.#meeting.room.id, this.#meeting.messages[0].id);
      const holder = byId("messages");
      const fromEnd = holder.scrollHeight - holder.scrollTop;
      this.#meeting.messages.unshift(...older.map((row) => ({ ...row, timestamp: row.createdAt })));
      this.#list.prepend(...this.#meeting.messages.slice(0, older.length).map((message) => this.#entry(message)));
      holder.scrollTop = holder.scrollHeight - fromEnd;
      button.hidden = older.length < 50;
    } catch (error) {
      problem(byId("chat-problem"), error.message);
    } finally {
      button.disabled = false;
    }
  }

  #types({ socketId, displayName, isTyping }) {
    if (isTyping) this.#typists.set(socketId, displayName);
    else this.#typists.delete(socketId);
    this.#showTypists();
  }

  #showTypists() {
    const names = [...this.#typists.values()];
    const more = names.length > 2 ? "Several people are typing…" : `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} typing…`;
    byId("typing").textContent = names.length ? more : "";
  }

  #allow() {
    const { room, me } = this.#meeting;
    const allowed = me.isHost || (room.settings?.allowChat ?? true);
    byId("chat-text").disabled = !allowed;
    byId("chat-text").placeholder = allowed ? "Message to everybody" : "The host has switched the chat off";
  }

  #count(unread) {
    this.#unread = unread;
    byId("unread").hidden = unread === 0;
    byId("unread").textContent = unread ? `${unread > 99 ? "99+" : unread}` : "";
    byId("unread").setAttribute("aria-label", `${unread} unread`);
  }

  #toEnd() {
    byId("messages").scrollTop = byId("messages").scrollHeight;
  }
}

/** The text with its web addresses as links. */
function linked(text) {
  return text.split(ADDRESS).map((part, index) => {
    if (index % 2 === 0) return part;
    return element("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part);
  });
}
