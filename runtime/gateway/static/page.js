"use strict";

// Fills the page from the node's own endpoints. Text is set as text only: nothing that comes from outside is markup.

const REFRESH_MS = 5000;
const byId = (id) => document.getElementById(id);

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

async function ask(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
  return response.json();
}

function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  for (const [unit, size] of units) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

function fillPairs(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
}

function fillList(list, items, none) {
  list.replaceChildren(...(items.length ? items : [element("li", none, "none")]));
}

function listItem(name, mark, kind, detail) {
  const item = element("li");
  item.append(element("span", name), element("span", mark, `mark ${kind}`));
  if (detail) item.append(element("small", detail));
  return item;
}

function showReadiness(report) {
  const badge = byId("state");
  badge.textContent = { ready: "ready", not_ready: "not ready", draining: "stopping" }[report.status] ?? report.status;
  badge.className = `badge ${report.status === "ready" ? "good" : "bad"}`;
  const items = report.checks.map((check) =>
    listItem(check.name, check.ok ? "ok" : check.required ? "down" : "missing",
      check.ok ? "good" : check.required ? "bad" : "warn", check.detail));
  fillList(byId("checks"), items, "none");
}

function showStatus(status) {
  byId("subtitle").textContent = `Meetings, signaling and live AI on ${status.node}`;
  fillPairs(byId("node"), [
    [status.name, status.version],
    ["up for", duration(status.uptime_s)],
    ["requests", status.requests],
    ["WebSockets", status.websockets],
    ...Object.entries(status.versions),
  ]);
  fillPairs(byId("actors"), status.actors.map((one) => [one.kind, one.count]));
  const items = status.models.map((model) =>
    listItem(model.name, model.state, model.state === "ready" ? "good" : "warn",
      [model.task.replaceAll("_", " "), model.version].filter(Boolean).join(" · ")));
  fillList(byId("models"), items, "none: make models fetches them");
}

async function refresh() {
  try {
    const [report, status] = await Promise.all([ask("/readyz"), ask("/api/v1/status")]);
    showReadiness(report);
    showStatus(status);
  } catch {
    const badge = byId("state");
    badge.textContent = "no answer";
    badge.className = "badge bad";
  }
}

// The API

function resolve(schema, schemas) {
  const name = schema.$ref?.split("/").pop();
  return name ? { name, ...schemas[name] } : schema;
}

function typeOf(schema, schemas) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(one, schemas)).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (schema.type === "array") return `list of ${schema.items ? typeOf(schema.items, schemas) : "anything"}`;
  if (schema.contentEncoding) return schema.contentEncoding;
  return schema.format ?? schema.type ?? "anything";
}

function limits(schema) {
  const said = [];
  if (schema.minLength !== undefined) said.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength !== undefined) said.push(`at most ${schema.maxLength} characters`);
  if (schema.minimum !== undefined) said.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) said.push(`to ${schema.maximum}`);
  if (schema.default !== undefined && typeof schema.default !== "object") said.push(`default ${JSON.stringify(schema.default)}`);
  if (schema.description) said.push(schema.description);
  return said.join(", ");
}

function table(rows) {
  const wide = element("div", undefined, "wide");
  const made = element("table");
  const head = element("tr");
  head.append(element("th", "name"), element("th", "type"), element("th", ""));
  made.append(head);
  for (const cells of rows) {
    const row = element("tr");
    row.append(...cells.map((cell) => element("td", cell)));
    made.append(row);
  }
  wide.append(made);
  return wide;
}

function fields(schema, schemas) {
  const found = resolve(schema, schemas);
  const required = new Set(found.required ?? []);
  return table(Object.entries(found.properties ?? {}).map(([name, kind]) =>
    [required.has(name) ? name : `${name}?`, typeOf(kind, schemas), limits(kind)]));
}

function operationCard(path, method, operation, schemas) {
  const card = element("details", undefined, "operation");
  const summary = element("summary");
  summary.append(element("b", method.toUpperCase(), "method"), element("code", path, "path"), element("span", operation.summary));
  if (operation.security.length) summary.append(element("span", "needs a token", "lock"));
  const inside = element("div", undefined, "inside");
  inside.append(element("p", operation.description));
  if (operation.parameters) {
    inside.append(element("h4", "Parameters"), table(operation.parameters.map((one) =>
      [one.name, `${typeOf(one.schema, schemas)} in ${one.in}`, limits(one.schema)])));
  }
  const sent = operation.requestBody?.content["application/json"].schema;
  if (sent) inside.append(element("h4", `Body: ${typeOf(sent, schemas)}`), fields(sent, schemas));
  for (const [status, response] of Object.entries(operation.responses)) {
    const given = response.content?.["application/json"]?.schema;
    if (given) inside.append(element("h4", `${status}: ${typeOf(given, schemas)}`), fields(given, schemas));
  }
  const failures = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400);
  inside.append(element("h4", "Failures (problem+json)"),
    element("p", failures.map(([status, response]) => `${status} ${response.description}`).join(" · ")));
  card.append(summary, inside);
  card.dataset.words = `${method} ${path} ${operation.summary} ${operation.tags.join(" ")}`.toLowerCase();
  return card;
}

function showOperations(document_) {
  const schemas = document_.components.schemas;
  const groups = new Map(document_.tags.map((tag) => [tag.name, []]));
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      groups.get(operation.tags[0]).push(operationCard(path, method, operation, schemas));
    }
  }
  for (const [tag, cards] of groups) {
    const group = element("div", undefined, "tag");
    group.append(element("h3", tag, "group"), ...cards);
    byId("operations").append(group);
  }
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const group of document.querySelectorAll(".tag")) {
    let inGroup = 0;
    for (const card of group.querySelectorAll(".operation")) {
      card.hidden = !words.every((word) => card.dataset.words.includes(word));
      inGroup += card.hidden ? 0 : 1;
    }
    group.hidden = !inGroup;
    shown += inGroup;
  }
  byId("nothing").hidden = shown > 0;
}

byId("curl").textContent =
  `curl -X POST ${location.origin}/api/v1/auth/register -H 'Content-Type: application/json' \\\n` +
  `  -d '{"username": "ada", "email": "ada@example.org", "password": "correct horse"}'`;
byId("filter").addEventListener("input", filter);
ask("/openapi.json").then(showOperations, () => { byId("nothing").hidden = false; });
refresh();
setInterval(refresh, REFRESH_MS);
