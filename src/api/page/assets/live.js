// Events of the api: the progress of the store, or that it does not answer.

import { base } from "./base.js";
import { age, bytes, count, time } from "./format.js";
import { session } from "./session.js";

const LATE_SECONDS = 15;
const BEHIND_SECONDS = 10;
const AGAIN_MILLISECONDS = 5000;

const freshness = document.getElementById("freshness");
const banner = document.getElementById("banner");
let latest = null;
let heard = 0;

// `moved`: called when figures may have changed.
export function listen(moved) {
  let ledger = null;
  connect();
  setInterval(show, 1000);

  function connect() {
    const source = new EventSource(`${base}events`);
    source.addEventListener("progress", (event) => {
      latest = JSON.parse(event.data);
      heard = performance.now();
      const isBack = !banner.hidden;
      away(null);
      show();
      // After an outage, the page may not show yet what the URL says.
      if (isBack || ledger !== latest.ledger) {
        ledger = latest.ledger;
        moved();
      }
    });
    source.addEventListener("away", (event) => away(JSON.parse(event.data).detail));
    source.addEventListener("error", () => {
      away("The api does not answer.");
      // The browser does not reconnect after a response with an error.
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(connect, AGAIN_MILLISECONDS);
      // The key was revoked, or the session is over: the page asks for a key again.
      session().then((found) => { if (found == null) location.reload(); }, () => {});
    });
  }
}

// The last figures stay, and a line says that they are not live.
function away(why) {
  banner.hidden = why == null;
  if (why != null) banner.textContent = `${why} The figures are from before. The page updates when the api answers again.`;
}

function show() {
  if (latest == null) return;
  const since = (performance.now() - heard) / 1000;
  const { complete_through: through, age_seconds: of, bytes_behind: unread, records_behind: records, seen_age_seconds: seen, clock_fault: clock, missing } = latest;
  const behind = [unread && `${bytes(unread)} of the log`, records && `${count(records)} records of the topic`]
    .filter(Boolean).join(" and ");
  const tell = (kind, text) => { freshness.className = kind; freshness.textContent = text; };
  if (seen != null && seen + since > LATE_SECONDS) {
    tell("bad", `The log processor was last seen ${age(seen + since)} ago; counted through ${through ? time(through) : "nothing"}`);
  } else if (clock != null && seen < 0) {
    tell("warn", clock);
  } else if (missing.length) {
    const names = missing.filter((name) => name !== "(hidden)").join(", ");
    tell("bad", `No report from ${names ? `the writer ${names}` : "a log processor"}; counted through ${through ? time(through) : "nothing"}`);
  } else if (through == null) {
    tell("warn", behind ? `Catching up: ${behind} not counted yet` : "Nothing is counted yet");
  } else if (behind && of + since > BEHIND_SECONDS) {
    tell("warn", `Behind: ${behind} not counted yet; counted through ${time(through)}, ${age(of + since)} ago`);
  } else {
    tell("good", `Live · counted through ${time(through).slice(11)}, ${age(of + since)} ago`);
  }
  freshness.title = through ? `Every line written before ${time(through)} UTC is counted.` : "";
}
