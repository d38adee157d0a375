/** Codes of meetings: nine letters, abc-def-ghi. */

/** The code in what somebody typed or pasted: a code, one without its hyphens or in capitals, or a link. Else null. */
export function codeIn(text) {
  const last = text.trim().replace(/[?#].*$/, "").split("/").filter(Boolean).at(-1) ?? "";
  const letters = last.toLowerCase().replace(/[\s-]/g, "");
  return /^[a-z]{9}$/.test(letters) ? letters.match(/.{3}/g).join("-") : null;
}

/** The link that one sends to others. */
export const linkTo = (code) => `${location.origin}/join/${code}`;
