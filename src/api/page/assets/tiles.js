// The figures of a range at a glance, and how they changed since the days before.

import { element } from "./elements.js";
import { bytes, count, percent, seconds } from "./format.js";

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

// `sent`: bytes; null where none were logged.
export function tiles(figures, sent = null) {
  return element("dl", { class: "tiles" }, TILES.map(({ title, name, unit, isBad }) =>
    element("div", { class: `tile ${isBad && figures[name] ? "bad" : ""}` },
      element("dt", {}, title), element("dd", {}, unit(figures[name])),
      figures.previous ? element("dd", { class: "change" }, change(figures, name, unit)) : null)),
    sent == null ? null : element("div", { class: "tile" }, element("dt", {}, "Sent"), element("dd", {}, bytes(sent))));
}

// What the changes in the tiles are to.
export function compared(figures) {
  if (figures.previous) return `Changes are to ${figures.previous.from_date} – ${figures.previous.to_date}.`;
  return "The days before are not kept, so nothing is compared.";
}

function change(figures, name, unit) {
  const { absolute, percent: share } = figures.differences[name];
  if (absolute == null) return "–";
  if (absolute === 0) return "unchanged";
  const sign = absolute > 0 ? "+" : "−";
  if (name === "uptime" || name === "availability") return `${sign}${Math.round(Math.abs(absolute) * 1000) / 1000} points`;
  const size = unit(Math.abs(absolute));
  return share == null ? `${sign}${size}` : `${sign}${size} (${sign}${Math.round(Math.abs(share) * 10) / 10} %)`;
}
