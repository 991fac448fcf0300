"use strict";
// Without this script the page is complete and readable; it adds all that can be operated.

const root = document.documentElement;
const stored = "bnexp-theme";
try { // a page from a file may not be allowed to store anything
  const theme = localStorage.getItem(stored);
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
} catch { /* the system's theme it is */ }

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function themeButton() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const button = element("button", {type: "button", className: "theme", textContent: "Dark theme"});
  const show = () => button.setAttribute("aria-pressed", dark());
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem(stored, root.dataset.theme); } catch { /* for this visit only */ }
    show();
  });
  system.addEventListener("change", show);
  show();
  document.querySelector("header").prepend(button);
}

// A number, perhaps with a unit or an interval behind it.
const NUMBER = /^(?:< )?([+\-\u2212]?(?:\d+\.?\d*|\.\d+)(?:e[+\-\u2212]?\d+)?)(?:[ %].*)?$/i;
const words = new Intl.Collator(undefined, {numeric: true});

function toNumber(text) {
  const found = NUMBER.exec(text);
  return found ? parseFloat(found[1].replaceAll("\u2212", "-")) : NaN;
}

function comparison(texts, absent) {
  const numbers = texts.map(toNumber);
  if (numbers.some((number, i) => Number.isNaN(number) && !absent[i])) return (a, b) => words.compare(texts[a], texts[b]);
  return (a, b) => numbers[a] - numbers[b];
}

// Returns how to show only the rows that have certain levels: {column: Set of texts}.
function operate(section) {
  const table = section.querySelector("table");
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map(head => head.textContent.trim());
  const rows = [...table.tBodies[0].rows];
  const cells = rows.map(row => [...row.cells].map(cell => cell.textContent.trim()));
  const lower = cells.map(texts => texts.join(" \n ").replaceAll("\u2212", "-").toLowerCase());
  const input = element("input", {type: "search", autocomplete: "off", spellcheck: false});
  const count = element("output", {});
  count.setAttribute("aria-live", "polite");
  const chip = element("button", {type: "button", hidden: true});
  let only = new Map();

  function filter() {
    const sought = input.value.replaceAll("\u2212", "-").toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      const matches = sought.every(word => lower[i].includes(word))
        && [...only].every(([column, texts]) => texts.has(cells[i][column]));
      row.hidden = !matches;
      shown += matches;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
    const chosen = [...only].map(([column, texts]) => `${names[column]}: ${[...texts].join(" or ")}`);
    chip.textContent = `only ${chosen.join(", ")} \u2715`;
    chip.setAttribute("aria-label", `show all again, not only ${chosen.join(", ")}`);
    chip.hidden = only.size === 0;
  }

  function address() {
    const query = new URLSearchParams();
    for (const [column, texts] of only) for (const text of texts) query.append(names[column], text);
    if (input.value) query.append("q", input.value);
    const hash = `#${section.id}${query.size ? `?${query}` : ""}`;
    try { history.replaceState(null, "", hash); } catch { /* some embedders forbid it */ }
  }

  heads.forEach((head, column) => {
    const button = element("button", {type: "button"}, ...head.childNodes);
    head.append(button);
    head.dataset.sortable = "";
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const texts = cells.map(row => row[column]);
      const absent = rows.map(row =>
        row.cells[column].textContent === "" || row.cells[column].className === "absent");
      const compare = comparison(texts, absent);
      // Rows without a value come last in either direction.
      const order = rows.map((_, i) => i).sort((a, b) =>
        absent[a] - absent[b] || (absent[a] ? 0 : (up ? 1 : -1) * compare(a, b)));
      table.tBodies[0].append(...order.map(i => rows[i]));
    });
  });
  input.addEventListener("input", () => { filter(); address(); });
  chip.addEventListener("click", () => { only = new Map(); filter(); address(); input.focus(); });
  const label = element("label", {}, "Filter", input);
  label.hidden = count.hidden = rows.length < 4; // these one sees at a glance
  section.querySelector(".scroll").before(element("div", {className: "tools"}, label, count, chip));
  filter();

  return query => {
    only = new Map();
    input.value = "";
    for (const [name, text] of query) {
      const column = names.indexOf(name);
      if (column >= 0) only.set(column, (only.get(column) ?? new Set()).add(text));
      else if (name === "q") input.value = text;
    }
    filter();
  };
}

document.addEventListener("DOMContentLoaded", () => {
  themeButton();
  const tables = new Map();
  for (const section of document.querySelectorAll("section.table")) tables.set(section.id, operate(section));
  function follow() {
    const [name, query] = location.hash.slice(1).split("?");
    if (query === undefined || !tables.has(name)) return;
    tables.get(name)(new URLSearchParams(query));
    const heading = document.getElementById(`${name}-title`);
    heading.scrollIntoView();
    heading.focus({preventScroll: true});
  }
  for (const link of document.querySelectorAll("a[data-only]")) {
    link.href += `?${link.dataset.only}`;
    // The same address again is no change of the hash.
    link.addEventListener("click", () => { if (link.href === location.href) follow(); });
  }
  addEventListener("hashchange", follow);
  follow();
});
