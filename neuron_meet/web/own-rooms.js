/** What one does with meetings of one's own on the start page: read what was written, end them. */
import { messageEntry } from "./chat.js";
import { byId, notice, problem } from "./dom.js";
import { t } from "./language.js";
import { endRoom, olderMessages } from "./rest.js";

const PAGE = 50;

/** Open the messages of `room`. */
export async function showHistory(room) {
  byId("history-title").textContent = t("Messages of {name}", { name: room.name });
  byId("history").replaceChildren();
  byId("history-earlier").hidden = true;
  let oldest;
  const more = async () => {
    problem(byId("history-problem"), null);
    try {
      const rows = await olderMessages(room.id, oldest);
      if (rows.length === 0 && !oldest) problem(byId("history-problem"), t("Nothing was written."));
      oldest = rows[0]?.id ?? oldest;
      byId("history").prepend(...rows.map((row) => messageEntry(row, row.userId === room.hostId)));
      byId("history-earlier").hidden = rows.length < PAGE;
    } catch (error) {
      problem(byId("history-problem"), error.message);
    }
  };
  byId("history-earlier").onclick = more;
  byId("history-dialog").showModal();
  await more();
}

/** End `room`, if that is meant; `changed()` is called then. */
export function end(room, changed) {
  const dialog = byId("end-dialog");
  byId("end-title").textContent = t("End {name}?", { name: room.name });
  dialog.returnValue = "";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "end") return;
    try {
      await endRoom(room.id);
      notice(t("{name} is over.", { name: room.name }));
    } catch (error) {
      notice(error.message, "problem");
    }
    changed();
  };
  dialog.showModal();
}
