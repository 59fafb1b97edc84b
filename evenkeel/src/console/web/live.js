// What the operator sees while it happens: what blocks, what waits, what was done.

import { $, act, duration, iconButton, long, make, reorder, symbol, toast } from "./parts.js";
import { hearOperator } from "./operator.js";

function tiles(list, values) {
  list.replaceChildren(...values.map(([name, value, kind]) =>
    make("div", { className: kind && value ? kind : "" }, make("dt", { textContent: name }), make("dd", { textContent: String(value) }))));
}

const blocked = new Map(); // number -> {report, said, at, node, state}
const quarantine = new Map(); // "name file line" -> {inside, at, node, age}
const SHOWN_REPORTS = 20;
const SLOW_LOOK_MS = 5000; // each look polls slow handlers once more
let running = 0;

/// The state of the bot has changed.
export function showStatus(now) {
  $("beat").textContent = now.is_draining ? "finishing" : "running";
  tiles($("lanes"), [["Running", now.running, "busy"], ["Waiting", now.waiting, "warn"], ["Outbox", now.outbox, "busy"]]);
  const rare = [["Retried", now.retried, "warn"], ["Slowed down", now.braked, "warn"], ["Too old", now.expired], ["Cancelled", now.cancelled], ["Given up", now.dead, "bad"], ["Duplicates", now.duplicates], ["Refused", now.refused, "bad"], ["Refused: one had too many waiting", now.refused_share, "bad"], ["Unreadable", now.undeliverable, "bad"], ["Not sent", now.not_sent, "bad"], ["Unknown", now.unknown, "bad"], ["Log lines lost", now.lost_log_lines, "bad"], ["Jobs without their function", Object.values(now.unknown_jobs).reduce((sum, count) => sum + count, 0), "warn"]];
  tiles($("counters"), [["Accepted", now.accepted], ...(now.resumed ? [["Taken up", now.resumed]] : []), ["Handled", now.handled], ["Sent", now.sent], ["Failed", now.failed, "bad"], ...rare.filter(([, value]) => value)]);
  $("commands-none").hidden = now.commands.length > 0;
  $("commands-table").hidden = $("commands-legend").hidden = !now.commands.length;
  $("commands").replaceChildren(...now.commands.map((command) => {
    const cell = (text, className = "") => make("td", { textContent: text, className });
    return make("tr", {}, make("th", { scope: "row", textContent: command.name, title: command.name }), cell(command.handled),
      cell(command.failed, command.failed ? "bad" : ""), cell(duration(command.p50_us)), cell(duration(command.p99_us)), cell(duration(command.max_us)));
  }));
  showNetworks(now.networks);
  showBlocked(now.blocked);
  showGuard(now.guard);
  showQuarantine(now.quarantined);
  hearOperator(now);
  tellTime();
  if (!running && now.running) setTimeout(lookForSlow, 0);
  running = now.running;
  if (!running) showSlow([]);
}

/// Of one network, the counters say it all.
function showNetworks(networks) {
  $("networks-card").hidden = networks.length < 2;
  const states = { opening: "warn", failed: "bad" };
  $("networks").replaceChildren(...networks.map((network) => {
    const cell = (text, className = "") => make("td", { textContent: text, className });
    const rare = (count, kind) => cell(count, count ? kind : "");
    return make("tr", {}, make("th", { scope: "row", textContent: network.name, title: network.is_primary ? `${network.name}, the primary network` : network.name }),
      cell(network.state, states[network.state]), cell(network.handed_over), cell(network.sent), cell(network.outbox), rare(network.not_sent, "bad"),
      rare(network.unknown, "bad"), rare(network.refused, "bad"), rare(network.gaps.count, "warn"));
  }));
}

const isBusy = (report) => report.class === "compute" || report.class === "always_ready";
const place = (what) => `${what.file}:${what.line}`;
const since = (seconds, at) => seconds + (performance.now() - at) / 1000;

/// Nodes stay as long as what they say does: a selection, the focus and an open path survive the next state.
function showBlocked(reports) {
  const numbers = new Set(reports.map((report) => report.number));
  for (const number of blocked.keys()) if (!numbers.has(number)) blocked.delete(number);
  for (const report of reports) {
    const said = JSON.stringify(report);
    const known = blocked.get(report.number);
    if (known?.said === said) continue;
    const node = known?.node ?? make("li");
    blocked.set(report.number, { report, said, at: performance.now(), node, state: fillReport(node, report) });
  }
  const isNow = ({ report }) => !report.is_over;
  const newest = [...blocked.values()].sort((one, other) =>
    isNow(other) - isNow(one) || other.report.number - one.report.number);
  reorder($("blocked"), newest.slice(0, SHOWN_REPORTS).map(({ node }) => node));
  $("blocked-none").hidden = newest.length > 0;
  $("blocked-card").classList.toggle("active", newest.some(isNow));
}

/// Returns the node that says for how long.
function fillReport(node, report) {
  const wasOpen = node.querySelector("details")?.open ?? false;
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const state = make("span", { className: "state" });
  const where = make("p", { className: "where" });
  if (report.call) where.append(make("code", { className: "call", textContent: report.call }), " ");
  where.append(make("span", { textContent: report.is_exact ? "at " : "named at " }), make("code", { textContent: place(report) }));
  node.className = report.is_over ? "over" : "now";
  node.replaceChildren(
    make("p", { className: "what" }, make("strong", { textContent: report.name, title: report.name }),
      make("span", { className: "class", textContent: report.class.replaceAll("_", " ") }), state),
    where,
    ...(report.advice ? [advice(report.advice)] : []),
    make("p", { className: "facts", textContent: facts(report) }),
    ...(report.path.length ? [path(report.path, wasOpen)] : []));
  if (focused) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  return state;
}

function facts(report) {
  const last = report.times > 1 ? " the last time" : "";
  const micros = Math.round((report.taken_over_seconds ?? 0) * 1e6);
  const waited = report.taken_over_seconds !== null ? (micros ? `others waited ${duration(micros)}${last}` : `nobody waited${last}`)
    : report.strikes ? "nobody waited: it has threads of its own" : "nothing took its place";
  const times = report.times > 1 ? `${report.times} times` : "once";
  return [waited, times, ...(report.strikes ? [`strike ${report.strikes}`] : [])].join(" · ");
}

/// What to write instead, with its code as code.
function advice(text) {
  const parts = text.split(/`([^`]+)`/u).map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));
  const copy = iconButton("copy", "Copy the advice", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return toast("The browser does not let this page copy. Select the text instead.");
    }
    copy.replaceChildren(symbol("done"));
    $("announce").textContent = "Advice copied";
    setTimeout(() => copy.replaceChildren(symbol("copy")), 1500);
  });
  copy.dataset.key = "copy";
  return make("div", { className: "advice" }, make("p", {}, ...parts), copy);
}

function path(frames, isOpen) {
  const summary = make("summary", { textContent: "Call path" });
  summary.dataset.key = "path";
  const steps = frames.map((frame) => make("li", {}, make("code", { textContent: frame.function ?? "?" }),
    frame.file ? make("code", { className: "line", textContent: frame.line === null ? frame.file : place(frame) }) : null));
  return make("details", { open: isOpen }, summary, make("ol", {}, ...steps));
}

/// Asks where handlers wait that have run for long, while any run and somebody looks.
async function lookForSlow() {
  if (!running || document.hidden) return;
  try {
    const answer = await fetch("/api/slow");
    if (answer.ok) showSlow(await answer.json());
  } catch {
    // The bot is away, which the head of the page says.
  }
}

setInterval(lookForSlow, SLOW_LOOK_MS);

function showSlow(handlers) {
  $("slow-card").hidden = !handlers.length;
  $("slow").replaceChildren(...handlers.map((handler) => {
    const waits = handler.waits.length ? handler.waits.map((wait) => `waits ${wait}`)
      : [handler.is_unhurried ? "waits" : "does not answer: it keeps its thread, or waits for one"];
    const name = handler.command || "a message";
    return make("li", {}, make("p", { className: "what" }, make("strong", { textContent: name, title: name }),
      make("span", { className: "state", textContent: long(handler.running_seconds) })),
    ...waits.map((wait) => make("p", { className: "where", textContent: wait })));
  }));
}

function showGuard(guard) {
  $("guard-words").hidden = !$("blocked").children.length && !guard.taken_over;
  $("guard").hidden = !guard.taken_over && !guard.not_taken_over;
  const ms = (seconds) => duration(Math.round(seconds * 1e6));
  // Of fewer than a hundred, 99 of 100 are all.
  const most = guard.taken_over < 100 ? "" : `, 99 % within ${ms(guard.taken_over_p99_seconds)}`;
  const over = `${guard.taken_over} taken over, half within ${ms(guard.taken_over_p50_seconds)}${most}, all within ${ms(guard.taken_over_max_seconds)}`;
  const none = guard.not_taken_over ? `; ${guard.not_taken_over} not, for want of threads` : "";
  $("guard").textContent = `${over}${none}; ${guard.threads} threads, ${guard.spares} ready to take over`;
}

function showQuarantine(all) {
  const key = (inside) => `${inside.name} ${place(inside)}`;
  const keys = new Set(all.map(key));
  let hadFocus = false;
  for (const [gone, { node }] of quarantine) {
    if (keys.has(gone)) continue;
    hadFocus ||= node.contains(document.activeElement);
    quarantine.delete(gone);
  }
  for (const inside of all) {
    const node = quarantine.get(key(inside))?.node ?? make("li");
    const age = quarantine.get(key(inside))?.age ?? make("span");
    quarantine.set(key(inside), { inside, at: performance.now(), node, age });
    fillQuarantined(node, inside, age);
  }
  reorder($("quarantine"), all.map((inside) => quarantine.get(key(inside)).node));
  $("quarantine-card").hidden = !all.length;
  // The button that had it is gone.
  if (hadFocus) ($("quarantine").querySelector("button") ?? $("tab-live")).focus();
}

function fillQuarantined(node, inside, age) {
  const said = JSON.stringify({ ...inside, seconds: 0 });
  if (node.dataset.said === said) return;
  node.dataset.said = said;
  const pardon = make("button", { type: "button", className: "pardon", textContent: "Pardon", ariaLabel: `Pardon ${inside.name}`,
    title: "Back to the workers, strikes forgotten", onclick: async () => {
      const count = await act("pardon", { name: inside.name });
      if (count !== null) $("announce").textContent = `${inside.name} is pardoned`;
    } });
  const ends = inside.is_permanent ? "until pardoned" : "on parole";
  const why = inside.is_permanent ? "It came back after its parole: only a pardon ends this." : "Ends by itself after ten minutes and a hundred polls without offence.";
  node.replaceChildren(
    make("p", { className: "what" }, make("strong", { textContent: inside.name, title: inside.name }),
      make("span", { className: "class", textContent: inside.is_compute ? "computes" : "sleeps" })),
    pardon,
    make("p", { className: "facts" }, age, make("span", { title: why, textContent: ` · ${ends} · strike ${inside.strikes}` })),
    make("p", { className: "where" }, make("code", { textContent: place(inside) })));
}

/// What grows with time: how long a call lasts, and how long ago a command was caught.
function tellTime() {
  const say = (node, text) => node.textContent === text || (node.textContent = text);
  for (const { report, at, state } of blocked.values()) {
    const elapsed = duration(Math.round((report.is_over ? report.seconds : since(report.seconds, at)) * 1e6));
    const verb = isBusy(report) ? ["computed for", "computing:"] : ["blocked for", "blocking:"];
    say(state, `${verb[report.is_over ? 0 : 1]} ${elapsed}`);
  }
  for (const { inside, at, age } of quarantine.values()) say(age, `since ${long(since(inside.seconds, at))}`);
}

setInterval(tellTime, 250);

/// There is a bot, or there is none.
export function showBeat(isThere) {
  if (!isThere) $("beat").textContent = "no bot";
  $("beat").classList.toggle("on", isThere);
}

tiles($("lanes"), [["Running", 0], ["Waiting", 0], ["Outbox", 0]]);
tiles($("counters"), [["Accepted", 0], ["Handled", 0], ["Sent", 0], ["Failed", 0]]);
