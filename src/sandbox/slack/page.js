// The chat page: shows channels, messages and threads, and presses buttons as one of the people.
//
// Every text that comes from a message reaches the page through text nodes. Nothing here may build HTML from data,
// and links lead only where http, https or mailto lead.
"use strict";

const POLL_MS = 700;
const NOTICE_MS = 4200;
const EMBEDDED = new URLSearchParams(location.search).has("embedded");
const EMOJI = {
  rotating_light: "🚨", fire: "🔥", warning: "⚠️", white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌",
  no_entry: "⛔", hourglass: "⌛", hourglass_flowing_sand: "⏳", eyes: "👀", bell: "🔔", no_bell: "🔕", lock: "🔒",
  raised_hand: "✋", hand: "✋", hammer_and_wrench: "🛠️", wrench: "🔧", mag: "🔍", memo: "📝", clock1: "🕐", repeat: "🔁",
  arrow_up: "⬆️", arrow_right: "➡️", red_circle: "🔴", large_green_circle: "🟢", large_yellow_circle: "🟡",
  large_orange_circle: "🟠", large_blue_circle: "🔵", white_circle: "⚪", information_source: "ℹ️", tada: "🎉",
  leftwards_arrow_with_hook: "↩️", rewind: "⏪", pause_button: "⏸️", arrow_forward: "▶️", question: "❓",
  chart_with_upwards_trend: "📈", chart_with_downwards_trend: "📉", phone: "☎️", pager: "📟", link: "🔗",
};

const $ = (id) => document.getElementById(id);
const page = { state: null, version: -1, channel: null, chosen: false, home: new URLSearchParams(location.search).has("home"), messages: [], thread: null, seen: new Map(), shown: new Map() };

/** Makes an element. Children are elements or texts; a text can never become markup. */
function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") element.className = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const plainText = (text) => String(text ?? "").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
const emojified = (text) => text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);

/** A link where the address is harmless, a text otherwise. */
function linked(address, label, otherwise = label) {
  let url = null;
  try { url = new URL(address); } catch { /* not an address */ }
  if (!url || !["http:", "https:", "mailto:"].includes(url.protocol)) return document.createTextNode(otherwise);
  return make("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, label);
}

function dated(spec, fallback) {
  const [seconds, format, link] = spec.split("^");
  const time = new Date(Number(seconds) * 1000);
  if (!Number.isFinite(time.getTime()) || !format) return document.createTextNode(fallback ?? spec);
  const as = (options) => new Intl.DateTimeFormat(undefined, options).format(time);
  const long = { weekday: "long", year: "numeric", month: "long", day: "numeric" };
  const forms = {
    date_num: () => time.toISOString().slice(0, 10),
    date: () => as({ year: "numeric", month: "long", day: "numeric" }),
    date_short: () => as({ year: "numeric", month: "short", day: "numeric" }),
    date_long: () => as(long), date_pretty: () => as({ year: "numeric", month: "long", day: "numeric" }),
    date_short_pretty: () => as({ month: "short", day: "numeric" }), date_long_pretty: () => as(long),
    time: () => as({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    time_secs: () => as({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    ago: () => ago(time),
  };
  const text = plainText(format).replace(/\{(\w+)\}/g, (whole, name) => (forms[name] ? forms[name]() : whole));
  return link ? linked(plainText(link), text) : make("time", { datetime: time.toISOString(), title: time.toString() }, text);
}

function ago(time) {
  const seconds = Math.round((Date.now() - time.getTime()) / 1000);
  if (Math.abs(seconds) < 60) return `${seconds} s ago`;
  return Math.abs(seconds) < 3600 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

/** What stands between < and >: a person, a channel, a call to many, a date, or a link. */
function angled(inner) {
  const bar = inner.indexOf("|");
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? null : plainText(inner.slice(bar + 1));
  const chip = (text) => make("span", { class: "mention" }, text);
  if (target.startsWith("@")) {
    const user = page.state?.users.find((one) => one.id === target.slice(1));
    return chip(`@${user?.real_name ?? label ?? target.slice(1)}`);
  }
  if (target.startsWith("#")) {
    const channel = page.state?.channels.find((one) => one.id === target.slice(1));
    return chip(`#${channel?.name ?? label ?? target.slice(1)}`);
  }
  if (target.startsWith("!date^")) return dated(target.slice(6), label);
  if (target.startsWith("!subteam^")) return chip(label ?? "@group");
  if (target.startsWith("!")) return chip(`@${label ?? target.slice(1)}`);
  return linked(plainText(target), label ?? plainText(target), `<${plainText(inner)}>`);
}

const INLINE = /<([^<>\n]+)>|`([^`\n]+)`|(?<=^|[\s([{"'>—–-])([*_~])(?=\S)([^\n]*?\S)\3(?=$|[\s.,:;!?)\]}"'<—–-])/;
const EMPHASIS = { "*": "strong", "_": "em", "~": "s" };

function inline(text, into) {
  let rest = text;
  while (rest) {
    const found = INLINE.exec(rest);
    if (!found) break;
    if (found.index > 0) into.append(emojified(plainText(rest.slice(0, found.index))));
    const [whole, angle, code, mark, inside] = found;
    if (angle !== undefined) into.append(angled(angle));
    else if (code !== undefined) into.append(make("code", {}, plainText(code)));
    else {
      const element = make(EMPHASIS[mark]);
      inline(inside, element);
      into.append(element);
    }
    rest = rest.slice(found.index + whole.length);
  }
  if (rest) into.append(emojified(plainText(rest)));
}

/** Slack's markup as a piece of the page. */
function mrkdwn(text) {
  const out = document.createDocumentFragment();
  String(text ?? "").split("```").forEach((part, index, all) => {
    // An odd part stands between fences, unless the last fence was never closed.
    if (index % 2 === 1 && index < all.length - 1) {
      out.append(make("pre", {}, plainText(part.replace(/^\n/, "").replace(/\n$/, ""))));
      return;
    }
    const source = index % 2 === 1 ? "```" + part : part;
    const lines = (index > 0 ? source.replace(/^\n/, "") : source).split("\n");
    let quote = null;
    lines.forEach((line, number) => {
      const quoted = /^(?:>|&gt;) ?(.*)$/.exec(line);
      if (quoted) {
        if (!quote) { quote = make("blockquote"); out.append(quote); } else quote.append("\n");
        inline(quoted[1], quote);
        return;
      }
      if (number > 0 && !quote) out.append("\n");
      quote = null;
      inline(line, out);
    });
  });
  return out;
}

/** A text object: marked up or plain. */
const textOf = (object) => (object?.type === "mrkdwn" ? mrkdwn(object.text) : document.createTextNode(emojified(String(object?.text ?? ""))));

function button(element, message) {
  const style = ["primary", "danger"].includes(element.style) ? ` ${element.style}` : "";
  const label = emojified(String(element.text?.text ?? ""));
  if (element.url) {
    const link = linked(element.url, label);
    if (link.nodeType === Node.ELEMENT_NODE) link.className = `button${style}`;
    return link;
  }
  const made = make("button", { class: `button${style}`, type: "button", "data-action": element.action_id ?? "" }, label);
  made.addEventListener("click", async () => {
    if (element.confirm && !(await confirmed(element.confirm))) return;
    await press(made, message, element, label);
  });
  return made;
}

function menu(element, message) {
  const made = make("select", { class: "button", "data-action": element.action_id ?? "", "aria-label": element.placeholder?.text ?? "" },
    make("option", { value: "" }, element.placeholder?.text ?? ""),
    ...(element.options ?? []).map((one) => make("option", { value: one.value }, one.text?.text ?? "")));
  made.addEventListener("change", async () => {
    const chosen = element.options.find((one) => one.value === made.value);
    if (chosen) await press(made, message, { ...element, value: chosen.value, is_menu: true }, chosen.text.text);
    made.value = "";
  });
  return made;
}

/** Asks the way a confirm object says; true where the person goes on. */
function confirmed(confirm) {
  const dialog = $("confirm");
  $("confirm-title").replaceChildren(textOf(confirm.title ?? { text: "Are you sure?" }));
  $("confirm-text").replaceChildren(textOf(confirm.text));
  const [yes, no] = [$("confirm-yes"), $("confirm-no")];
  yes.textContent = confirm.confirm?.text ?? "Yes";
  no.textContent = confirm.deny?.text ?? "Cancel";
  yes.className = `button ${confirm.style === "danger" ? "danger" : "primary"}`;
  return new Promise((resolve) => {
    const done = (answer) => () => { dialog.close(); resolve(answer); };
    yes.onclick = done(true);
    no.onclick = done(false);
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
  });
}

/** The form that stands open before the chosen person, if any. */
function showForm() {
  const dialog = $("form");
  const open = (page.state.views ?? []).filter((one) => one.user === $("who").value).at(-1);
  if (!open) { if (dialog.open) dialog.close(); page.form = null; return; }
  if (page.form === open.id) return;
  page.form = open.id;
  $("form-title").replaceChildren(textOf(open.view.title));
  $("form-blocks").replaceChildren(...open.view.blocks.flatMap((block) => (block.type === "input" ? [field(block)] : blockNodes(block, null))));
  const [send, back] = [$("form-send"), $("form-back")];
  send.textContent = open.view.submit?.text ?? "Submit";
  back.textContent = open.view.close?.text ?? "Cancel";
  const leave = async () => { await order("close", { view: open.id }); await poll(); };
  send.onclick = async () => {
    const texts = {};
    for (const input of dialog.querySelectorAll("[data-action]")) texts[input.dataset.action] = input.value;
    const done = await order("submit", { view: open.id, texts });
    if (done?.problem) notify(`The form did not work: ${done.problem}.`);
    await poll();
  };
  back.onclick = leave;
  dialog.oncancel = (event) => { event.preventDefault(); leave(); };
  if (!dialog.open) dialog.showModal();
}

function field(block) {
  const id = `field-${block.element.action_id}`;
  const input = make(block.element.multiline ? "textarea" : "input", { id, "data-action": block.element.action_id,
    maxlength: block.element.max_length, placeholder: block.element.placeholder?.text, rows: block.element.multiline ? 3 : null });
  return make("div", { class: "block field" }, make("label", { for: id }, textOf(block.label), block.optional ? " (optional)" : ""), input);
}

/** Asks something of the sandbox; what it says, or nothing. */
async function order(what, body) {
  try {
    const response = await fetch(`_sandbox/${what}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    return response.status === 204 ? null : await response.json();
  } catch {
    notify("The sandbox does not answer.");
    return null;
  }
}

async function press(made, message, element, label) {
  const user = page.state.users.find((one) => one.id === $("who").value);
  made.disabled = true;
  try {
    const response = await fetch("_sandbox/click", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ channel: message.channel, message_ts: message.ts, action_id: element.action_id, user: user.id, ...(element.is_menu ? { value: element.value } : {}) }),
    });
    const done = await response.json();
    notify(done.problem ? `“${label}” did not work: ${done.problem}.` : `${user.real_name} pressed “${label}”.`);
  } catch {
    notify(`“${label}” could not be sent: the sandbox does not answer.`);
  } finally {
    made.disabled = false;
  }
  await poll();
}

let noticeTimer = 0;
function notify(text) {
  const notice = $("notice");
  notice.textContent = text;
  notice.classList.add("shown");
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => notice.classList.remove("shown"), NOTICE_MS);
}

function richLeaf(leaf) {
  const style = leaf.style ?? {};
  if (leaf.type === "link") return linked(leaf.url, leaf.text ?? leaf.url);
  if (leaf.type === "user") return angled(`@${leaf.user_id}`);
  if (leaf.type === "channel") return angled(`#${leaf.channel_id}`);
  if (leaf.type === "emoji") return document.createTextNode(EMOJI[leaf.name] ?? `:${leaf.name}:`);
  if (leaf.type === "broadcast") return angled(`!${leaf.range}`);
  let node = document.createTextNode(String(leaf.text ?? leaf.fallback ?? ""));
  for (const [name, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"]]) {
    if (style[name]) node = make(tag, {}, node);
  }
  return node;
}

function rich(element) {
  const leaves = () => (element.elements ?? []).map(richLeaf);
  switch (element.type) {
    case "rich_text_preformatted": return make("pre", {}, ...leaves());
    case "rich_text_quote": return make("blockquote", {}, ...leaves());
    case "rich_text_list":
      return make(element.style === "ordered" ? "ol" : "ul", {}, ...(element.elements ?? []).map((item) => make("li", {}, rich(item))));
    default: return make("div", {}, ...leaves());
  }
}

function section(block, message) {
  const parts = [];
  if (block.text) parts.push(make("div", { class: "block" }, textOf(block.text)));
  if (block.fields) parts.push(make("div", { class: "fields" }, ...block.fields.map((field) => make("div", { class: "block" }, textOf(field)))));
  if (block.accessory?.type !== "button") return parts;
  return [make("div", { class: "with-accessory" }, make("div", {}, ...parts), button(block.accessory, message))];
}

const picture = (image) => make("span", { class: "picture" }, `Picture: ${image.alt_text ?? ""}`);

function blockNodes(block, message) {
  switch (block.type) {
    case "section": return section(block, message);
    case "header": return [make("div", { class: "block header", role: "heading", "aria-level": "3" }, textOf(block.text))];
    case "divider": return [make("hr", { class: "block divider" })];
    case "context":
      return [make("div", { class: "block context" }, ...(block.elements ?? []).map((one) => (one.type === "image" ? picture(one) : make("span", {}, textOf(one)))))];
    case "actions":
      return [make("div", { class: "actions" }, ...(block.elements ?? []).flatMap((one) => (one.type === "button" ? [button(one, message)] : one.type === "static_select" ? [menu(one, message)] : [])))];
    case "image": return [picture(block)];
    case "rich_text": return [make("div", { class: "block" }, ...(block.elements ?? []).map(rich))];
    case "markdown": return [make("div", { class: "block" }, String(block.text ?? ""))];
    default: return [make("div", { class: "block context" }, `(a block of the type ${block.type})`)];
  }
}

const clock = (ts) => new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

function messageNode(message, replies, inThread) {
  const name = page.state.bot.name;
  const by = make("div", { class: "by" }, make("span", { class: "name" }, name), make("span", { class: "tag" }, "APP"),
    make("time", { class: "when", datetime: message.posted_at }, clock(message.ts)));
  if (message.only_for) by.append(make("span", { class: "when" }, "Only visible to you"));
  if (message.edits > 0) by.append(make("span", { class: "when", title: `last edit ${message.edited_at}` }, message.edits === 1 ? "(edited)" : `(edited ${message.edits} times)`));
  const body = make("div", {}, by);
  const blocks = message.blocks.flatMap((block) => blockNodes(block, message));
  body.append(...(blocks.length ? blocks : [make("div", { class: "block" }, mrkdwn(message.text))]));
  if (replies > 0 && !inThread) {
    body.append(make("button", { class: "plain", type: "button", on: { click: () => openThread(message.ts) } }, replies === 1 ? "1 reply" : `${replies} replies`));
  }
  return make("article", { class: "message", "data-ts": message.ts }, make("div", { class: "face", "aria-hidden": "true" }, name.slice(0, 1).toUpperCase()), body);
}

/** Brings a list of messages to the page, touching only what changed, so that focus and scrolling stay. */
function show(container, messages, inThread) {
  const known = page.shown.get(container) ?? new Map();
  const next = new Map();
  const nodes = messages.map((message) => {
    const replies = page.messages.filter((one) => one.thread_ts === message.ts).length;
    const key = JSON.stringify([message, replies, page.state.users.length]);
    const before = known.get(message.ts);
    const node = before?.key === key ? before.node : messageNode(message, replies, inThread);
    if (before?.key !== key && page.shown.has(container)) node.classList.add("fresh");
    next.set(message.ts, { key, node });
    return node;
  });
  page.shown.set(container, next);
  if (nodes.length === 0) nodes.push(make("p", { class: "empty" }, "Nothing here yet. When an incident concerns this channel, one message appears and is kept up to date."));
  const same = nodes.length === container.children.length && nodes.every((node, index) => container.children[index] === node);
  if (!same) container.replaceChildren(...nodes);
  follow(container);
}

/** Keeps the end of a list in sight until the person scrolls away from it. */
function follow(container) {
  if (container.dataset.follows !== "no") container.scrollTop = container.scrollHeight;
}

function keepFollowing(container) {
  container.addEventListener("scroll", () => {
    const away = container.scrollHeight - container.scrollTop - container.clientHeight;
    container.dataset.follows = away < 60 ? "yes" : "no";
  });
  new ResizeObserver(() => follow(container)).observe(container);
}

function openThread(ts) {
  page.thread = ts;
  $("thread").hidden = false;
  render();
  $("close-thread").focus();
}

/** The home tab, as the app has drawn it for the chosen person. Opening it tells the app, which draws it anew. */
async function openHome() {
  page.home = true;
  const drawn = await order("home", { user: $("who").value });
  const blocks = drawn?.view?.blocks ?? [];
  const nodes = blocks.flatMap((block) => blockNodes(block, null));
  if (nodes.length === 0) nodes.push(make("p", { class: "empty" }, "The app has drawn nothing here yet."));
  if (!page.home) return;
  page.shown.delete($("log"));
  $("log").dataset.follows = "no";
  $("log").replaceChildren(...nodes);
  $("log").scrollTop = 0;
  render();
}

/** Sends what was written as a slash command, and shows what only this person sees. */
async function write(event) {
  event.preventDefault();
  const words = $("words").value.trim();
  if (!words.startsWith("/")) return notify("Only slash commands are read here: /smokejumper help.");
  const [command, ...rest] = words.split(/\s+/);
  const done = await order("command", { user: $("who").value, command, text: rest.join(" ") });
  const text = done?.problem ? `That did not work: ${done.problem}.` : done?.text;
  $("said").hidden = !text;
  $("said").replaceChildren(make("p", { class: "when" }, "Only visible to you"), mrkdwn(text ?? ""));
  $("words").value = "";
}

function render() {
  const current = page.state.channels.find((one) => one.id === page.channel);
  $("title").textContent = page.home ? "smokejumper" : `#${current?.name ?? ""}`;
  document.title = `${$("title").textContent} · Sandbox chat`;
  $("home").setAttribute("aria-current", String(page.home));
  $("channels").replaceChildren(...page.state.channels.map((channel) => {
    const news = channel.messages - (page.seen.get(channel.id) ?? 0);
    const count = channel.id !== page.channel && news > 0 ? make("span", { class: "count", "aria-label": `${news} new` }, String(news)) : null;
    const choose = () => { page.home = false; page.chosen = true; page.thread = null; page.channel = channel.id; page.version = -1; page.shown.delete($("log")); $("log").dataset.follows = "yes"; poll(); };
    return make("li", {}, make("button", { type: "button", "aria-current": channel.id === page.channel && !page.home ? "true" : null, on: { click: choose } }, make("span", { class: "name" }, `# ${channel.name}`), count));
  }));
  if (!page.home) show($("log"), page.messages.filter((one) => !one.thread_ts && (!one.only_for || one.only_for === $("who").value)), false);
  $("thread").hidden = page.thread === null;
  if (page.thread) show($("thread-log"), page.messages.filter((one) => one.ts === page.thread || one.thread_ts === page.thread), true);
}

function offerPeople() {
  const who = $("who");
  who.replaceChildren(...page.state.users.map((user) => make("option", { value: user.id }, `${user.real_name} (${user.title})`)));
  const before = localStorage.getItem("sandbox-user");
  if (page.state.users.some((user) => user.id === before)) who.value = before;
}

/** Without a choice of the person: the first channel that has messages. News elsewhere are only counted. */
function chooseChannel() {
  const { channels } = page.state;
  const current = channels.find((one) => one.id === page.channel);
  if (page.chosen || current?.messages > 0) return;
  page.channel = (channels.find((one) => one.messages > 0) ?? channels[0]).id;
}

let polling = false;
async function poll() {
  if (polling) return;
  polling = true;
  try {
    const state = await (await fetch("_sandbox/state")).json();
    const first = page.state === null;
    const changed = state.version !== page.version || first;
    page.state = state;
    if (first) offerPeople();
    if (first && page.home) openHome();
    if (changed) {
      chooseChannel();
      const answer = await (await fetch(`_sandbox/messages?channel=${encodeURIComponent(page.channel)}`)).json();
      page.messages = answer.messages;
      page.version = answer.version;
      page.seen.set(page.channel, state.channels.find((one) => one.id === page.channel)?.messages ?? 0);
      render();
      showForm();
    }
  } catch {
    notify("The sandbox does not answer. It may have been stopped.");
  } finally {
    polling = false;
  }
}

document.body.classList.toggle("embedded", EMBEDDED);
$("who").addEventListener("change", () => { localStorage.setItem("sandbox-user", $("who").value); $("said").hidden = true; render(); showForm(); if (page.home) openHome(); });
$("home").addEventListener("click", () => { page.thread = null; openHome(); });
$("write").addEventListener("submit", write);
$("close-thread").addEventListener("click", () => { page.thread = null; render(); });
keepFollowing($("log"));
keepFollowing($("thread-log"));
poll();
setInterval(poll, POLL_MS);
