/** Making and finding elements. Text goes in as text: nothing here, or anywhere, parses HTML. */

/** The element with that id. */
export const byId = (id) => document.getElementById(id);

/** A new element: properties (`class`, `onclick`, `aria-label` …), then children (elements, strings, null). */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A picture of the page's sprite (index.html), for decoration: whatever holds it has a name of its own. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Set a button's picture and its name. */
export function label(button, iconName, text) {
  button.querySelector("use").setAttribute("href", `#icon-${iconName}`);
  const words = button.querySelector(".label");
  if (words) words.textContent = text;
  else button.setAttribute("aria-label", text);
  button.title = text;
}

/** Show one view and hide the others; its heading gets the focus, so that screen readers say where one is. */
export function showView(id) {
  for (const view of document.querySelectorAll("[data-view]")) view.hidden = view.id !== id;
  document.body.dataset.shown = id;
  byId(id).querySelector("h1")?.focus({ preventScroll: true });
}

/** Say something for a few seconds, to the eye and to screen readers. `kind`: "" or "problem". */
export function notice(text, kind = "") {
  const note = element("p", { class: `notice ${kind}` }, text);
  byId("notices").append(note);
  setTimeout(() => note.remove(), kind ? 9_000 : 5_000);
}

/** Take back what was said, for it is no longer about what is on screen. */
export const clearNotices = () => byId("notices").replaceChildren();

/** A sentence with a way on, put into `holder`; null empties it. `action`: { text, do } for a button. */
export function problem(holder, text, action) {
  holder.replaceChildren(
    ...(text ? [element("p", {}, text)] : []),
    ...(text && action ? [element("button", { type: "button", class: "quiet", onclick: action.do }, action.text)] : []),
  );
  holder.hidden = !text;
}

/** One letter or two for somebody without a picture. */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase();
}
