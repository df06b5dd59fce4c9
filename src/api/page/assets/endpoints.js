// The paths of all customers together, and one of them: when it failed or got slow, and who is hit.

import { ask } from "./ask.js";
import { changesSince, pathsBefore, withChanges } from "./before.js";
import { element, longTable } from "./elements.js";
import { bytes, count, seconds } from "./format.js";
import { FIGURES, card, daysOf, overTime, stepOf } from "./over_time.js";
import { range, rangePicker } from "./range.js";
import { change, state, urlWith, withoutEndpoint } from "./state.js";
import { compared, meanings, span, tiles, withPrevious } from "./tiles.js";

const MOST_PATHS = 500;
// Of each of the two tables.
const MOST_CUSTOMERS = 100;
const ASCENDING = ["path", "customer_id", "availability"];

export const viewPicker = (view) =>
  element("nav", { class: "views", "aria-label": "Views" }, [["", "Customers"], ["endpoints", "Endpoints"]].map(([name, title]) =>
    element("a", { href: urlWith({ view: name, path: "", search: "", sort: "total", order: "desc" }), "data-inside": true, "aria-current": name === view && "page" }, title)));

export async function endpoints() {
  const { sort, order, by } = state();
  // Changes are sorted here: the api has no order by them.
  const isByChange = sort === "slower" || sort === "more_errors";
  const asked = { by: by === "method" ? by : "", sort: isByChange ? "total" : sort, order: isByChange ? "desc" : order, limit: MOST_PATHS };
  const found = await ask("/paths", { ...range(), ...asked });
  const before = await pathsBefore("/paths", found, asked);
  const changes = before ? changesSince(before) : [];
  const rows = isByChange && before ? sorted(found.paths, changes.find(({ column }) => column.sort === sort).value, order) : found.paths;
  const columns = [
    { title: "Path", sort: "path", value: (row) => element("a", { href: urlWith({ path: row.path, sort: "total", order: "desc" }), "data-inside": true }, element("code", {}, row.path)) },
    by === "method" && { title: "Method", value: (row) => row.method ?? "–" },
    ...withChanges(changes),
    rows.some((row) => row.bytes_sent != null) && { title: "Sent", sort: "bytes_sent", number: true, value: (row) => (row.bytes_sent == null ? "–" : bytes(row.bytes_sent)) },
  ].filter(Boolean);
  const sorting = { by: sort, order, change: (chosen) => change({ sort: chosen, order: chosen === sort ? (order === "asc" ? "desc" : "asc") : ASCENDING.includes(chosen) ? "asc" : "desc" }) };
  const methods = element("button", { type: "button", "aria-pressed": String(by === "method"), onclick: () => change({ by: by === "method" ? "" : "method" }) }, "By method");
  const rest = found.total - rows.length;
  const all = rows.length ? null : await ask("/customers/stats", range());
  return [
    viewPicker("endpoints"),
    element("h1", {}, "Endpoints"),
    element("div", { class: "toolbar" }, rangePicker(), methods),
    rows.length
      ? card("wide", longTable("Endpoints", columns, rows, sorting),
        element("p", { class: "muted" }, before
          ? `“More errors” and “Slower by” compare server errors and the median with ${span(before)}.`
          : "What got slower is not known, because the same days before are not kept: choose fewer days."),
        found.bytes_sent == null ? null : element("p", { class: "muted" }, `All of them sent ${bytes(found.bytes_sent)}.`),
        rest > 0 ? element("p", { class: "muted" }, `${count(rest)} more are not shown.`) : null)
      : element("p", { class: "card empty" }, all.total_requests ? "Paths are being counted, and come in some seconds." : "No requests in these days."),
    rows.length ? meanings() : null,
  ];
}

function sorted(rows, value, order) {
  const sign = order === "asc" ? 1 : -1;
  return [...rows].sort((one, other) => (value(one) == null) - (value(other) == null) || sign * (value(one) - value(other)));
}

// The figures of a path, and of the days before. null: it is not among the first ones, or has no requests.
async function figuresOf(path) {
  const asked = { limit: MOST_PATHS };
  const found = await ask("/paths", { ...range(), ...asked });
  const row = found.paths.find((one) => one.path === path);
  if (!row) return null;
  const before = await pathsBefore("/paths", found, asked);
  const rowBefore = before?.paths.find((one) => one.path === path);
  const { from_date, to_date } = found;
  return rowBefore
    ? withPrevious({ ...row, from_date, to_date }, { ...rowBefore, from_date: before.from_date, to_date: before.to_date })
    : { ...row, from_date, to_date };
}

// Whom it fails is asked of the day with most server errors, and for whom it is slow of the slowest day: often these are
// two days. A day that the reader chooses holds for both tables.
export async function endpoint() {
  const { path, day, errors, slow } = state();
  const [days, figures] = await Promise.all([ask("/series", { ...range(), path, interval: "day" }), figuresOf(path)]);
  const step = stepOf(daysOf(days));
  const series = step === 86_400 ? days : await ask("/series", { from_date: days.from_date, to_date: days.to_date, path, interval: "hour" });
  const chosen = day >= days.from_date && day <= days.to_date ? day : "";
  const tables = await Promise.all([
    whoIsHit("Who has errors", "errors", errors, dayOf(days, chosen, "server_errors", (most) => `its day with most server errors: ${count(most)}`, "no server error in these days, so the latest")),
    whoIsHit("For whom it is slow", "slow", slow, dayOf(days, chosen, "median_latency", (most) => `its slowest day: median ${seconds(most)}`, "no latency in these days, so the latest")),
  ]);
  const picker = element("label", { class: "day" }, "Day of both tables", element("input", {
    type: "date", name: "day", value: chosen, min: days.from_date, max: days.to_date,
    onchange: ({ target }) => target.validity.valid && change({ day: target.value }),
  }));
  const worst = element("button", { type: "button", "aria-pressed": String(!chosen), onclick: () => change({ day: "" }) }, "Worst day of each");
  return [
    element("nav", { "aria-label": "Breadcrumb" }, element("a", { href: urlWith({ ...withoutEndpoint(), view: "endpoints" }), "data-inside": true }, "← All endpoints")),
    element("h1", {}, element("code", {}, path)),
    element("div", { class: "toolbar" }, rangePicker()),
    figures ? [tiles(figures, figures.bytes_sent), element("p", { class: "muted" }, compared(figures))] : null,
    series.points.length ? overTime(series.points, step) : element("p", { class: "card empty" }, "No requests to it in these days."),
    element("h2", {}, "Who is hit"),
    element("div", { class: "toolbar days" }, worst, picker),
    ...tables,
    meanings(),
  ];
}

// The day that is asked about, and why: the one that is chosen, else the latest of the worst days of the range.
function dayOf({ points, to_date: last }, chosen, figure, why, whyLatest) {
  if (chosen) return { on: chosen, why: "the day that you chose" };
  const worst = points.reduce((most, point) => ((point[figure] ?? 0) >= (most?.[figure] ?? 0) ? point : most), null);
  const on = worst?.start.slice(0, 10) ?? last;
  return { on, why: worst?.[figure] ? why(worst[figure]) : whyLatest };
}

// `name`: the part of the state that has the figure to sort by.
async function whoIsHit(title, name, by, { on, why }) {
  const order = ASCENDING.includes(by) ? "asc" : "desc";
  const { customers, total } = await ask("/paths/customers", { path: state().path, date: on, sort: by, order, limit: MOST_CUSTOMERS });
  const columns = [
    // The path stays in the URL: the customer's page has the way back to it.
    { title: "Customer", sort: "customer_id", value: (row) => element("a", { href: urlWith({ customer: row.customer_id }), "data-inside": true }, row.customer_id) },
    ...FIGURES,
  ];
  const rest = total - customers.length;
  return card("wide", element("h3", {}, `${title} on ${on}, ${why}`),
    customers.length
      ? longTable(title, columns, customers, { by, order, change: (chosen) => change({ [name]: chosen }) })
      : element("p", { class: "empty" }, "No customer has requests to it on this day."),
    rest > 0 ? element("p", { class: "muted" }, `${count(rest)} more customers come after these.`) : null);
}
