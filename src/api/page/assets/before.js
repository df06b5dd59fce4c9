// The paths of as many days before, and what changed since.

import { ask } from "./ask.js";
import { element } from "./elements.js";
import { count, seconds } from "./format.js";
import { FIGURES, daysOf } from "./over_time.js";

const DAY_MILLISECONDS = 86_400_000;
// Of the figure before: a change that is marked.
const MUCH = 0.1;

// `about`: the question whose answer `found` is. null where not all of these days are kept.
export async function pathsBefore(about, found, asked) {
  const ago = (days) => new Date(Date.parse(found.from_date) - days * DAY_MILLISECONDS).toISOString().slice(0, 10);
  const first = ago(daysOf(found));
  const before = await ask(about, { ...asked, from_date: first, to_date: ago(1) });
  return before.from_date === first && before.total ? before : null;
}

// `value(row)`: how much the figure `name` of a path is above that of before; null where one of the two is not known.
export function changesSince(before) {
  const key = (row) => JSON.stringify([row.path, row.method]);
  const rows = new Map((before?.paths ?? []).map((row) => [key(row), row]));
  const change = ({ title, sort, after, name, unit }) => {
    const then = (row) => rows.get(key(row))?.[name];
    const value = (row) => (row[name] == null || then(row) == null ? null : row[name] - then(row));
    return { after, value, column: { title, sort, number: true, value: (row) => shown(value(row), then(row), unit) } };
  };
  return [
    change({ title: "More errors", sort: "more_errors", after: "server_errors", name: "server_errors", unit: count }),
    change({ title: "Slower by", sort: "slower", after: "median", name: "median_latency", unit: seconds }),
  ];
}

// The columns of figures, each change beside its figure.
export const withChanges = (changes) => FIGURES.flatMap((column) =>
  [column, ...changes.filter(({ after }) => after === column.sort).map(({ column: ofChange }) => ofChange)]);

function shown(value, before, unit) {
  if (value == null) return "–";
  if (value === 0) return "unchanged";
  return element("span", { class: value > before * MUCH ? "bad" : "" }, `${value > 0 ? "+" : "−"}${unit(Math.abs(value))}`);
}
