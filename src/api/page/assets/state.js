// What is shown is in the URL, so that it can be shared and gone back to.

const DEFAULTS = { customer: "", from: "", to: "", search: "", sort: "total", order: "desc", status: "all" };

export function state() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, query.get(name) ?? DEFAULTS[name]]));
}

// The URL of this state with some changes.
export function urlWith(changes) {
  const next = { ...state(), ...changes };
  const query = new URLSearchParams(Object.entries(next).filter(([name, value]) => value !== DEFAULTS[name]));
  return query.size ? `/?${query}` : "/";
}

// `replace`: without a step to go back to, for what is typed.
export function change(changes, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", urlWith(changes));
  dispatchEvent(new Event("statechange"));
}
