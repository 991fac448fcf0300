// One run: how it ended, its numbers and curves, its seed's runs in the other cells.

const MOST_PARTNERS = 30; // with more cells, those that differ in one factor alone
const MOST_CURVES = 6; // the others are folded
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [270, 130, 46, 18];

// Opens the view of a run; figures call it for their points.
window.showRun = id => {
  const hash = `#run=${encodeURIComponent(id)}`;
  if (location.hash === hash) openRun(id);
  else location.hash = hash;
};

const at = (column, i) => column.all[column.of[i]];

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const cellOf = (runs, i) => runs.cells[runs.cell[i]];

function named(runs, i) {
  return [...runs.factors.map((factor, j) => `${factor} ${cellOf(runs, i)[j]}`), `seed ${runs.seed[i]}`].join(", ");
}

function differing(runs, i, j) {
  const [one, other] = [cellOf(runs, i), cellOf(runs, j)];
  return runs.factors.map((_, k) => k).filter(k => one[k] !== other[k]);
}

// The runs of the same seed in other cells; of very many, those that differ in one factor.
function partners(runs, i) {
  const others = runs.id.map((_, j) => j).filter(j => j !== i && runs.seed[j] === runs.seed[i]);
  if (others.length <= MOST_PARTNERS) return {shown: others, more: 0};
  const shown = others.filter(j => differing(runs, i, j).length === 1);
  return {shown, more: others.length - shown.length};
}

const label = value => Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
  ? value.toExponential(1) : String(parseFloat(value.toPrecision(4)));

// A curve over the epochs, those of the partners faint behind it; null where there is none.
function curve(runs, {name, unit, log, values}, i, beside) {
  const lines = [i, ...beside].filter(j => values[j].some(value => value !== null));
  if (lines[0] !== i) return null;
  const known = lines.flatMap(j => values[j]).filter(value => value !== null);
  let [low, high] = [Math.min(...known), Math.max(...known)];
  const isLog = log && low > 0 && high > 100 * low;
  const scale = isLog ? Math.log : value => value;
  const epochs = lines.flatMap(j => at(runs.epochs, j));
  const [first, last] = [Math.min(...epochs), Math.max(...epochs)];
  const x = epoch => LEFT + (WIDTH - LEFT - 6) * (last > first ? (epoch - first) / (last - first) : 0.5);
  const y = value => 6 + (HEIGHT - BOTTOM - 12) * (high > low ? (scale(high) - scale(value)) / (scale(high) - scale(low)) : 0.5);
  const path = j => {
    let pen = "M";
    return at(runs.epochs, j).map((epoch, k) => {
      const value = values[j][k];
      if (value === null || value === undefined) { pen = "M"; return ""; }
      const step = `${pen}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      return step;
    }).join("");
  };
  const text = (left, top, content, anchor) => svg("text", {x: left, y: top, "text-anchor": anchor}, content);
  const own = values[i].filter(value => value !== null);
  const told = `${name}: from ${label(own[0])} to ${label(own.at(-1))}${unit ? ` ${unit}` : ""}`;
  const drawn = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": told},
    svg("path", {class: "axis", d: `M${LEFT} 4V${HEIGHT - BOTTOM}H${WIDTH - 4}`}),
    ...lines.slice(1).map(j => svg("path", {class: "beside", d: path(j)})),
    svg("path", {class: "own", d: path(i)}),
    text(LEFT - 4, 12, label(high), "end"), text(LEFT - 4, HEIGHT - BOTTOM - 2, label(low), "end"),
    text(LEFT, HEIGHT - 4, `epoch ${first}`, "start"), text(WIDTH - 4, HEIGHT - 4, `${last}`, "end"));
  if (own.length === 1) {
    const k = values[i].findIndex(value => value !== null);
    drawn.append(svg("circle", {class: "dot", r: 3, cx: x(at(runs.epochs, i)[k]), cy: y(own[0])}));
  }
  return element("figure", {}, drawn,
    element("figcaption", {}, `${name}${unit ? `, ${unit}` : ""}${isLog ? ", log scale" : ""}`));
}

function curvesOf(drawn) {
  if (!drawn.length) return [];
  const parts = [element("h3", {}, "Curves"), element("div", {className: "curves"}, ...drawn.slice(0, MOST_CURVES)),
    element("p", {className: "note"}, "Faint: the same seed in the cells below.")];
  if (drawn.length > MOST_CURVES) parts.push(element("details", {}, element("summary", {}, `${drawn.length - MOST_CURVES} more curves`),
    element("div", {className: "curves"}, ...drawn.slice(MOST_CURVES))));
  return parts;
}

function rowsOf(head, rows) {
  const table = element("table", {},
    element("thead", {}, element("tr", {}, ...head.map(text => element("th", {scope: "col", textContent: text})))),
    element("tbody", {}, ...rows.map(row => element("tr", {}, ...row.map(buildCell)))));
  return element("div", {className: "scroll", tabIndex: 0}, table);
}

function pairs(entries) {
  return element("dl", {className: "setting"},
    ...entries.flatMap(([name, text]) => [element("dt", {textContent: name}), element("dd", {textContent: text})]));
}

const link = (runs, j) => [runs.id[j], "", `#run=${encodeURIComponent(runs.id[j])}`];

function partnersTable(runs, i, {shown, more}) {
  const numbers = runs.numbers.slice(0, runs.primary);
  const row = j => [
    j === i ? "this run" : differing(runs, i, j).map(k => `${runs.factors[k]} ${cellOf(runs, j)[k]}`).join(", "),
    at(runs.status, j), ...numbers.map(({texts}) => at(texts, j)), link(runs, j)];
  const parts = [element("h3", {}, `Seed ${runs.seed[i]} in other cells`),
    rowsOf(["differs in", "status", ...numbers.map(({name}) => name), "run"], [i, ...shown].map(row))];
  if (more) parts.push(element("p", {className: "note"}, `${more} more cells differ in several factors: `,
    element("a", {href: `#runs?seed=${runs.seed[i]}`, textContent: `all runs of seed ${runs.seed[i]}`}), "."));
  return parts;
}

const bitsOf = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const ones = Array.from({length: 256}, (_, byte) => byte.toString(2).replaceAll("0", "").length);

// How many test images are right, and of each partner, how many just one of the two gets right.
function outcomes(runs, i, {shown}) {
  return (runs.outcomes ?? []).filter(({images}) => images[i]).flatMap(({name, images, right, bits}) => {
    const own = element("p", {}, `${name}: ${right[i]} of ${images[i]} test images right, ${images[i] - right[i]} wrong.`);
    const others = shown.filter(j => bits[j] && images[j] === images[i]);
    if (!others.length || !bits[i]) return [own];
    const mine = bitsOf(bits[i]);
    const rows = others.map(j => {
      const both = bitsOf(bits[j]).reduce((sum, byte, k) => sum + ones[byte & mine[k]], 0);
      return [named(runs, j), `${both}`, `${right[i] - both}`, `${right[j] - both}`,
        `${images[i] - right[i] - right[j] + both}`];
    });
    return [own, rowsOf(["beside", "both right", "only this run", "only the other", "both wrong"], rows)];
  });
}

let dialog;
async function openRun(id) {
  const {runs} = await data();
  const i = runs ? runs.id.indexOf(id) : -1;
  if (!dialog) {
    dialog = element("dialog", {className: "run"});
    dialog.setAttribute("aria-labelledby", "run-title");
    dialog.addEventListener("close", () => { if (location.hash.startsWith("#run=")) address(""); });
    dialog.addEventListener("click", event => {
      if (event.target.closest("a[href^='#runs']")) dialog.close();
    });
    document.body.append(dialog);
  }
  const close = element("button", {type: "button", className: "close", textContent: "Close"});
  close.addEventListener("click", () => dialog.close());
  const title = element("h2", {id: "run-title", tabIndex: -1});
  if (i < 0) {
    title.textContent = `This page has no run ${id}`;
    dialog.replaceChildren(close, title);
  } else {
    title.textContent = named(runs, i);
    const beside = partners(runs, i);
    const status = at(runs.status, i);
    const drawn = runs.curves.map(one => curve(runs, one, i, beside.shown)).filter(Boolean);
    const numbers = runs.numbers.map(({name, texts}) => [name, at(texts, i)]).filter(([, text]) => text);
    const settings = Object.entries(runs.settings).map(([name, texts]) => [name, at(texts, i)]).filter(([, text]) => text);
    dialog.replaceChildren(close, title,
      element("p", {className: "note"}, `Run ${id}, `, element("b", {className: status === "ok" ? "" : "loud"}, status), `; ${at(runs.origin, i)}.`),
      ...curvesOf(drawn),
      ...partnersTable(runs, i, beside), ...outcomes(runs, i, beside),
      element("h3", {}, "Numbers"), pairs(numbers),
      element("h3", {}, "Settings"), pairs(settings),
      element("h3", {}, "Train it once more, in a folder of its own"),
      element("pre", {tabIndex: 0, textContent: runs.commands[i]}));
  }
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  title.focus();
}
