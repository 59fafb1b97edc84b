// The sandbox page. Everything people wrote reaches the document through textContent, never as markup.

import { $, act, duration, iconButton, isLockedOut, make, request, symbol, toast } from "./parts.js";
import { showBeat, showStatus } from "./live.js";
import { lookAgain, showDead, showLetters, startOperator } from "./operator.js";
import { storyHears, storySees, tellStory } from "./story.js";

const EMOJI = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "🚀"];
const KEPT_MESSAGES = 1000;
const GROUPED_MS = 120_000;

const rooms = new Map(); // id -> room
const entries = new Map(); // id -> entry, oldest first
const typing = new Map(); // "room person" -> {room, person}
const unread = new Map(); // room id -> count
const drafts = new Map(); // room id -> {text, quote, editing, files}
const pings = { asked: new Map(), seconds: [] };
let bot = null;
let people = [];
let me = null; // person
let room = null; // room
let isConnected = false;

// ---- small things -------------------------------------------------------------------------------------------------

const nameOf = (person) => person.name ?? person.id;
const isBot = (person) => person.id === bot.id;
const isGroup = (place) => place.conversation.kind === "Group";

function hueOf(id) {
  const index = people.findIndex((person) => person.id === id);
  return index < 0 ? "hue-group" : `hue-${index % 6}`;
}

function avatar(person, extra = "") {
  if (isBot(person)) {
    return make("span", { className: `avatar bot ${extra}`, ariaHidden: "true" }, make("img", { src: "/icon.svg", alt: "" }));
  }
  const initial = [...nameOf(person)][0].toUpperCase();
  return make("span", { className: `avatar ${hueOf(person.id)} ${extra}`, ariaHidden: "true", textContent: initial });
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KB`;
  return `${(count / 1024 / 1024).toFixed(1)} MB`;
}

// ---- talking to the bot's side ------------------------------------------------------------------------------------

let source = null;
let retry = 500;
function connect() {
  source = new EventSource("/api/stream");
  const hear = (name, heard) => source.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  hear("scene", (scene) => {
    retry = 500;
    showScene(scene);
  });
  hear("change", showChange);
  hear("status", (now) => {
    showStatus(now);
    storySees(now);
  });
  hear("letters", showLetters);
  source.onerror = () => {
    source.close();
    showLink(false, "Bot away, trying again");
    isLockedOut().then((isOut) => isOut && showLink(false, "Bot has a new address"));
    setTimeout(connect, retry);
    retry = Math.min(retry * 2, 5000);
  };
}

function showLink(connected, text) {
  isConnected = connected;
  $("link").textContent = text;
  $("link").classList.toggle("on", connected);
  $("app").classList.toggle("away", !connected);
  showBeat(connected);
}

// ---- what happens -------------------------------------------------------------------------------------------------

function showScene(scene) {
  bot = scene.bot;
  rooms.clear();
  for (const found of scene.rooms) rooms.set(found.conversation.id, found);
  entries.clear();
  for (const entry of scene.entries) entries.set(entry.id, entry);
  typing.clear();
  for (const [place, person] of scene.typing) typing.set(`${place.id} ${person.id}`, { room: place.id, person });
  people = scene.rooms.filter((found) => !isGroup(found)).map((found) => found.members[0]);
  me = people.find((person) => person.id === me?.id) ?? people[0];
  room = rooms.get(room?.conversation.id) ?? rooms.get(me?.id);
  showLink(scene.is_connected, scene.is_connected ? "Bot connected" : "Bot away");
  $("name").textContent = scene.name;
  $("locked").hidden = true;
  document.title = `${scene.name} · Evenkeel sandbox`;
  showChips(scene.chips);
  showAll();
  lookAgain();
  tellStory(scene.story, doStep);
  scene.entries.forEach(storyHears);
}

/// Does what a step of the story asks for.
function doStep({ said, blocked }) {
  if (said) {
    const person = people.find((one) => one.id === said.person);
    if (person && person !== me) choose(person, rooms.get(person.id));
    return say(said.person, said.person, said.text);
  }
  if (!blocked) showDead();
  if (getComputedStyle($("live")).visibility === "hidden") toggleLive(true);
  return $(blocked ? "blocked-card" : "view-dead").scrollIntoView({ block: "nearest" });
}

function showChange(change) {
  switch (change.change) {
    case "typing": {
      const key = `${change.conversation.id} ${change.by.id}`;
      if (change.is_started) typing.set(key, { room: change.conversation.id, person: change.by });
      else typing.delete(key);
      showTyping();
      showRooms();
      return;
    }
    case "bot":
      return showLink(change.is_connected, change.is_connected ? "Bot connected" : "Bot away");
    case "opened":
      rooms.set(change.room.conversation.id, change.room);
      if (!isGroup(change.room)) people.push(change.room.members[0]);
      me ??= people[0];
      room ??= rooms.get(me?.id);
      return showAll();
    case "posted":
      return showPosted(change.entry);
    default:
      entries.set(change.entry.id, change.entry);
      refresh(change.entry);
      showRooms();
  }
}

function showPosted(entry) {
  entries.set(entry.id, entry);
  if (entries.size > KEPT_MESSAGES) forget(entries.keys().next().value);
  const place = entry.conversation.id;
  timePing(entry);
  storyHears(entry);
  if (place === room.conversation.id) {
    const isNear = isAtEnd();
    append(entry);
    if (isNear || entry.author.id === me.id) toEnd();
    else $("jump").hidden = false;
    if (entry.author.id !== me.id) $("announce").textContent = `${nameOf(entry.author)}: ${summary(entry)}`;
  } else {
    unread.set(place, (unread.get(place) ?? 0) + 1);
  }
  showRooms();
}

function forget(id) {
  entries.delete(id);
  nodes.get(id)?.remove();
  nodes.delete(id);
}

// ---- people and chats ---------------------------------------------------------------------------------------------

function showAll() {
  showPeople();
  showRooms();
  showRoom();
}

function choose(person, place) {
  saveDraft();
  stopTyping();
  me = person;
  room = place;
  unread.delete(place.conversation.id);
  showAll();
  $("rooms").querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
}

/// Focus survives a list that is built anew.
function rebuild(list, children) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...children);
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function showPeople() {
  rebuild($("people"), people.map((person) => {
    const button = make("button", { type: "button", ariaPressed: String(person.id === me.id) }, avatar(person), nameOf(person));
    button.dataset.key = person.id;
    button.onclick = () => {
      const stays = isGroup(room) && room.members.some((member) => member.id === person.id);
      choose(person, stays ? room : rooms.get(person.id));
    };
    return button;
  }));
}

function lastOf(place) {
  let last = null;
  for (const entry of entries.values()) if (entry.conversation.id === place) last = entry;
  return last;
}

function summary(entry) {
  if (entry.is_deleted) return "deleted message";
  return plain(entry) || (entry.attachments.length ? `📎 ${entry.attachments[0].name ?? "file"}` : "");
}

function showRooms() {
  rebuild($("rooms"), [...rooms.values()].map((place) => {
    const id = place.conversation.id;
    const last = lastOf(id);
    const typists = [...typing.values()].filter((one) => one.room === id && one.person.id !== me.id);
    const line = make("span", { className: "preview" });
    if (typists.length) {
      line.textContent = `${nameOf(typists[0].person)} is typing…`;
      line.classList.add("busy");
    } else if (last) {
      const who = last.author.id === me.id ? "You" : nameOf(last.author);
      line.textContent = `${who}: ${summary(last)}`;
    } else {
      line.textContent = isGroup(place) ? `${place.members.length} members` : "No messages yet";
    }
    const count = unread.get(id) ?? 0;
    const face = isGroup(place) ? make("span", { className: "avatar hue-group", ariaHidden: "true", textContent: "#" }) : avatar(place.members[0]);
    const name = isGroup(place) ? place.name : `${place.name} & ${nameOf(bot)}`;
    const button = make("button", { type: "button", ariaCurrent: place === room ? "true" : null },
      face,
      make("span", { className: "room-text" }, make("span", { className: "room-name", textContent: name }), line),
      count ? make("span", { className: "badge", textContent: String(count), ariaLabel: `${count} unread` }) : null);
    button.dataset.key = id;
    button.onclick = () => {
      const person = isGroup(place) ? (place.members.find((member) => member.id === me.id) ?? place.members[0]) : place.members[0];
      choose(person, place);
    };
    return make("li", {}, button);
  }));
}

// ---- messages -----------------------------------------------------------------------------------------------------

const nodes = new Map(); // entry id -> li of the open room

function showRoom() {
  if (!room) return;
  const members = room.members.map((member) => (member.id === me.id ? "you" : nameOf(member)));
  $("room-name").textContent = isGroup(room) ? room.name : nameOf(bot);
  $("room-members").textContent = isGroup(room) ? members.join(", ") : `direct chat with ${nameOf(me)}`;
  const face = isGroup(room) ? make("span", { className: "avatar hue-group", textContent: "#" }) : avatar(bot);
  face.id = "room-avatar";
  $("room-avatar").replaceWith(face);
  nodes.clear();
  $("messages").replaceChildren();
  for (const entry of entries.values()) if (entry.conversation.id === room.conversation.id) append(entry);
  $("empty").hidden = nodes.size > 0;
  showTyping();
  loadDraft();
  toEnd();
}

function append(entry) {
  const node = make("li", { className: "message" });
  node.dataset.id = entry.id;
  nodes.set(entry.id, node);
  const before = $("messages").lastElementChild;
  $("messages").append(node);
  fill(node, entry, entries.get(before?.dataset.id));
  $("empty").hidden = true;
}

function refresh(entry) {
  const node = nodes.get(entry.id);
  if (!node) return;
  const isNear = isAtEnd();
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const previous = entries.get(node.previousElementSibling?.dataset.id);
  fill(node, entry, previous);
  if (focused) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  if (isNear) toEnd();
}

function fill(node, entry, previous) {
  const isMine = entry.author.id === me.id;
  const isFollowing = previous?.author.id === entry.author.id && entry.sent_ms - previous.sent_ms < GROUPED_MS;
  node.className = `message${isMine ? " mine" : ""}${isFollowing ? " following" : ""}${entry.is_deleted ? " gone" : ""}`;
  const bubble = make("div", { className: "bubble" });
  if (!isMine && !isFollowing) {
    bubble.append(make("p", { className: `author ${hueOf(entry.author.id)}` }, nameOf(entry.author),
      isBot(entry.author) ? make("span", { className: "tag", textContent: "bot" }) : null));
  } else {
    bubble.append(make("span", { className: "hidden", textContent: `${isMine ? "You" : nameOf(entry.author)}: ` }));
  }
  if (entry.quote) bubble.append(quote(entry.quote));
  for (const attachment of entry.attachments) bubble.append(file(attachment));
  if (entry.is_deleted) bubble.append(make("p", { className: "text", textContent: "This message was deleted" }));
  else if (entry.text) bubble.append(make("p", { className: "text", dir: "auto" }, ...written(entry)));
  const sent = new Date(entry.sent_ms);
  bubble.append(make("p", { className: "meta" },
    entry.is_edited && !entry.is_deleted ? make("span", { className: "edited", textContent: "edited" }) : null,
    make("time", { dateTime: sent.toISOString(), title: calendar.format(sent), textContent: clock.format(sent) })));
  const column = make("div", { className: "column" }, bubble);
  if (!entry.is_deleted) {
    bubble.append(tools(entry, isMine));
    if (entry.choices.length && !isMine) column.append(choices(entry));
    if (entry.reactions.length) column.append(reactions(entry));
  }
  node.replaceChildren(isMine ? "" : avatar(entry.author), column);
}

function quote(quoted) {
  const author = quoted.author ? nameOf(quoted.author) : "Somebody";
  const original = entries.get(quoted.id);
  const said = (original?.text === quoted.text ? plain(original) : quoted.text) || "file";
  const jump = () => {
    const target = nodes.get(quoted.id);
    target?.scrollIntoView({ block: "center" });
    target?.classList.add("found");
    setTimeout(() => target?.classList.remove("found"), 1500);
  };
  return make("button", { type: "button", className: "quote", title: "Show the quoted message", onclick: jump },
    make("strong", { textContent: author }), make("span", { textContent: said }));
}

const SHOWN = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

function file(attachment) {
  const url = `/files/${encodeURIComponent(attachment.id)}`;
  const name = attachment.name ?? "file";
  if (SHOWN.includes(attachment.content_type)) {
    const image = make("img", { src: url, alt: name, loading: "lazy", onload: () => isAtEnd(320) && toEnd() });
    return make("a", { className: "image", href: url, target: "_blank", rel: "noopener noreferrer" }, image);
  }
  const size = attachment.size_bytes === null ? "" : bytes(attachment.size_bytes);
  return make("a", { className: "file", href: url, download: name }, symbol("file"),
    make("span", {}, make("strong", { textContent: name }), make("small", { textContent: size })));
}

/// Answers to a question: each says its words.
function choices(entry) {
  const list = make("div", { className: "reactions", role: "group", ariaLabel: "Answers" });
  for (const choice of entry.choices) {
    const button = make("button", { type: "button", textContent: choice });
    button.dataset.key = `choice ${choice}`;
    button.onclick = () => say(me.id, entry.conversation.id, choice);
    list.append(button);
  }
  return list;
}

function reactions(entry) {
  const list = make("div", { className: "reactions", role: "group", ariaLabel: "Reactions" });
  for (const { emoji, people: who } of entry.reactions) {
    const isMine = who.some((person) => person.id === me.id);
    const names = who.map(nameOf).join(", ");
    const button = make("button", { type: "button", ariaPressed: String(isMine), title: names, ariaLabel: `${emoji} from ${names}` },
      emoji, make("span", { textContent: String(who.length) }));
    button.dataset.key = `reaction ${emoji}`;
    button.onclick = () => toggle(entry, emoji);
    list.append(button);
  }
  return list;
}

function toggle(entry, emoji) {
  const now = entries.get(entry.id) ?? entry;
  const shown = now.reactions.find((found) => found.emoji === emoji);
  const isRemoved = shown?.people.some((person) => person.id === me.id) ?? false;
  return act("react", { person: me.id, message: entry.id, emoji, is_removed: isRemoved });
}

function tools(entry, isMine) {
  const bar = make("div", { className: "tools", role: "group", ariaLabel: "Message actions" });
  const picker = make("div", { className: "picker", role: "group", ariaLabel: "Emoji", hidden: true });
  const reacting = iconButton("react", "React", () => {
    picker.hidden = !picker.hidden;
    reacting.ariaExpanded = String(!picker.hidden);
    if (!picker.hidden) picker.firstElementChild.focus();
  });
  const close = () => {
    picker.hidden = true;
    reacting.ariaExpanded = "false";
    reacting.focus();
  };
  reacting.ariaExpanded = "false";
  for (const emoji of EMOJI) {
    picker.append(make("button", { type: "button", textContent: emoji, ariaLabel: `React with ${emoji}`, onclick: () => {
      close();
      toggle(entry, emoji);
    } }));
  }
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 4, ArrowUp: -4 };
  picker.onkeydown = (event) => {
    if (event.key === "Escape") close();
    if (!(event.key in steps)) return;
    event.preventDefault();
    const at = [...picker.children].indexOf(document.activeElement);
    picker.children[at + steps[event.key]]?.focus();
  };
  bar.append(reacting, iconButton("reply", "Reply", () => setContext({ quote: entry.id })));
  if (isMine) {
    if (entry.text) bar.append(iconButton("edit", "Edit", () => setContext({ editing: entry.id })));
    bar.append(iconButton("delete", "Delete", () => act("delete", { person: me.id, message: entry.id })));
  }
  [...bar.children].forEach((button, index) => (button.dataset.key = `tool ${index}`));
  bar.append(picker);
  return bar;
}

document.addEventListener("pointerdown", (event) => {
  for (const picker of document.querySelectorAll(".picker:not([hidden])")) {
    if (!picker.parentElement.contains(event.target)) picker.hidden = true;
  }
});

function showTyping() {
  const who = [...typing.values()].filter((one) => one.room === room?.conversation.id && one.person.id !== me.id);
  const isNear = isAtEnd();
  if (!who.length) return $("typing").replaceChildren();
  const names = who.map((one) => nameOf(one.person)).join(" and ");
  const dots = make("span", { className: "dots", ariaHidden: "true" }, make("i"), make("i"), make("i"));
  $("typing").replaceChildren(avatar(who[0].person), dots, make("span", { textContent: `${names} ${who.length > 1 ? "are" : "is"} typing` }));
  if (isNear) toEnd();
}

const scroll = $("scroll");
const isAtEnd = (slack = 80) => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < slack;
function toEnd() {
  scroll.scrollTop = scroll.scrollHeight;
  $("jump").hidden = true;
}
scroll.addEventListener("scroll", () => isAtEnd() && ($("jump").hidden = true), { passive: true });
$("jump").onclick = toEnd;

// ---- text ---------------------------------------------------------------------------------------------------------

const MARKS = [["**", "strong"], ["||", "spoiler"], ["*", "em"], ["~", "s"], ["`", "code"]];

/// The text as nodes: mentions, links, and markup where the message says that it holds some.
function written(entry) {
  const mentions = utf16(entry.text, entry.mentions);
  return parse(entry.text, 0, entry.text.length, mentions, entry.is_styled);
}

/// The same on one line, for quotes and previews; a spoiler stays one.
function plain(entry) {
  if (!entry.is_styled) return entry.text;
  const shown = make("span", {}, ...written(entry));
  for (const spoiler of shown.querySelectorAll(".spoiler")) spoiler.textContent = "▒▒▒▒";
  return shown.textContent;
}

/// The network counts bytes of UTF-8, the browser counts UTF-16.
function utf16(text, mentions) {
  if (!mentions.length) return [];
  const raw = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  const at = (offset) => decoder.decode(raw.subarray(0, offset)).length;
  return mentions.map(({ who, range }) => ({ who, start: at(range.start), end: at(range.end) }));
}

function parse(text, start, end, mentions, isStyled) {
  const found = [];
  let plain = "";
  const flush = () => {
    if (plain) found.push(...linked(plain));
    plain = "";
  };
  let at = start;
  while (at < end) {
    const mention = mentions.find((one) => one.start === at && one.end <= end);
    if (mention) {
      flush();
      const isMe = mention.who.id === me.id;
      found.push(make("span", { className: `mention${isMe ? " me" : ""}`, textContent: text.slice(at, mention.end) }));
      at = mention.end;
      continue;
    }
    if (isStyled && text[at] === "\\" && at + 1 < end && "*~|`\\".includes(text[at + 1])) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    const marked = isStyled ? mark(text, at, end) : null;
    if (marked) {
      flush();
      found.push(styled(text, marked, mentions));
      at = marked.after;
      continue;
    }
    plain += text[at];
    at += 1;
  }
  flush();
  return found;
}

function mark(text, at, end) {
  for (const [sign, tag] of MARKS) {
    if (!text.startsWith(sign, at)) continue;
    let close = at + sign.length;
    while (close < end) {
      if (text[close] === "\\" && tag !== "code") close += 1;
      else if (text.startsWith(sign, close) && close > at + sign.length) break;
      close += 1;
    }
    if (close + sign.length <= end && text.startsWith(sign, close)) {
      return { tag, from: at + sign.length, to: close, after: close + sign.length };
    }
  }
  return null;
}

function styled(text, { tag, from, to }, mentions) {
  if (tag === "code") return make("code", { textContent: text.slice(from, to) });
  const inner = parse(text, from, to, mentions, true);
  if (tag !== "spoiler") return make(tag, {}, ...inner);
  const button = make("button", { type: "button", className: "spoiler", ariaLabel: "Spoiler, press to show" }, ...inner);
  button.onclick = () => {
    button.classList.add("shown");
    button.removeAttribute("aria-label");
  };
  return button;
}

function linked(plain) {
  return plain.split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/u).map((part, index) =>
    index % 2 ? make("a", { href: part, target: "_blank", rel: "noopener noreferrer", textContent: part }) : part);
}

// ---- writing ------------------------------------------------------------------------------------------------------

const box = $("text");
let context = {}; // {quote} or {editing}
let tray = []; // files to send

function saveDraft() {
  if (room) drafts.set(`${room.conversation.id} ${me.id}`, { text: box.value, context, tray });
}

function loadDraft() {
  const draft = drafts.get(`${room.conversation.id} ${me.id}`) ?? { text: "", context: {}, tray: [] };
  box.value = draft.text;
  tray = draft.tray;
  box.placeholder = `Message ${isGroup(room) ? room.name : nameOf(bot)} as ${nameOf(me)}`;
  setContext(draft.context, false);
  showTray();
  grow();
}

function setContext(next, isFresh = true) {
  const wasEditing = context.editing;
  context = next;
  const entry = entries.get(next.editing ?? next.quote);
  $("context").hidden = !entry;
  if (entry) {
    $("context-title").textContent = next.editing ? "Edit your message" : `Reply to ${entry.author.id === me.id ? "yourself" : nameOf(entry.author)}`;
    $("context-text").textContent = summary(entry);
  }
  if (isFresh) {
    if (next.editing) box.value = entry.text;
    else if (wasEditing) box.value = "";
    grow();
    box.focus();
  }
}

$("context-close").onclick = () => setContext({});

function grow() {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 180)}px`;
}

let typingTimer = 0;
let typingIn = null;
function startTyping() {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, 4000);
  if (typingIn || context.editing || !isConnected) return;
  typingIn = { person: me.id, conversation: room.conversation.id };
  act("typing", { ...typingIn, is_started: true });
}
function stopTyping() {
  clearTimeout(typingTimer);
  if (typingIn && isConnected) act("typing", { ...typingIn, is_started: false });
  typingIn = null;
}

box.addEventListener("input", () => {
  grow();
  if (box.value) startTyping();
  else stopTyping();
});

box.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    submit();
  } else if (event.key === "Escape" && (context.quote || context.editing)) {
    setContext({});
  } else if (event.key === "ArrowUp" && !box.value) {
    const mine = [...entries.values()].filter((entry) =>
      entry.conversation.id === room.conversation.id && entry.author.id === me.id && entry.text);
    if (mine.length) {
      event.preventDefault();
      setContext({ editing: mine.at(-1).id });
    }
  }
});

$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});

async function submit() {
  const text = box.value.trim();
  const { quote: quoted, editing } = context;
  if (editing) {
    if (!text) return toast("An edited message needs words. Delete it instead.");
    if (await act("edit", { person: me.id, message: editing, text })) setContext({});
    return;
  }
  if (!text && !tray.length) return;
  const [person, conversation, kept] = [me.id, room.conversation.id, tray];
  // The box is free for the next message at once; a failure puts the words back.
  box.value = "";
  tray = [];
  typingIn = null;
  setContext({});
  showTray();
  if (!(await say(person, conversation, text, quoted, kept)) && !box.value) {
    box.value = text;
    tray = kept;
    showTray();
    grow();
  }
}

async function say(person, conversation, text, quoted = null, attached = []) {
  const files = [];
  for (const one of attached) {
    const query = new URLSearchParams({ name: one.name, content_type: one.type || "application/octet-stream" });
    const id = await request(`/api/file?${query}`, "application/octet-stream", one);
    if (!id) return null;
    files.push(id);
  }
  return act("say", { person, conversation, text, quote: quoted, files });
}

function showChips(texts) {
  $("chips").replaceChildren(...texts.map((text) =>
    make("button", { type: "button", textContent: text, title: `Send ${text}`, onclick: () => say(me.id, room.conversation.id, text) })));
}

// ---- files --------------------------------------------------------------------------------------------------------

function attach(list) {
  for (const one of list) {
    if (one.size > 8 * 1024 * 1024) toast(`${one.name} is larger than 8 MB.`);
    else if (tray.length < 10) tray.push(one);
  }
  showTray();
  box.focus();
}

function showTray() {
  $("tray").hidden = !tray.length;
  $("tray").replaceChildren(...tray.map((one, index) => {
    const item = make("li", {}, symbol("file"), make("span", { textContent: `${one.name} (${bytes(one.size)})` }));
    item.append(iconButton("close", `Remove ${one.name}`, () => {
      tray.splice(index, 1);
      showTray();
      box.focus();
    }));
    return item;
  }));
}

$("attach").onclick = () => $("files").click();
$("files").onchange = () => {
  attach($("files").files);
  $("files").value = "";
};
box.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    attach(event.clipboardData.files);
  }
});
let dragged = 0;
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => {
  if (hasFiles(event) && ++dragged === 1) $("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (hasFiles(event) && --dragged === 0) $("drop").hidden = true;
});
addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  dragged = 0;
  $("drop").hidden = true;
  attach(event.dataTransfer.files);
});

// ---- the live view ------------------------------------------------------------------------------------------------

/// From a `!ping` to the bot's next message in that conversation, as this page sees it.
function timePing(entry) {
  const place = entry.conversation.id;
  if (!isBot(entry.author)) {
    if (entry.text.trim() !== "!ping") return;
    const waiting = pings.asked.get(place) ?? [];
    pings.asked.set(place, [...waiting.slice(-99), entry.sent_ms]);
    return;
  }
  const asked = pings.asked.get(place)?.shift();
  if (asked === undefined) return;
  pings.seconds.push(Math.max(entry.sent_ms - asked, 0) / 1000);
  if (pings.seconds.length > 40) pings.seconds.shift();
  drawPings();
}

function drawPings() {
  $("pings-none").hidden = true;
  const [width, height] = [240, 48];
  // A logarithmic scale from 1 ms to 10 s: a freeze would be a wall, and a wall is what should not be there.
  const y = (seconds) => height - 4 - (Math.log10(Math.min(Math.max(seconds, 0.001), 10) * 1000) / 4) * (height - 8);
  const step = width / 39;
  const shown = pings.seconds;
  const start = width - (shown.length - 1) * step;
  const points = shown.map((seconds, index) => `${(start + index * step).toFixed(1)},${y(seconds).toFixed(1)}`);
  const part = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const line = shown.length === 1 ? [`${width - 6},${y(shown[0]).toFixed(1)}`, ...points] : points;
  $("spark").replaceChildren(
    part("path", { class: "area", d: `M${line[0].split(",")[0]},${height} L${line.join(" L")} L${width},${height} Z` }),
    part("polyline", { class: "line", points: line.join(" ") }));
  $("pings-last").textContent = duration(Math.round(shown.at(-1) * 1e6));
  $("spark").setAttribute("aria-label", `Latency of the last ${shown.length} pings, the latest ${$("pings-last").textContent}`);
}

const toggleLive = (isOpen) => {
  $("app").classList.toggle("live-open", isOpen);
  $("live-toggle").ariaExpanded = String(isOpen);
  (isOpen ? $("live-close") : $("live-toggle")).focus();
};
$("live-toggle").onclick = () => toggleLive(!$("app").classList.contains("live-open"));
$("live-close").onclick = () => toggleLive(false);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("app").classList.contains("live-open")) toggleLive(false);
});

startOperator((id) => rooms.get(id)?.name ?? id);
$("pings-card").hidden = false;
connect();
