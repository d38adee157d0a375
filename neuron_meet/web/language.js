/**
 * The page's words in the language that the browser asks for. English sentences are the keys; each other language is
 * a file (words-de.js …) that has all of them. A language more is a file more, and a line in `FILES`.
 */
const FILES = { de: () => import("./words-de.js"), ar: () => import("./words-ar.js") };
const RIGHT_TO_LEFT = ["ar"];

/** "en", "de" …: the first of the browser's languages that there is a file for. */
export const language = chosen();
const words = await load();

/** The sentence in that language, with `values` for its {names}. */
export function t(sentence, values = {}) {
  return (words[sentence] ?? sentence).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function chosen() {
  for (const wanted of navigator.languages ?? [navigator.language]) {
    const [short] = wanted.toLowerCase().split("-");
    if (short === "en" || short in FILES) return short;
  }
  return "en";
}

async function load() {
  if (language === "en") return {};
  try {
    const { default: found } = await FILES[language]();
    return found;
  } catch {
    return {}; // English is better than nothing
  }
}

/** The document's own words: texts and names of elements as index.html has them. */
function translate(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const sentence = node.data.trim().replace(/\s+/g, " ");
    if (sentence) node.data = node.data.replace(/\S[^]*\S|\S/, () => t(sentence));
  }
  for (const name of ["aria-label", "placeholder", "title"]) {
    for (const each of root.querySelectorAll(`[${name}]`)) each.setAttribute(name, t(each.getAttribute(name)));
  }
}

if (language !== "en") {
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
  translate(document.body);
}
