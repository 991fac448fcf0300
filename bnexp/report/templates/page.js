"use strict";
// Without this script the page answers; with it, its folded parts are built when opened.

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

// What the page carries: JSON, compressed. It is unpacked once, when first looked at.
let unpacked;
function data() {
  unpacked ??= (async () => {
    const letters = atob(document.getElementById("data").textContent.trim());
    const bytes = Uint8Array.from(letters, letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  })();
  return unpacked;
}

const tables = new Map(); // what shows only certain rows of a table, by its name

// Fills a folded part with its tables, once.
function build(fold) {
  fold.built ??= data().then(({tables: texts}) => {
    for (const name of fold.dataset.tables.split(" ")) {
      const {section, show} = buildTable(name, texts[name]);
      tables.set(name, show);
      fold.append(section);
    }
    fold.querySelector(".unbuilt").remove();
  });
  return fold.built;
}

function address(hash) {
  try {
    history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  } catch { /* some embedders forbid it */ }
}

// Goes where the address says: to a run, to a table, perhaps to certain rows of it.
async function follow() {
  const [name, query] = location.hash.slice(1).split("?");
  if (name.startsWith("run=")) return openRun(decodeURIComponent(name.slice(4)));
  const fold = [...document.querySelectorAll("details[data-tables]")]
    .find(one => one.dataset.tables.split(" ").includes(name));
  if (!fold) {
    const target = document.getElementById(name), around = target?.closest("details");
    if (!around) return;
    around.open = true;
    target.closest(".sheets")?.showFigure?.(target);
    return target.scrollIntoView();
  }
  fold.open = true;
  await build(fold);
  if (query !== undefined) tables.get(name)(new URLSearchParams(query));
  const heading = document.getElementById(`table-${name}-title`);
  heading.scrollIntoView();
  heading.focus({preventScroll: true});
}

document.addEventListener("DOMContentLoaded", () => {
  themeButton();
  for (const fold of document.querySelectorAll("details[data-tables]")) {
    fold.addEventListener("toggle", () => { if (fold.open) build(fold); });
  }
  document.addEventListener("click", event => {
    const link = event.target.closest?.("a[href^='#']");
    // The same address again is no change of the hash.
    if (link && link.hash === location.hash) follow();
  });
  addEventListener("hashchange", follow);
  follow();
});
