// The pair browser: a list of pairs found by filters, and one pair with all around it. Used by the report, which holds
// its pairs, and by `pairwright browse`, which asks for them. Whatever comes from a dataset is set as text, never markup.
"use strict";

const MARKS = { keep: "x", drop: "d" };

function el(tag, given = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside.flat().filter((one) => one !== null && one !== undefined));
  return made;
}

function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
}

function spansOf(spans) {
  return spans.map((span) => {
    if (typeof span === "string") return document.createTextNode(span);
    const [kind, text, changed] = span;
    return el(changed ? "mark" : "span", { class: kind || null }, text);
  });
}

function linesOf(lines) {
  const code = el("div", { class: "code" });
  lines.forEach((line, n) => code.append(...(n ? ["\n"] : []), ...spansOf(line)));
  return code;
}

function verdict(status) {
  const kind = status === "passed" ? "pass" : ["refused", "killed", "infra_error", null, undefined].includes(status) ? "none" : "fail";
  return el("span", { class: kind }, status ?? "not run");
}

function table(heads, rows, attributes = () => ({})) {
  const cells = (row) => row.map((cell) => el("td", { class: typeof cell === "number" ? "number" : null }, typeof cell === "number" ? number(cell) : cell ?? "–"));
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head, n) => el("th", { class: typeof rows[0]?.[n] === "number" ? "number" : null }, head)))),
    el("tbody", {}, rows.map((row, n) => el("tr", attributes(n), cells(row))))));
}

function diffOf(rows) {
  const grid = el("div", { class: "diff" });
  for (const [op, leftNumber, leftSpans, rightNumber, rightSpans] of rows) {
    const kind = { "=": "same", "~": "changed", "-": "off", "+": "off" }[op];
    for (const [side, at, spans] of [["left", leftNumber, leftSpans], ["right", rightNumber, op === "=" ? leftSpans : rightSpans]]) {
      const how = at === null ? `${side} void` : `${side} ${kind}`;
      grid.append(el("div", { class: `no ${how}` }, at === null ? "" : String(at)), el("div", { class: `code ${how}` }, at === null ? [] : spansOf(spans)));
    }
  }
  return grid;
}

function tokensOf(run) {
  const shade = (logp) => (logp > -0.05 ? null : logp > -0.5 ? "t1" : logp > -1.5 ? "t2" : logp > -3 ? "t3" : logp > -6 ? "t4" : "t5");
  if (run.tokens) return el("div", { class: "code" }, run.tokens.map(([text, logp]) => el("span", { class: shade(logp), title: `${logp} nats` }, text.replaceAll("↵", "↵\n"))));
  if (run.logps) return el("div", { class: "code" }, run.logps.map((logp, n) => el("span", { class: shade(logp), title: `token ${n}: ${logp} nats` }, "▮")));
  return el("div", { class: "notice" }, "no log-probabilities were recorded");
}

function sideOf(name, run) {
  const passed = run.num_tests === null ? "" : `${number(run.num_passed)} of ${number(run.num_tests)} tests`;
  const facts = [passed, run.sum_logp === null ? null : `log-prob ${number(run.sum_logp)}`, run.num_tokens === null ? null : `${number(run.num_tokens)} tokens`];
  if (run.finish_reason === "length") facts.push("cut at the limit");
  return el("div", { class: `card side ${name}` }, el("b", {}, name), verdict(run.status), ` ${facts.filter(Boolean).join(" · ")}`,
    run.error_type ? el("div", { class: "error code" }, `${run.error_type}: ${run.error_message ?? ""}`) : null);
}

function testsOf(pair) {
  const { tests, num_tests } = pair.problem;
  const rows = tests.map((test, n) => {
    const parts = ["code", "stdin", "stdout"].filter((name) => test[name]);
    const shown = parts.map((name) => [parts.length > 1 ? el("div", { class: "soft small" }, name) : null, linesOf(test[name])]);
    return [String(n + 1), el("div", {}, shown.flat()), verdict(pair.chosen.test_status[n]), verdict(pair.rejected.test_status[n])];
  });
  const more = num_tests > tests.length ? `, the first ${tests.length} shown` : "";
  return el("details", { open: true }, el("summary", {}, `Tests: ${num_tests}${more}`), table(["", "test", "chosen", "rejected"], rows));
}

function candidatesOf(pair, source, place) {
  const rows = pair.candidates.map(([rank, , sample, status, passed, tests, error, logp, tokens, chars]) =>
    [rank, sample, verdict(status), passed === null ? "–" : `${passed} / ${tests}`, logp, tokens, chars, error ?? ""]);
  const look = source.program && (async (id) => {
    const found = await source.program(pair.pair_id, id);
    place.replaceChildren(sideOf(`sample ${found.sample_index}`, found), linesOf(found.lines));
    place.scrollIntoView({ block: "nearest" });
  });
  const attributes = (n) => {
    const id = pair.candidates[n][1];
    const side = id === pair.chosen.completion_id ? "chosen" : id === pair.rejected.completion_id ? "rejected" : null;
    return { class: side, tabindex: look ? "0" : null, onclick: look && (() => look(id)), onkeydown: look && ((e) => e.key === "Enter" && look(id)) };
  };
  const all = pair.problem.num_candidates;
  const some = rows.length < all ? `, ${rows.length} shown` : "";
  return el("details", { open: all <= 12 }, el("summary", {}, `All samples of the problem, ranked: ${all}${some}`),
    table(["rank", "sample", "verdict", "tests", "log-prob", "tokens", "characters", "error"], rows, attributes), place);
}

function pairOf(pair, source) {
  const where = pair.pruned_by ? el("span", { class: "pill pruned" }, `pruned by ${pair.pruned_by}`)
    : el("span", { class: "pill" }, `bucket ${pair.bucket} · place ${number(pair.position)}`);
  const tokens = el("div", { class: "tokens", hidden: true }, tokensOf(pair.chosen), tokensOf(pair.rejected));
  const toggle = el("button", { id: "tokens", "aria-pressed": "false", onclick: () => {
    tokens.hidden = !tokens.hidden;
    toggle.setAttribute("aria-pressed", String(!tokens.hidden));
  } }, "token log-probs");
  const measures = Object.entries(pair.measures).map(([name, value]) => el("div", {}, el("span", { class: "soft" }, name), el("span", {}, number(value))));
  const statement = pair.problem.statement.length ? [el("div", { class: "soft small" }, "as the problem states it"), linesOf(pair.problem.statement)] : [];
  return [
    el("header", {}, el("h3", {}, pair.task_id), where, el("span", { class: "pill" }, pair.strategy), el("a", { href: `#pair=${pair.pair_id}`, class: "small" }, pair.pair_id)),
    el("div", { class: "bar" }, toggle, ...(source.mark ? marksOf(pair, source) : [])),
    el("div", { class: "sides" }, sideOf("chosen", pair.chosen), sideOf("rejected", pair.rejected)),
    diffOf(pair.rows), tokens, testsOf(pair), candidatesOf(pair, source, el("div", { class: "pair" })),
    el("details", {}, el("summary", {}, "Prompt"), linesOf(pair.problem.prompt), ...statement),
    el("details", {}, el("summary", {}, "Measures"), el("div", { class: "measures" }, measures)),
  ];
}

function marksOf(pair, source) {
  const now = pair.mark ?? { mark: null, comment: "" };
  const comment = el("input", { id: "comment", placeholder: "comment (c)", maxlength: "2000", "aria-label": "comment", value: now.comment });
  const save = async (mark) => {
    await source.mark(pair.pair_id, mark, comment.value);
    pair.mark = { mark, comment: comment.value };
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.id === mark));
  };
  const buttons = Object.entries(MARKS).map(([mark, key]) => el("button", { id: mark, "aria-pressed": String(now.mark === mark),
    onclick: () => save(pair.mark?.mark === mark ? null : mark) }, `${mark} (${key})`));
  comment.addEventListener("change", () => save(pair.mark?.mark ?? null));
  comment.addEventListener("keydown", (e) => e.key === "Enter" && comment.blur());
  return [...buttons, comment];
}

function browser(place, source) {
  const state = { offset: 0, total: 0, rows: [], current: null, asked: 0 };
  const list = el("div", { class: "list", role: "navigation", "aria-label": "pairs" });
  const count = el("span", { class: "grow" });
  const shown = el("article", { class: "pair" });
  const pager = el("div", { class: "pager" }, el("button", { id: "before", onclick: () => turn(-1) }, "‹"), count, el("button", { id: "after", onclick: () => turn(1) }, "›"));
  const { fields, filter } = filtersOf(source, () => { state.offset = 0; load(); });
  place.append(el("div", { class: "browser" }, el("div", { class: "finder" }, fields, pager, list), shown));

  async function load(first = false) {
    const asked = ++state.asked;
    let page;
    try {
      page = await source.page(filter(), state.offset);
    } catch (problem) {
      if (asked === state.asked) list.replaceChildren(el("div", { class: "notice error" }, problem.message));
      return;
    }
    if (asked !== state.asked) return;
    Object.assign(state, page);
    const last = Math.min(state.offset + state.rows.length, state.total);
    count.textContent = state.total ? `${number(state.offset + 1)}–${number(last)} of ${number(state.total)}` : "none";
    list.replaceChildren(...(state.rows.length ? state.rows.map(row) : [el("div", { class: "notice" }, "no pair is like that")]));
    const linked = new URLSearchParams(location.hash.slice(1)).get("pair");
    if (first && linked) open(linked, false);
    else if (state.rows.some((one) => one.pair_id === state.current)) point(state.current);
    else if (state.rows.length) open(state.rows[0].pair_id, !first);
    else shown.replaceChildren();
  }

  function row(one) {
    const place = one.pruned_by ? "pruned" : `bucket ${one.bucket}`;
    const mark = one.mark?.mark ? el("span", { class: `pill ${one.mark.mark}` }, one.mark.mark) : null;
    return el("a", { href: `#pair=${one.pair_id}`, "data-pair": one.pair_id }, el("span", {}, one.task_id), el("span", { class: "soft" }, number(one.metric)),
      el("span", { class: "soft" }, `${one.chosen_status} / ${one.rejected_status}`), el("span", { class: "soft", "data-place": place }, mark ?? place));
  }

  function point(id) {
    for (const one of list.children) {
      const here = one.dataset.pair === id;
      one.setAttribute("aria-current", String(here));
      const top = one.offsetTop - list.offsetTop;
      if (here && (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 50)) list.scrollTop = top - 60;
    }
  }

  async function open(id, link = true) {
    if (link) history.replaceState(null, "", `#pair=${id}`);
    state.current = id;
    point(id);
    try {
      const pair = await source.pair(id);
      if (state.current === id) shown.replaceChildren(...pairOf(pair, source));
    } catch (problem) {
      if (state.current === id) shown.replaceChildren(el("div", { class: "notice error" }, problem.message));
    }
  }

  function turn(by) {
    const next = state.offset + by * source.size;
    if (next < 0 || next >= state.total) return Promise.resolve();
    state.offset = next;
    return load();
  }

  async function step(by) {
    const at = state.rows.findIndex((one) => one.pair_id === state.current) + by;
    if (at >= 0 && at < state.rows.length) return open(state.rows[at].pair_id);
    await turn(by);
    if (by < 0 && state.rows.length) open(state.rows.at(-1).pair_id);
  }

  // One key after the other: a mark must meet the pair that was stepped to, even where that is still on its way.
  let before = Promise.resolve();
  const keys = { j: () => step(1), k: () => step(-1), n: () => turn(1), p: () => turn(-1), t: "#tokens", d: "#drop", x: "#keep", c: "#comment" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    before = before.then(() => {
      if (typeof act === "function") return act();
      const target = shown.querySelector(act);
      return act === "#comment" ? target?.focus() : target?.click();
    });
  });
  addEventListener("hashchange", () => {
    const linked = new URLSearchParams(location.hash.slice(1)).get("pair");
    if (linked && linked !== state.current) open(linked, false);
  });
  return load(true);
}

function filtersOf(source, changed) {
  const choice = (id, all, values) => el("select", { id, "aria-label": all, onchange: changed }, el("option", { value: "" }, all),
    values.map(([value, text]) => el("option", { value }, text)));
  const { bucket, rule, strategy } = source.facets;
  const counted = (facet, label = (value) => value) => Object.entries(facet).map(([value, pairs]) => [value, `${label(value)} (${number(pairs)})`]);
  // Enter lets go of the field, which is its change, and the keys go through the pairs again.
  const leave = (event) => event.key === "Enter" && event.target.blur();
  const typed = (id, text, more = {}) => el("input", { id, placeholder: text, "aria-label": text, onchange: changed, onkeydown: leave, ...more });
  const buckets = counted(bucket, (value) => `bucket ${value}`).sort(([a], [b]) => a - b);
  const measures = source.measures.map((name) => [name, name]);
  const parts = {
    bucket: choice("bucket", "every bucket", buckets),
    fate: choice("fate", "kept and pruned", [["kept", "kept"], ["pruned", "pruned"], ...counted(rule, (name) => `pruned by ${name}`)]),
    strategy: choice("strategy", "every strategy", counted(strategy)),
    problem: typed("problem", "problem"),
    measure: choice("measure", "any measure", measures), low: typed("low", "from", { inputmode: "decimal" }), high: typed("high", "to", { inputmode: "decimal" }),
    sort: choice("sort", "in training order", [["-position", "last trained first"], ...source.measures.flatMap((name) => [[name, `${name} ↑`], [`-${name}`, `${name} ↓`]])]),
    marked: source.mark ? choice("marked", "marked or not", [["keep", "marked keep"], ["drop", "marked drop"], ["comment", "commented"]]) : null,
    where: source.mark ? typed("where", "SQL, as in edit_distance < 20", { class: "full", spellcheck: "false" }) : null,
  };
  const range = el("div", { class: "range" }, parts.measure, parts.low, parts.high);
  const { bucket: b, fate, strategy: s, problem, sort, marked, where } = parts;
  if (!marked) sort.classList.add("full");
  const fields = el("div", { class: "filters" }, b, fate, s, problem, range, sort, marked, where);
  const filter = () => Object.fromEntries(Object.entries(parts).filter(([, field]) => field?.value).map(([name, field]) => [name, field.value.trim()]));
  return { fields, filter };
}

function themed(button, changed = () => {}) {
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const set = () => {
    const dark = chosen === null ? preferred.matches : chosen;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "light" : "dark";
    changed(dark);
  };
  button.addEventListener("click", () => { chosen = document.documentElement.dataset.theme !== "dark"; set(); });
  preferred.addEventListener("change", set);
  set();
}
