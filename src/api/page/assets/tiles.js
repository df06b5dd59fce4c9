// The figures of a range at a glance, and how they changed since the days before.

import { element } from "./elements.js";
import { bytes, count, percent, seconds } from "./format.js";
import { dateAgo } from "./zone.js";

const TILES = [
  { title: "Requests", name: "total_requests", unit: count },
  { title: "Failed", name: "failed_requests", unit: count, isBad: true },
  { title: "Client errors", name: "client_errors", unit: count },
  { title: "Server errors", name: "server_errors", unit: count, isBad: true },
  { title: "Uptime", name: "uptime", unit: percent },
  { title: "Availability", name: "availability", unit: percent },
  { title: "Median", name: "median_latency", unit: seconds },
  { title: "p99", name: "p99_latency", unit: seconds },
];

const MEANINGS = [
  ["Uptime", "The percent of requests that succeeded, whoever was to blame for the others."],
  ["Availability", "The percent of requests without a server error. A client's mistake does not lower it."],
  ["Server error", "A status from 500 to 599, or no answer at all."],
  ["Client error", "A status from 400 to 499."],
  ["Median", "Half of the requests took at most this long."],
  ["p99", "99 of 100 requests took at most this long."],
];

// What the figures of a page are.
export const meanings = () => element("details", { class: "means" }, element("summary", {}, "What do these figures mean?"),
  element("dl", {}, MEANINGS.map(([title, text]) => [element("dt", {}, title), element("dd", {}, text)]).flat()));

const hasToday = (figures) => figures.to_date >= dateAgo(0);

// `sent`: bytes; null where none were logged.
export function tiles(figures, sent = null) {
  return element("dl", { class: "tiles" }, TILES.map(({ title, name, unit, isBad }) =>
    element("div", { class: `tile ${isBad && figures[name] ? "bad" : ""}` },
      element("dt", {}, title), element("dd", {}, unit(figures[name])),
      figures.previous ? element("dd", { class: "change" }, change(figures, name, unit)) : null)),
    sent == null ? null : element("div", { class: "tile" }, element("dt", {}, "Sent"), element("dd", {}, bytes(sent))));
}

// Figures with those of the days before, as the api's `compare=previous` has them.
export function withPrevious(figures, previous) {
  const difference = ({ name }) => {
    const [now, then] = [figures[name], previous[name]];
    if (now == null || then == null) return { absolute: null, percent: null };
    return { absolute: now - then, percent: then ? (100 * (now - then)) / then : null };
  };
  return { ...figures, previous, differences: Object.fromEntries(TILES.map((tile) => [tile.name, difference(tile)])) };
}

// What the changes in the tiles are to.
export function compared(figures) {
  const { previous } = figures;
  if (previous) return `Changes are to ${span(previous)}.${hasToday(figures) ? " Today is not over: its figures are those so far." : ""}`;
  return "Nothing is compared: of the days before, not all are kept, or nothing was counted yet when they began.";
}

// The days of an answer. One day is named once.
export const span = ({ from_date: from, to_date: to }) => (from === to ? from : `${from} – ${to}`);

function change(figures, name, unit) {
  const text = difference(figures, name, unit);
  return hasToday(figures) && text !== "–" ? `${text} so far` : text;
}

function difference(figures, name, unit) {
  const { absolute, percent: share } = figures.differences[name];
  if (absolute == null) return "–";
  if (absolute === 0) return "unchanged";
  const sign = absolute > 0 ? "+" : "−";
  if (name === "uptime" || name === "availability") return `${sign}${Math.round(Math.abs(absolute) * 1000) / 1000} points`;
  const size = unit(Math.abs(absolute));
  return share == null ? `${sign}${size}` : `${sign}${size} (${sign}${Math.round(Math.abs(share) * 10) / 10} %)`;
}
