// Requests, latencies and availability over time: of a customer, of all together, or of a path.

import { lines, stacked } from "./charts.js";
import { element } from "./elements.js";
import { count, percent, seconds, time } from "./format.js";

const HOURS_UP_TO_DAYS = 3;

export const FIGURES = [
  { title: "Requests", sort: "total", number: true, value: (row) => count(row.total_requests) },
  { title: "Client errors", sort: "client_errors", number: true, value: (row) => count(row.client_errors) },
  { title: "Server errors", sort: "server_errors", number: true, value: (row) => element("span", { class: row.server_errors && "bad" }, count(row.server_errors)) },
  { title: "Availability", sort: "availability", number: true, value: (row) => percent(row.availability) },
  { title: "Median", sort: "median", number: true, value: (row) => seconds(row.median_latency) },
  { title: "p99", sort: "p99", number: true, value: (row) => seconds(row.p99_latency) },
];

export const card = (kind, ...children) => element("section", { class: `card ${kind}` }, children);

// Days of the range of an answer.
export const daysOf = ({ from_date: from, to_date: to }) => (Date.parse(to) - Date.parse(from)) / 86_400_000 + 1;

// Seconds of a point of a chart of so many days.
export const stepOf = (days) => (days <= HOURS_UP_TO_DAYS ? 3600 : 86_400);

export function overTime(points, step) {
  // Charts have one clock: that of the zone stands for UTC.
  const times = points.map((point) => Date.parse(`${point.start.slice(0, 19)}Z`) / 1000);
  const of = (name) => points.map((point) => point[name]);
  const columns = [{ title: step === 3600 ? "Hour" : "Day", value: (row) => time(row.start).slice(0, step === 3600 ? 16 : 10) }, ...FIGURES];
  const least = Math.min(...of("availability"));
  const others = points.map((point) => point.failed_requests - point.client_errors - point.server_errors);
  return element("div", { class: "grid" },
    card("wide", stacked("Requests", times, [
      { label: "Successful", color: "good", values: of("successful_requests") },
      { label: "Client errors", color: "warn", values: of("client_errors") },
      { label: "Server errors", color: "bad", values: of("server_errors") },
      ...(others.some(Boolean) ? [{ label: "Other failures", color: "muted", values: others }] : []),
    ], step, count, columns, points)),
    card("", lines("Latency", times, [
      { label: "Median", color: "accent", values: of("median_latency") },
      { label: "p99", color: "warn", values: of("p99_latency") },
    ], step, seconds, columns, points)),
    card("", lines("Availability", times, [{ label: "Availability", color: "good", values: of("availability") }], step, percent, columns, points,
      () => [Math.max(0, Math.floor(least - 1)), 100.2])));
}
