"use strict";
// Draws the heat map: a row a respondent, a column a step; what has no value is hatched.
const HeatMap = (() => {
  const { LEFT, RIGHT } = Courses;
  const WANTED_HEIGHT = 420;
  const [THINNEST, THICKEST] = [3, 16];
  const NAMED_FROM = 11; // pixels of a row that has room for a name
  const HEADING = 18;

  const parse = (colour) => {
    const number = parseInt(colour.trim().slice(1), 16);
    return [number >> 16, (number >> 8) & 255, number & 255];
  };
  const between = (one, other, share) => one.map((part, place) => Math.round(part + (other[place] - part) * share));

  /** Colours by the page's own, so that they follow it from light to dark and onto paper. */
  const readColours = (holder, light) => {
    const style = getComputedStyle(holder);
    const read = (name) => parse(style.getPropertyValue(name));
    if (light) return { low: parse("#edf1f5"), middle: parse("#6ea4dc"), high: parse("#0b3a70"), below: parse("#b4521b"), ink: "#1b1f24", muted: "#59636e" };
    return {
      low: read("--heat-low"), middle: read("--heat-middle"), high: read("--heat-high"), below: read("--heat-below"),
      ink: style.getPropertyValue("--ink"), muted: style.getPropertyValue("--muted"),
    };
  };
  const mix = (colours, share, signed) => {
    const inside = Math.min(Math.max(share, signed ? -1 : 0), 1);
    if (inside < 0) return between(colours.low, colours.below, -inside);
    if (signed) return between(colours.low, colours.high, inside);
    return inside < 0.5 ? between(colours.low, colours.middle, 2 * inside) : between(colours.middle, colours.high, 2 * inside - 1);
  };

  const hatch = (context, colour) => {
    const tile = document.createElement("canvas");
    [tile.width, tile.height] = [6, 6];
    const pen = tile.getContext("2d");
    pen.strokeStyle = colour;
    pen.globalAlpha = 0.6;
    pen.beginPath();
    pen.moveTo(0, 6);
    pen.lineTo(6, 0);
    pen.stroke();
    return context.createPattern(tile, "repeat");
  };

  const fit = (context, text, width) => {
    if (context.measureText(text).width <= width) return text;
    let length = Math.min(text.length, 40);
    while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
    return `${text.slice(0, length)}…`;
  };

  /**
   * Draws `rows` ({name, group, values}), which are sorted by group where `headed`. Returns what finds a cell and marks
   * one; `spec` has `end`, `step`, `low` and `high` of the colours, `light` and `headed`.
   */
  const draw = (holder, rows, spec) => {
    const canvas = holder.querySelector("canvas");
    const width = Math.max(holder.clientWidth, 240);
    const high = Math.min(Math.max(Math.floor(WANTED_HEIGHT / Math.max(rows.length, 1)), THINNEST), THICKEST);
    const tops = [];
    const headings = [];
    let height = 0;
    rows.forEach((row, place) => {
      if (spec.headed && (place === 0 || rows[place - 1].group !== row.group)) {
        headings.push([row.group, height]);
        height += HEADING;
      }
      tops.push(height);
      height += high;
    });
    const ratio = Math.max(window.devicePixelRatio || 1, spec.light ? 2 : 1);
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round((height + 1) * ratio)];
    [canvas.style.width, canvas.style.height] = [`${width}px`, `${height + 1}px`];
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const colours = readColours(holder, spec.light);
    const gaps = hatch(context, colours.muted);
    const x = (seconds) => LEFT + (seconds / spec.end) * (width - LEFT - RIGHT);
    const most = Math.max(Math.abs(spec.low), Math.abs(spec.high)) || 1;
    const signed = spec.low < 0;
    const share = (value) => (signed ? value / most : (value - spec.low) / (spec.high - spec.low || 1));
    const gap = high > 5 ? 1 : 0;
    context.font = `11px ${getComputedStyle(holder).fontFamily}`;
    context.textBaseline = "middle";
    rows.forEach((row, place) => {
      row.values.forEach((value, step) => {
        const [left, right] = [x(step * spec.step), x(Math.min((step + 1) * spec.step, spec.end))];
        context.fillStyle = value === null ? gaps : `rgb(${mix(colours, share(value), signed).join(",")})`;
        context.fillRect(left, tops[place], right - left + 0.3, high - gap);
      });
      if (high < NAMED_FROM) return;
      context.fillStyle = colours.muted;
      context.textAlign = "right";
      context.fillText(fit(context, row.name, LEFT - 10), LEFT - 8, tops[place] + high / 2);
    });
    context.textAlign = "left";
    context.fillStyle = colours.ink;
    for (const [group, top] of headings) context.fillText(fit(context, group, width - LEFT - RIGHT - 6), LEFT + 6, top + HEADING / 2 + 1);

    let marked = holder.querySelector(".mark");
    if (!marked) {
      marked = Object.assign(document.createElement("div"), { className: "mark" });
      const cursor = Object.assign(document.createElement("div"), { className: "cursor" });
      holder.append(marked, cursor);
    }
    const cursor = holder.querySelector(".cursor");
    cursor.style.height = `${height}px`;
    return {
      height,
      /** The row and step beneath a pointer; null beside the map. */
      find: (event) => {
        const box = canvas.getBoundingClientRect();
        const [left, top] = [(event.clientX - box.left) * (width / box.width), (event.clientY - box.top) * (width / box.width)];
        const row = tops.findIndex((own) => own <= top && top < own + high);
        const seconds = ((left - LEFT) / (width - LEFT - RIGHT)) * spec.end;
        return row < 0 || seconds < 0 || seconds >= spec.end ? null : { row, step: Math.floor(seconds / spec.step), seconds, left, top };
      },
      /** Draws a frame around a cell; null takes it away. */
      mark: (cell) => {
        marked.hidden = cell === null;
        if (cell === null) return;
        const left = x(cell.step * spec.step);
        Object.assign(marked.style, { left: `${left - 2}px`, top: `${tops[cell.row] - 2}px`, width: `${x((cell.step + 1) * spec.step) - left + 4}px`, height: `${high + 4 - gap}px` });
      },
      place: (cell) => [x((cell.step + 0.5) * spec.step), tops[cell.row] + high],
      setTime: (seconds) => { cursor.style.left = `${x(Math.min(Math.max(seconds, 0), spec.end))}px`; },
    };
  };

  return { draw };
})();
