// The overview: one story across monitoring, responder, chat and pager. Data reaches the page through text nodes only.
"use strict";

const POLL_MS = 800;
const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 460, height: 190, left: 42, right: 10, top: 22, bottom: 20 };
const $ = (id) => document.getElementById(id);
const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const words = (name) => String(name ?? "").replaceAll("_", " ");

/** Makes an element with text or elements inside; a text can never become markup. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

async function ask(path) {
  const response = await fetch(path);
  return response.ok ? response.json() : null;
}

/** The list inside an answer, whether it stands alone or under a name. */
const listOf = (answer) => (Array.isArray(answer) ? answer : Object.values(answer ?? {}).find(Array.isArray) ?? []);

const shown = (value, unit) => (value === null || value === undefined || !Number.isFinite(value) ? "–" : unit === "ratio" ? `${(value * 100).toFixed(1)} %` : `${value.toFixed(2)} s`);

// ---- stories -------------------------------------------------------------------------------------------------------

const PHASES = { calm: "calm", rising: "trouble rising", firing: "alert fires", recovering: "recovering", resolved: "over" };

function storyCard(story, current) {
  const idle = ["calm", "resolved"].includes(story.phase);
  const start = make("button", "start", story.phase === "resolved" ? "Play again" : idle ? "Start" : "Playing");
  start.type = "button";
  start.disabled = !idle;
  start.dataset.scenario = story.name;
  start.addEventListener("click", () => play(story.name));
  return make("article", current ? "story current" : "story",
    make("div", "", make("h3", "", story.title), make("p", "", story.story)),
    make("div", "side", make("span", `pill ${story.phase}`, PHASES[story.phase] ?? story.phase), start));
}

async function play(name) {
  await fetch("_sandbox/play", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ scenario: name }) });
  await poll();
}

// ---- steps ---------------------------------------------------------------------------------------------------------

const DONE_ACTIONS = ["succeeded", "failed", "rolled_back", "simulated"];
const BEGUN_ACTIONS = [...DONE_ACTIONS, "running", "verifying", "outcome_unknown"];

/** What has happened, from the world's times and the responder's incident: name, time, whether it is over. */
function stepsOf(story, incident) {
  const lines = incident?.timeline ?? [];
  const first = (...kinds) => lines.find((line) => kinds.includes(line.kind))?.at;
  const actions = incident?.actions ?? [];
  const some = (statuses) => actions.some((action) => statuses.includes(action.status));
  const remedied = story.remedied_at ?? (some(BEGUN_ACTIONS) ? first("intent", "outcome") : null);
  return [
    ["Trouble begins", story.began_at], ["Alert fires", story.fired_at], ["Evidence", first("diagnosis")],
    ["Decision", first("decision")], ["Approval", some(BEGUN_ACTIONS) || some(["approved"]) ? first("approval") ?? first("intent") : null],
    ["Remedy", remedied], ["It helped", some(["succeeded"]) ? lines.findLast((line) => line.kind === "verification")?.at ?? remedied : null],
    ["Closed", incident?.status === "resolved" ? first("resolved") ?? story.ended_at : null],
  ];
}

function hintOf(story, incident, connected) {
  if (!connected) return "The responder is not connected yet.";
  if (story.phase === "calm") return "Press Start on a story. You are Una, the engineer on call; your chat is on this page.";
  if (story.phase === "rising") return "Trouble has begun. The alerting rule waits whether it lasts before it fires.";
  const waiting = (incident?.actions ?? []).find((action) => action.status === "awaiting_approval");
  if (waiting) return "Your turn: look at the evidence and press Approve in the chat.";
  if (story.phase === "firing" && !incident) return "The alert fires and is on its way to the responder.";
  if (incident?.status === "resolved") return "Over: the alert has ended and the incident is closed. Play another story, or this one again.";
  switch (incident?.phase) {
    case "diagnosing": case "deciding": return "The responder gathers evidence, all of it at once, and decides.";
    case "acting": return "The remedy is being carried out.";
    case "verifying": case "watching": return "Did it help? The responder looks again before it says so.";
    case "rolling_back": return "It did not help; the remedy is being taken back.";
    case "handed_over": return "The responder has handed over to people. In this story nobody fixes it until you do.";
    default: return story.phase === "resolved" ? "The trouble is over; the responder closes the incident." : "The alert fires until somebody does something about it.";
  }
}

function showSteps(story, incident, connected) {
  const steps = stepsOf(story, incident);
  const last = steps.findLastIndex(([, at]) => at);
  $("steps").replaceChildren(...steps.map(([name, at], index) => {
    const item = make("li", at ? "done" : index === last + 1 && last >= 0 ? "now" : "", name);
    if (at) item.append(make("time", "", clock(at)));
    if (index === last + 1 && last >= 0 && !at) item.setAttribute("aria-current", "step");
    return item;
  }));
  $("hint").textContent = hintOf(story, incident, connected);
}

// ---- chart ---------------------------------------------------------------------------------------------------------

function niceTop(highest) {
  const step = 10 ** Math.floor(Math.log10(highest));
  return [1, 1.5, 2, 3, 4, 5, 7.5, 10].map((factor) => factor * step).find((top) => top >= highest) ?? highest;
}

function showChart(story, series) {
  $("measure").textContent = `${story.measure.label}; the alert fires above ${shown(story.measure.threshold, story.measure.unit)}`;
  $("value").textContent = shown(story.value, story.measure.unit);
  $("value").className = story.value > story.measure.threshold ? "value bad" : "value";
  const points = (series?.points ?? []).filter(([, value]) => Number.isFinite(value));
  const chart = $("chart");
  if (points.length < 2) return chart.replaceChildren();
  const { width, height, left, right, top, bottom } = CHART;
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const highest = niceTop(Math.max(story.measure.threshold * 1.3, ...points.map(([, value]) => value)));
  const x = (at) => left + ((at - from) / (to - from)) * (width - left - right);
  const y = (value) => height - bottom - (value / highest) * (height - top - bottom);
  const nodes = [];
  for (const part of [0, 0.5, 1]) {
    nodes.push(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(highest * part), y2: y(highest * part) }));
    nodes.push(draw("text", { x: left - 5, y: y(highest * part) + 4, "text-anchor": "end" }, story.measure.unit === "ratio" ? `${+(highest * part * 100).toFixed(1)} %` : `${+(highest * part).toFixed(1)} s`));
  }
  nodes.push(draw("text", { x: left, y: height - 5 }, clock(from * 1000)), draw("text", { x: width - right, y: height - 5, "text-anchor": "end" }, "now"));
  const path = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  nodes.push(draw("path", { class: "area", d: `${path}L${x(to)} ${y(0)}L${x(from)} ${y(0)}Z` }), draw("path", { class: "line", d: path }));
  const limit = y(story.measure.threshold);
  nodes.push(draw("line", { class: "limit", x1: left, x2: width - right, y1: limit, y2: limit }), draw("text", { class: "limit-text", x: left + 4, y: limit - 4 }, "alert above"));
  const marks = [["fires", story.fired_at], ["remedy", story.remedied_at], ["over", story.ended_at]];
  let free = left;
  for (const [label, time] of marks) {
    const at = time ? Date.parse(time) / 1000 : NaN;
    if (!(at >= from && at <= to)) continue;
    nodes.push(draw("line", { class: "mark", x1: x(at), x2: x(at), y1: top - 6, y2: height - bottom }));
    // Labels keep clear of each other where the marks stand close.
    const place = Math.min(Math.max(x(at) - label.length * 3, free), width - right - label.length * 6);
    nodes.push(draw("text", { class: "mark-text", x: place, y: top - 10 }, label));
    free = place + label.length * 6 + 8;
  }
  chart.replaceChildren(...nodes);
}

// ---- responder -----------------------------------------------------------------------------------------------------

function showIncident(incident, connected) {
  const box = $("incident");
  if (!incident) {
    box.replaceChildren(make("p", "none", connected ? "No incident yet." : "Waiting for the responder."));
    return $("timeline").replaceChildren();
  }
  const target = incident.target ? (typeof incident.target === "string" ? incident.target : [incident.target.kind, incident.target.namespace, incident.target.name].filter(Boolean).join(" ")) : null;
  const facts = [["Rule", incident.rule?.name ?? incident.rule], ["Target", target], ["Phase", words(incident.phase)]];
  for (const action of incident.actions ?? []) {
    const name = action.remedy ?? action.name ?? action.kind ?? "Remedy";
    facts.push([words(name), `${words(action.status)}${action.reason ? `: ${words(action.reason)}` : ""}`]);
  }
  const list = make("dl", "");
  for (const [name, value] of facts) if (value) list.append(make("dt", "", name), make("dd", "", String(value)));
  box.replaceChildren(make("div", "head", make("strong", "", `${incident.severity ?? ""} ${incident.summary || incident.id || ""}`.trim()), make("span", `pill ${["triggered", "acknowledged", "resolved"].includes(incident.status) ? incident.status : ""}`, words(incident.status))), list);
  const timeline = $("timeline");
  const atEnd = timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight < 60;
  timeline.replaceChildren(...(incident.timeline ?? []).map((line) => make("li", "", make("time", "", clock(line.at)), make("span", "text", make("span", "kind", words(line.kind)), String(line.text ?? "")))));
  if (atEnd) timeline.scrollTop = timeline.scrollHeight;
}

/** The incident that belongs to the story: of its alert, not older than its beginning. */
async function incidentOf(story) {
  const since = story.began_at ? Date.parse(story.began_at) - 1000 : Infinity;
  const recent = listOf(await ask("_product/api/v1/incidents?limit=20")).filter((one) => Date.parse(one.started_at) >= since);
  const named = (one) => JSON.stringify(one.alerts ?? []).includes(`"${story.alertname}"`);
  const found = recent.find(named) ?? recent[0];
  return found ? ((await ask(`_product/api/v1/incidents/${encodeURIComponent(found.id)}`)) ?? found) : null;
}

// ---- pager ---------------------------------------------------------------------------------------------------------

function showPager(incidents) {
  const lines = incidents.toReversed().map((one) => make("div", "page-line",
    make("div", "head", make("strong", "", `#${one.number} ${one.title}`), make("span", `pill ${["triggered", "acknowledged", "resolved"].includes(one.status) ? one.status : ""}`, one.status)),
    make("ol", "", ...one.log.map((line) => make("li", "", `${clock(line.at)} ${line.text}`)))));
  $("pager").replaceChildren(...(lines.length ? lines : [make("p", "none", "Nobody has been paged.")]));
}

// ---- all together --------------------------------------------------------------------------------------------------

const drawn = new Map();
/** Draws a part only where what it shows has changed, so that focus and selections stay. */
function redraw(part, data, show) {
  const key = JSON.stringify(data);
  if (drawn.get(part) === key) return;
  drawn.set(part, key);
  show();
}

let polling = false;
async function poll() {
  if (polling) return;
  polling = true;
  try {
    const state = await ask("_sandbox/state");
    if (!state) return;
    const story = state.scenarios.reduce((best, one) => ((one.began_at ?? "") > (best.began_at ?? "") ? one : best));
    const [series, pager, incident] = await Promise.all([
      ask(`_sandbox/series?scenario=${encodeURIComponent(story.name)}`), ask("pagerduty/_sandbox/incidents"), state.connected && story.began_at ? incidentOf(story) : null,
    ]);
    redraw("speed", state.speed, () => { $("speed").textContent = state.speed === 1 ? "in real time" : `${state.speed} times faster than real time`; });
    redraw("stories", state.scenarios.map((one) => [one.name, one.phase, one === story]), () => $("stories").replaceChildren(...state.scenarios.map((one) => storyCard(one, one === story && one.began_at))));
    redraw("steps", [story.phase, incident, state.connected], () => showSteps(story, incident, state.connected));
    redraw("incident", [incident, state.connected], () => showIncident(incident, state.connected));
    redraw("pager", pager, () => showPager(pager?.incidents ?? []));
    showChart(story, series);
  } catch {
    $("hint").textContent = "The sandbox does not answer. It may have been stopped.";
  } finally {
    polling = false;
  }
}
poll();
setInterval(poll, POLL_MS);
