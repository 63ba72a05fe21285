"use strict";
// Draws learning curves and parallel coordinates as SVG that takes its colours from the page.
const Charts = (() => {
  const { element, ticks } = Svg;
  const LETTER = 7; // pixels of width, on average, at the size of the page's labels
  const MOST_LETTERS = 24;
  // So few curves are named at their ends: their colours tell the rank, not one from another.
  const MOST_LABELLED = 12;
  const LABEL_HEIGHT = 14;
  // A line is hit within so many pixels.
  const NEAR = 24;

  const cut = (text) => (text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text);
  const label = (x, y, text, anchor, look = "") => {
    const made = element("text", { x, y, "text-anchor": anchor, class: look }, cut(text));
    if (cut(text) !== text) made.append(element("title", {}, text));
    return made;
  };

  const percent = (value) => `${(100 * value).toFixed(1)}\u00a0%`;
  /** A number with as many digits as it needs; powers of ten for very small ones. */
  const plain = (value) => String(Number(value.toPrecision(4))).replace("-", "−");
  const write = (value, share) => (share ? percent(value) : plain(value));

  const wholeTicks = (low, high, most) => ticks(low, high, most).filter(Number.isInteger);

  /** The colour of a run between worst and best; runs without a rank are grey. */
  const colours = (runs, scored) => {
    const found = new Array(runs.length).fill("var(--muted)");
    scored.forEach((run, place) => {
      const share = scored.length > 1 ? 100 * (1 - place / (scored.length - 1)) : 100;
      found[run] = `color-mix(in oklab, var(--first-curve) ${share.toFixed(1)}%, var(--second-curve))`;
    });
    return found;
  };

  const path = (run, colour, points) => {
    let d = "";
    let pen = "M";
    for (const point of points) {
      if (point === null) pen = "M";
      else {
        d += `${pen}${point[0].toFixed(1)},${point[1].toFixed(1)}`;
        pen = "L";
      }
    }
    const made = element("path", { d, "data-run": run, class: "line" });
    made.style.stroke = colour;
    return made;
  };

  const frame = (holder, width, height, description) => {
    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description });
    holder.replaceChildren(svg);
    return svg;
  };

  /** The name of each curve beside its last point; names that would touch are moved apart. */
  const endLabels = (shown, names, x, y, bottom) => {
    const group = element("g", { class: "ends" });
    const ends = shown.map(({ run, epochs, values }) => {
      const last = values.findLastIndex((value) => value !== null);
      return { run, x: x(epochs[last]), y: Math.min(Math.max(y(values[last]), LABEL_HEIGHT), bottom) };
    }).sort((one, other) => one.y - other.y);
    ends.forEach((end, place) => { if (place) end.y = Math.max(end.y, ends[place - 1].y + LABEL_HEIGHT); });
    for (let place = ends.length - 1, floor = bottom; place >= 0; place -= 1, floor -= LABEL_HEIGHT) ends[place].y = Math.min(ends[place].y, floor);
    const right = Math.max(...ends.map((end) => end.x));
    for (const end of ends) {
      const name = label(right + 6, end.y + 4, names[end.run].length > 15 ? `…${names[end.run].slice(-14)}` : names[end.run], "start");
      name.dataset.run = end.run;
      group.append(name);
    }
    return group;
  };

  /** Upper end of an axis that a few diverged values do not stretch beyond all others. */
  const sensibleHigh = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const usual = sorted[Math.floor(0.9 * (sorted.length - 1))];
    const high = sorted[sorted.length - 1];
    return high - sorted[0] > 4 * (usual - sorted[0]) && usual > sorted[0] ? usual + 0.5 * (usual - sorted[0]) : high;
  };

  /**
   * Curves of one figure over the epochs. Returns a function that finds the run and epoch nearest to a point of the
   * drawing, and whether values above the axis were cut off.
   */
  const curves = (holder, data, figure, height = 320) => {
    const shown = data.curves.flatMap((curve, run) => (curve[figure] ? [{ run, epochs: curve.epoch, values: curve[figure] }] : []));
    const all = shown.flatMap((curve) => curve.values).filter((value) => value !== null);
    const share = /accuracy|f1|recall|precision/.test(figure);
    const width = Math.max(holder.clientWidth, 280);
    const margin = { l: 72, r: shown.length <= MOST_LABELLED ? 110 : 14, t: 10, b: 40 };
    const high = share ? Math.max(...all) : sensibleHigh(all);
    const low = Math.min(...all);
    const room = 0.04 * (high - low || Math.abs(high) || 1);
    const last = Math.max(...shown.flatMap((curve) => curve.epochs));
    const first = Math.min(...shown.flatMap((curve) => curve.epochs));
    const x = (epoch) => margin.l + ((epoch - first + (last === first ? 0.5 : 0)) / (last - first || 1)) * (width - margin.l - margin.r);
    const y = (value) => height - margin.b - ((value - low + room) / (high - low + 2 * room)) * (height - margin.t - margin.b);
    const svg = frame(holder, width, height, `${figure} of ${shown.length} runs over epochs ${first} to ${last}, from ${write(low, share)} to ${write(Math.max(...all), share)}`);
    const grid = element("g", { class: "grid" });
    for (const tick of ticks(low - room, high + room, 7)) {
      grid.append(element("line", { x1: margin.l, x2: width - margin.r, y1: y(tick), y2: y(tick) }));
      grid.append(label(margin.l - 8, y(tick) + 4, share ? `${plain(100 * tick)}\u00a0%` : plain(tick), "end"));
    }
    for (const tick of wholeTicks(first, last, Math.max(2, width / 70))) grid.append(label(x(tick), height - margin.b + 18, String(tick), "middle"));
    grid.append(label((margin.l + width - margin.r) / 2, height - 6, "epoch", "middle"));
    const title = label(0, 0, figure.replaceAll("_", " "), "middle");
    title.setAttribute("transform", `translate(14 ${(margin.t + height - margin.b) / 2}) rotate(-90)`);
    grid.append(title);
    const clip = element("clipPath", { id: "curves-clip" });
    clip.append(element("rect", { x: 0, y: margin.t - 4, width, height: height - margin.t - margin.b + 4 }));
    const lines = element("g", { class: "lines", "clip-path": "url(#curves-clip)" });
    const colour = colours(data.runs, data.scored);
    for (const curve of [...shown].reverse()) {
      const points = curve.values.map((value, place) => (value === null ? null : [x(curve.epochs[place]), y(value)]));
      const line = path(curve.run, colour[curve.run], points);
      if (points.filter(Boolean).length === 1) {
        line.setAttribute("d", `${line.getAttribute("d")}h0.1`);
        line.classList.add("single");
      }
      lines.append(line);
    }
    svg.append(grid, clip, lines);
    if (shown.length <= MOST_LABELLED) svg.append(endLabels(shown, data.runs, x, y, height - margin.b));
    const nearest = (px, py) => {
      let best = { distance: NEAR, run: null };
      for (const curve of shown) {
        curve.values.forEach((value, place) => {
          if (value === null) return;
          const distance = Math.hypot((x(curve.epochs[place]) - px) / 2, y(value) - py);
          if (distance < best.distance) best = { distance, run: curve.run, text: `epoch ${curve.epochs[place]}, ${write(value, share)}` };
        });
      }
      return best.run === null ? null : best;
    };
    return { nearest, cutOff: Math.max(...all) > high };
  };

  /** An axis: where a value stands between 0 (bottom) and 1 (top), and its marks. */
  const scale = (axis) => {
    if (axis.categories) {
      const count = axis.categories.length;
      const at = (value) => (count === 1 ? 0.5 : value / (count - 1));
      const step = Math.ceil(count / 14);
      return { at, marks: axis.categories.map((text, place) => [place, text]).filter(([place]) => place % step === 0) };
    }
    const move = axis.logarithmic ? Math.log : (value) => value;
    const [low, high] = [Math.min(...axis.values), Math.max(...axis.values)];
    const at = (value) => (high === low ? 0.5 : (move(value) - move(low)) / (move(high) - move(low)));
    const distinct = [...new Set(axis.values)].sort((a, b) => a - b);
    const wanted = distinct.length <= 6 && !axis.share ? distinct : axis.logarithmic ? [low, ...decades(low, high), high] : [...ticks(low, high, 5)];
    // Marks that would touch are left out.
    const values = [];
    for (const value of wanted) if (!values.length || Math.abs(at(value) - at(values[values.length - 1])) > 0.06) values.push(value);
    return { at, marks: values.map((value) => [value, axis.share ? `${plain(100 * value)}\u00a0%` : plain(value)]) };
  };
  const decades = (low, high) => {
    const found = [];
    for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power += 1) found.push(Number((10 ** power).toPrecision(12)));
    return found;
  };

  /**
   * A vertical axis for each hyper-parameter and one for the score; a line is a run. `brushed(axis, from, to)` is
   * called with shares of the axis when the reader drags along one, without bounds when it is clicked.
   */
  const parallel = (holder, data, brushes, brushed, height = 340) => {
    const axes = data.axes;
    const top = 34;
    const bottom = 14;
    const scales = axes.map(scale);
    const nameWidths = axes.map((axis) => LETTER * 1.3 * cut(axis.name).length);
    const markWidths = scales.map(({ marks }) => LETTER * Math.max(...marks.map(([, text]) => cut(text).length)) + 20);
    const left = Math.max(24, nameWidths[0] / 2);
    const right = Math.max(markWidths[axes.length - 1], nameWidths[axes.length - 1] / 2);
    // Neither names nor marks of neighbours may touch; a drawing that is too wide then is scrolled.
    const needed = nameWidths.slice(1).map((own, place) => Math.max((own + nameWidths[place]) / 2 + 12, markWidths[place]));
    const width = Math.max(holder.clientWidth, left + right + Math.max(...needed) * (axes.length - 1));
    const x = (place) => left + (place * (width - left - right)) / (axes.length - 1);
    const y = (share) => height - bottom - share * (height - top - bottom);
    const svg = frame(holder, width, height, `Parallel coordinates of ${data.scored.length} runs: ${axes.map((axis) => axis.name).join(", ")}`);
    const lines = element("g", { class: "lines" });
    const colour = colours(data.runs, data.scored);
    const courses = data.scored.map((run, row) => ({ run, row, ys: axes.map((axis, place) => y(scales[place].at(axis.values[row]))) }));
    for (const course of [...courses].reverse()) lines.append(path(course.run, colour[course.run], course.ys.map((own, place) => [x(place), own])));
    svg.append(lines);
    axes.forEach((axis, place) => {
      const group = element("g", { class: "axis" });
      group.append(element("line", { x1: x(place), x2: x(place), y1: y(0), y2: y(1) }));
      group.append(label(x(place), 16, axis.name, "middle", "axis-name"));
      for (const [value, text] of scales[place].marks) {
        const own = y(scales[place].at(value));
        group.append(element("line", { x1: x(place) - 4, x2: x(place) + 4, y1: own, y2: own }));
        group.append(label(x(place) + 8, own + 4, text, "start"));
      }
      if (brushes.has(place)) {
        const [from, to] = brushes.get(place);
        group.append(element("rect", { class: "brush", x: x(place) - 7, width: 14, y: y(to), height: Math.max(2, y(from) - y(to)) }));
      }
      group.append(handle(x(place), y, (from, to) => brushed(place, from, to)));
      svg.append(group);
    });
    const nearest = (px, py) => {
      const at = Math.min(Math.max(((px - left) / (width - left - right)) * (axes.length - 1), 0), axes.length - 1);
      const place = Math.min(Math.floor(at), axes.length - 2);
      let best = { distance: NEAR, run: null };
      for (const course of courses) {
        const distance = Math.abs(course.ys[place] + (at - place) * (course.ys[place + 1] - course.ys[place]) - py);
        if (distance < best.distance) best = { distance, ...course };
      }
      if (best.run === null) return null;
      const settings = axes.map((axis) => `${axis.name} ${axis.categories ? axis.categories[axis.values[best.row]] : write(axis.values[best.row], axis.share)}`);
      return { run: best.run, text: settings.join(", ") };
    };
    const inside = (row, place, [from, to]) => {
      const share = scales[place].at(axes[place].values[row]);
      return share >= from - 1e-9 && share <= to + 1e-9;
    };
    const within = () => courses.filter(({ row }) => [...brushes].every(([place, range]) => inside(row, place, range))).map(({ run }) => run);
    return { nearest, within };
  };

  /** A strip along an axis that is dragged; it knows shares of the axis only. */
  const handle = (x, y, done) => {
    const strip = element("rect", { class: "handle", x: x - 14, y: y(1) - 6, width: 28, height: y(0) - y(1) + 12 });
    const shareAt = (event) => {
      const box = strip.getBoundingClientRect();
      const share = 1 - (event.clientY - box.top - 6) / (box.height - 12);
      return Math.min(Math.max(share, 0), 1);
    };
    let start = null;
    strip.addEventListener("pointerdown", (event) => {
      start = { share: shareAt(event), y: event.clientY };
      strip.setPointerCapture(event.pointerId);
    });
    strip.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const end = shareAt(event);
      if (Math.abs(event.clientY - start.y) < 4) done(null, null);
      else done(Math.min(start.share, end), Math.max(start.share, end));
      start = null;
    });
    return strip;
  };

  /** Two differences with their intervals over a common axis with zero on it, in points. */
  const intervals = (holder, rows) => {
    const width = Math.min(Math.max(holder.clientWidth, 260), 520);
    const left = LETTER * Math.max(...rows.map((row) => row.name.length)) + 14;
    const [right, line] = [16, 30];
    const height = rows.length * line + 44;
    const low = Math.min(0, ...rows.map((row) => row.low));
    const high = Math.max(0, ...rows.map((row) => row.high));
    const room = 0.06 * (high - low) || 0.01;
    const x = (value) => left + ((value - low + room) / (high - low + 2 * room)) * (width - left - right);
    const svg = frame(holder, width, height, rows.map((row) => `${row.name}: difference ${plain(100 * row.value)}, from ${plain(100 * row.low)} to ${plain(100 * row.high)} points`).join("; "));
    const grid = element("g", { class: "grid" });
    for (const tick of ticks(low - room, high + room, Math.max(2, width / 90))) {
      grid.append(element("line", { x1: x(tick), x2: x(tick), y1: 4, y2: rows.length * line, class: tick === 0 ? "zero" : "" }));
      grid.append(label(x(tick), height - 26, plain(100 * tick), "middle"));
    }
    grid.append(label((left + width - right) / 2, height - 8, "difference, points", "middle"));
    svg.append(grid);
    rows.forEach((row, place) => {
      const y = place * line + line / 2 + 2;
      svg.append(label(left - 10, y + 4, row.name, "end"));
      svg.append(element("line", { x1: x(row.low), x2: x(row.high), y1: y, y2: y, class: "interval-line" }));
      svg.append(element("circle", { cx: x(row.value), cy: y, r: 5, class: "interval-dot" }));
    });
  };

  return { curves, parallel, intervals, percent, plain };
})();
