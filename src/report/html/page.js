
"use strict";
// Sorts and filters. Without JavaScript the page shows everything in the order of the report.
const table = document.querySelector("#namespaces");

function filter(rows) {
  const [words, state] = ["#words", "#state"].map((name) => document.querySelector(name).value.toLowerCase());
  const wanted = words.split(/\s+/);
  const shown = new Set();
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word)) || (state !== "" && row.dataset.state !== state);
    if (!row.hidden) shown.add(row.dataset.namespace);
  }
  // Findings of the integration concern every namespace.
  for (const finding of document.querySelectorAll("[data-of]")) {
    finding.hidden = finding.dataset.of !== "" && !shown.has(finding.dataset.of);
  }
  for (const article of document.querySelectorAll("article")) {
    article.hidden = !article.querySelector("[data-of]:not([hidden])");
  }
  document.querySelector("#shown").textContent = `${shown.size} of ${rows.length} namespaces`;
}

function sort(rows, heads, column) {
  const ascending = heads[column].getAttribute("aria-sort") !== "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const order = new Intl.Collator("en", { numeric: true });
  const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
  rows.sort((a, b) => (ascending ? 1 : -1) * order.compare(key(a), key(b)));
  table.tBodies[0].append(...rows);
}

if (table) {
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(rows, heads, column)));
  for (const name of ["#words", "#state"]) {
    document.querySelector(name).addEventListener("input", () => filter(rows));
  }
  filter(rows);
  document.querySelector("#tools").hidden = false;
}
