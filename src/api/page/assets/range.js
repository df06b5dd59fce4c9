// The range of days: presets, and two dates.

import { element } from "./elements.js";
import { change, state } from "./state.js";

const PRESETS = [["Today", 0], ["7 days", 6], ["30 days", 29], ["All", null]];

const day = (ago) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);

export function rangePicker() {
  const { from, to } = state();
  const presets = PRESETS.map(([title, ago]) => {
    const first = ago == null ? "" : day(ago);
    return element("button", { type: "button", "aria-pressed": String(from === first && !to), onclick: () => change({ from: first, to: "" }) }, title);
  });
  const date = (name, label, value) => element("label", {}, label,
    element("input", {
      type: "date", name, value, min: "1970-01-01", max: day(0),
      // A partly typed year is in the first century.
      onchange: ({ target }) => target.validity.valid && change({ [name]: target.value }),
    }));
  return element("fieldset", { class: "range" }, element("legend", { class: "unseen" }, "Range of days"),
    presets, date("from", "From", from), date("to", "To", to));
}

// As parameters of the api.
export function range() {
  const { from, to } = state();
  return { from_date: from, to_date: to };
}
