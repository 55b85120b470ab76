// The page of `pairwright browse`: every pair of a version, asked for page by page from the process that serves it.
"use strict";

async function ask(what, query = {}, posted = null) {
  const url = new URL(`api/${what}`, location.href.split("#")[0]);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const how = posted === null ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(posted) };
  let answer;
  try {
    answer = await fetch(url, { ...how, credentials: "omit", cache: "no-store", redirect: "error" });
  } catch {
    throw new Error("pairwright browse does not answer: is it still running?");
  }
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

(async () => {
  themed(document.getElementById("theme"));
  const start = await ask("start");
  document.title = `${start.name} · pairs`;
  document.getElementById("name").textContent = start.name;
  const source = {
    ...start,
    page: (filter, offset) => ask("page", { ...filter, offset }),
    pair: (id) => ask("pair", { id }),
    program: (pair, id) => ask("program", { pair, id }),
    mark: async (id, mark, comment) => {
      const told = await ask("mark", {}, { pair_id: id, mark, comment });
      document.getElementById("marks").textContent = told.said;
      const row = document.querySelector(`[data-pair="${CSS.escape(id)}"] > span:last-child`);
      if (row) row.replaceChildren(mark ? el("span", { class: `pill ${mark}` }, mark) : row.dataset.place);
    },
  };
  document.getElementById("marks").textContent = start.said;
  await browser(document.getElementById("browser"), source);
})().catch((problem) => document.getElementById("browser").append(el("div", { class: "notice error" }, problem.message)));
