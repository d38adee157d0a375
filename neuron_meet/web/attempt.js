/** Doing what was clicked, and saying it when the server refuses. */
import { notice } from "./dom.js";
import { refusal } from "./words.js";

/** What `work` resolves with; null, and a notice, when it fails. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    notice(refusal(error), "problem");
    return null;
  }
}
