// Requests to the api. The browser caches answers with their ETag, so an unchanged answer costs a 304.

import { base } from "./base.js";

// `path` begins with a slash.
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value != null));
  const answered = await fetch(base.slice(0, -1) + (query.size ? `${path}?${query}` : path));
  const answer = await answered.json().catch(() => ({}));
  if (answered.ok) return answer;
  const detail = Array.isArray(answer.detail) ? answer.detail.map((fault) => fault.msg).join("; ") : answer.detail;
  throw Object.assign(new Error(detail ?? `The api answers with status ${answered.status}.`), { status: answered.status });
}
