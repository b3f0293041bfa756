// The overview: one story across monitoring, cluster, responder, chat and pager. Data reaches the page through text nodes only.
"use strict";

const POLL_MS = 800;
const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 460, height: 200, left: 42, right: 10, top: 40, bottom: 20 };
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

const UNITS = { ratio: (value, digits = 1) => `${(value * 100).toFixed(digits)} %`, seconds: (value, digits = 2) => `${value.toFixed(digits)} s`, count: (value) => `${+value.toFixed(1)}` };
const shown = (value, unit, digits) => (value === null || value === undefined || !Number.isFinite(value) ? "–" : UNITS[unit](value, digits));

// ---- stories -------------------------------------------------------------------------------------------------------

const PHASES = { calm: "", rising: "rising", firing: "alert fires", recovering: "recovering", resolved: "over" };
/** The story that somebody looks at; without a choice the one that began last. */
let chosen = null;

function storyChip(story, current) {
  const chip = make("button", "story", story.title, PHASES[story.phase] ? make("span", `state ${story.phase}`, PHASES[story.phase]) : null);
  chip.type = "button";
  chip.dataset.story = story.name;
  chip.setAttribute("aria-pressed", String(current));
  chip.addEventListener("click", () => { chosen = story.name; poll(); });
  return chip;
}

function showStories(stories, current) {
  // The focus stays on the chip that has it.
  const focused = document.activeElement?.dataset?.story;
  $("stories").replaceChildren(...stories.map((one) => storyChip(one, one === current)));
  if (focused) document.querySelector(`[data-story="${focused}"]`)?.focus();
  const idle = ["calm", "resolved"].includes(current.phase);
  $("story-title").textContent = current.title;
  $("story-text").textContent = current.story;
  $("start").textContent = current.phase === "resolved" ? "Play again" : idle ? "Start" : "Playing";
  $("start").disabled = !idle;
  $("start").dataset.scenario = current.name;
}

async function play(name) {
  chosen = name;
  await fetch("_sandbox/play", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ scenario: name }) });
  await poll();
}
$("start").addEventListener("click", (event) => play(event.currentTarget.dataset.scenario));

// ---- steps ---------------------------------------------------------------------------------------------------------

const DONE_ACTIONS = ["succeeded", "failed", "rolled_back", "simulated"];
const BEGUN_ACTIONS = [...DONE_ACTIONS, "running", "verifying", "outcome_unknown"];

/** When something was done about it. */
function remedyTime(story, incident) {
  const begun = (incident?.actions ?? []).some((action) => BEGUN_ACTIONS.includes(action.status));
  return story.remedied_at ?? (begun ? incident.timeline.find((line) => ["intent", "outcome"].includes(line.kind))?.at : null);
}

/** What has happened, from the world's times and the responder's incident: name, time, whether it is over. */
function stepsOf(story, incident) {
  const lines = incident?.timeline ?? [];
  const first = (...kinds) => lines.find((line) => kinds.includes(line.kind))?.at;
  const actions = incident?.actions ?? [];
  const some = (statuses) => actions.some((action) => statuses.includes(action.status));
  const remedied = remedyTime(story, incident);
  const alone = actions.some((action) => action.tier === "T1" && BEGUN_ACTIONS.includes(action.status));
  return [
    ["Trouble begins", story.began_at], ["Alert fires", story.fired_at], ["Evidence", first("diagnosis")],
    ["Decision", first("decision")], [alone ? "No approval needed" : "Approval", some(BEGUN_ACTIONS) || some(["approved"]) ? lines.findLast((line) => line.kind === "approval")?.at ?? first("intent") : null],
    ["Remedy", remedied], ["It helped", some(["succeeded"]) ? lines.findLast((line) => line.kind === "verification")?.at ?? remedied : null],
    ["Closed", incident?.status === "resolved" ? first("resolved") ?? story.ended_at : null],
  ];
}

function hintOf(story, incident, connected) {
  if (!connected) return "The responder is not connected yet.";
  if (story.phase === "calm") return "Choose a story and press Start. You are Una, the engineer on call; your chat is on this page.";
  if (story.phase === "rising") return "Trouble has begun. The alerting rule waits whether it lasts before it fires.";
  const waiting = (incident?.actions ?? []).find((action) => action.status === "awaiting_approval");
  if (waiting) return "Your turn: look at the evidence and press Approve in the chat.";
  if (story.phase === "firing" && !incident) return "The alert fires and is on its way to the responder.";
  if (incident?.status === "resolved") return "Over: the alert has ended and the incident is closed. Play another story, or this one again.";
  switch (incident?.phase) {
    case "diagnosing": case "deciding": return "The responder gathers evidence, all of it at once, and decides.";
    case "acting": return "The remedy is being carried out.";
    case "watching": if (incident.actions.some((action) => action.status === "succeeded")) return "It helped. The incident is closed once the alert has ended.";
    // falls through
    case "verifying": return "Did it help? The responder looks again before it says so.";
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

function showChart(story, series, remedied) {
  $("measure").textContent = `${story.measure.label}; the alert fires above ${shown(story.measure.threshold, story.measure.unit)}`;
  $("value").textContent = shown(story.value, story.measure.unit);
  $("value").className = story.value > story.measure.threshold ? "value bad" : "value";
  const points = (series?.points ?? []).filter(([, value]) => Number.isFinite(value));
  const chart = $("chart");
  if (points.length < 2) return chart.replaceChildren();
  const { width, height, left, right, top, bottom } = CHART;
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const least = story.measure.unit === "count" ? 2 : story.measure.threshold * 1.3;
  const highest = niceTop(Math.max(least, ...points.map(([, value]) => value)));
  const x = (at) => left + ((at - from) / (to - from)) * (width - left - right);
  const y = (value) => height - bottom - (value / highest) * (height - top - bottom);
  const nodes = [];
  for (const part of [0, 0.5, 1]) {
    nodes.push(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(highest * part), y2: y(highest * part) }));
    nodes.push(draw("text", { x: left - 5, y: y(highest * part) + 4, "text-anchor": "end" }, shown(highest * part, story.measure.unit, 0)));
  }
  nodes.push(draw("text", { x: left, y: height - 5 }, clock(from * 1000)), draw("text", { x: width - right, y: height - 5, "text-anchor": "end" }, "now"));
  const path = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  nodes.push(draw("path", { class: "area", d: `${path}L${x(to)} ${y(0)}L${x(from)} ${y(0)}Z` }), draw("path", { class: "line", d: path }));
  const limit = y(story.measure.threshold);
  nodes.push(draw("line", { class: "limit", x1: left, x2: width - right, y1: limit, y2: limit }), draw("text", { class: "limit-text", x: left + 4, y: limit - 4 }, "alert above"));
  const marks = [["fires", story.fired_at], ["remedy", remedied], ["over", story.ended_at]];
  // Labels keep clear of each other where the marks stand close: each goes into the lowest row that is free there.
  const rows = marks.map(() => left);
  for (const [label, time] of marks) {
    const at = time ? Date.parse(time) / 1000 : NaN;
    if (!(at >= from && at <= to)) continue;
    const breadth = label.length * 7;
    const place = Math.min(Math.max(x(at) - breadth / 2, left), width - right - breadth);
    const row = rows.findIndex((free) => place >= free);
    rows[row] = place + breadth + 6;
    nodes.push(draw("line", { class: "mark", x1: x(at), x2: x(at), y1: top - 4 - row * 12, y2: height - bottom }));
    nodes.push(draw("text", { class: "mark-text", x: place, y: top - 7 - row * 12 }, label));
  }
  chart.replaceChildren(...nodes);
}

// ---- responder -----------------------------------------------------------------------------------------------------

/** Lists of verdicts that somebody opened, by their time and text: the page is drawn anew all the time. */
const opened = new Set();

/** What the guardrails said is folded: nineteen of them in one paragraph hide the story. */
function timelineText(line) {
  const text = String(line.text ?? ""), cut = text.indexOf(": ");
  if (line.reason !== "guardrails" || cut < 0) return text;
  const items = text.slice(cut + 2).split("; "), forbid = items.filter((item) => item.includes(" forbids it: ")).length;
  const gist = forbid ? `${forbid} of ${items.length} guardrails forbid it` : `${items.length} guardrails let it pass`;
  const fold = make("details", "verdicts", make("summary", "", `${text.slice(0, cut)}: ${gist}`), make("ul", "", ...items.map((item) => make("li", "", item))));
  const key = `${line.at} ${text}`;
  fold.open = opened.has(key);
  fold.addEventListener("toggle", () => (fold.open ? opened.add(key) : opened.delete(key)));
  return fold;
}

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
  timeline.replaceChildren(...(incident.timeline ?? []).map((line) => make("li", "", make("time", "", clock(line.at)), make("span", "text", make("span", "kind", words(line.kind)), timelineText(line)))));
  if (atEnd) timeline.scrollTop = timeline.scrollHeight;
}

/** The alerts of incidents that were looked at, by id: they say which story an incident belongs to. */
const alertsOf = new Map();

/** The incident that belongs to the story: of its alert, not older than its beginning. */
async function incidentOf(story) {
  const since = story.began_at ? Date.parse(story.began_at) - 1000 : Infinity;
  const recent = listOf(await ask("_product/api/v1/incidents?limit=20")).filter((one) => Date.parse(one.started_at) >= since);
  for (const one of recent) {
    const path = `_product/api/v1/incidents/${encodeURIComponent(one.id)}`;
    const known = alertsOf.get(one.id);
    if (known && !known.includes(`"${story.alertname}"`)) continue;
    const detail = await ask(path);
    if (!detail) continue;
    alertsOf.set(one.id, JSON.stringify(detail.alerts ?? []));
    if (alertsOf.get(one.id).includes(`"${story.alertname}"`)) return detail;
  }
  return null;
}

// ---- cluster -------------------------------------------------------------------------------------------------------

const EVENTS_SHOWN = 6;

function podDot(pod) {
  const dot = make("span", `dot ${pod.tone}`);
  dot.title = `${pod.name}: ${pod.status}`;
  dot.setAttribute("role", "img");
  dot.setAttribute("aria-label", dot.title);
  return dot;
}

/** A pod in a line. The workload's name stands above; what it has in common with all pods needs no room. */
function podRow(pod, workload) {
  const name = make("td", "pod", pod.name.startsWith(`${workload}-`) ? pod.name.slice(workload.length + 1) : pod.name);
  name.title = pod.name;
  const restarts = pod.restarts ? `${pod.restarts} restart${pod.restarts === 1 ? "" : "s"}` : "";
  return make("tr", "", name, make("td", pod.tone, pod.status), make("td", "soft", restarts), make("td", "soft", pod.image.split(":").pop()));
}

function showWorkload(one, focus) {
  const ready = make("span", one.ready < one.desired ? "ready short" : "ready", `${one.ready} of ${one.desired} ready`);
  const head = make("div", "head", make("strong", "", one.name), make("span", "dots", ...one.pods.map(podDot)), ready);
  if (!focus) return make("div", "workload", head);
  const facts = make("p", "facts", ...one.facts.flatMap(([name, value], index) => [index ? " · " : "", `${name} `, make("b", "", value)]));
  return make("div", "workload focus", head, facts, make("table", "pods", make("tbody", "", ...one.pods.map((pod) => podRow(pod, one.name)))));
}

/** The story's own workload first and in full, with what the cluster says of it; the others in one line each. */
function showCluster(cluster, focus) {
  const all = cluster?.workloads ?? [];
  const first = all.filter((one) => one.name === focus);
  const events = (cluster?.events ?? []).filter((event) => !focus || event.object.startsWith(focus) || event.object.includes(`-${focus}-`));
  const lines = events.slice(0, EVENTS_SHOWN).map((event) => make("li", event.warning ? "warning" : "", `${clock(event.at)} `, make("b", "", event.reason), ` ${event.object}: ${event.message}${event.count > 1 ? ` (${event.count} times)` : ""}`));
  const list = lines.length ? make("ol", "events", ...lines) : null;
  if (list) list.setAttribute("aria-label", "Events");
  const others = all.filter((one) => one.name !== focus).map((one) => showWorkload(one, false));
  $("cluster").replaceChildren(...[...first.map((one) => showWorkload(one, true)), focus ? list : null, ...others, focus ? null : list].filter(Boolean));
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
    const latest = state.scenarios.reduce((best, one) => ((one.began_at ?? "") > (best.began_at ?? "") ? one : best));
    const story = state.scenarios.find((one) => one.name === chosen) ?? latest;
    const [cluster, series, pager, incident] = await Promise.all([
      ask("_sandbox/cluster"), ask(`_sandbox/series?scenario=${encodeURIComponent(story.name)}`), ask("pagerduty/_sandbox/incidents"), state.connected && story.began_at ? incidentOf(story) : null,
    ]);
    redraw("speed", state.speed, () => { $("speed").textContent = state.speed === 1 ? "in real time" : `${state.speed} times faster than real time`; });
    redraw("stories", [story.name, state.scenarios.map((one) => [one.name, one.phase])], () => showStories(state.scenarios, story));
    redraw("cluster", [cluster, story.workload], () => showCluster(cluster, story.workload));
    redraw("steps", [story.name, story.phase, incident, state.connected], () => showSteps(story, incident, state.connected));
    redraw("incident", [incident, state.connected], () => showIncident(incident, state.connected));
    redraw("pager", pager, () => showPager(pager?.incidents ?? []));
    showChart(story, series, remedyTime(story, incident));
  } catch {
    $("hint").textContent = "The sandbox does not answer. It may have been stopped.";
  } finally {
    polling = false;
  }
}
poll();
setInterval(poll, POLL_MS);
