// The range of days: presets, and two dates.

import { element } from "./elements.js";
import { change, state } from "./state.js";
import { dateAgo } from "./zone.js";

// The first and the last day, in days ago. Without a last day: until today.
const PRESETS = [["Today", 0], ["Yesterday", 1, 1], ["7 days", 6], ["30 days", 29], ["Latest", null]];

export function rangePicker() {
  const { from, to } = state();
  const presets = PRESETS.map(([title, first, last]) => {
    const [begin, end] = [first, last].map((ago) => (ago == null ? "" : dateAgo(ago)));
    return element("button", { type: "button", "aria-pressed": String(from === begin && to === end), onclick: () => change({ from: begin, to: end, day: "" }) }, title);
  });
  const date = (name, label, value) => element("label", {}, label,
    element("input", {
      type: "date", name, value, min: "1970-01-01", max: dateAgo(0),
      // A partly typed year is in the first century.
      onchange: ({ target }) => target.validity.valid && change({ [name]: target.value, day: "" }),
    }));
  return element("fieldset", { class: "range" }, element("legend", { class: "unseen" }, "Range of days"),
    presets, date("from", "From", from), date("to", "To", to));
}

// As parameters of the api.
export function range() {
  const { from, to } = state();
  return { from_date: from, to_date: to };
}
