"use strict";
// Joins the tables with the figures: sorting, runs that stand out, and the test of two runs.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const FAVOURITES = ["val_accuracy", "val_loss", "val_macro_f1", "val_balanced_accuracy", "train_loss", "train_accuracy"];
  const ticked = new Set();
  const brushes = new Map();
  let hovered = null;

  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;

  // Sorting: a second click turns the order round; what has no value stays at the end.
  const table = document.querySelector("table.runs");
  const body = table.tBodies[0];
  const order = (one, other) => {
    const [a, b] = [Number(one), Number(other)];
    if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
    return one.localeCompare(other, "en", { numeric: true });
  };
  for (const heading of table.querySelectorAll("thead th")) {
    const button = heading.querySelector("button");
    button.disabled = false;
    button.addEventListener("click", () => {
      const numeric = heading.classList.contains("number");
      const before = heading.getAttribute("aria-sort");
      // Of figures the largest are wanted first.
      const downwards = before === null ? numeric && heading.dataset.column !== "seconds" : before === "ascending";
      for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", downwards ? "descending" : "ascending");
      const value = (row) => row.cells[heading.cellIndex].dataset.value;
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort(([one], [other]) => (one === "") - (other === "") || (downwards ? -1 : 1) * order(one, other));
      body.append(...rows.map(([, row]) => row));
    });
  }

  // Runs that stand out, in the table and in both drawings.
  const show = () => {
    const some = ticked.size > 0 || hovered !== null;
    for (const drawing of document.querySelectorAll(".drawing")) drawing.classList.toggle("some", some);
    for (const part of document.querySelectorAll("[data-run]")) {
      const run = Number(part.dataset.run);
      const on = run === hovered || ticked.has(run);
      part.classList.toggle("on", on);
      part.classList.toggle("hovered", run === hovered);
      if (on && part.matches(".line")) part.parentNode.append(part);
    }
    byId("untick").disabled = ticked.size === 0;
  };
  const hover = (run) => {
    if (run === hovered) return;
    hovered = run;
    show();
  };
  const tick = (runs) => {
    ticked.clear();
    runs.forEach((run) => ticked.add(run));
    for (const row of body.rows) row.querySelector(".tick").checked = ticked.has(Number(row.dataset.run));
    follow();
    show();
  };
  for (const row of document.querySelectorAll("tr[data-run]")) {
    const run = Number(row.dataset.run);
    row.addEventListener("pointerenter", () => hover(run));
    row.addEventListener("pointerleave", () => hover(null));
    row.addEventListener("focusin", () => hover(run));
    row.addEventListener("focusout", () => hover(null));
    row.querySelector(".tick")?.addEventListener("change", (event) => {
      if (event.target.checked) ticked.add(run);
      else ticked.delete(run);
      follow();
      show();
    });
  }
  byId("untick").addEventListener("click", () => {
    brushes.clear();
    tick([]);
    drawParallel();
  });

  const CUT_OFF = "Values far above the others are cut off.";
  const point = (holder, readout, find) => {
    const at = (event) => {
      const box = holder.querySelector("svg").getBoundingClientRect();
      const found = find()?.nearest(event.clientX - box.left, event.clientY - box.top) ?? null;
      hover(found ? found.run : null);
      const resting = find()?.cutOff ? CUT_OFF : "";
      readout.textContent = found ? `${data.runs[found.run]}: ${found.text}` : resting;
    };
    holder.addEventListener("pointermove", at);
    holder.addEventListener("pointerdown", at);
    holder.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") hover(null);
    });
  };

  // Learning curves.
  const curvesHolder = byId("curves-drawing");
  let curves = null;
  const drawCurves = () => {
    if (!curvesHolder) return;
    curves = Charts.curves(curvesHolder, data, byId("curve-figure").value);
    byId("curves-readout").textContent = curves.cutOff ? CUT_OFF : "";
    show();
  };
  if (curvesHolder) {
    const known = new Set(data.curves.flatMap((curve) => Object.keys(curve)));
    known.delete("epoch");
    const names = [...FAVOURITES.filter((name) => known.has(name)), ...[...known].filter((name) => !FAVOURITES.includes(name))];
    const select = byId("curve-figure");
    select.append(...names.map((name) => new Option(name.replaceAll("_", " "), name)));
    select.addEventListener("change", drawCurves);
    point(curvesHolder, byId("curves-readout"), () => curves);
  }

  // Parallel coordinates.
  const parallelHolder = byId("parallel-drawing");
  let parallel = null;
  const brushed = (place, from, to) => {
    if (from === null) brushes.delete(place);
    else brushes.set(place, [from, to]);
    drawParallel();
    tick(brushes.size ? parallel.within() : []);
  };
  const drawParallel = () => {
    if (!parallelHolder) return;
    parallel = Charts.parallel(parallelHolder, data, brushes, brushed);
    show();
  };
  if (parallelHolder) point(parallelHolder, byId("parallel-readout"), () => parallel);

  // The test of two runs.
  const pairs = new Map(data.pairs.map((pair) => [`${pair[0]} ${pair[1]}`, pair]));
  const [first, second] = [byId("first-run"), byId("second-run")];
  const made = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text, ...properties });
  const signed = (share) => `${share > 0 ? "+" : share < 0 ? "−" : ""}${Math.abs(100 * share).toFixed(1)}`;
  const written = (p) => (p < 0.001 ? "<\u00a00.001" : p.toFixed(3));

  /** Figures of a pair as A less B, whichever of the two comes first in the data. */
  const oriented = (pair, a) => [["Accuracy", 5], ["Balanced accuracy", 11], ["Macro-F1", 17]].map(([name, start]) => {
    const [one, other, value, low, high, p] = pair.slice(start, start + 6);
    return pair[0] === a ? { name, a: one, b: other, value, low, high, p } : { name, a: other, b: one, value: -value, low: -high, high: -low, p };
  });
  const verdict = ({ name, value, low, high }, a, b) => {
    if (low > 0 || high < 0) return `${name}: run ${value > 0 ? a : b} is better, and chance alone hardly explains it.`;
    return `${name}: chance may explain the difference.`;
  };
  const showPair = () => {
    const holder = byId("pair");
    const [a, b] = [Number(first.value), Number(second.value)];
    const untested = [a, b].filter((run) => run in data.untested);
    const pair = pairs.get(`${Math.min(a, b)} ${Math.max(a, b)}`);
    if (a === b) return holder.replaceChildren(made("p", "Choose two different runs."));
    if (untested.length) return holder.replaceChildren(...untested.map((run) => made("p", `${data.runs[run]} cannot be tested: it ${data.untested[run]}.`)));
    if (!pair[2]) return holder.replaceChildren(made("p", `The two runs have no ${data.part} image in common, so they cannot be tested against each other.`));
    const rows = oriented(pair, a);
    const scroll = made("div", "", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Result of the test" });
    const result = made("table", "");
    const head = result.createTHead().insertRow();
    for (const text of ["", "A", "B", "A − B, points", "95 % interval", "p"]) head.append(made(text ? "th" : "td", text, { className: "number" }));
    const cells = result.createTBody();
    for (const row of rows) {
      const line = cells.insertRow();
      line.append(made("th", row.name, { scope: "row" }));
      for (const text of [Charts.percent(row.a), Charts.percent(row.b), signed(row.value), `${signed(row.low)} to ${signed(row.high)}`, written(row.p)]) line.append(made("td", text, { className: "number" }));
    }
    scroll.append(result);
    const drawing = made("div", "", { className: "drawing" });
    const facts = [`Both classified ${pair[2].toLocaleString("en")} ${data.part} images.`];
    if (pair[4]) facts.push(`They differ in their ${pair[4]}: the test is of the images that both classified, matched by id and label.`);
    else if (pair[3] === null) facts.push("Whether their data are the same is not known: images were matched by id and label.");
    holder.replaceChildren(made("p", facts.join(" ")), scroll, drawing, ...rows.map((row) => made("p", verdict(row, data.runs[a], data.runs[b]))));
    Charts.intervals(drawing, rows);
    return undefined;
  };
  /** With exactly two runs ticked, these are tested. */
  const follow = () => {
    if (!first || ticked.size !== 2) return;
    const [a, b] = [...ticked].sort((one, other) => one - other);
    [first.value, second.value] = [a, b];
    showPair();
  };
  if (first) {
    for (const select of [first, second]) {
      select.append(...data.runs.map((name, run) => new Option(name, run)));
      select.addEventListener("change", showPair);
    }
    [first.value, second.value] = data.pairs.length ? [data.pairs[0][0], data.pairs[0][1]] : [0, 0];
  }

  const draw = () => {
    drawCurves();
    drawParallel();
    if (first) showPair();
  };
  draw();
  let width = document.body.clientWidth;
  addEventListener("resize", () => {
    // On phones the height changes while the page scrolls.
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    draw();
  });
})();
