"use strict";

// What the widget offers. `is_admin` stands in no catalogue.
const FIELDS = [
  { name: "name", label: "Name", value: "Ada Lovelace" },
  { name: "email", label: "E-mail", value: "ada@example.com" },
  { name: "plan", label: "Plan", value: "enterprise", options: ["free", "pro", "enterprise"] },
  { name: "nickname", label: "Nickname", value: "Ada" },
  { name: "seats", label: "Seats", value: "5", kind: "number" },
  { name: "phone", label: "Phone", value: "+44 20 7946 0958" },
  { name: "is_admin", label: "Is admin", value: "true", options: ["(not sent)", "true", "false"], kind: "boolean" },
];
const OUTCOMES_MAX = 30;
const COLUMNS = ["Attribute", "You sent", "Signed", "Arrived at the API", "Verdict", "Why"];
const FATES = { arrived: "good", replaced: "warn", absent: "bad" };

const byId = (id) => document.getElementById(id);
let count = 0;
let live = false;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Text in backticks is code.
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? element("code", {}, part) : part));
}

function fieldRow(field, lock) {
  const id = `field-${field.name}`;
  const control = field.options
    ? element("select", { id, name: field.name }, ...field.options.map((option) => element("option", {}, option)))
    : element("input", { id, name: field.name, type: field.kind === "number" ? "number" : "text", maxlength: "200" });
  control.value = field.value;
  const sign = element("input", { type: "checkbox", role: "switch", id: `sign-${field.name}`, "aria-label": `Sign ${field.name}` });
  sign.addEventListener("change", showWhatCanBeDone);
  return element("div", { class: "field" },
    element("div", { class: "field-name" }, element("label", { for: id }, field.label),
      element("span", { class: "lock", "data-lock": lock }, lock === "unlisted" ? "not in the catalogue" : lock)),
    control,
    element("label", { class: "switch" }, sign, element("span", {}, "Sign")));
}

function valueOf(field) {
  const text = byId(`field-${field.name}`).value;
  if (field.kind === "number") return text === "" ? null : Number(text);
  if (field.kind === "boolean") return text === "true";
  return text;
}

function isSent(field) {
  return byId(`field-${field.name}`).value !== "(not sent)";
}

function isSigned(field) {
  return byId(`sign-${field.name}`).checked;
}

function showWhatCanBeDone() {
  const planSigned = byId("sign-plan").checked;
  for (const button of document.querySelectorAll("button[data-tamper]")) {
    button.disabled = button.dataset.tamper !== "none" && !planSigned;
  }
  const signed = FIELDS.filter(isSigned).length;
  byId("sign-all").checked = signed === FIELDS.length;
  byId("sign-all").indeterminate = signed > 0 && signed < FIELDS.length;
}

function say(words, failed = false) {
  byId("status").textContent = words;
  byId("status").classList.toggle("failed", failed);
}

async function send(request) {
  say("Sending …");
  try {
    const response = await fetch("/send", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(request),
    });
    const answer = await response.json();
    if (!response.ok) return say(answer.error, true);
    // With the event stream open, the outcome comes that way, to every open page alike.
    if (!live) show(answer);
    say(summary(answer));
    // On a narrow screen the outcomes stand below the widget.
    const head = byId("outcomes-title").getBoundingClientRect();
    if (head.top > window.innerHeight || head.bottom < 0) byId("outcomes-title").scrollIntoView();
  } catch {
    say("The demo’s server does not answer. Is it still running?", true);
  }
}

function summary(outcome) {
  if (outcome.answer.refusal) return `Refused with ${outcome.answer.status}: ${outcome.answer.refusal.words}.`;
  const number = (fate) => outcome.attributes.filter((attribute) => attribute.fate === fate).length;
  return `${outcome.answer.status}: ${number("arrived")} arrived, ${number("replaced")} replaced, ${number("absent")} left out.`;
}

function valueCell(text, column, tone) {
  const cell = element("td", { role: "cell", class: "value", "data-column": column });
  if (text === null) cell.append(element("span", { class: "none" }, "–"));
  else cell.append(tone ? element("span", { class: `code ${tone}` }, text) : element("span", {}, text));
  return cell;
}

function attributeRow(attribute) {
  const tone = FATES[attribute.fate];
  const verdict = element("td", { role: "cell", "data-column": COLUMNS[4] },
    attribute.verdict ? element("span", { class: `code ${tone}` }, attribute.verdict.code) : element("span", { class: "none" }, "–"));
  const why = attribute.verdict ? attribute.verdict.words : "not judged";
  return element("tr", { role: "row" },
    element("th", { role: "rowheader", scope: "row" }, element("code", {}, attribute.name)),
    valueCell(attribute.sent, COLUMNS[1]),
    valueCell(attribute.signed, COLUMNS[2]),
    valueCell(attribute.arrived, COLUMNS[3]),
    verdict,
    element("td", { role: "cell", class: "why", "data-column": COLUMNS[5] }, element("span", {}, why)));
}

function chip(outcome) {
  const { status, refusal } = outcome.answer;
  if (refusal) return element("span", { class: "chip bad" }, `${status} refused`);
  if (outcome.arrived === null) return element("span", { class: "chip warn" }, `${status} nothing arrived`);
  return element("span", { class: "chip good" }, `${status} sent on`);
}

function show(outcome) {
  count += 1;
  const title = `outcome-${count}`;
  const { refusal } = outcome.answer;
  const head = element("header", {}, element("h3", { id: title }, outcome.title), chip(outcome),
    element("p", {}, element("code", {}, outcome.call), " from ", element("code", {}, outcome.origin)));
  if (refusal) head.append(element("p", {}, `${refusal.words} (`, element("code", {}, refusal.code), ")"));
  const table = element("table", { role: "table", "aria-labelledby": title },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" },
      ...COLUMNS.map((column) => element("th", { role: "columnheader", scope: "col" }, column)))),
    element("tbody", { role: "rowgroup" }, ...outcome.attributes.map(attributeRow)));
  const wire = element("details", {}, element("summary", {}, "On the wire"),
    element("div", { class: "wire" },
      element("div", {}, element("h4", {}, "The browser sent"), element("pre", {}, outcome.sent)),
      element("div", {}, element("h4", {}, "The API received"), element("pre", {}, outcome.arrived ?? "nothing"))));
  const list = byId("outcomes");
  byId("empty")?.remove();
  list.prepend(element("article", { class: "outcome fresh", "aria-labelledby": title }, head, table, wire));
  while (list.children.length > OUTCOMES_MAX) list.lastElementChild.remove();
}

function listen() {
  const state = (name, words) => {
    live = name === "live";
    byId("live").dataset.state = name;
    byId("live").lastElementChild.textContent = words;
  };
  const events = new EventSource("/events");
  events.addEventListener("open", () => state("live", "live"));
  events.addEventListener("error", () => state("lost", "not connected"));
  events.addEventListener("outcome", (event) => show(JSON.parse(event.data)));
  events.addEventListener("missed", () => say("Too much at once: some outcomes are not shown.", true));
}

async function start() {
  let facts = { attributes: [], scenarios: [] };
  try {
    facts = await (await fetch("/facts")).json();
    byId("gateway").textContent = facts.gateway;
    byId("api").textContent = facts.api;
    byId("foreign-origin").textContent = facts.foreign_origin;
  } catch {
    say("The demo’s server does not answer. Is it still running?", true);
  }
  const locks = new Map(facts.attributes.map(({ name, lock }) => [name, lock]));
  byId("fields").append(...FIELDS.map((field) => fieldRow(field, locks.get(field.name) ?? "unlisted")));
  byId("scenarios").append(...facts.scenarios.map(({ id, title, story }) => {
    const button = element("button", { type: "button" }, title, element("small", {}, ...withCode(story)));
    button.addEventListener("click", () => send({ scenario: id }));
    return element("li", {}, button);
  }));
  byId("sign-all").addEventListener("change", (event) => {
    for (const field of FIELDS) byId(`sign-${field.name}`).checked = event.target.checked;
    showWhatCanBeDone();
  });
  byId("widget").addEventListener("submit", (event) => {
    event.preventDefault();
    const { tamper, origin } = (event.submitter ?? document.querySelector("button.primary")).dataset;
    const sent = FIELDS.filter(isSent);
    send({ widget: {
      attributes: sent.map((field) => ({ name: field.name, value: valueOf(field) })),
      signed: sent.filter(isSigned).map((field) => field.name),
      tamper, origin,
    } });
  });
  byId("clear").addEventListener("click", () => {
    byId("outcomes").replaceChildren(element("p", { class: "empty", id: "empty" }, "Cleared. The next one appears here."));
    say("");
  });
  showWhatCanBeDone();
  listen();
}

start();
