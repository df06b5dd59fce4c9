// The figures of a range at a glance.

import { element } from "./elements.js";
import { count, percent, seconds } from "./format.js";

export function tiles(figures) {
  const tile = (title, value, kind) => element("div", { class: `tile ${kind ?? ""}` }, element("dt", {}, title), element("dd", {}, value));
  return element("dl", { class: "tiles" },
    tile("Requests", count(figures.total_requests)),
    tile("Failed", count(figures.failed_requests), figures.failed_requests ? "bad" : ""),
    tile("Uptime", percent(figures.uptime)),
    tile("Median", seconds(figures.median_latency)),
    tile("p99", seconds(figures.p99_latency)));
}
