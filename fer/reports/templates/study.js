"use strict";
// Joins curves, heat map, videos and tables of a study: one moment, one stimulus, one measure at a time.
(() => {
  const byId = (id) => document.getElementById(id);
  const { data, placeName, curveOf } = Series;
  const { clock, write } = Courses;
  const HEIGHT = 250;
  const SMALL_HEIGHT = 110;
  const COLOURS = ["var(--first-curve)", "var(--second-curve)", "var(--ink)", "var(--muted)"];
  const DASHES = ["", "6 3", "2 2"];
  const PAGE_STEPS = 10;
  // What curves can be told apart by, beside the columns of groups.
  const [BY_CONDITION, BY_STIMULUS] = ["condition", "stimulus"];

  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  if (!byId("curve")) return;

  const state = { stimulus: 0, condition: 0, measure: 0, grouping: "0", time: 0, own: null, cell: null };
  const off = new Set();
  const measure = () => data.measures[state.measure];
  const steps = () => Series.steps(state.stimulus);
  const end = () => Series.end(state.stimulus);
  const stepAt = (seconds) => Series.stepAt(seconds, state.stimulus);

  /** The curves that the switches ask for, each with its name and look. */
  const shownCurves = () => {
    const { stimulus, condition, grouping } = state;
    let wanted;
    if (grouping === BY_CONDITION) wanted = data.conditions.map((name, place) => [name || "–", stimulus, place, 0, 0]);
    else if (grouping === BY_STIMULUS) wanted = data.stimuli.map(({ name }, place) => [name, place, condition, 0, 0]);
    else wanted = data.groupings[Number(grouping)].groups.map((name, place) => [name, stimulus, condition, Number(grouping), place]);
    const found = wanted.flatMap(([name, ...place]) => {
      const curve = curveOf(...place, state.measure);
      return curve ? [{ name, ...curve }] : [];
    });
    const own = found.length === 1 ? measure().colour : null;
    return found.map((curve, place) => ({ ...curve, colour: own ?? COLOURS[place % COLOURS.length], dashes: DASHES[Math.floor(place / COLOURS.length) % DASHES.length] }));
  };

  // Switches.
  const fill = (select, options, value) => {
    select.replaceChildren(...options.map(([text, own]) => new Option(text, own)));
    if (value !== undefined) select.value = value;
  };
  const selects = { stimulus: byId("stimulus"), condition: byId("condition"), measure: byId("measure"), grouping: byId("grouping") };
  fill(selects.stimulus, data.stimuli.map(({ name }, place) => [name, place]));
  fill(selects.condition, data.conditions.map((name, place) => [name || "–", place]));
  for (const [text, tested] of [["Tested", true], ["Others", false]]) {
    const group = Object.assign(document.createElement("optgroup"), { label: text });
    data.measures.forEach(({ name, tested: own }, place) => { if (own === tested) group.append(new Option(name, place)); });
    if (group.children.length) selects.measure.append(group);
  }
  fill(selects.grouping, [
    ...data.groupings.map(({ column }, place) => [column ? `each ${column}` : "everybody", place]),
    ...(data.conditions.length > 1 ? [["each condition", BY_CONDITION]] : []),
    ...(data.stimuli.length > 1 ? [["each stimulus", BY_STIMULUS]] : []),
  ]);

  // Drawing.
  const charts = { curve: null, share: null, own: null, heat: null };
  let curves = [];
  let printing = false;
  const on = (curve) => !off.has(`${state.grouping} ${curve.name}`);

  const describe = (seconds) => {
    const at = stepAt(seconds);
    const parts = curves.filter(on).map(({ name, values, low, high, share }) => {
      const band = (low[at] ?? null) === null || high[at] === null ? "" : ` (${write(measure(), low[at])} to ${write(measure(), high[at])})`;
      const showing = (share[at] ?? null) === null ? "" : `, ${Math.round(100 * share[at])}\u00a0% show it`;
      return `${name} ${write(measure(), values[at] ?? null)}${band}${showing}`;
    });
    return `${clock(seconds)}: ${parts.join("; ") || "nothing is shown"}.`;
  };

  const drawLegend = () => {
    const made = curves.map((curve) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "toggle" });
      button.setAttribute("aria-pressed", String(on(curve)));
      button.innerHTML = '<svg aria-hidden="true" width="26" height="10"><line x1="0" y1="5" x2="26" y2="5" stroke-width="2.5"/></svg><span></span>\u00a0<span class="now"></span>';
      const line = button.querySelector("line");
      line.style.stroke = curve.colour;
      line.style.strokeDasharray = curve.dashes;
      button.querySelector("span").textContent = `${curve.name} (${curve.respondents})`;
      button.title = `${curve.name}: ${curve.respondents} ${curve.respondents === 1 ? "respondent" : "respondents"}`;
      button.addEventListener("click", () => {
        const key = `${state.grouping} ${curve.name}`;
        if (!off.delete(key)) off.add(key);
        drawCurves();
      });
      return button;
    });
    byId("group-legend").replaceChildren(...made);
  };

  const drawCurves = () => {
    curves = shownCurves();
    const title = `${measure().name}${measure().change ? `, change from the baseline${measure().unit === "share" ? " in points" : ""}` : ""}, mean over respondents`;
    const place = state.grouping === BY_STIMULUS ? "each stimulus" : placeName(state.stimulus, state.condition);
    byId("curve-title").textContent = `${title}: ${place}`;
    byId("shown").textContent = `Shown: ${placeName(state.stimulus, state.condition)}; ${measure().name}.`;
    drawLegend();
    const { segments } = data.stimuli[state.stimulus];
    const shared = {
      end: end(), step: steps().width, segments, go, label: `${title}, ${place}`,
      hover: (seconds) => { byId("curve-readout").textContent = describe(seconds ?? state.time); },
    };
    const shown = curves.filter(on);
    const bands = byId("bands").checked;
    charts.curve = Courses.draw(byId("curve"), {
      ...shared, measure: measure(), height: HEIGHT,
      curves: shown.map((curve) => (bands ? curve : { ...curve, low: undefined, high: undefined })),
    });
    const shares = shown.filter(({ share }) => share.some((value) => value !== null));
    byId("share-part").hidden = shares.length === 0;
    byId("share-title").textContent = `Share of respondents in whom ${measure().name} leads`;
    charts.share = shares.length === 0 ? null : Courses.draw(byId("share"), {
      ...shared, segments: [], measure: { unit: "share", change: false }, height: SMALL_HEIGHT, label: byId("share-title").textContent,
      curves: shares.map(({ share, colour, dashes, name }) => ({ values: share, colour, dashes, name })),
    });
    byId("curve").setAttribute("aria-valuemax", String(end()));
    showTime();
  };

  // The heat map.
  const block = () => Series.blockOf(state.stimulus, state.condition);
  const courseOf = (person) => Series.courseOf(person, state.stimulus, state.condition, state.measure);
  const mean = (values) => {
    const there = values.filter((value) => value !== null);
    return there.length ? there.reduce((sum, value) => sum + value, 0) / there.length : -Infinity;
  };
  const groupColumn = () => data.group_columns.indexOf(data.groupings[Number(state.grouping)]?.column ?? "");
  let rows = [];
  const sortRows = () => {
    const column = groupColumn();
    const by = byId("heat-sort").value;
    rows = (block()?.respondents ?? []).map((person) => {
      const values = courseOf(person);
      const strength = by === "now" ? values[stepAt(state.time)] ?? -Infinity : mean(values);
      return { person, name: data.people[person][0], group: column < 0 ? "" : data.people[person][column + 1], values, strength };
    });
    const order = column < 0 ? [] : data.groupings[Number(state.grouping)].groups;
    rows.sort((one, other) => (by === "group" ? order.indexOf(one.group) - order.indexOf(other.group) : 0)
      || (by === "name" ? 0 : other.strength - one.strength)
      || one.name.localeCompare(other.name, "en", { numeric: true }));
    return by === "group" && column >= 0;
  };
  const sayCell = ({ row, step }) => {
    const { name, group, values } = rows[row];
    return `${name}${group ? ` (${group})` : ""}, ${clock(step * steps().width)}: ${values[step] === null ? "no usable face" : write(measure(), values[step])}`;
  };
  const drawHeat = () => {
    const holder = byId("heat");
    if (!holder) return;
    const headed = sortRows();
    byId("heat-title").textContent = `${measure().name} of each respondent: ${placeName(state.stimulus, state.condition)}`;
    const seen = rows.flatMap(({ values }) => values).filter((value) => value !== null).sort((one, other) => one - other);
    const from = measure().unit === "share" && !measure().change ? 0 : Math.min(seen[0] ?? 0, 0);
    const to = Math.max(seen[Math.floor(0.995 * (seen.length - 1))] ?? 1, from + 0.01);
    const [low, high] = from < 0 ? [-Math.max(-from, to), Math.max(-from, to)] : [from, to];
    byId("heat-low").textContent = write(measure(), low);
    byId("heat-high").textContent = write(measure(), high);
    document.querySelector(".heat-scale").classList.toggle("signed", low < 0);
    charts.heat = HeatMap.draw(holder, rows, { end: end(), step: steps().width, low, high, headed, light: printing });
    point(null);
    showTime();
  };
  const point = (cell) => {
    state.cell = cell;
    const tip = byId("heat").querySelector(".tip");
    charts.heat.mark(cell);
    tip.hidden = cell === null;
    byId("heat-readout").textContent = cell ? `${sayCell(cell)}.` : "";
    if (cell === null) return;
    tip.textContent = sayCell(cell);
    const [left, top] = charts.heat.place(cell);
    const room = byId("heat").clientWidth - tip.offsetWidth;
    Object.assign(tip.style, { left: `${Math.max(0, Math.min(left + 8, room))}px`, top: `${top + 8}px` });
  };

  // A respondent's own recording.
  const recordingOf = (person) => data.recordings.find(([own, stimulus, condition]) => own === person && stimulus === state.stimulus && condition === state.condition);
  const drawOwn = () => {
    if (!byId("own-part")) return;
    const values = state.own === null ? null : courseOf(state.own);
    byId("own-part").hidden = values === null;
    byId("own-body").hidden = state.own === null;
    charts.own = null;
    if (state.own === null) return;
    const [name, ...groups] = data.people[state.own];
    const recording = recordingOf(state.own);
    ownPlayer.show([state.own, state.stimulus, state.condition].join(), recording?.[3] ?? null, recording?.[4] ?? 0, `Recording of ${name}`);
    if (values === null) return;
    const everybody = curveOf(state.stimulus, state.condition, 0, 0, state.measure);
    byId("own-title").textContent = `${measure().name} of ${name}${groups.length ? ` (${groups.join(", ")})` : ""}; thin: everybody`;
    charts.own = Courses.draw(byId("own-curve"), {
      end: end(), step: steps().width, measure: measure(), height: SMALL_HEIGHT + 40, segments: [], go, label: byId("own-title").textContent,
      curves: [
        ...(everybody ? [{ values: everybody.values, colour: "var(--muted)", thin: true, name: "everybody" }] : []),
        { values, colour: measure().colour ?? COLOURS[0], name },
      ],
    });
  };
  const open = (person, seconds) => {
    state.own = person;
    byId("respondent").value = String(person);
    drawOwn();
    go(seconds);
    const box = byId("own-player").getBoundingClientRect();
    if (box.bottom > innerHeight || box.top < 0) byId("own-player").scrollIntoView({ block: "nearest" });
  };

  // One moment for all.
  const showTime = () => {
    for (const chart of Object.values(charts)) chart?.setTime(state.time);
    byId("curve-readout").textContent = describe(state.time);
    const at = stepAt(state.time);
    byId("group-legend").querySelectorAll(".now").forEach((part, place) => { part.textContent = write(measure(), curves[place].values[at] ?? null); });
    byId("curve").setAttribute("aria-valuenow", state.time.toFixed(1));
    byId("curve").setAttribute("aria-valuetext", describe(state.time));
  };
  const follow = (seconds) => {
    state.time = Math.min(Math.max(seconds, 0), end());
    showTime();
  };
  /** Goes to a moment: cursors, and the videos except the one that led there. */
  const go = (seconds, leader = null) => {
    follow(seconds);
    for (const player of [stimulusPlayer, ownPlayer]) if (player && player !== leader) player.seek(state.time);
  };
  const join = (figure) => {
    if (!figure) return null;
    const player = Player.connect(figure, (seconds, rests) => {
      if (seconds === null) player.seek(state.time);
      else if (rests) go(seconds, player);
      else follow(seconds);
    });
    return player;
  };
  const stimulusPlayer = join(byId("stimulus-player"));
  const ownPlayer = join(byId("own-player"));
  stimulusPlayer.onPlay(() => ownPlayer?.pause());
  ownPlayer?.onPlay(() => stimulusPlayer.pause());

  const drawAll = () => {
    const { name, url, has_video: exists } = data.stimuli[state.stimulus];
    stimulusPlayer.show(String(state.stimulus), url, 0, name, exists);
    byId("stimulus-player").querySelector("figcaption").textContent = `Stimulus: ${name}`;
    state.time = Math.min(state.time, end());
    drawCurves();
    drawHeat();
    drawOwn();
    if (byId("respondent")) {
      const there = block()?.respondents ?? [];
      const sorted = [...there].sort((one, other) => data.people[one][0].localeCompare(data.people[other][0], "en", { numeric: true }));
      fill(byId("respondent"), [["choose…", ""], ...sorted.map((person) => [data.people[person][0], person])], state.own !== null && there.includes(state.own) ? String(state.own) : "");
    }
    stimulusPlayer.seek(state.time);
    ownPlayer?.seek(state.time);
    showTime();
  };
  const change = (wanted) => {
    Object.assign(state, wanted);
    for (const name of Object.keys(selects)) selects[name].value = String(state[name]);
    drawAll();
  };

  for (const name of ["stimulus", "condition", "measure"]) selects[name].addEventListener("change", () => change({ [name]: Number(selects[name].value) }));
  selects.grouping.addEventListener("change", () => change({ grouping: selects.grouping.value }));
  byId("bands").addEventListener("change", drawCurves);
  byId("heat-sort")?.addEventListener("change", drawHeat);
  byId("respondent")?.addEventListener("change", ({ target }) => {
    if (target.value !== "") return open(Number(target.value), state.time);
    ownPlayer.pause();
    state.own = null;
    return drawOwn();
  });

  byId("curve").addEventListener("keydown", (event) => {
    const at = stepAt(state.time);
    const last = steps().count - 1;
    const moves = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - PAGE_STEPS, PageUp: at + PAGE_STEPS, Home: 0, End: last };
    if (event.key in moves) go(Math.min(Math.max(moves[event.key], 0), last) * steps().width);
    else if (event.key === " ") stimulusPlayer.toggle();
    else return;
    event.preventDefault();
  });

  const heat = byId("heat");
  heat?.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") point(charts.heat.find(event)); });
  heat?.addEventListener("pointerleave", () => point(null));
  heat?.addEventListener("blur", () => point(null));
  heat?.addEventListener("click", (event) => {
    const cell = charts.heat.find(event);
    if (cell) open(rows[cell.row].person, cell.seconds);
  });
  heat?.addEventListener("keydown", (event) => {
    if (rows.length === 0) return;
    const { row, step } = state.cell ?? { row: 0, step: stepAt(state.time) };
    const moves = { ArrowLeft: [row, step - 1], ArrowRight: [row, step + 1], ArrowUp: [row - 1, step], ArrowDown: [row + 1, step], Home: [row, 0], End: [row, steps().count - 1], PageUp: [row - PAGE_STEPS, step], PageDown: [row + PAGE_STEPS, step] };
    if (event.key in moves) {
      const [to, at] = state.cell ? moves[event.key] : [row, step];
      point({ row: Math.min(Math.max(to, 0), rows.length - 1), step: Math.min(Math.max(at, 0), steps().count - 1) });
    } else if (event.key === "Enter" && state.cell) {
      open(rows[row].person, step * steps().width);
    } else {
      return;
    }
    event.preventDefault();
  });

  // Moments of tables and of other charts; without a condition that which is shown.
  const jump = (stimulus, condition, which, seconds) => {
    change({ stimulus, condition: condition ?? state.condition, ...(which < 0 ? {} : { measure: which }), time: seconds });
    byId("watch").scrollIntoView();
  };
  for (const button of document.querySelectorAll(".goto")) {
    const stimulus = data.stimuli.findIndex(({ name }) => name === button.dataset.stimulus);
    if (stimulus < 0) continue;
    button.disabled = false;
    button.addEventListener("click", () => {
      const condition = Math.max(data.conditions.indexOf(button.dataset.condition), 0);
      jump(stimulus, condition, data.measures.findIndex(({ name }) => name === button.dataset.measure), Number(button.dataset.time));
    });
  }

  const draw = () => {
    SideCharts.draw(jump);
    drawAll();
  };
  // What the summary names first is shown first.
  const first = document.querySelector(".moments .goto:enabled");
  change({
    stimulus: Math.max(data.stimuli.findIndex(({ name }) => name === first?.dataset.stimulus), 0),
    condition: Math.max(data.conditions.indexOf(first?.dataset.condition), 0),
    measure: Math.max(data.measures.findIndex(({ name }) => name === first?.dataset.measure), 0),
  });
  SideCharts.draw(jump);

  let width = document.body.clientWidth;
  addEventListener("resize", () => {
    // On phones the height changes while the page scrolls.
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawHeat);
  const print = (now) => () => { printing = now; drawHeat(); };
  addEventListener("beforeprint", print(true));
  addEventListener("afterprint", print(false));
})();
