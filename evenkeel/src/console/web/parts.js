// What all rooms of the page use. Everything people wrote reaches the document through textContent, never as markup.

export const $ = (id) => document.getElementById(id);

// The token has done its work, and the cookie has it now: it belongs into no history and no screenshot.
if (location.search) history.replaceState(null, "", location.pathname);

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function symbol(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

export function iconButton(name, label, action) {
  return make("button", { type: "button", className: "icon", title: label, ariaLabel: label, onclick: action }, symbol(name));
}

export function duration(microseconds) {
  if (microseconds < 1000) return `${microseconds} µs`;
  if (microseconds < 1e6) return `${(microseconds / 1e3).toFixed(microseconds < 1e4 ? 1 : 0)} ms`;
  return `${(microseconds / 1e6).toFixed(1)} s`;
}

export function long(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/// Moves as little as it can: whatever is moved loses focus and selection.
export function reorder(list, children) {
  for (const child of [...list.children]) if (!children.includes(child)) child.remove();
  children.forEach((child, index) => {
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
}

let toastTimer = 0;
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), 6000);
}

export async function request(path, type, body) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", headers: { "content-type": type }, body });
  } catch {
    toast("The bot is away: nothing was sent.");
    return null;
  }
  if (!answer.ok) {
    toast(answer.status === 413 ? "That is too large: files may have up to 8 MB." : await answer.text());
    return null;
  }
  return answer.status === 204 ? true : answer.json();
}

/// Whether the bot has been started anew: cookies are good for one run, and only the address with the token helps.
export async function isLockedOut() {
  try {
    const answer = await fetch("/icon.svg", { method: "HEAD", cache: "no-store" });
    $("locked").hidden = answer.status !== 403;
  } catch {
    $("locked").hidden = true;
  }
  return !$("locked").hidden;
}

/// What stands between backticks is code.
export function coded(text) {
  return text.split(/`([^`]+)`/u).map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));
}

export const act = (verb, what) => request(`/api/${verb}`, "application/json", JSON.stringify(what));
