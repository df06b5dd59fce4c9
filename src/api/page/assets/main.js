// Shows what the URL says, and again when the URL or the store changes.

import { base } from "./base.js";
import { redraw, sweep } from "./charts.js";
import { customer } from "./customer.js";
import { element, visible } from "./elements.js";
import { endpoint, endpoints, viewPicker } from "./endpoints.js";
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
// What was shown last: a customer, an endpoint, or a list. null: nothing yet.
let place = null;
// The customers of a key that shows some and not all, else null.
let customers = null;

// Renders once at a time; later changes are rendered afterwards.
async function show() {
  if (showing) { again = true; return; }
  showing = true;
  do {
    again = false;
    const asked = location.search;
    const { customer: id, path, view, from, to } = state();
    let made;
    try {
      if (to && from > to) throw Object.assign(new Error(`The range begins on ${from}, but ends on ${to}. Choose other dates.`), { status: 422 });
      made = await (id ? customer() : customers ? some(customers) : path ? endpoint() : view === "endpoints" ? endpoints() : list());
    } catch (error) {
      if (error.status === 401) return location.reload();
      // While the store does not answer, the last figures stay, and the banner says why.
      if ((error.status == null || error.status >= 500) && content.querySelector("h1")) continue;
      made = [id || customers ? null : viewPicker(view), element("h1", {}, id || path || (view === "endpoints" ? "Endpoints" : "Customers")), element("div", { class: "toolbar" }, rangePicker()), element("p", { class: "card empty" }, error.message),
        id && !isOnly() ? element("p", {}, element("a", { href: base, "data-inside": true }, "← All customers")) : null];
    }
    if (asked !== location.search) { again = true; continue; }
    document.title = id || path ? `${visible(id || path)} – Request statistics` : "Request statistics";
    replace(made.flat().filter((part) => part != null));
    document.getElementById("zone").textContent = zone();
  } while (again);
  showing = false;
}

// Keeps the reader's state: the focus, typed text, and open details. At another place the focus is at its heading.
function replace(parts) {
  const { customer: id, path, view } = state();
  const now = JSON.stringify([id, path, view]);
  const isElsewhere = place != null && place !== now;
  place = now;
  const heading = parts.find((part) => part.matches("h1"));
  heading.tabIndex = -1;
  // After the filters, where there are any.
  const figures = parts[parts.findIndex((part) => part.matches(".toolbar")) + 1];
  Object.assign(figures, { id: "figures", tabIndex: -1 });
  const key = (node) => node?.closest?.("main") && (node.id || (node.localName === "summary" ? titleOf(node.parentElement) : node.name || node.getAttribute("href") || node.textContent));
  const at = key(document.activeElement);
  const unfolded = new Set([...content.querySelectorAll("details[open]")].map(titleOf));
  const typedIn = !isElsewhere && ["input", "select"].includes(document.activeElement.localName) && document.activeElement.closest(".toolbar");
  if (typedIn) replaceAround(typedIn, parts);
  else content.replaceChildren(...parts);
  for (const details of content.querySelectorAll("details")) details.open = unfolded.has(titleOf(details));
  const found = at && !typedIn ? [...content.querySelectorAll("a, button, input, summary, h1, .chart, #figures")].find((node) => key(node) === at) : null;
  (isElsewhere ? heading : found)?.focus({ preventScroll: true });
  sweep();
}

// A new toolbar would lose a partly typed date or composed character.
function replaceAround(toolbar, parts) {
  const isToolbar = (part) => part.matches(".toolbar");
  const place = parts.indexOf(parts.filter(isToolbar)[[...content.children].filter(isToolbar).indexOf(toolbar)]);
  // Beside a message there are fewer filters.
  if (place < 0) return content.replaceChildren(...parts);
  const made = parts[place].querySelectorAll("button");
  toolbar.querySelectorAll("button").forEach((button, at) => made[at] && button.setAttribute("aria-pressed", made[at].getAttribute("aria-pressed")));
  for (const child of [...content.children]) if (child !== toolbar) child.remove();
  toolbar.before(...parts.slice(0, place));
  toolbar.after(...parts.slice(place + 1));
}

const titleOf = (details) => (details.parentElement.querySelector(":scope > figcaption") ?? details.querySelector("summary")).textContent;

function follow(event) {
  const link = event.target.closest("a[data-inside], #home");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  scrollTo(0, 0);
  show();
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
  content.querySelectorAll(".toolbar").forEach((toolbar) => toolbar.remove());
  show();
});
document.addEventListener("click", follow);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  (document.getElementById("figures") ?? content).focus();
});
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
