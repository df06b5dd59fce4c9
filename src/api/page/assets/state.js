// The state of the page is its URL, so that it can be shared and the browser can go back.

import { base } from "./base.js";

const DEFAULTS = { customer: "", from: "", to: "", search: "", sort: "total", order: "desc", status: "all", only: "", tz: "", view: "", path: "", by: "", day: "", errors: "server_errors", slow: "median" };

// Whoever may see one customer alone need not name it.
export function showOnly(customer) {
  DEFAULTS.customer = customer;
}

export const isOnly = () => DEFAULTS.customer !== "";

export function state() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, query.get(name) ?? DEFAULTS[name]]));
}

// Changes that leave an endpoint, with what was chosen on its page.
export const withoutEndpoint = () => Object.fromEntries(["path", "day", "errors", "slow"].map((name) => [name, DEFAULTS[name]]));

// The URL of the state with these changes.
export function urlWith(changes) {
  const next = { ...state(), ...changes };
  const query = new URLSearchParams(Object.entries(next).filter(([name, value]) => value !== DEFAULTS[name]));
  return query.size ? `${base}?${query}` : base;
}

// `replace`: adds no step to the history, for text that is being typed.
export function change(changes, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", urlWith(changes));
  dispatchEvent(new Event("statechange"));
}
