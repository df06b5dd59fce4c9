// The paths of all customers together, and one of them: when it failed or got slow, and who is hit.

import { ask } from "./ask.js";
import { element, table } from "./elements.js";
import { bytes, count, seconds } from "./format.js";
import { FIGURES, card, daysOf, overTime, stepOf } from "./over_time.js";
import { range, rangePicker } from "./range.js";
import { change, state, urlWith } from "./state.js";

const MOST_PATHS = 500;
const SHOWN = 100;
const MOST_CUSTOMERS = 50;
// Of the median before: what is marked.
const MUCH_SLOWER = 0.1;
const DAY_MILLISECONDS = 86_400_000;
const BY_LATENCY = { median: "median_latency", p99: "p99_latency" };
const ASCENDING = ["path", "customer_id", "availability"];

export const viewPicker = (view) =>
  element("nav", { class: "views", "aria-label": "Views" }, [["", "Customers"], ["endpoints", "Endpoints"]].map(([name, title]) =>
    element("a", { href: urlWith({ view: name, path: "", search: "", sort: "total", order: "desc" }), "data-inside": true, "aria-current": name === view && "page" }, title)));

export async function endpoints() {
  const { sort, order, by } = state();
  const isByChange = sort === "slower";
  const asked = { by: by === "method" ? by : "", sort: isByChange ? "total" : sort, order: isByChange ? "desc" : order, limit: MOST_PATHS };
  const found = await ask("/paths", { ...range(), ...asked });
  const before = await pathsBefore(found, asked);
  const key = (row) => JSON.stringify([row.path, row.method]);
  const medians = new Map((before?.paths ?? []).map((row) => [key(row), row.median_latency]));
  const slower = (row) => (row.median_latency == null || medians.get(key(row)) == null ? null : row.median_latency - medians.get(key(row)));
  const rows = isByChange ? sorted(found.paths, slower, order) : found.paths;
  const columns = [
    { title: "Path", sort: "path", value: (row) => element("a", { href: urlWith({ path: row.path, sort: "total", order: "desc", hit: isByChange ? "median" : "server_errors" }), "data-inside": true }, element("code", {}, row.path)) },
    by === "method" && { title: "Method", value: (row) => row.method ?? "–" },
    before && { title: "Slower by", sort: "slower", number: true, value: (row) => difference(slower(row), medians.get(key(row))) },
    ...FIGURES,
    rows.some((row) => row.bytes_sent != null) && { title: "Sent", sort: "bytes_sent", number: true, value: (row) => (row.bytes_sent == null ? "–" : bytes(row.bytes_sent)) },
  ].filter(Boolean);
  const sorting = { by: sort, order, change: (chosen) => change({ sort: chosen, order: chosen === sort ? (order === "asc" ? "desc" : "asc") : ASCENDING.includes(chosen) ? "asc" : "desc" }) };
  const methods = element("button", { type: "button", "aria-pressed": String(by === "method"), onclick: () => change({ by: by === "method" ? "" : "method" }) }, "By method");
  const rest = found.total - Math.min(rows.length, SHOWN);
  return [
    viewPicker("endpoints"),
    element("h1", {}, "Endpoints"),
    element("div", { class: "toolbar" }, rangePicker(), methods),
    rows.length
      ? card("wide", table("Endpoints", columns, rows.slice(0, SHOWN), sorting),
        element("p", { class: "muted" }, before
          ? `“Slower by” compares the median with ${before.from_date} – ${before.to_date}.`
          : "What got slower is not known, because the same days before are not kept: choose fewer days."),
        found.bytes_sent == null ? null : element("p", { class: "muted" }, `All of them sent ${bytes(found.bytes_sent)}.`),
        rest > 0 ? element("p", { class: "muted" }, `${count(rest)} more are not shown.`) : null)
      : element("p", { class: "card empty" }, "No requests in these days, or paths are counted in some seconds."),
  ];
}

// The same of as many days before; null where not all of these are kept.
async function pathsBefore(found, asked) {
  const first = new Date(Date.parse(found.from_date) - daysOf(found) * DAY_MILLISECONDS).toISOString().slice(0, 10);
  const last = new Date(Date.parse(found.from_date) - DAY_MILLISECONDS).toISOString().slice(0, 10);
  const before = await ask("/paths", { ...asked, from_date: first, to_date: last });
  return before.from_date === first && before.total ? before : null;
}

function sorted(rows, value, order) {
  const sign = order === "asc" ? 1 : -1;
  return [...rows].sort((one, other) => (value(one) == null) - (value(other) == null) || sign * (value(one) - value(other)));
}

function difference(value, before) {
  if (value == null) return "–";
  if (value === 0) return "unchanged";
  return element("span", { class: value > before * MUCH_SLOWER ? "bad" : "" }, `${value > 0 ? "+" : "−"}${seconds(Math.abs(value))}`);
}

export async function endpoint() {
  const { path, day, hit } = state();
  // The answer tells which days there are, and on which of them most failed.
  const days = await ask("/series", { ...range(), path, interval: "day" });
  const step = stepOf(daysOf(days));
  const series = step === 86_400 ? days : await ask("/series", { from_date: days.from_date, to_date: days.to_date, path, interval: "hour" });
  // Who is hit is asked of the day on which it was worst.
  const of = BY_LATENCY[hit] ?? "server_errors";
  const worst = days.points.reduce((most, point) => ((point[of] ?? 0) >= (most?.[of] ?? 0) ? point : most), null);
  const on = day || worst?.start.slice(0, 10) || days.to_date;
  const order = ASCENDING.includes(hit) ? "asc" : "desc";
  const customers = await ask("/paths/customers", { path, date: on, sort: hit, order, limit: MOST_CUSTOMERS });
  const columns = [
    { title: "Customer", sort: "customer_id", value: (row) => element("a", { href: urlWith({ customer: row.customer_id, path: "", view: "", day: "", from: on, to: on }), "data-inside": true }, row.customer_id) },
    ...FIGURES,
  ];
  const picker = element("label", { class: "day" }, "On", element("input", {
    type: "date", name: "day", value: on, min: "1970-01-01", max: new Date().toISOString().slice(0, 10),
    onchange: ({ target }) => target.validity.valid && target.value && change({ day: target.value }),
  }));
  const rest = customers.total - customers.customers.length;
  return [
    element("nav", { "aria-label": "Breadcrumb" }, element("a", { href: urlWith({ path: "", day: "", view: "endpoints" }), "data-inside": true }, "← All endpoints")),
    element("h1", {}, element("code", {}, path)),
    element("div", { class: "toolbar" }, rangePicker(), picker),
    series.points.length ? overTime(series.points, step) : element("p", { class: "card empty" }, "No requests to it in these days."),
    card("wide", element("h2", {}, `Who is hit on ${on}`),
      customers.customers.length
        ? table("Who is hit", columns, customers.customers, { by: hit, order, change: (chosen) => change({ hit: chosen }) })
        : element("p", { class: "empty" }, "No customer has requests to it on this day."),
      rest > 0 ? element("p", { class: "muted" }, `${count(rest)} more customers come after these.`) : null),
  ];
}
