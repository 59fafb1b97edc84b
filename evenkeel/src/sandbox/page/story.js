// The way through what a bot shows, for people who are here for the first time. Each step ticks itself off.

import { $, coded, make } from "./parts.js";

const HIDDEN = "story-hidden";
let steps = []; // {text, done, isDone}
let act = null;

/// Begins, or goes on after a lost connection. `act` does what a step asks for.
export function tellStory(told, does) {
  const said = JSON.stringify(told);
  if (steps.said === said) return;
  steps = Object.assign(told.map((step) => ({ ...step, isDone: false })), { said });
  act = does;
  show();
}

const tick = (fits) => {
  const open = steps.filter((step) => !step.isDone && fits(step.done));
  open.forEach((step) => (step.isDone = true));
  if (open.length) show();
};

export const storyHears = (entry) =>
  tick(({ said }) => said && said.person === entry.author.id && said.text === entry.text.trim());

export const storySees = (now) =>
  tick(({ blocked }) => blocked && now.blocked.some((report) => report.name === blocked.command));

document.addEventListener("decided", () => tick((done) => done === "decided"));

const isHidden = () => sessionStorage.getItem(HIDDEN) === "yes";

function hide() {
  sessionStorage.setItem(HIDDEN, "yes");
  show();
  $("text").focus();
}

function show() {
  const story = $("story");
  story.hidden = !steps.length || isHidden();
  if (story.hidden) return;
  const next = steps.find((step) => !step.isDone);
  const dots = make("ol", { className: "story-dots", ariaHidden: "true" },
    ...steps.map((step) => make("li", { className: step.isDone ? "done" : step === next ? "now" : "" })));
  const done = steps.filter((step) => step.isDone).length;
  const text = next ? next.text : "That was the tour: nothing froze, nothing was lost, and the live view said why. Try the other commands.";
  const count = next ? `Step ${steps.indexOf(next) + 1} of ${steps.length}` : `All ${done} steps done`;
  const button = next && make("button", { type: "button", className: "pill story-do", textContent: label(next.done), onclick: () => act(next.done) });
  const close = make("button", { type: "button", className: "story-close", textContent: next ? "Skip the tour" : "Close", onclick: hide });
  const hadFocus = story.contains(document.activeElement);
  story.replaceChildren(
    make("div", { className: "story-text" }, make("p", { className: "story-count" }, make("span", { textContent: count }), dots),
      make("p", {}, ...coded(text))),
    make("p", { className: "story-acts" }, button, close));
  if (hadFocus) story.querySelector("button").focus();
}

function label(done) {
  if (done.said) return `Send ${done.said.text}`;
  return done.blocked ? "Show the live view" : "Show dead letters";
}
