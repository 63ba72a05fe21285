"use strict";
// Draws courses over time as SVG that takes its colours from the page.
const Courses = (() => {
  const { element, ticks } = Svg;
  const LEFT = 58;
  const RIGHT = 16;
  const BOTTOM = 24;
  const LANE = 18;
  const LETTER = 6.6; // pixels of width, on average
  const TICK_STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
  const CLICK_PIXELS = 6;

  const clock = (seconds) => {
    const tenths = Math.round(10 * Math.max(seconds, 0));
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(tenths / 36000);
    const minutes = Math.floor(tenths / 600) % 60;
    const rest = `${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
    return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
  };

  const minus = (text) => text.replace("-", "−");
  // What is rounded to 0 has no sign.
  const fixed = (value, digits) => (Number(value.toFixed(digits)) === 0 ? (0).toFixed(digits) : minus(value.toFixed(digits)));
  const sign = (value, digits) => `${Number(value.toFixed(digits)) > 0 ? "+" : ""}${fixed(value, digits)}`;
  /** A value of a measure, or a difference of two, in its unit. */
  const write = ({ unit, change }, value, difference = false) => {
    if (value === null) return "–";
    if (unit === "share") return change || difference ? `${sign(100 * value, 1)}\u00a0points` : `${(100 * value).toFixed(0)}\u00a0%`;
    if (unit === "degrees") return `${fixed(value, 1)}°`;
    if (unit === "count") return fixed(value, 1);
    return sign(value, 2);
  };

  const axisLabel = ({ unit, change }, value, difference) => {
    if (unit === "share" && (change || difference)) return sign(Number((100 * value).toPrecision(6)), 0);
    if (unit === "share") return `${minus(String(Number((100 * value).toPrecision(6))))}\u00a0%`;
    return minus(String(value)) + (unit === "degrees" ? "°" : "");
  };

  /** SVG paths of the stretches without a gap; a value between two gaps becomes a short dash. */
  const trace = (values, x, y) => {
    let d = "";
    values.forEach((value, place) => {
      if (value === null) return;
      const alone = (values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null;
      const pen = (values[place - 1] ?? null) === null ? "M" : "L";
      d += `${pen}${(x(place) - (alone ? 2 : 0)).toFixed(1)},${y(value).toFixed(1)}${alone ? "h4" : ""}`;
    });
    return d;
  };
  const ribbon = (low, high, x, y) => {
    let d = "";
    for (let place = 0; place < low.length; place += 1) {
      if (low[place] === null || high[place] === null) continue;
      const start = place;
      while (place + 1 < low.length && low[place + 1] !== null && high[place + 1] !== null) place += 1;
      if (place === start) {
        d += `M${x(place) - 2},${y(low[place])}h4V${y(high[place])}h-4Z`;
        continue;
      }
      const point = (at, value) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`;
      const there = [];
      const back = [];
      for (let at = start; at <= place; at += 1) {
        there.push(point(at, high[at]));
        back.unshift(point(at, low[at]));
      }
      d += `M${[...there, ...back].join("L")}Z`;
    }
    return d;
  };

  /** Names over the drawing, in as many lanes as they need; those that do not fit are told by the pointer. */
  const nameSegments = (svg, segments, x, top, bottom, end, compact) => {
    const scenes = segments.filter(([kind]) => kind === "scene");
    const events = segments.filter(([kind]) => kind !== "scene").sort((one, other) => one[2] - other[2]);
    const lane = (number) => 2 + number * LANE;
    const titled = (made, name, from, to) => {
      made.append(element("title", {}, `${name}, ${clock(from)} – ${clock(to)}`));
      return made;
    };
    scenes.forEach(([, name, from, to], place) => {
      const [left, right] = [x(from), x(Math.min(to, end))];
      if (place % 2 === 0) svg.append(element("rect", { class: "scene", x: left, y: top, width: Math.max(0, right - left), height: bottom - top }));
      if (compact) return;
      svg.append(titled(element("rect", { class: "scene-name", x: left + 1, y: lane(0), width: Math.max(0, right - left - 2), height: LANE - 4, rx: 3 }), name, from, to));
      const most = Math.floor((right - left - 8) / LETTER);
      if (most < 3) return;
      const text = name.length > most ? `${name.slice(0, most - 1)}…` : name;
      svg.append(titled(element("text", { x: (left + right) / 2, y: lane(0) + 11, "text-anchor": "middle", "font-size": 11 }, text), name, from, to));
    });
    const first = scenes.length && !compact ? 1 : 0;
    let busy = -Infinity;
    for (const [, name, from, to] of events) {
      const [left, right] = [x(from), x(Math.min(to, end))];
      svg.append(titled(element("rect", { class: "event", x: left, y: top, width: Math.max(1, right - left), height: bottom - top }), name, from, to));
      svg.append(element("line", { class: "event-line", x1: left, x2: left, y1: compact ? top : lane(first) + 2, y2: bottom }));
      const text = name.length > 22 ? `${name.slice(0, 21)}…` : name;
      const width = text.length * LETTER + 8;
      if (compact || left < busy) continue;
      const before = left + width > x(end) + RIGHT;
      if (before && left - width < busy) continue;
      svg.append(titled(element("text", { class: "event-text", x: left + (before ? -4 : 4), y: lane(first) + 12, "text-anchor": before ? "end" : "start", "font-size": 11 }, text), name, from, to));
      busy = left + (before ? 0 : width);
    }
  };

  /**
   * Draws curves on one axis of time. `spec` has `end` and `step` (seconds), `measure`, `curves` with `values`, `low`,
   * `high`, `colour`, `dashes`, `thin`, and at will `segments`, `clusters`, `difference`, `height`, `compact`, `label`,
   * `go` and `hover`, which are given a moment. Returns what moves the cursor.
   */
  const draw = (holder, spec) => {
    const { end, step, measure, curves, segments = [], clusters = [], compact = false, difference = false } = spec;
    const width = Math.max(holder.clientWidth, 240);
    const lanes = compact ? 0 : ["scene", "event"].filter((kind) => segments.some(([own]) => own === kind)).length;
    const top = 8 + lanes * LANE + (clusters.length && !compact ? LANE : 0);
    const height = spec.height + top - 8;
    const bottom = height - BOTTOM;
    const all = curves.flatMap(({ values, low = [], high = [] }) => [...values, ...low, ...high]).filter((value) => value !== null);
    const least = Math.min(0, ...all);
    const most = Math.max(least + (measure.unit === "share" ? 0.02 : 0.1), ...all);
    const room = 0.05 * (most - least);
    const [floor, ceiling] = [least < 0 ? least - room : 0, most + room];
    const x = (seconds) => LEFT + (seconds / end) * (width - LEFT - RIGHT);
    const y = (value) => bottom - ((value - floor) / (ceiling - floor)) * (bottom - top);
    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spec.label ?? "" });
    nameSegments(svg, segments, x, top, bottom, end, compact);
    const grid = element("g", { class: "grid" });
    for (const tick of ticks(floor, ceiling, Math.max(2, (bottom - top) / (compact ? 28 : 42)))) {
      grid.append(element("line", { x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick), class: tick === 0 ? "zero" : "" }));
      grid.append(element("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, axisLabel(measure, tick, difference)));
    }
    const spacing = TICK_STEPS.find((seconds) => (end / seconds) * 58 <= width - LEFT - RIGHT) ?? end;
    for (let number = 0; number * spacing <= end + 1e-9; number += 1) {
      grid.append(element("text", { x: x(number * spacing), y: height - 8, "text-anchor": "middle" }, clock(number * spacing).replace(/\.0$/, "")));
    }
    svg.append(grid);
    for (const [from, to, p] of clusters) {
      svg.append(element("rect", { class: "cluster", x: x(from), y: top, width: Math.max(1, x(Math.min(to, end)) - x(from)), height: bottom - top }));
      const text = p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
      svg.append(element("text", { class: "cluster-text", x: Math.min((x(from) + x(to)) / 2, width - 40), y: top - 5, "text-anchor": "middle", "font-size": 11 }, text));
    }
    const at = (place) => x((place + 0.5) * step);
    for (const { low, high, colour } of curves) {
      if (!low) continue;
      const band = element("path", { class: "band", d: ribbon(low, high, at, y) });
      band.style.fill = colour;
      svg.append(band);
    }
    for (const { values, colour, dashes, thin, name } of curves) {
      const line = element("path", { class: thin ? "curve thin" : "curve", d: trace(values, at, y), "data-name": name ?? "" });
      line.style.stroke = colour;
      if (dashes) line.style.strokeDasharray = dashes;
      svg.append(line);
    }
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    cursor.style.height = `${bottom}px`;
    holder.replaceChildren(svg, cursor);

    const momentOf = (event) => {
      const box = svg.getBoundingClientRect();
      const place = (event.clientX - box.left) * (width / box.width);
      return Math.min(Math.max((place - LEFT) / (width - LEFT - RIGHT), 0), 1) * end;
    };
    let pressed = null;
    svg.addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; });
    svg.addEventListener("pointerup", (event) => {
      if (pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) <= CLICK_PIXELS && event.button === 0) spec.go?.(momentOf(event));
      pressed = null;
    });
    svg.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") spec.hover?.(momentOf(event)); });
    svg.addEventListener("pointerleave", () => spec.hover?.(null));
    return {
      setTime: (seconds) => {
        cursor.hidden = seconds === null;
        if (seconds !== null) cursor.style.left = `${x(Math.min(Math.max(seconds, 0), end))}px`;
      },
    };
  };

  return { draw, clock, write, LEFT, RIGHT };
})();
