// The report: what is known of a version, its figures, and some of its pairs, all out of the data in this file.
"use strict";

const PALE = { labelColor: "#5c6670", titleColor: "#5c6670", gridColor: "#e6e9ec", domainColor: "#c3cad0", tickColor: "#c3cad0" };
const DIM = { labelColor: "#9aa6b1", titleColor: "#9aa6b1", gridColor: "#2a3036", domainColor: "#454e56", tickColor: "#454e56" };

function look(dark) {
  const axis = { ...(dark ? DIM : PALE), titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 12, labelOverlap: true };
  const legend = { labelColor: axis.labelColor, titleColor: axis.titleColor, orient: "bottom", direction: "horizontal", columns: 2, labelLimit: 320, symbolOpacity: 1 };
  return { background: "transparent", font: "system-ui, sans-serif", axis, legend, view: { stroke: "transparent" }, text: { color: axis.labelColor } };
}

function drawer() {
  const waiting = new Map();
  const drawn = new Map();
  let dark = false;
  const draw = async (place) => {
    const figure = waiting.get(place) ?? drawn.get(place);
    waiting.delete(place);
    drawn.set(place, figure);
    const options = { actions: false, ast: true, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true }, config: look(dark) };
    await vegaEmbed(place, figure.spec, options);
    place.dataset.drawn = "yes";
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { seen.unobserve(target); draw(target); }
  }, { rootMargin: "500px" });
  const all = () => Promise.all([...waiting.keys()].map(draw));
  addEventListener("beforeprint", all);
  return {
    add: (place, figure) => { waiting.set(place, figure); seen.observe(place); },
    theme: (now) => { dark = now; return Promise.all([...drawn.keys()].map(draw)); },
    all,
  };
}

function figureOf(figure, plots) {
  const place = el("div", figure.spec ? { class: "plot", id: figure.key } : { class: "scroll", id: figure.key });
  if (figure.spec) plots.add(place, figure);
  else place.append(table(Object.keys(figure.rows[0]), figure.rows.map(Object.values)));
  return el("figure", { class: figure.spec ? null : "wide" }, el("h3", {}, figure.title), el("figcaption", {}, figure.caption), place);
}

function commandOf(text) {
  const button = el("button", { onclick: async () => {
    getSelection().selectAllChildren(code);
    try { await navigator.clipboard.writeText(text); } catch { document.execCommand("copy"); }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  } }, "copy");
  const code = el("pre", { id: "command" }, text);
  return el("div", { class: "command" }, code, button);
}

function matches(row, filter) {
  const between = (value) => value !== undefined && (!filter.low || value >= Number(filter.low)) && (!filter.high || value <= Number(filter.high));
  return (!filter.bucket || String(row.bucket) === filter.bucket)
    && (!filter.fate || (filter.fate === "kept" ? !row.pruned_by : filter.fate === "pruned" ? row.pruned_by : row.pruned_by === filter.fate))
    && (!filter.strategy || row.strategy === filter.strategy)
    && (!filter.problem || row.task_id.toLowerCase().includes(filter.problem.toLowerCase()) || row.problem_id === filter.problem)
    && (!filter.measure || between(row.measures[filter.measure]));
}

function held({ pairs, problems, facets, measures }) {
  const rows = pairs.map((pair) => ({ ...pair, problem: problems[pair.problem_id].problem, candidates: problems[pair.problem_id].candidates,
    metric: pair.metric, chosen_status: pair.chosen.status, rejected_status: pair.rejected.status }));
  const byId = new Map(rows.map((row) => [row.pair_id, row]));
  const size = 100;
  const sorted = (found, sort) => {
    if (!sort) return found;
    const name = sort.replace(/^-/, "");
    const value = (row) => (name === "position" ? row.position : row.measures[name]) ?? Infinity;
    const way = sort.startsWith("-") ? -1 : 1;
    return [...found].sort((a, b) => (value(a) === Infinity) - (value(b) === Infinity) || way * (value(a) - value(b)));
  };
  return {
    facets, measures, size,
    page: async (filter, offset) => {
      const found = sorted(rows.filter((row) => matches(row, filter)), filter.sort);
      return { rows: found.slice(offset, offset + size), total: found.length };
    },
    pair: async (id) => {
      if (!byId.has(id)) throw new Error(`The pair ${id} is not among the pairs in this file: pairwright browse has all of them.`);
      return byId.get(id);
    },
  };
}

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plots = drawer();
  document.getElementById("name").textContent = data.name;
  const body = document.getElementById("report");
  const nav = document.getElementById("sections");
  const section = (title, ...inside) => {
    const id = title.toLowerCase().replaceAll(" ", "-");
    nav.append(el("a", { href: `#${id}` }, title));
    body.append(el("section", { id }, el("h2", {}, title), ...inside));
  };
  body.append(el("h1", {}, data.name), el("div", { class: "soft" }, data.said),
    el("div", { class: "tiles" }, data.tiles.map(([value, label]) => el("div", { class: "tile" }, el("b", {}, value), el("span", { class: "soft small" }, label)))),
    el("div", { class: "card" }, el("dl", { class: "facts" }, data.facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])), commandOf(data.command)));
  for (const title of new Set(data.figures.map((figure) => figure.section))) {
    const own = data.figures.filter((figure) => figure.section === title);
    const groups = [own.filter((one) => !one.small), own.filter((one) => one.small)].filter((group) => group.length);
    section(title, el("p", { class: "soft small" }, data.notes[title] ?? ""), ...groups.map((group) => el("div", { class: group[0].small ? "figures few" : "figures" }, group.map((figure) => figureOf(figure, plots)))));
  }
  const place = el("div", {});
  section("Pairs", el("p", { class: "soft" }, data.sampled), place);
  browser(place, held(data));
  themed(document.getElementById("theme"), plots.theme);
  window.pairwright = { drawAll: plots.all };
  if (location.hash.startsWith("#pair=")) document.getElementById("pairs").scrollIntoView();
})();
