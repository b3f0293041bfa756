// The pager page: incidents and the events behind them. Data reaches the page through text nodes only.
"use strict";

const POLL_MS = 900;
const MAX_EVENTS = 50;
const ON_CALL = "una";
const EFFECTS = {
  opened: "opened an incident: someone is paged", joined: "joined the open incident", acknowledged: "acknowledged: paging stops",
  acknowledged_before: "was acknowledged before", resolved: "resolved", dropped: "accepted, but dropped: nothing open to apply it to",
  change_noted: "noted as a change; pages nobody", refused: "refused", limited: "refused: too many events", lost: "lost on the way",
};
const $ = (id) => document.getElementById(id);
const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.map((child) => child ?? ""));
  return element;
}

function incident(one) {
  const status = ["triggered", "acknowledged", "resolved"].includes(one.status) ? one.status : "";
  const button = (label, deed, unless) => {
    const element = make("button", "", label);
    element.disabled = unless;
    element.addEventListener("click", () => act(one.number, deed()));
    return element;
  };
  const over = one.status === "resolved";
  const buttons = make("div", "deeds",
    button("Acknowledge", () => ({ do: "acknowledge" }), one.status !== "triggered"),
    button("Give back", () => ({ do: "unacknowledge" }), one.status !== "acknowledged"),
    button("Resolve", () => ({ do: "resolve" }), over),
    button("Write a note", () => {
      const text = prompt("What do you know?");
      return text && { do: "note", text };
    }, over));
  const trail = one.log.map((line) => make("li", "", make("time", "", clock(line.at)), make("span", "", line.text)));
  return make("article", `incident ${status}`,
    make("div", "top", make("strong", "", `#${one.number} ${one.title}`), make("span", "pill", one.status)),
    make("div", "meta", `${one.service} · ${one.severity}`),
    buttons,
    make("ol", "trail", ...trail));
}

function eventRow(event) {
  const what = event.path.includes("change") ? "change" : event.action ?? "event";
  const did = event.errors.length ? `refused: ${event.errors.join("; ")}` : EFFECTS[event.effect] ?? event.effect;
  return make("tr", "", make("td", "", clock(event.at)), make("td", "", what), make("td", "", did), make("td", "", event.summary ?? event.dedup_key));
}

// What the responder on call does here comes to the product as a signed webhook.
async function act(number, deed) {
  if (!deed) return;
  await fetch(`_sandbox/incidents/${number}`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ by: ON_CALL, ...deed }),
  });
  poll();
}

let before = "";
async function poll() {
  try {
    const [incidents, events] = await Promise.all(["incidents", "events"].map(async (name) => (await fetch(`_sandbox/${name}`)).json()));
    const now = JSON.stringify([incidents, events]);
    if (now === before) return;
    before = now;
    const list = incidents.incidents.toReversed().map(incident);
    $("incidents").replaceChildren(...(list.length ? list : [make("p", "empty", "No incident so far. The first trigger event opens one.")]));
    $("events").replaceChildren(...events.events.slice(-MAX_EVENTS).toReversed().map(eventRow));
  } catch { /* the sandbox was stopped; the last view stays */ }
}
poll();
setInterval(poll, POLL_MS);
