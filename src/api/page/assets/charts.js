// Charts by uPlot. Arrow keys go through their points. Each has a table with the same figures.

import uPlot from "./vendor/uplot.js";
import { element, table } from "./elements.js";

const HEIGHT = 190;
const X_AXIS_HEIGHT = 28;
const drawn = new Set();
// The point of each chart that the keyboard chose last: it stays when the chart is made anew.
const chosen = new Map();

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Points between two labels of an axis of hours. Those of an axis of days may be any number.
const HOURS_APART = [1, 2, 3, 6, 12, 24];
const LABEL_PIXELS = 70;

// `step`: seconds between two points, if the horizontal axis is time.
function axes(unit, step) {
  const common = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const stamp = (splits) => splits.map((time) => when(time, step));
  const x = { ...common, size: X_AXIS_HEIGHT };
  return [step ? { ...x, splits: (plot) => labelled(plot, step), values: (_, splits) => stamp(splits) } : x, { ...common, size: 64, values: (_, values) => values.map((value) => (value == null ? "" : unit(value))) }];
}

// The points that have a label: as many as there is room for, and each at most once.
function labelled({ width, data: [times] }, step) {
  const first = times[0];
  const last = times.at(-1);
  const apart = Math.ceil((last - first) / step / Math.max(1, width / LABEL_PIXELS - 1)) || 1;
  const hours = step < 86_400 && (HOURS_APART.find((some) => some >= apart) ?? apart);
  const between = (hours || apart) * step;
  const found = [];
  for (let time = hours ? Math.ceil(first / between) * between : first; time <= last; time += between) found.push(time);
  return found;
}

// Half a point of room at both ends: bars and lines stand over their labels, and none comes after the last point.
const around = (step) => ({ range: (_, low, high) => [low - step / 2, high + step / 2] });

// A chart that redraws itself when its width changes. `say(at)`: a point in words.
function figure(title, draw, columns, rows, say) {
  if (!rows.length) return element("figure", {}, element("figcaption", {}, title), element("p", { class: "empty" }, "There are no figures yet."));
  // A slider through the points: screen readers say the one that is chosen, and leave the arrow keys to it.
  const canvas = element("div", { class: "chart", role: "slider", tabindex: "0", id: `chart-${title.replaceAll(" ", "-")}`, "aria-label": `${title}, chart. Arrow keys: other points`, "aria-valuemin": "0", "aria-valuemax": String(rows.length - 1) });
  const made = element("figure", {},
    element("figcaption", {}, title), canvas,
    element("details", {
      // Made when it is opened: most readers look at the chart alone.
      ontoggle: ({ target }) => target.open && target.querySelector("table") == null && target.append(element("div", { class: "wide" }, table(title, columns, rows))),
    }, element("summary", {}, "As a table")));
  let plot;
  const show = () => {
    plot?.destroy();
    if (canvas.clientWidth) plot = draw(canvas, { width: canvas.clientWidth, height: HEIGHT });
    // The chart has its scales when this turn is over.
    if (canvas.matches(":focus-visible")) queueMicrotask(() => choose(place()));
  };
  const place = () => Math.min(chosen.get(title) ?? rows.length - 1, rows.length - 1);
  const choose = (at) => {
    tell(at);
    chosen.set(title, at);
    plot?.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: 0 });
  };
  const tell = (at) => {
    canvas.setAttribute("aria-valuenow", at);
    canvas.setAttribute("aria-valuetext", say(at));
  };
  tell(place());
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && choose(place()));
  canvas.addEventListener("blur", () => plot?.setCursor({ left: -10, top: -10 }));
  canvas.addEventListener("keydown", (event) => {
    const last = rows.length - 1;
    const at = { ArrowLeft: place() - 1, ArrowDown: place() - 1, ArrowRight: place() + 1, ArrowUp: place() + 1, Home: 0, End: last }[event.key];
    if (at == null || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(last, at)));
  });
  let width = 0;
  const watch = new ResizeObserver(() => {
    if (canvas.clientWidth !== width) { width = canvas.clientWidth; show(); }
  });
  watch.observe(canvas);
  drawn.add({ made, show, stop: () => { watch.disconnect(); plot?.destroy(); } });
  return made;
}

// Destroys the charts that are not on the page any more.
export function sweep() {
  for (const one of drawn) if (!one.made.isConnected) { one.stop(); drawn.delete(one); }
}

export function redraw() {
  for (const one of drawn) one.show();
}

// A click on the legend hides nothing: the parts of a stack would stay where they are.
const LEGEND = { legend: { live: true }, cursor: { y: false, drag: { x: false, y: false }, bind: { click: () => null } }, tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1e3), "UTC") };

// `times`: Unix time (s). `parts`: the lowest first, { label, color, values }.
export function stacked(title, times, parts, step, unit, columns, rows) {
  let below = times.map(() => 0);
  const sums = parts.map((part) => (below = below.map((sum, place) => sum + part.values[place])));
  const series = parts.map((part) => ({
    label: part.label, fill: color(part.color), width: 0, points: { show: false },
    paths: uPlot.paths.bars({ size: [0.8, 48] }),
    value: (plot, _, place, index) => (index == null ? "–" : unit(part.values[index])),
  }));
  return figure(title, (canvas, size) => new uPlot({
    ...size, ...LEGEND, axes: axes(unit, step),
    scales: { x: around(step), y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
    // The first series is drawn below the others. The chart is drawn again when its width changes.
    series: [{ value: stampIn(step) }, ...[...series].reverse()],
  }, [times, ...[...sums].reverse()], canvas), columns, rows, sayOf(times, parts, step, unit));
}

export function lines(title, times, parts, step, unit, columns, rows, range) {
  return figure(title, (canvas, size) => new uPlot({
    ...size, ...LEGEND, axes: axes(unit, step),
    scales: { x: around(step), y: { range: range ?? ((_, low, high) => [0, high * 1.05 || 1]) } },
    series: [{ value: stampIn(step) }, ...parts.map((part) => ({
      label: part.label, stroke: color(part.color), width: 2, points: { show: times.length < 60, size: 6, fill: color(part.color) },
      value: (_, value) => (value == null ? "–" : unit(value)),
    }))],
  }, [times, ...parts.map((part) => part.values)], canvas), columns, rows, sayOf(times, parts, step, unit));
}

// Bars side by side, each with its name.
export function bars(title, names, values, unit, columns, rows) {
  const places = names.map((_, place) => place);
  const few = (plot, splits) => splits.map((place) => names[place] ?? "");
  return figure(title, (canvas, size) => {
    const [x, y] = axes(unit);
    return new uPlot({
      ...size, ...LEGEND,
      axes: [{ ...x, values: few, splits: (plot) => places.filter((place) => place % Math.ceil(names.length / (plot.width / LABEL_PIXELS)) === 0) }, y],
      scales: { x: { time: false, range: [-0.6, names.length - 0.4] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
      series: [{ label: "From", value: (_, place) => names[place] ?? "–" },
        { label: "Requests", fill: color("accent"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.85, 60] }), value: (_, value) => (value == null ? "–" : unit(value)) }],
    }, [places, values], canvas);
  }, columns, rows, (at) => `From ${names[at]}, Requests ${unit(values[at])}`);
}

const sayOf = (times, parts, step, unit) => (at) =>
  [stampIn(step)(null, times[at]), ...parts.map(({ label, values }) => `${label} ${values[at] == null ? "–" : unit(values[at])}`)].join(", ");

function stampIn(step) {
  const length = step < 86_400 ? 16 : 10;
  return (_, stamp) => (stamp == null ? "–" : new Date(stamp * 1000).toISOString().slice(0, length).replace("T", " "));
}

// On the axis: the day, or the hour.
function when(stamp, step) {
  const iso = new Date(stamp * 1000).toISOString();
  return step < 86_400 && stamp % 86_400 ? iso.slice(11, 16) : iso.slice(5, 10);
}
