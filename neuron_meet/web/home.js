/** The start page: join by code, start a meeting, sign in. */
import { codeIn } from "./codes.js";
import { byId, element, markFields, problem, showRefusal, showView } from "./dom.js";
import { t } from "./language.js";
import { createRoom, login, myRooms, register, remembered } from "./rest.js";

const FIRST_ROOMS = 6;

let go; // to another address of the page
let registering = true;

/** Show it. `me`: the signed-in account or null; `stale`: its sign-in has just turned out to be expired. */
export function showHome({ me, stale, go: goTo }) {
  go = goTo;
  byId("start-form").hidden = !me;
  byId("account-form").hidden = Boolean(me);
  for (const id of ["start-problem", "account-problem"]) problem(byId(id), null);
  for (const id of ["join-form", "start-form", "account-form"]) markFields(byId(id), {});
  const back = remembered.get("after-sign-in") !== "";
  byId("account-why").hidden = !back || Boolean(me);
  // Whoever has had an account here, or was sent to sign in, has one.
  setMode(!stale && !back && remembered.get("account") === "");
  if (stale) problem(byId("account-problem"), t("Your sign-in has expired. Sign in again."));
  showView("home");
  showRecent(me);
}

byId("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const code = codeIn(byId("code").value);
  const text = byId("code").value.trim() ? t("This is no meeting code: they look like abc-def-ghi.") : t("Enter the code or the link that you were sent.");
  markFields(event.target, code ? {} : { code: text });
  if (code) go(`/join/${code}`);
});

byId("start-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const name = form.elements.name.value.trim();
  await submit(form, "start-problem", async () => {
    const room = await createRoom({ ...(name && { name }), waitingRoom: form.elements.waitingRoom.checked });
    go(`/join/${room.code}`);
  });
});

byId("account-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { email, password, displayName } = Object.fromEntries(new FormData(form));
  const back = remembered.get("after-sign-in");
  await submit(form, "account-problem", async () => {
    if (!registering) {
      await login(email.trim(), password);
    } else {
      const user = await register(email.trim(), password, displayName.trim());
      remembered.set("name", user.displayName);
    }
    remembered.set("after-sign-in", "");
    remembered.set("account", "yes");
    form.reset();
    if (back) return go(back);
    if (!registering) return go("/");
    go(`/join/${(await createRoom({})).code}`);
  });
});

/** Do it with the form's buttons off; say what went wrong where the form says it. */
async function submit(form, problemId, work) {
  const buttons = [...form.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  problem(byId(problemId), null);
  markFields(form, {});
  try {
    await work();
  } catch (error) {
    showRefusal(form, byId(problemId), error);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function setMode(isNew) {
  registering = isNew;
  byId("mode-register").setAttribute("aria-pressed", String(isNew));
  byId("mode-login").setAttribute("aria-pressed", String(!isNew));
  byId("account-name").hidden = !isNew;
  byId("password").autocomplete = isNew ? "new-password" : "current-password";
  byId("account-submit").textContent = isNew ? t("Create account and start") : t("Sign in");
  byId("password-hint").hidden = !isNew;
}
byId("mode-register").onclick = () => setMode(true);
byId("mode-login").onclick = () => setMode(false);

async function showRecent(me, all = false) {
  byId("recent").hidden = true;
  if (!me) return;
  const own = (await myRooms().catch(() => [])).filter((room) => room.hostId === me.id);
  // Open ones first; of each the newest.
  const rooms = [...own.filter((room) => room.isActive), ...own.filter((room) => !room.isActive)];
  const shown = all ? rooms : rooms.slice(0, FIRST_ROOMS);
  const act = (words, name, work) => element("button", { type: "button", class: "quiet small", "aria-label": name, onclick: work }, words);
  byId("rooms").replaceChildren(
    ...shown.map((room) => {
      const { name } = room;
      const about = [element("strong", { dir: "auto" }, name), element("span", { class: "hint" }, room.isActive ? room.code : t("ended"))];
      const manage = (work) => async () => (await import("./own-rooms.js"))[work](room, () => showRecent(me, all));
      return element(
        "li",
        {},
        room.isActive ? element("a", { href: `/join/${room.code}` }, ...about) : element("div", {}, ...about),
        element(
          "p",
          { class: "ways" },
          act(t("Messages"), t("Messages of {name}", { name }), manage("showHistory")),
          room.isActive && act(t("End"), t("End {name}", { name }), manage("end")),
        ),
      );
    }),
  );
  byId("more-rooms").hidden = shown.length === rooms.length;
  byId("more-rooms").onclick = () => showRecent(me, true);
  byId("recent").hidden = rooms.length === 0;
}
