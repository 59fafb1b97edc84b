// The console of a running bot.

import { $, isLockedOut } from "./parts.js";
import { showBeat, showStatus } from "./live.js";
import { lookAgain, showLetters } from "./operator.js";

let retry = 500;

function connect() {
  const source = new EventSource("/api/stream");
  const hear = (name, heard) => source.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  hear("about", (about) => {
    retry = 500;
    $("about").textContent = about.greeting ? `${about.transport} · ${about.greeting}` : about.transport;
    $("name").textContent = about.name;
    $("locked").hidden = true;
    document.title = `${about.name} · Evenkeel console`;
    showBeat(true);
    lookAgain();
  });
  hear("status", showStatus);
  hear("letters", showLetters);
  source.onerror = () => {
    source.close();
    showBeat(false);
    isLockedOut();
    setTimeout(connect, retry);
    retry = Math.min(retry * 2, 5000);
  };
}

connect();
