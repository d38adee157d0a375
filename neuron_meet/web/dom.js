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

/**
 * Set a button's picture and its name. The name says what a click does; so there is no `aria-pressed` beside it, which
 * would say the contrary ("Mute, pressed"). `isOn` is for the eye.
 */
export function label(button, iconName, text, isOn) {
  button.querySelector("use").setAttribute("href", `#icon-${iconName}`);
  const words = button.querySelector(".label");
  if (words) words.textContent = text;
  else button.setAttribute("aria-label", text);
  button.title = text;
  if (isOn !== undefined) button.dataset.on = String(Boolean(isOn));
}

/** Show one view and hide the others; its heading gets the focus, so that screen readers say where one is. */
export function showView(id) {
  for (const view of document.querySelectorAll("[data-view]")) view.hidden = view.id !== id;
  document.body.dataset.shown = id;
  clearNotices(); // they were about what was on screen
  byId(id).querySelector("h1")?.focus({ preventScroll: true });
}

/** Say something for a few seconds, to the eye and to screen readers. `kind`: "" or "problem". */
export function notice(text, kind = "") {
  const note = element("p", { class: `notice ${kind}` }, text);
  byId("notices").append(note);
  setTimeout(() => note.remove(), kind ? 9_000 : 5_000);
}

/** Tell screen readers only: the eye has it already. */
export function announce(text) {
  byId("announcer").textContent = "";
  byId("announcer").textContent = text;
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

/** Mark the fields that `wrong` names ({ name: sentence }), each with its sentence, and go to the first; {} unmarks all. */
export function markFields(form, wrong) {
  let first = null;
  for (const field of form.elements) {
    if (!field.name) continue;
    const id = `${field.id || field.name}-wrong`;
    byId(id)?.remove();
    const others = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((each) => each && each !== id);
    const sentence = wrong[field.name];
    if (sentence) {
      field.setAttribute("aria-invalid", "true");
      field.after(element("p", { class: "field-problem", id }, sentence));
      first ??= field;
    } else field.removeAttribute("aria-invalid");
    const described = [...others, sentence && id].filter(Boolean).join(" ");
    if (described) field.setAttribute("aria-describedby", described);
    else field.removeAttribute("aria-describedby");
  }
  first?.focus();
  return first !== null;
}

/** What the server refused of a form: at its fields where it names them, else in `holder`. `error`: a RestError. */
export function showRefusal(form, holder, error) {
  const marked = markFields(form, error.fields ?? {});
  problem(holder, marked ? null : error.message);
}

/** One letter or two for somebody without a picture. */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase();
}
