// A table of the page from its texts: sorted by any column, filtered, and long ones in parts.

const MOST_SHOWN = 200;

// A number, perhaps with a unit or an interval behind it.
const NUMBER = /^(?:< )?([+\-\u2212]?(?:\d+\.?\d*|\.\d+)(?:e[+\-\u2212]?\d+)?)(?:[ %].*)?$/i;
const LONG_TEXT = 30; // a sentence, which may not be squeezed into a narrow column
const collator = new Intl.Collator(undefined, {numeric: true});

function toNumber(text) {
  const found = NUMBER.exec(text);
  return found ? parseFloat(found[1].replaceAll("\u2212", "-")) : NaN;
}

function comparison(texts, absent) {
  const numbers = texts.map(toNumber);
  if (numbers.some((number, i) => Number.isNaN(number) && !absent[i])) return (a, b) => collator.compare(texts[a], texts[b]);
  return (a, b) => numbers[a] - numbers[b];
}

const textOf = cell => Array.isArray(cell) ? cell[0] : cell;
const kindOf = cell => Array.isArray(cell) ? cell[1] : "";

function buildCell(cell) {
  const text = textOf(cell);
  const kind = kindOf(cell) || (NUMBER.test(text) ? "number" : text.length > LONG_TEXT ? "words" : "");
  const shown = Array.isArray(cell) && cell[2] ? element("a", {href: cell[2], textContent: text}) : text;
  return element("td", {className: kind}, shown);
}

// Returns a table's section, and how to show only the rows with certain levels.
function buildTable(name, {title, note, file, header, hints, rows}) {
  const id = `table-${name}`;
  const texts = rows.map(row => row.map(textOf));
  const lower = texts.map(row => row.join(" \n ").replaceAll("\u2212", "-").toLowerCase());
  const body = element("tbody", {});
  const input = element("input", {type: "search", autocomplete: "off", spellcheck: false});
  const count = element("output", {});
  count.setAttribute("aria-live", "polite");
  const chip = element("button", {type: "button", hidden: true});
  const all = element("button", {type: "button", hidden: true});
  let order = rows.map((_, i) => i);
  let only = new Map();
  let most = MOST_SHOWN;

  function fill() {
    const sought = input.value.replaceAll("\u2212", "-").toLowerCase().split(/\s+/).filter(Boolean);
    const found = order.filter(i => sought.every(word => lower[i].includes(word))
      && [...only].every(([column, levels]) => levels.has(texts[i][column])));
    body.replaceChildren(...found.slice(0, most).map(i => element("tr", {}, ...rows[i].map(buildCell))));
    count.textContent = `${found.length} of ${rows.length} rows`
      + (found.length > most ? `, the first ${most} shown` : "");
    all.hidden = found.length <= most;
    all.textContent = `Show all ${found.length}`;
    const chosen = [...only].map(([column, levels]) => `${header[column]}: ${[...levels].join(" or ")}`);
    chip.textContent = `only ${chosen.join(", ")} \u2715`;
    chip.setAttribute("aria-label", `show all again, not only ${chosen.join(", ")}`);
    chip.hidden = only.size === 0;
  }

  function tell() {
    const query = new URLSearchParams();
    for (const [column, levels] of only) for (const level of levels) query.append(header[column], level);
    if (input.value) query.append("q", input.value);
    address(`#${name}${query.size ? `?${query}` : ""}`);
  }

  const heads = header.map((text, column) => {
    const button = element("button", {type: "button", textContent: text});
    const head = element("th", {scope: "col", ...(Object.hasOwn(hints, text) && {title: hints[text]})}, button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const absent = rows.map(row => textOf(row[column]) === "" || kindOf(row[column]) === "absent");
      const compare = comparison(texts.map(row => row[column]), absent);
      // Rows without a value come last in either direction.
      order = rows.map((_, i) => i).sort((a, b) =>
        absent[a] - absent[b] || (absent[a] ? 0 : (up ? 1 : -1) * compare(a, b)));
      fill();
    });
    return head;
  });
  input.addEventListener("input", () => { fill(); tell(); });
  chip.addEventListener("click", () => { only = new Map(); fill(); tell(); input.focus(); });
  all.addEventListener("click", () => { most = Infinity; fill(); });
  const label = element("label", {}, "Filter", input);
  label.hidden = count.hidden = rows.length < 4; // these one sees at a glance

  const about = element("p", {className: "note"}, note);
  for (const [hinted, hint] of Object.entries(hints)) about.append(" ", element("b", {}, hinted), `: ${hint}.`);
  if (file) about.append(" ", element("a", {href: `#columns-${file}`, textContent: "What its columns mean"}), `, tables/${file}.csv.`);
  const frame = element("div", {className: "scroll long", tabIndex: 0},
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body));
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", `the rows of “${title}”`); // no two landmarks of one name
  const section = element("section", {className: "table", id},
    element("h3", {id: `${id}-title`, tabIndex: -1, textContent: title}), about,
    element("div", {className: "tools"}, label, count, chip, all), frame);
  section.setAttribute("aria-labelledby", `${id}-title`);
  fill();
  return {section, show(query) {
    only = new Map();
    input.value = "";
    for (const [key, text] of query) {
      const column = header.indexOf(key);
      if (column >= 0) only.set(column, (only.get(column) ?? new Set()).add(text));
      else if (key === "q") input.value = text;
    }
    fill();
  }};
}
