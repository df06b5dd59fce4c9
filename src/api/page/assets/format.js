// Formats numbers and times for people.

const whole = new Intl.NumberFormat("en");

export const count = (value) => whole.format(value);

export const percent = (value) => (value == null ? "–" : `${Math.floor(value * 1000) / 1000} %`);

// A part of a whole. What is there is more than nothing.
export const share = (part) => (part > 0 && part < 0.001 ? "< 0.1 %" : `${Math.round(part * 1000) / 10} %`);

export function seconds(value) {
  if (value == null) return "–";
  if (value < 1) return `${whole.format(Math.round(value * 10_000) / 10)} ms`;
  return `${whole.format(Math.round(value * 1000) / 1000)} s`;
}

// A time of an answer, as the clock that it names shows it.
export const time = (iso) => iso.replace("T", " ").replace(/(\.\d+)?(Z|[+-]\d\d:\d\d)$/, "");

// A time in UTC by the clock of a zone.
export const timeIn = (iso, zone) => (zone === "UTC" ? time(iso) : new Date(iso).toLocaleString("sv-SE", { timeZone: zone }));

export function age(value) {
  if (value < 90) return `${Math.max(0, Math.round(value))} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return value < 172_800 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86_400)} days`;
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  for (; value >= 1024 && unit < 3; unit += 1) value /= 1024;
  return `${whole.format(Math.round(value * 10) / 10)} ${units[unit]}`;
}
