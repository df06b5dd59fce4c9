// Makes elements. Content is always text: nothing in a log line is parsed as HTML.

import { state } from "./state.js";

// Of a table that fits a narrow screen. Rows of others become cards there.
const MOST_NARROW_COLUMNS = 3;
// On a narrow screen a row is as high as three lines or more.
export const isNarrow = matchMedia("(max-width: 760px)").matches;
const ROWS_AT_FIRST = isNarrow ? 5 : 10;
// The tables of which the reader wants all rows.
const whole = new Set();

// What shows nothing, or reorders the text around it: with it, one id would look like another. The page's own texts have
// no-break spaces inside.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}]|(?![ \u00a0])\p{Zs}|^\u00a0|\u00a0$/gu;

// The text with the codes of such characters in their places: `cust_1\u{200b}`.
export const visible = (text) => text.replace(HIDDEN, (hidden) => `\\u{${hidden.codePointAt(0).toString(16)}}`);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  const shown = children.flat().filter((child) => child != null);
  made.append(...shown.map((child) => (child instanceof Node ? child : visible(String(child)))));
  return made;
}

// `columns`: { title, value(row), number, sort }. `sorting`: { by, order, change(by) }, if the table can be sorted.
export function table(caption, columns, rows, sorting) {
  const head = columns.map((column) => {
    const sorted = sorting && column.sort === sorting.by;
    const direction = sorting?.order === "asc" ? "ascending" : "descending";
    const title = sorting && column.sort
      ? element("button", { type: "button", name: `${caption}-${column.sort}`, onclick: () => sorting.change(column.sort) },
          column.title, element("span", { "aria-hidden": "true" }, sorted ? (sorting.order === "asc" ? " ↑" : " ↓") : ""))
      : column.title;
    return element("th", { scope: "col", class: column.number && "number", "aria-sort": sorted && direction }, title);
  });
  const body = rows.map((row) =>
    element("tr", {}, columns.map((column) =>
      element("td", { "data-title": column.title, class: column.number && "number" }, column.value(row)))));
  return element("table", { class: columns.length > MOST_NARROW_COLUMNS && "cards" },
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, body));
}

// A table of which the first rows are shown, and the others when the reader asks for them.
export function longTable(caption, columns, rows, sorting) {
  if (rows.length <= ROWS_AT_FIRST) return table(caption, columns, rows, sorting);
  const { customer, path } = state();
  const key = JSON.stringify([customer, path, caption]);
  const shown = () => table(caption, columns, whole.has(key) ? rows : rows.slice(0, ROWS_AT_FIRST), sorting);
  const label = () => (whole.has(key) ? `Show ${ROWS_AT_FIRST}` : `Show all ${rows.length}`);
  const button = element("button", { type: "button", class: "more", name: `all-${caption}`, onclick: () => {
    if (!whole.delete(key)) whole.add(key);
    button.textContent = label();
    part.firstChild.replaceWith(shown());
  } }, label());
  const part = element("div", {}, shown(), button);
  return part;
}
