/** The start page: join by code, start a meeting, sign in. */
import { codeIn } from "./codes.js";
import { byId, element, problem, showView } from "./dom.js";
import { createRoom, login, myRooms, register, remembered } from "./rest.js";

let go; // to another address of the page
let registering = true;

/** Show it. `me`: the signed-in account or null; `stale`: its sign-in has just turned out to be expired. */
export function showHome({ me, stale, go: goTo }) {
  go = goTo;
  byId("start-form").hidden = !me;
  byId("account-form").hidden = Boolean(me);
  for (const id of ["code-problem", "start-problem", "account-problem"]) problem(byId(id), null);
  if (stale) {
    setMode(false);
    problem(byId("account-problem"), "Your sign-in has expired. Sign in again.");
  }
  showView("home");
  showRecent(me);
}

byId("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const code = codeIn(byId("code").value);
  const text = byId("code").value.trim() ? "This is no meeting code: they look like abc-def-ghi." : "Enter the code or the link that you were sent.";
  problem(byId("code-problem"), code ? null : text);
  if (code) go(`/join/${code}`);
  else byId("code").focus();
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
  try {
    await work();
  } catch (error) {
    problem(byId(problemId), error.message);
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
  byId("account-submit").textContent = isNew ? "Create account and start" : "Sign in";
}
byId("mode-register").onclick = () => setMode(true);
byId("mode-login").onclick = () => setMode(false);

async function showRecent(me) {
  byId("recent").hidden = true;
  if (!me) return;
  const open = (await myRooms().catch(() => [])).filter((room) => room.isActive && room.hostId === me.id);
  const entries = open.slice(0, 6).map((room) =>
    element("li", {}, element("a", { href: `/join/${room.code}` }, element("strong", {}, room.name), element("span", { class: "hint" }, room.code))),
  );
  byId("rooms").replaceChildren(...entries);
  byId("recent").hidden = entries.length === 0;
}
