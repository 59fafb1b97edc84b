// What the operator sees beside the live view: dead letters, jobs, commands, and what the bot promises.

import { $, act, coded, long, make, reorder } from "./parts.js";

const REASONS = {
  failed: "The handler failed, and trying again was of no use or not asked for.",
  panicked: "The handler panicked.",
  poison: "The process ended several times while the handler was running.",
  unreadable: "The record of the event cannot be read.",
  refused: "The network refused the reply.",
  not_sent: "The reply could not be sent, as often as it was tried.",
  unknown: "Nobody knows whether the reply arrived: a replay may send it twice.",
  parked: "The handler failed, and its conversation waits: a replay keeps its place.",
  rate_limited: "The network limits the account: replay once that is over, or a challenge is solved.",
  no_network: "The bot is not on its network any more, or was started without it: replay once it is back.",
};
const VIEWS = ["live", "dead", "jobs", "promises"];
const SURE_MS = 4000;
const STEP = 50; // letters and jobs that are shown at first, and as many more each time that more are asked for
const MOST = 1000;

const letters = new Map(); // id -> {item, said, node, time}
const jobs = new Map(); // name -> {item, said, node, time}
const loads = { dead: loadDead, jobs: loadJobs, promises: loadPromises };
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const word = (reason) => reason.replaceAll("_", " ");
let chatName = (id) => id;
const shown = { dead: STEP, jobs: STEP };
let view = "live";
let isLooking = false;
let arePromisesKnown = false;
let networks = []; // as the bot calls them
let areSpecsKnown = false;
let seen = null; // how many letters, counted since the bot began, were there to be seen

/// Gives the panels the names of the chats.
export function startOperator(names) {
  chatName = names;
}

/// A bot has come, perhaps another one.
export function lookAgain() {
  arePromisesKnown = false;
  areSpecsKnown = false;
  seen = null;
  loadSpecs();
  look();
}

/// This many letters wait for a decision, those of earlier runs among them.
export function showLetters(count) {
  const shown = count < MOST ? String(count) : `${MOST - 1}+`;
  $("dead-count").hidden = !count;
  $("dead-count").textContent = shown;
  $("dead-count").ariaLabel = `${shown} waiting`;
  $("waiting").hidden = !count;
  $("waiting-text").textContent = count === 1 ? "1 dead letter waits for a decision" : `${shown} dead letters wait for a decision`;
}

/// The tab tells of letters that nobody has looked at.
export function hearOperator(now) {
  const names = now.networks.map((network) => network.name);
  if (names.join("\n") !== networks.join("\n")) arePromisesKnown = false;
  networks = names;
  seen ??= now.dead;
  const isNews = now.dead > seen && view !== "dead";
  $("tab-dead").classList.toggle("news", isNews);
  $("tab-dead").title = isNews ? "New dead letters" : "";
  $("stalled").hidden = !now.stalled_seconds;
  say($("stalled"), `The journal has not answered for ${long(now.stalled_seconds)}: nothing is accepted or sent. Its disk may be full, or another program keeps it to itself; the log says more.`);
  $("gaps").hidden = !now.gaps.count;
  const times = now.gaps.count === 1 ? "once" : `${now.gaps.count} times`;
  $("gaps").textContent = `Since the start nobody read ${times}, for ${now.gaps.total_seconds.toFixed(1)} s in all.`;
}

// ---- the tabs -----------------------------------------------------------------------------------------------------

function choose(next) {
  view = next;
  $("unanswered").hidden = true;
  for (const name of VIEWS) {
    $(`tab-${name}`).ariaSelected = String(name === view);
    $(`tab-${name}`).tabIndex = name === view ? 0 : -1;
    $(`view-${name}`).hidden = name !== view;
  }
  if (view === "dead") $("tab-dead").classList.remove("news");
  look();
}

VIEWS.forEach((name, at) => {
  const to = (index) => {
    const next = VIEWS.at(index % VIEWS.length);
    choose(next);
    $(`tab-${next}`).focus();
  };
  $(`tab-${name}`).onclick = () => choose(name);
  $(`tab-${name}`).onkeydown = ({ key }) => {
    if (key === "ArrowRight") to(at + 1);
    if (key === "ArrowLeft") to(at - 1);
  };
});

// ---- looking ------------------------------------------------------------------------------------------------------

export const showDead = () => choose("dead");
$("waiting").onclick = () => {
  showDead();
  $("tab-dead").focus();
};

const isSeen = () => view !== "live" && !document.hidden && getComputedStyle($("live")).visibility !== "hidden";

/// Asks for what the open panel shows. Once a second at most, and not at all while nobody sees it.
async function look() {
  if (!isSeen() || isLooking) return;
  isLooking = true;
  const question = () => JSON.stringify([view, query(), shown]);
  const asked = question();
  try {
    await loads[view]();
    $("unanswered").hidden = true;
  } catch (error) {
    // What was there stays. Without an answer at all the bot is away, which the head of the page says.
    $("unanswered").hidden = error instanceof TypeError;
    say($("unanswered"), error.message);
  }
  isLooking = false;
  if (asked !== question()) look();
}

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

setInterval(() => {
  look();
  tellTimes();
}, 1000);
document.addEventListener("visibilitychange", look);

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function tellTimes() {
  for (const { item, time } of letters.values()) say(time, `${long(Math.max(Date.now() - item.at_ms, 0) / 1000)} ago`);
  for (const { item, time } of jobs.values()) {
    const left = Math.ceil((item.due_ms - Date.now()) / 1000);
    say(time, left > 0 ? `in ${long(left)}` : "now");
  }
}

/// Says how many are shown where there are more, and offers more of them.
function tellMore(list, first, hasMore, text) {
  const [told, more] = $(`${list}-more`).children;
  $(`${list}-more`).hidden = !hasMore;
  say(told, text);
  more.hidden = first.length >= MOST;
  more.onclick = () => {
    shown[list] = Math.min(shown[list] + STEP, MOST);
    look();
  };
}

/// Nodes stay as long as what they say does: a selection and the focus survive the next look.
function show(list, known, items, key, fill) {
  const keys = new Set(items.map(key));
  let hadFocus = false;
  for (const [gone, { node }] of known) {
    if (keys.has(gone)) continue;
    hadFocus ||= node.contains(document.activeElement);
    known.delete(gone);
  }
  for (const item of items) {
    const said = JSON.stringify(item);
    const entry = known.get(key(item)) ?? { node: make("li"), time: make("span", { className: "state" }) };
    if (entry.said !== said) entry.node.replaceChildren(...fill(item, entry.time));
    known.set(key(item), Object.assign(entry, { item, said }));
  }
  reorder(list, items.map((item) => known.get(key(item)).node));
  // The button that had it is gone.
  if (hadFocus) (list.querySelector("button") ?? $(`tab-${view}`)).focus();
  tellTimes();
}

// ---- buttons ------------------------------------------------------------------------------------------------------

const pill = (textContent, ariaLabel, onclick) => make("button", { type: "button", className: "pill", textContent, ariaLabel, onclick });

/// Asks once more before it does what nobody can undo.
function twice(button, action) {
  let calmed = 0;
  const calm = () => {
    clearTimeout(calmed);
    calmed = 0;
    button.classList.remove("sure");
    delete button.dataset.sure;
  };
  button.classList.add("grave");
  button.onblur = calm;
  button.onclick = () => {
    if (calmed) {
      calm();
      return action();
    }
    button.classList.add("sure");
    button.dataset.sure = "Sure?";
    $("announce").textContent = "Press again to confirm";
    calmed = setTimeout(calm, SURE_MS);
  };
  return button;
}

async function change(verb, done, chosen) {
  const count = await act(`dead/${verb}`, chosen);
  if (count === null) return;
  if (count) document.dispatchEvent(new Event("decided"));
  $("announce").textContent = `${count} ${count === 1 ? "dead letter" : "dead letters"} ${done}`;
  look();
}

const replay = (chosen) => change("replay", "replayed", chosen);
const discard = (chosen) => change("discard", "discarded", chosen);

// ---- dead letters -------------------------------------------------------------------------------------------------

for (const [reason, about] of Object.entries(REASONS)) {
  $("dead-reason").append(make("option", { value: reason, textContent: word(reason), title: about }));
}

const query = () => new URLSearchParams({
  ...($("dead-reason").value && { reason: $("dead-reason").value }),
  ...($("dead-text").checked && { text: "true" }),
}).toString();
const all = () => ({ all: { reason: $("dead-reason").value || null } });

async function loadDead() {
  const asked = query();
  const { first, has_more, given_up } = await read(`/api/dead?${asked}&shown=${shown.dead}`);
  if (asked !== query()) return;
  if (!$("dead-reason").value) seen = Math.max(seen ?? 0, given_up);
  show($("dead"), letters, first, (letter) => letter.id, fillLetter);
  $("dead-none").hidden = first.length > 0;
  $("dead-all").hidden = !first.length;
  tellMore("dead", first, has_more, `The first ${first.length}. The buttons below mean all.`);
  $("dead-export").href = `/api/dead/export?${asked}`;
}

function fillLetter(letter, time) {
  const name = letter.command || letter.kind;
  const tried = letter.attempts === 1 ? "tried once" : `tried ${letter.attempts} times`;
  const facts = [letter.command ? letter.kind : null, chatName(letter.conversation), tried, `no. ${letter.id}`];
  const texts = (letter.texts ?? []).map(([what, text]) => make("p", { className: "said", dir: "auto" },
    what === "text" ? null : make("span", { className: "class", textContent: what }), text));
  return [
    make("p", { className: "what" }, make("strong", { textContent: name, title: name }),
      make("span", { className: "class", textContent: word(letter.reason), title: REASONS[letter.reason] }), time),
    make("p", { className: "facts", textContent: facts.filter(Boolean).join(" · ") }),
    make("p", { className: "error", textContent: letter.error }),
    ...texts,
    make("p", { className: "acts" },
      pill("Replay", `Replay letter ${letter.id}, ${name}`, () => replay({ one: letter.id })),
      twice(pill("Discard", `Discard letter ${letter.id}, ${name}`), () => discard({ one: letter.id }))),
  ];
}

$("dead-reason").onchange = look;
$("dead-text").onchange = look;
$("dead-replay").onclick = () => replay(all());
twice($("dead-discard"), () => discard(all()));

// ---- jobs ---------------------------------------------------------------------------------------------------------

async function loadJobs() {
  const { first, has_more } = await read(`/api/jobs?shown=${shown.jobs}`);
  show($("jobs"), jobs, first, (job) => job.name, fillJob);
  $("jobs-none").hidden = first.length > 0;
  tellMore("jobs", first, has_more, `The next ${first.length}.`);
}

function fillJob(job, time) {
  const name = job.function?.split("::").at(-1) ?? "cannot be read";
  const isProgram = job.conversation === null;
  const cancel = async () => {
    const wasThere = await act("jobs/cancel", { name: job.name });
    if (wasThere === null) return;
    $("announce").textContent = wasThere ? `${name} is cancelled` : `${name} was not there any more`;
    look();
  };
  const button = twice(pill("Cancel", `Cancel ${name}`), cancel);
  if (isProgram) button.title = "The program has it still: its next start brings it back.";
  return [
    make("p", { className: "what" }, make("strong", { textContent: name, title: job.function }),
      make("span", { className: "class", textContent: job.schedule ?? "once" }), time),
    make("p", { className: "facts", textContent: `${isProgram ? "the program's" : chatName(job.conversation)} · ${moment.format(job.due_ms)}` }),
    job.args === null ? null : make("p", { className: "said", dir: "auto", title: "What the function will be given", textContent: given(job.args) }),
    make("p", { className: "acts" }, button),
  ].filter(Boolean);
}

/// The arguments as a person reads them: texts as they are, the rest as JSON, up to a screenful.
function given(args) {
  const one = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const text = Array.isArray(args) ? args.map(one).join(" · ") : one(args);
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
}

// ---- commands -----------------------------------------------------------------------------------------------------

/// They stay as they are for as long as the bot runs.
async function loadSpecs() {
  if (areSpecsKnown || !$("specs-words").open) return;
  areSpecsKnown = true;
  const specs = await read("/api/commands").catch(() => null);
  if (!specs) {
    areSpecsKnown = false;
    return;
  }
  $("specs").replaceChildren(...specs.map(fillSpec));
  $("specs-none").hidden = specs.length > 0;
}

$("specs-words").ontoggle = loadSpecs;

function fillSpec(spec) {
  const marks = [spec.is_hidden && "hidden", spec.is_restricted && "not for everybody"].filter(Boolean);
  const also = spec.aliases.length ? `also ${spec.aliases.join(", ")}` : null;
  const taken = spec.parameters.map(({ name, kind, about, is_required }) =>
    [`${name}: ${about ?? kind}`, about && kind, !is_required && "may be left out"].filter(Boolean).join(", "));
  return make("li", {},
    make("p", { className: "what" }, make("strong", { textContent: spec.usage ?? spec.name, title: spec.name }),
      ...marks.map((mark) => make("span", { className: "class", textContent: mark }))),
    make("p", { className: "facts", textContent: [spec.about, also].filter(Boolean).join(" · ") }),
    ...taken.map((line) => make("p", { className: "facts", dir: "auto", textContent: line })));
}

// ---- guarantees ---------------------------------------------------------------------------------------------------

async function loadPromises() {
  if (arePromisesKnown) return;
  const [first, ...others] = networks.length > 1 ? networks : [null];
  const on = (network) => read(`/api/guarantees?${new URLSearchParams({ network })}`);
  const [rows, ...more] = await Promise.all([first === null ? read("/api/guarantees") : on(first), ...others.map(on)]);
  arePromisesKnown = true;
  $("promises-of").hidden = first === null;
  say($("promises-of"), first ?? "");
  $("promises").replaceChildren(...rows.map(fillPromise));
  $("promises-others").replaceChildren(...others.flatMap((network, at) =>
    [make("h4", { className: "of", textContent: network }), make("dl", { className: "promises" }, ...more[at].map(fillPromise))]));
}

function fillPromise(row) {
  return make("div", { className: row.is_limit ? "limit" : "kept" },
    make("dt", { textContent: row.what }),
    make("dd", {}, make("span", { className: "hidden", textContent: row.is_limit ? "A limit: " : "" }), ...coded(row.promise)),
    make("dd", { className: "why" }, ...coded(row.why)));
}
