// One customer: its days or hours, paths, errors, statuses, latencies, and latest requests.

import { ask } from "./ask.js";
import { changesSince, pathsBefore, withChanges } from "./before.js";
import { bars } from "./charts.js";
import { element, longTable, table } from "./elements.js";
import { bytes, count, seconds, share, timeIn } from "./format.js";
import { card, daysOf, overTime, stepOf } from "./over_time.js";
import { range, rangePicker } from "./range.js";
import { change, isOnly, state, urlWith, withoutEndpoint } from "./state.js";
import { compared, meanings, span, tiles } from "./tiles.js";
import { noteZone, zone, zonePicker } from "./zone.js";

// Errors and paths, as many as the api gives.
const MOST_ROWS = 500;
const MOST_REQUESTS = 50;

export async function customer() {
  const { customer: id, path, status, only, tz } = state();
  // The id is in the query, because a path cannot carry an id such as `..`.
  const askAbout = (what, parameters) => ask(`/customers/${what}`, { customer_id: id, ...parameters });
  const [stats, codes, latencies, paths, errors, latest] = await Promise.all([
    askAbout("stats", { ...range(), tz, compare: "previous" }),
    askAbout("status-codes", { ...range(), tz }),
    askAbout("latencies", { ...range(), tz }),
    askAbout("paths", { ...range(), limit: MOST_ROWS }),
    askAbout("errors", { ...range(), limit: MOST_ROWS }),
    askAbout("requests", { ...range(), tz, status, path: only, limit: MOST_REQUESTS }).catch((error) => {
      // A search for a path may take too long. All else is shown.
      if (!only || error.status !== 503) throw error;
      return { requests: [], fault: error.message };
    }),
  ]);
  noteZone(stats);
  const before = await pathsBefore("/customers/paths", paths, { customer_id: id, limit: MOST_ROWS });
  const step = stepOf(daysOf(stats));
  const series = await askAbout("series", {
    interval: step === 3600 ? "hour" : "day", from: stats.from_date, to: `${stats.to_date}T23:59:59`, tz,
  });
  return [
    isOnly() ? null : element("nav", { "aria-label": "Breadcrumb" },
      element("a", { href: urlWith({ ...withoutEndpoint(), customer: "", ...ALL_REQUESTS }), "data-inside": true }, "← All customers"),
      path ? [" · ", element("a", { href: urlWith({ customer: "", ...ALL_REQUESTS }), "data-inside": true }, `← Who is hit at ${path}`)] : null),
    element("h1", {}, id),
    element("div", { class: "toolbar" }, rangePicker(), zonePicker()),
    tiles(stats, paths.bytes_sent),
    element("p", { class: "muted" }, compared(stats)),
    meanings(),
    stats.total_requests
      ? [overTime(series.points, step), element("div", { class: "grid" }, ofErrors(errors, stats.failed_requests), ofPaths(paths, before), ofCodes(codes), distribution(latencies)), ...ofLatest(latest)]
      : element("p", { class: "card empty" }, "No requests in these days."),
  ];
}

// What is not chosen on the page of another customer.
const ALL_REQUESTS = { status: "all", only: "" };

// The api answers with statuses, not with their outcome: the bounds are those of rollups.counts.SUCCESS.
const ofStatus = ({ status }) => element("span", { class: status >= 200 && status < 400 ? "" : "bad" }, String(status ?? "none"));

// Whose fault a status is: the bounds are those of rollups.counts.
function fault({ status }) {
  if (status == null || (status >= 500 && status < 600)) return element("span", { class: "bad" }, "server");
  return status >= 400 && status < 500 ? "client" : "nobody";
}

const utcDays = () => (zone() === "UTC" ? null : element("p", { class: "muted" }, "By days of UTC."));

function ofErrors({ errors, total }, failed) {
  const columns = [
    { title: "Path", value: (row) => element("code", {}, row.path) },
    { title: "Status", number: true, value: ofStatus },
    { title: "Fault of", value: fault },
    { title: "Requests", number: true, value: (row) => count(row.requests) },
    { title: "Latest", number: true, value: (row) => row.latest_date },
  ];
  const rest = total - errors.length;
  return card("wide", element("h2", {}, "Errors"), utcDays(),
    errors.length ? longTable("Errors", columns, errors) : element("p", {}, failed ? "These are being counted, and come in some seconds." : "No request failed."),
    rest > 0 ? element("p", { class: "muted" }, `${count(rest)} more errors have fewer requests.`) : null);
}

function ofPaths(paths, before) {
  const columns = [{ title: "Path", value: (row) => element("code", {}, row.path) }, ...withChanges(before ? changesSince(before) : [])];
  const rest = paths.total - paths.paths.length;
  return card("wide", element("h2", {}, "Paths"), utcDays(),
    paths.paths.length ? longTable("Paths", columns, paths.paths) : element("p", {}, "Paths are counted some seconds after the rest."),
    before && paths.paths.length ? element("p", { class: "muted" }, `“More errors” and “Slower by” compare server errors and the median with ${span(before)}.`) : null,
    rest > 0 ? element("p", { class: "muted" }, `${count(rest)} more paths have fewer requests.`) : null);
}

function ofCodes(codes) {
  const total = codes.status_codes.reduce((sum, row) => sum + row.requests, 0);
  const columns = [
    { title: "Status", value: ofStatus },
    { title: "Requests", number: true, value: (row) => count(row.requests) },
    { title: "Share", number: true, value: (row) => element("span", {}, element("meter", { min: 0, max: total, value: row.requests, "aria-hidden": "true" }), ` ${share(row.requests / total)}`) },
  ];
  return card("", element("h2", {}, "Status codes"), table("Status codes", columns, codes.status_codes));
}

function distribution({ bins }) {
  const columns = [
    { title: "From", value: (row) => seconds(row.from_latency) },
    { title: "To", value: (row) => seconds(row.to_latency) },
    { title: "Requests", number: true, value: (row) => count(row.requests) },
  ];
  return card("", bars("Distribution of latencies", bins.map((bin) => seconds(bin.from_latency)), bins.map((bin) => bin.requests), count, columns, bins));
}

const OUTCOMES = [["all", "All"], ["successful", "Successful"], ["failed", "Failed"], ["client_errors", "Client errors"], ["server_errors", "Server errors"]];

function ofLatest({ requests, fault }) {
  const { status, only } = state();
  const logged = (name) => requests.some((row) => row[name] != null);
  const columns = [
    { title: "Time", value: (row) => timeIn(row.time, zone()) },
    logged("method") && { title: "Method", value: (row) => row.method ?? "–" },
    { title: "Path", value: (row) => element("code", {}, row.path) },
    { title: "Status", number: true, value: ofStatus },
    { title: "Duration", number: true, value: (row) => seconds(row.duration) },
    logged("bytes") && { title: "Size", number: true, value: (row) => (row.bytes == null ? "–" : bytes(row.bytes)) },
  ].filter(Boolean);
  const choice = OUTCOMES.map(([value, title]) =>
    element("button", { type: "button", name: `requests-${value}`, "aria-pressed": String(value === status), onclick: () => change({ status: value }) }, title));
  const path = element("input", { type: "search", name: "only", value: only, placeholder: "Path contains", "aria-label": "Path contains", maxlength: 256, onchange: ({ target }) => change({ only: target.value }) });
  return [
    element("h2", {}, "Latest requests"),
    element("div", { class: "toolbar requests" }, element("div", { class: "choice", role: "group", "aria-label": "Which requests" }, choice), path),
    card("", requests.length ? longTable("Latest requests", columns, requests) : element("p", { class: "empty" }, fault ?? "There are none.")),
  ];
}
