// The time zone of a customer's days: by default the one of the api.

import { element } from "./elements.js";
import { change, state } from "./state.js";

const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone;
let usual = "UTC";

// The zone that the api takes where none is asked for, as its answers tell.
export function noteZone(answer) {
  if (!state().tz) usual = answer.time_zone ?? "UTC";
}

// Of the list of all customers: UTC.
export function zone() {
  const { customer, tz } = state();
  if (!customer) return "UTC";
  return isZone(tz) ? tz : usual;
}

function isZone(name) {
  try {
    return name !== "" && Boolean(new Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

// The date in the zone, so many days ago.
export function dateAgo(ago) {
  const today = new Date().toLocaleDateString("sv-SE", { timeZone: zone() });
  return new Date(Date.parse(today) - ago * 86_400_000).toISOString().slice(0, 10);
}

export function zonePicker() {
  const names = [...new Set([usual, OWN, "UTC", ...Intl.supportedValuesOf("timeZone")])];
  const chosen = zone();
  if (!names.includes(chosen)) names.push(chosen);
  const options = names.map((name) => element("option", { value: name, selected: name === chosen }, name));
  const apply = ({ target }) => target.value !== zone() && change({ tz: target.value === usual ? "" : target.value });
  // Each key in a closed list changes the choice. The last one counts, when Enter is pressed or the list is left.
  let isByKey = false;
  return element("label", { class: "zone" }, "Time zone",
    element("select", {
      name: "tz", title: "With a keyboard: Enter applies the choice.",
      onpointerdown: () => { isByKey = false; },
      onkeydown: (event) => {
        if (event.key === "Enter") apply(event);
        else isByKey = !event.altKey && event.key !== " ";
      },
      onchange: (event) => { if (!isByKey) apply(event); },
      onblur: apply,
    }, options));
}
