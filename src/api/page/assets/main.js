// Shows what the URL says, and again when the URL or the store changes.

import { base } from "./base.js";
import { redraw, sweep } from "./charts.js";
import { customer } from "./customer.js";
import { element } from "./elements.js";
import { endpoint, endpoints } from "./endpoints.js";
import { list, some } from "./list.js";
import { listen } from "./live.js";
import { rangePicker } from "./range.js";
import { enter, leave } from "./session.js";
import { isOnly, showOnly, state } from "./state.js";
import { zone } from "./zone.js";

const PAUSE_MILLISECONDS = 1000;
const content = document.getElementById("content");
let showing = false;
let again = false;
let waiting = null;
// The customers of a key that shows some and not all, else null.
let customers = null;

// Renders once at a time; later changes are rendered afterwards.
async function show() {
  if (showing) { again = true; return; }
  showing = true;
  do {
    again = false;
    const asked = location.search;
    const { customer: id, path, view } = state();
    let made;
    try {
      made = await (id ? customer() : customers ? some(customers) : path ? endpoint() : view === "endpoints" ? endpoints() : list());
    } catch (error) {
      if (error.status === 401) return location.reload();
      // While the store does not answer, the last figures stay, and the banner says why.
      if ((error.status == null || error.status >= 500) && content.querySelector("h1")) continue;
      made = [element("h1", {}, id || path || (view === "endpoints" ? "Endpoints" : "Customers")), element("div", { class: "toolbar" }, rangePicker()), element("p", { class: "card empty" }, error.message),
        id && !isOnly() ? element("p", {}, element("a", { href: base, "data-inside": true }, "← All customers")) : null];
    }
    if (asked !== location.search) { again = true; continue; }
    document.title = id || path ? `${id || path} – Request statistics` : "Request statistics";
    replace(made.flat().filter((part) => part != null));
    document.getElementById("zone").textContent = zone();
  } while (again);
  showing = false;
}

// Keeps the reader's state: the focus, typed text, and open details.
function replace(parts) {
  const key = (node) => node?.closest?.("main") && (node.localName === "summary" ? titleOf(node.parentElement) : node.name || node.getAttribute("href") || node.textContent);
  const at = key(document.activeElement);
  const unfolded = new Set([...content.querySelectorAll("details[open]")].map(titleOf));
  const typedIn = ["input", "select"].includes(document.activeElement.localName) && document.activeElement.closest(".toolbar");
  if (typedIn) replaceAround(typedIn, parts);
  else content.replaceChildren(...parts);
  for (const details of content.querySelectorAll("details")) details.open = unfolded.has(titleOf(details));
  const found = at && !typedIn ? [...content.querySelectorAll("a, button, input, summary")].find((node) => key(node) === at) : null;
  found?.focus({ preventScroll: true });
  sweep();
}

// A new toolbar would lose a partly typed date or composed character.
function replaceAround(toolbar, parts) {
  const place = parts.findIndex((part) => part.matches(".toolbar"));
  const made = parts[place].querySelectorAll("button");
  toolbar.querySelectorAll("button").forEach((button, at) => button.setAttribute("aria-pressed", made[at].getAttribute("aria-pressed")));
  for (const child of [...content.children]) if (child !== toolbar) child.remove();
  toolbar.before(...parts.slice(0, place));
  toolbar.after(...parts.slice(place + 1));
}

const titleOf = (details) => details.parentElement.querySelector("figcaption").textContent;

function follow(event) {
  const link = event.target.closest("a[data-inside], #home");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  scrollTo(0, 0);
  show().then(() => content.focus());
}

const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
function choose(name) {
  if (name) document.documentElement.dataset.theme = name;
  theme.textContent = (name ?? (dark.matches ? "dark" : "light")) === "dark" ? "Light" : "Dark";
  redraw();
}
theme.addEventListener("click", () => {
  const next = theme.textContent.toLowerCase();
  localStorage.setItem("theme", next);
  choose(next);
});
dark.addEventListener("change", () => choose(localStorage.getItem("theme")));
choose(localStorage.getItem("theme"));

addEventListener("statechange", show);
addEventListener("popstate", () => {
  // Its typed text belongs to the URL before.
  content.querySelector(".toolbar")?.remove();
  show();
});
document.addEventListener("click", follow);
document.getElementById("home").href = base;
const found = await enter(content);
if (found.scope === "customer") customers = found.customers;
if (customers?.length === 1) showOnly(customers[0]);
const out = document.getElementById("leave");
out.hidden = !found.has_session;
out.addEventListener("click", leave);
show();
listen(() => {
  waiting ??= setTimeout(() => { waiting = null; show(); }, PAUSE_MILLISECONDS);
});
