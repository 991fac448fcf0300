// Every figure is whole without this. Here it answers to the pointer and the keyboard: its points
// say what they are and lead to their runs, its legend hides and shows, and it can be looked at
// closely, taken away, and read as a table.

const NEAR = 14; // pixels from the pointer to a point that it is at
const CLOSEST = 12; // times
const SHOWN_DIGITS = 5;

// Returns [{x, y, series, of, says: {name: value}}], all points of a figure.
async function pointsOf(name) {
  const {words, points} = await data();
  return (points[name] ?? []).flatMap(one => {
    const columns = Object.entries(one.says).map(([key, values]) =>
      [key, values.words ? values.words.map(place => words[place]) : values]);
    return one.x.map((x, i) => ({
      x, y: one.y[i], of: words[one.of], series: words[one.series],
      says: Object.fromEntries(columns.map(([key, values]) => [key, values[i]])),
    }));
  });
}

const number = value => String(Number(value.toPrecision(SHOWN_DIGITS))).replace(/^-/, "\u2212");
const shown = value => typeof value === "number" ? number(value) : value ?? "";

// Returns what a point says, a line each: what it is of first.
function linesOf(point) {
  const {value, low, high, lowest, highest, run, ...rest} = point.says;
  const names = Object.entries(rest).filter(([key, text]) => text != null && !["seed", "n", "epoch"].includes(key));
  const counted = ["epoch", "seed", "n"].filter(key => rest[key] != null).map(key => `${key} ${rest[key]}`);
  const range = low == null ? "" : ` [${number(low)}, ${number(high)}]`;
  const span = lowest == null ? "" : `, from ${number(lowest)} to ${number(highest)}`;
  return {
    heads: names.map(([, text]) => shown(text)),
    rest: [value == null ? "" : `${point.of}: ${number(value)}${range}${span}`, counted.join(" \u00b7 "), run ? `run ${run}` : ""].filter(Boolean),
  };
}

function tableOf(points) {
  const names = [...new Set(points.flatMap(point => Object.keys(point.says)))];
  return [["of", ...names], ...points.map(point => [point.of, ...names.map(name => point.says[name] ?? "")])];
}

function download(name, type, content) {
  const link = element("a", {download: name, href: URL.createObjectURL(new Blob([content], {type}))});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function csvOf(rows) {
  // A text that begins like a formula is none: OWASP, CSV injection.
  const cell = value => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map(row => row.map(cell).join(",")).join("\n") + "\n";
}

// Returns the figure as a file of its own, on white: nothing in it needs the page.
function fileOf(svg, box) {
  const copy = svg.cloneNode(true);
  for (const one of copy.querySelectorAll(".chosen, .off")) one.remove();
  const forUse = ["style", "role", "tabindex", "aria-pressed", "aria-label", "aria-describedby", "aria-roledescription", "data-toggles"];
  for (const one of [copy, ...copy.querySelectorAll("[data-toggles]")]) for (const key of forUse) one.removeAttribute(key);
  copy.removeAttribute("class");
  copy.setAttribute("viewBox", box.join(" "));
  copy.setAttribute("width", `${box[2]}pt`);
  copy.setAttribute("height", `${box[3]}pt`);
  copy.setAttribute("style", "background: #ffffff");
  return new XMLSerializer().serializeToString(copy)
    .replace(/light-dark\((#\w+), #\w+\)/g, "$1").replace(/var\(--\w+, (#\w+)\)/g, "$1").replaceAll("currentColor", "#000000");
}

function operateFigure(figure) {
  const svg = figure.querySelector("svg");
  if (!svg || "operated" in figure.dataset) return;
  figure.dataset.operated = "";
  const name = figure.dataset.name;
  const whole = svg.getAttribute("viewBox").split(" ").map(Number);
  let view = [...whole];
  let all = []; // points, once they are asked for
  let asked;
  let chosen = null;
  let dragged = null;
  const off = new Set();
  const points = () => asked ??= pointsOf(name).then(found => all = found);
  const visible = () => all.filter(point => !point.series.split("\n").some(series => off.has(series)));

  const ring = document.createElementNS(SVG, "circle");
  ring.classList.add("chosen");
  const tip = element("div", {className: "point"});
  tip.setAttribute("role", "status");
  svg.parentElement.append(tip);

  function show(point) {
    if (point === chosen) return;
    chosen = point;
    tip.replaceChildren();
    ring.remove();
    svg.classList.toggle("at-run", Boolean(point?.says.run && window.showRun));
    if (!point) return;
    const {heads, rest} = linesOf(point);
    tip.append(...heads.map(text => element("b", {textContent: text})), ...rest.map(text => element("span", {textContent: text})));
    for (const key of Object.keys(ring.dataset)) delete ring.dataset[key];
    for (const [key, value] of Object.entries(point.says)) if (value != null) ring.dataset[key] = value;
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    ring.setAttribute("r", 6 * view[2] / whole[2]);
    svg.append(ring);
    place();
  }

  // Beside the point, inside the figure.
  function place() {
    const frame = figure.getBoundingClientRect();
    const at = new DOMPoint(chosen.x, chosen.y).matrixTransform(svg.getScreenCTM());
    const [x, y] = [at.x - frame.left, at.y - frame.top];
    const left = x + 14 + tip.offsetWidth > frame.width ? x - 14 - tip.offsetWidth : x + 14;
    tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, y - tip.offsetHeight - 8)}px)`;
  }

  const toDrawing = event => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());

  function nearest(event) {
    const at = toDrawing(event);
    const reach = NEAR / svg.getScreenCTM().a;
    let best = null;
    let least = reach * reach;
    for (const point of visible()) {
      const far = (point.x - at.x) ** 2 + (point.y - at.y) ** 2;
      if (far < least) [best, least] = [point, far];
    }
    return best;
  }

  function look(left, top, width) {
    const height = width * whole[3] / whole[2];
    left = Math.min(Math.max(left, whole[0]), whole[0] + whole[2] - width);
    top = Math.min(Math.max(top, whole[1]), whole[1] + whole[3] - height);
    view = [left, top, width, height];
    svg.setAttribute("viewBox", view.join(" "));
    svg.classList.toggle("zoomed", width < whole[2]);
    show(null);
  }

  // Returns whether it is closer, or farther, than before.
  function zoom(times, x = view[0] + view[2] / 2, y = view[1] + view[3] / 2) {
    const width = Math.min(Math.max(view[2] / times, whole[2] / CLOSEST), whole[2]);
    if (width === view[2]) return false;
    const share = width / view[2];
    look(x - (x - view[0]) * share, y - (y - view[1]) * share, width);
    return true;
  }

  const reset = () => look(whole[0], whole[1], whole[2]);
  const openRun = point => { if (point?.says.run) window.showRun?.(point.says.run); };

  svg.addEventListener("pointerdown", event => {
    dragged = {x: event.clientX, y: event.clientY, view, far: false};
  });
  svg.addEventListener("pointermove", event => {
    if (!dragged) return show(nearest(event));
    const [x, y] = [event.clientX - dragged.x, event.clientY - dragged.y];
    if (Math.hypot(x, y) > 4 && view[2] < whole[2]) {
      if (!dragged.far) svg.setPointerCapture(event.pointerId);
      dragged.far = true;
      const scale = svg.getScreenCTM().a;
      look(dragged.view[0] - x / scale, dragged.view[1] - y / scale, view[2]);
    }
  });
  addEventListener("pointerup", event => {
    if (dragged && !dragged.far && svg.contains(event.target) && !event.target.closest("[data-toggles]")) {
      show(nearest(event));
      openRun(chosen);
    }
    dragged = null;
  });
  svg.addEventListener("pointercancel", () => { dragged = null; });
  svg.addEventListener("pointerleave", () => show(null));
  svg.addEventListener("dblclick", reset);
  svg.addEventListener("wheel", event => {
    // A wheel that turns over a figure scrolls the page, unless the figure is in use.
    if (!event.ctrlKey && !event.metaKey && !svg.contains(document.activeElement)) return;
    const at = toDrawing(event);
    if (zoom(event.deltaY < 0 ? 1.25 : 0.8, at.x, at.y)) event.preventDefault();
  }, {passive: false});

  async function step(by) {
    await points();
    const seen = visible();
    const at = seen.indexOf(chosen);
    if (seen.length) show(seen[at < 0 ? (by > 0 ? 0 : seen.length - 1) : (at + by + seen.length) % seen.length]);
    if (chosen) ring.scrollIntoView({block: "nearest", inline: "nearest"});
  }

  const keys = {
    ArrowRight: () => step(1), ArrowDown: () => step(1), ArrowLeft: () => step(-1), ArrowUp: () => step(-1),
    Enter: () => openRun(chosen), Escape: () => show(null),
    "+": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: reset,
  };
  svg.addEventListener("keydown", event => {
    if (event.target !== svg || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  svg.addEventListener("blur", () => show(null));
  svg.addEventListener("pointerenter", points);
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-roledescription", "figure with points: arrow keys go from one to the next");
  svg.setAttribute("aria-describedby", `caption-${name}`);

  const parts = [...svg.querySelectorAll("[data-series]")].map(part => [part, part.dataset.series.split("\n")]);
  for (const entry of svg.querySelectorAll("[data-legend]")) {
    const series = entry.dataset.legend;
    if (!parts.some(([, names]) => names.includes(series))) continue;
    const both = [...svg.querySelectorAll("[data-legend]")].filter(one => one.dataset.legend === series);
    const toggle = () => {
      if (!off.delete(series)) off.add(series);
      for (const [part, names] of parts) part.classList.toggle("off", names.some(one => off.has(one)));
      for (const one of both) if (one.hasAttribute("role")) one.setAttribute("aria-pressed", !off.has(series));
      show(null);
    };
    entry.dataset.toggles = "";
    entry.addEventListener("click", toggle);
    if (!entry.querySelector("text")) continue; // the other half of an entry
    entry.setAttribute("role", "button");
    entry.setAttribute("tabindex", "0");
    entry.setAttribute("aria-pressed", "true");
    entry.setAttribute("aria-label", `show ${series}`);
    entry.addEventListener("keydown", event => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
  }

  const button = (text, label, action) => {
    const made = element("button", {type: "button", textContent: text, title: label});
    made.setAttribute("aria-label", `${label}: figure ${name}`);
    made.addEventListener("click", action);
    return made;
  };
  const picture = () => {
    const image = new Image();
    image.onload = () => {
      const canvas = element("canvas", {width: view[2] * 3, height: view[3] * 3});
      const paper = canvas.getContext("2d");
      paper.fillStyle = "#ffffff";
      paper.fillRect(0, 0, canvas.width, canvas.height);
      paper.drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(blob => download(`${name}.png`, "image/png", blob));
    };
    image.src = `data:image/svg+xml,${encodeURIComponent(fileOf(svg, view))}`;
  };
  const tools = element("div", {className: "handles"},
    button("+", "closer", () => zoom(1.5)), button("\u2212", "farther", () => zoom(1 / 1.5)), button("whole", "the whole figure", reset),
    element("span", {}),
    button("SVG", "download as SVG", () => download(`${name}.svg`, "image/svg+xml", fileOf(svg, view))),
    button("PNG", "download as PNG", picture),
    button("CSV", "download its data as CSV", async () => download(`${name}.csv`, "text/csv", csvOf(tableOf(await points())))));
  const details = element("details", {}, element("summary", {textContent: "Its numbers as a table"}));
  details.addEventListener("toggle", async () => {
    if (details.dataset.built !== undefined) return;
    details.dataset.built = "";
    const [head, ...rows] = tableOf(await points());
    const table = element("table", {},
      element("thead", {}, element("tr", {}, ...head.map(text => element("th", {textContent: text, scope: "col"})))),
      element("tbody", {}, ...rows.map(row => element("tr", {}, ...row.map(value => element("td", {textContent: shown(value)}))))));
    const scroll = element("div", {className: "scroll", tabIndex: 0}, table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `the numbers of figure ${name}`);
    details.append(scroll);
  });
  figure.append(tools, details);
}

// Draws what is folded and not hidden, once, and makes it answer.
async function drawFolded(fold) {
  const {drawings} = await data();
  for (const figure of fold.querySelectorAll("figure[data-name]:not([hidden])")) {
    const place = figure.querySelector(".drawing");
    if (!place.querySelector("svg")) place.innerHTML = drawings[figure.dataset.name];
    operateFigure(figure);
  }
}

// Shows one sheet of a figure that has several, with what chooses among them above it.
function chooseSheet(group) {
  const sheets = [...group.children].map(figure => ({figure, choice: JSON.parse(figure.dataset.choice)}));
  const selects = Object.keys(sheets[0].choice).map(name => {
    const levels = [...new Set(sheets.map(one => one.choice[name]))];
    return element("select", {name}, ...levels.map(level => new Option(level, level)));
  }).filter(select => select.length > 1);
  const fits = (sheet, some) => some.every(select => sheet.choice[select.name] === select.value);
  group.show = sheet => {
    for (const one of sheets) one.figure.hidden = one !== sheet;
    for (const select of selects) select.value = sheet.choice[select.name];
    const fold = group.closest("details");
    if (fold.open) return drawFolded(fold);
  };
  group.showFigure = figure => group.show(sheets.find(one => one.figure === figure));
  for (const select of selects) select.addEventListener("change", () =>
    group.show(sheets.find(one => fits(one, selects)) ?? sheets.find(one => fits(one, [select]))));
  const chooser = element("div", {className: "chooser"}, element("span", {textContent: `One of ${sheets.length} sheets:`}),
    ...selects.map(select => element("label", {}, `${select.name} `, select)));
  chooser.setAttribute("role", "group");
  chooser.setAttribute("aria-label", `which sheet of the figure ${sheets[0].figure.dataset.name} is shown`);
  group.prepend(chooser);
  group.show(sheets.find(one => location.hash === `#${one.figure.id}`) ?? sheets[0]);
}

document.addEventListener("DOMContentLoaded", () => {
  const fold = document.querySelector("details#figures");
  document.querySelectorAll(".sheets").forEach(chooseSheet);
  fold?.addEventListener("toggle", () => { if (fold.open) drawFolded(fold); });
  for (const figure of document.querySelectorAll("figure[data-name]")) operateFigure(figure);
});
