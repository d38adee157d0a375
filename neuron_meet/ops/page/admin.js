// The operator's page: what /status, /rooms and /settings say, and the actions. The token stays in this tab's memory.
"use strict";
const $ = (id) => document.getElementById(id);
let token = "";
let open = "";

async function ask(path, method = "GET", body = undefined) {
  const answer = await fetch(path, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said;
}

function row(cells, actions) {
  const line = document.createElement("tr");
  for (const cell of cells) line.insertCell().textContent = cell ?? "–";
  const last = line.insertCell();
  for (const [name, act] of actions) {
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("click", () => tried(act));
    last.append(button);
  }
  return line;
}

function list(id, pairs) {
  $(id).replaceChildren(...pairs.flatMap(([name, value]) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    [dt.textContent, dd.textContent] = [name, value];
    return [dt, dd];
  }));
}

async function show() {
  const [status, rooms, settings] = await Promise.all([ask("status"), ask("rooms"), ask("settings")]);
  const checks = Object.entries(status.checks).map(([name, state]) => [name, state]);
  list("status", [["version", status.version], ["up for", `${status.uptimeSeconds} s`], ["draining", String(status.draining)], ...checks]);
  $("level").value = status.logLevel;
  list("settings", Object.entries(settings));
  $("rooms").replaceChildren(...rooms.map((room) => row(
    [room.code, room.host, room.participants, room.waiting, room.since],
    [["People", () => { open = room.code; }], ["End", () => sure(`End ${room.code} for everybody?`) && ask(`rooms/${room.code}/end`, "POST")]],
  )));
  const one = rooms.some((room) => room.code === open) ? await ask(`rooms/${open}`) : null;
  $("room").hidden = one === null;
  if (one) {
    $("one").textContent = `In ${open}`;
    $("people").replaceChildren(...one.participants.map((person) => row(
      [person.displayName, person.userId, person.address, person.joinedAt],
      [["Remove", () => sure(`Remove ${person.displayName}?`) && ask(`participants/${person.socketId}/kick`, "POST")]],
    )));
  }
  document.querySelector("main").hidden = false;
}

const sure = (question) => window.confirm(question);

async function tried(act) {
  try {
    await act();
    await show();
    $("said").textContent = "";
  } catch (error) {
    $("said").textContent = error.message;
  }
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value;
  tried(() => {});
});
$("level").addEventListener("change", () => tried(() => ask("log-level", "PUT", { logLevel: $("level").value })));
$("drain").addEventListener("click", () => tried(() => sure("Drain, and end the server?") && ask("drain", "POST")));
