// Makes elements. Content is always text: nothing in a log line is parsed as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child != null));
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
  return element("table", {},
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, body));
}
