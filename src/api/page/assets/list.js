// All customers: by traffic, failures and latency, with search.

import { ask } from "./ask.js";
import { element, isNarrow, table } from "./elements.js";
import { viewPicker } from "./endpoints.js";
import { bytes, count, percent, seconds, time } from "./format.js";
import { daysOf, overTime, stepOf } from "./over_time.js";
import { range, rangePicker } from "./range.js";
import { change, state, urlWith } from "./state.js";
import { meanings, tiles } from "./tiles.js";

const PAGE = isNarrow ? 10 : 25;
let pages = 1;

export async function list() {
  const { search, sort, order } = state();
  const [all, customers, status] = await Promise.all([ask("/customers/stats", range()), someCustomers(), ask("/status")]);
  const step = stepOf(daysOf(all));
  const series = await ask("/series", { from_date: all.from_date, to_date: all.to_date, interval: step === 3600 ? "hour" : "day" });
  const columns = [
    { title: "Customer", sort: "customer_id", value: (row) => element("a", { href: urlWith({ customer: row.customer_id, search: "" }), "data-inside": true }, row.customer_id) },
    { title: "Requests", sort: "total", number: true, value: (row) => count(row.total_requests) },
    { title: "Failed", sort: "failed", number: true, value: (row) => element("span", { class: row.failed_requests && "bad" }, count(row.failed_requests)) },
    { title: "Client errors", sort: "client_errors", number: true, value: (row) => count(row.client_errors) },
    { title: "Server errors", sort: "server_errors", number: true, value: (row) => element("span", { class: row.server_errors && "bad" }, count(row.server_errors)) },
    { title: "Uptime", sort: "uptime", number: true, value: (row) => percent(row.uptime) },
    { title: "Availability", sort: "availability", number: true, value: (row) => percent(row.availability) },
    { title: "Median", sort: "median", number: true, value: (row) => seconds(row.median_latency) },
    { title: "p99", sort: "p99", number: true, value: (row) => seconds(row.p99_latency) },
  ];
  const sorting = { by: sort, order, change: (by) => sortBy(by) };
  const searching = element("input", { type: "search", name: "search", value: search, placeholder: "Search customers", "aria-label": "Search customers", maxlength: 256,
    oninput: (event) => { pages = 1; change({ search: event.target.value }, true); },
    onkeydown: (event) => event.key === "Enter" && openOnly(event.target.value) });
  const more = customers.next && element("button", { type: "button", class: "more", onclick: () => { pages += 1; dispatchEvent(new Event("statechange")); } }, "More");
  return [
    viewPicker(""),
    element("h1", {}, "Customers"),
    element("div", { class: "toolbar" }, rangePicker(), searching),
    all.total_requests ? [tiles(all), meanings()] : null,
    series.points.length ? overTime(series.points, step) : null,
    customers.rows.length
      ? element("section", { class: "card wide" }, table("Customers", columns, customers.rows, sorting), more)
      : nothing(search, all.total_requests),
    status.writers.length > 1 ? ofWriters(status.writers) : null,
    ofLines(status.logs),
  ];
}

// The customers of a key that shows several, and not all.
export function some(customers) {
  const link = (id) => element("a", { href: urlWith({ customer: id, search: "" }), "data-inside": true }, id);
  return [
    element("h1", {}, "Customers"),
    element("section", { class: "card" }, table("Customers", [{ title: "Customer", value: link }], customers)),
  ];
}

// The processors that fill the store.
function ofWriters(writers) {
  const columns = [
    { title: "Writer", value: (row) => row.writer },
    { title: "State", value: (row) => element("span", { class: row.is_silent && "bad" }, row.is_silent ? "silent" : "reports") },
    { title: "Last report", value: (row) => (row.reported ? time(row.reported) : "none yet") },
    { title: "Counted through", value: (row) => (row.complete_through ? time(row.complete_through) : "unknown") },
    { title: "Not counted yet", number: true, value: (row) => bytes(row.bytes_behind) },
  ];
  return element("section", { class: "card" }, table("Writers", columns, writers));
}

// The lines of all days that were read: stored, rejected, skipped.
function ofLines(logs) {
  const sum = (name) => logs.reduce((total, log) => total + log[name], 0);
  if (!sum("lines_read")) return null;
  const mended = new Map();
  for (const log of logs) for (const [kind, requests] of Object.entries(log.mended)) mended.set(kind, (mended.get(kind) ?? 0) + requests);
  const kinds = [...mended].map(([kind, requests]) => `${kind.replace("_", " ")} ${count(requests)}`).join(", ");
  return element("p", { class: "lines muted" },
    `Lines read: ${count(sum("lines_read"))}, of them ${count(sum("lines_stored"))} requests, ${count(sum("lines_rejected"))} rejected, ${count(sum("lines_skipped"))} skipped. `,
    kinds ? `Requests with a mended field: ${kinds}. ` : null,
    element("a", { href: "/status" }, "By log"));
}

async function someCustomers() {
  const { search, sort, order } = state();
  const rows = [];
  let cursor = "";
  for (let page = 0; page < pages && cursor != null; page += 1) {
    const answer = await ask("/customers", { ...range(), search, sort, order, limit: PAGE, cursor });
    rows.push(...answer.customers);
    cursor = answer.next_cursor;
  }
  return { rows, next: cursor };
}

// Opens the customer that a search finds, if it finds no other.
async function openOnly(search) {
  const { customers } = await ask("/customers", { ...range(), search, limit: 2 });
  if (!search || customers.length !== 1) return;
  scrollTo(0, 0);
  change({ customer: customers[0].customer_id, search: "" });
}

function sortBy(by) {
  const { sort, order } = state();
  const first = ["customer_id", "uptime", "availability"].includes(by) ? "asc" : "desc";
  pages = 1;
  change({ sort: by, order: sort === by ? (order === "asc" ? "desc" : "asc") : first });
}

function nothing(search, total) {
  if (search && total) return element("p", { class: "card empty" }, "No customer id contains this text.");
  const { from, to } = state();
  if (from || to) return element("p", { class: "card empty" }, "No requests in these days.");
  return element("section", { class: "card empty" },
    element("h2", {}, "Nothing is counted yet"),
    element("p", {}, "When a line is appended to the log, its customer appears here. A line to try it with:"),
    element("pre", {}, `${new Date().toISOString().slice(0, 19).replace("T", " ")} cust_1 /api/v1/orders 200 0.048`),
    element("p", {}, "If lines come and nothing changes: ", element("a", { href: "/status" }, "/status"), " says how far the processor is."));
}
