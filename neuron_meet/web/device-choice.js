/** Two lists to choose camera and microphone from, kept current. */
import { element } from "./dom.js";
import { mediaProblem } from "./words.js";

const KINDS = { microphone: "Microphone", camera: "Camera" };

/** Put the lists into `holder`. What goes wrong is said in the `.problem` that follows it. */
export function offerDevices(holder, devices) {
  const selects = Object.entries(KINDS).map(([kind, name]) => {
    const select = element("select", {});
    select.addEventListener("change", () => choose(kind, select.value));
    holder.append(element("label", {}, name, select));
    return [kind, select];
  });
  const refresh = async () => {
    for (const [kind, select] of selects) {
      const found = await devices.list(kind);
      const inUse = devices[kind]?.getSettings().deviceId;
      select.replaceChildren(...found.map(({ id, name }) => element("option", { value: id, selected: id === inUse }, name)));
      if (found.length === 0) select.append(element("option", { value: "" }, devices[kind] ? "In use" : "None available"));
      select.disabled = found.length === 0;
    }
  };
  const choose = async (kind, id) => {
    const says = holder.parentElement.querySelector(".problem");
    try {
      await devices.choose(kind, id);
      says.hidden = true;
    } catch (error) {
      says.textContent = mediaProblem(error, kind);
      says.hidden = false;
    }
  };
  devices.addEventListener("change", refresh);
  navigator.mediaDevices?.addEventListener?.("devicechange", refresh);
  refresh();
}
