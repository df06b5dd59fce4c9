// Who looks at the page. Where the api asks for a key, the page asks for it once, and a cookie that no script can read
// stands for it. A customer's link has a path of its own, and so has its cookie.

import { base } from "./base.js";
import { element } from "./elements.js";

const BEGINS_LIKE_A_KEY = /^#\W*rs_/;
// After it stands what a program that sent the link on may have added.
const KEY = /rs_[0-9a-f]{12}_[\w-]{43}/;

// The key of a customer's link. It leaves the address, and with it the history, before anything else happens.
let given = null;
if (BEGINS_LIKE_A_KEY.test(location.hash)) {
  if (base !== "/") given = KEY.exec(location.hash)?.[0] ?? "";
  history.replaceState(null, "", location.pathname + location.search);
}
// Another link in the same tab changes only what is after the hash.
addEventListener("hashchange", () => { if (BEGINS_LIKE_A_KEY.test(location.hash)) location.reload(); });

// What the caller may see: { scope, customers, has_session }. null: nobody is logged in.
export async function session() {
  const answered = await fetch(`${base}session`);
  if (answered.status === 401) return null;
  if (!answered.ok) throw new Error(`The api answers with status ${answered.status}.`);
  return answered.json();
}

// Waits until somebody is logged in. `content`: where the form is shown.
export async function enter(content) {
  let fault = given ? await login(given) : "";
  given = null;
  for (;;) {
    const found = await session().catch(() => undefined);
    if (found) return found;
    if (found === undefined) {
      content.replaceChildren(element("p", { class: "card empty" }, "The api does not answer."));
      await new Promise((again) => setTimeout(again, 5000));
      continue;
    }
    fault = await form(content, fault);
  }
}

export async function leave() {
  await fetch(`${base}logout`, { method: "POST" });
  location.replace(base);
}

// Returns what went wrong, or nothing.
async function login(key) {
  const answered = await fetch(`${base}login`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }),
  }).catch(() => null);
  if (answered == null) return "The api does not answer.";
  if (answered.ok) return isSecureContext ? "" : "The browser keeps a login only over HTTPS, or at http://localhost.";
  return (await answered.json().catch(() => ({}))).detail ?? `The api answers with status ${answered.status}.`;
}

function form(content, fault) {
  return new Promise((done) => {
    const input = element("input", { type: "password", name: "key", required: true, autocomplete: "current-password", "aria-label": "Key", placeholder: "rs_…" });
    const submit = (event) => {
      event.preventDefault();
      login(input.value.trim()).then(done);
    };
    const text = base === "/" ? "These statistics need a key." : "This link is no longer valid. Ask for another one, or give its key.";
    content.replaceChildren(element("form", { class: "card login", onsubmit: submit },
      element("h1", {}, "Log in"), element("p", {}, text), input, element("button", { type: "submit" }, "Log in"),
      fault ? element("p", { class: "bad", role: "alert" }, fault) : null));
    input.focus();
  });
}
