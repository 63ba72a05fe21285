"use strict";
// Joins each player with its curves: the cursor follows playback, and a moment chosen on the curves is played.
(() => {
  const MARGIN = { l: 48, r: 24, t: 10, b: 46 };
  const HEIGHT = 294;
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const TICK_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const PIXELS_A_TICK = 64;
  const SHARES = [0, 0.25, 0.5, 0.75, 1];
  // A pointer that moved further than this meant to drag.
  const CLICK_PIXELS = 4;
  const PAGE_KEY_POINTS = 10;
  // By it the style sheet tells these stretches from those without a face.
  const UNCERTAIN = "rgb(181, 131, 10)";
  // With more points, thick lines run together into a solid area.
  const MOST_THICK_POINTS = 400;
  // A drag over the curves must scroll the page there, and a hover box would hide under the finger.
  const touch = matchMedia("(pointer: coarse)").matches;

  const clock = (seconds) => {
    const tenths = Math.round(10 * seconds);
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(tenths / 36000);
    const minutes = Math.floor(tenths / 600) % 60;
    const rest = `${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
    return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
  };
  // Of codecs that a browser may lack, the string by which it is asked. Sound may play without a picture, and no error.
  const CODECS = { hevc: "hvc1.1.6.L93.B0", h265: "hvc1.1.6.L93.B0", mpeg4: "mp4v.20.9", av1: "av01.0.04M.08" };
  // Each on an axis of its own needs room.
  const ROW_HEIGHT = 84;

  /** Unpacks Plotly, once; charts wait for it. */
  let unpacked = null;
  const unpack = async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };
  const loadPlotly = () => { unpacked ??= unpack(); return unpacked; };

  const rawBasis = document.getElementById("basis-raw");
  const percent = (thousandths) => `${Math.round(thousandths / 10)}\u00a0%`;

  /** Ticks at round times; tenths of a second are written only where they differ. */
  const ticks = ([from, to], width) => {
    const most = Math.max(2, width / PIXELS_A_TICK);
    const step = TICK_STEPS.find((seconds) => (to - from) / seconds <= most) ?? (to - from) / most;
    const values = [];
    for (let number = Math.ceil(from / step); number * step <= to + 1e-9; number += 1) values.push(number * step);
    return { values, texts: values.map((value) => (step < 1 ? clock(value) : clock(value).replace(/\.0$/, ""))) };
  };

  /** Stretches [start, end] of time in which `values` has nothing; borders lie half-way to the next point. */
  const gaps = (values, times, end) => {
    const found = [];
    const border = (place) => {
      if (place === 0) return 0;
      return place === times.length ? end : (times[place - 1] + times[place]) / 2;
    };
    for (let place = 0; place < times.length; place += 1) {
      if (values[place] !== null) continue;
      const start = place;
      while (place + 1 < times.length && values[place + 1] === null) place += 1;
      found.push([border(start), border(place + 1)]);
    }
    return found;
  };

  function connect(section) {
    const chart = section.querySelector(".chart");
    const data = JSON.parse(chart.querySelector("script").textContent);
    const video = section.querySelector("video");
    const slider = chart.querySelector(".timeline");
    const plot = chart.querySelector(".plot");
    const cursor = chart.querySelector(".cursor");
    const readout = chart.querySelector(".readout");
    const select = chart.querySelector(".track");
    const other = chart.querySelector(".other");
    const own = chart.querySelector(".own");
    const toggles = [...chart.querySelectorAll(".toggle")];
    const { end } = data;
    let drawn = false;
    let time = 0;

    const track = () => data.tracks[select ? Number(select.value) : 0];
    /** The curves on the page's basis, and on the other one; null where smoothing changed nothing. */
    const shownCurves = () => (rawBasis?.checked && track().raw) || track().smoothed;
    const otherCurves = () => track().raw && (rawBasis?.checked ? track().smoothed : track().raw);
    const on = (toggle) => toggle.getAttribute("aria-pressed") === "true";

    const layout = {
      height: HEIGHT,
      margin: MARGIN,
      showlegend: false,
      hovermode: touch ? false : "x unified",
      dragmode: touch ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12 },
      xaxis: {
        range: [0, end], minallowed: 0, maxallowed: end, fixedrange: touch,
        ticks: "outside", ticklen: 7, tickcolor: "rgba(0,0,0,0)",
        showgrid: false, zeroline: false, unifiedhovertitle: { text: "%{x:.1f} s" },
      },
    };
    layout.xaxis.title = { text: "time", standoff: 6 };

    /** One axis for all emotions, or one below the other for each that is shown, as high as its highest value. */
    const setAxes = () => {
      for (const name of Object.keys(layout)) if (name.startsWith("yaxis")) delete layout[name];
      layout.shapes = [];
      const shown = toggles.filter(on);
      const separate = own.checked && shown.length > 1;
      layout.height = separate ? MARGIN.t + MARGIN.b + ROW_HEIGHT * shown.length : HEIGHT;
      slider.style.height = `${layout.height}px`;
      if (!own.checked) {
        layout.yaxis = {
          range: [0, 1], fixedrange: true, zeroline: false, title: { text: "probability" },
          tickvals: SHARES, ticktext: SHARES.map((share) => percent(1000 * share)),
        };
        return;
      }
      shown.forEach((toggle, row) => {
        const place = toggles.indexOf(toggle);
        const values = [shownCurves()[place], other?.checked ? otherCurves()[place] : []].flat().filter((value) => value !== null);
        const high = Math.max(1, ...values) / 1000;
        layout[row ? `yaxis${row + 1}` : "yaxis"] = {
          range: [0, 1.05 * high], fixedrange: true, zeroline: false, title: { text: toggle.dataset.emotion, font: { size: 11 } },
          domain: [1 - (row + 0.86) / shown.length, 1 - row / shown.length],
          tickvals: [0, high], ticktext: ["0", high < 0.1 ? `${(100 * high).toFixed(1)}\u00a0%` : percent(1000 * high)],
        };
      });
      layout.xaxis.anchor = shown.length > 1 ? `y${shown.length}` : "y";
    };

    const traces = () => toggles.filter(on).flatMap((toggle, row) => {
      const place = toggles.indexOf(toggle);
      const { times } = track();
      const curve = (values, look) => ({
        x: times,
        y: values.map((value) => (value === null ? null : value / 1000)),
        yaxis: own.checked && row ? `y${row + 1}` : "y",
        type: "scatter",
        mode: "lines",
        name: toggle.dataset.emotion,
        connectgaps: false,
        hovertemplate: "%{y:.0%}",
        ...look,
      });
      const color = toggle.dataset.colour;
      const values = shownCurves()[place];
      const found = [curve(values, { line: { color, width: times.length > MOST_THICK_POINTS ? 1.25 : 2 } })];
      // A line needs two points; one that stands alone between gaps becomes a dot.
      const alone = values.map((value, at) => ((values[at - 1] ?? values[at + 1] ?? null) === null ? value : null));
      if (alone.some((value) => value !== null)) {
        found.push(curve(alone, { mode: "markers", marker: { color, size: 5 }, hoverinfo: "skip", hovertemplate: "" }));
      }
      if (other?.checked && otherCurves()) {
        found.unshift(curve(otherCurves()[place], { line: { color, width: 0.75 }, opacity: 0.55, hoverinfo: "skip", hovertemplate: "" }));
      }
      return found;
    });

    const setTicks = () => {
      const { values, texts } = ticks(layout.xaxis.range, plot.clientWidth - MARGIN.l - MARGIN.r);
      const changed = String(values) !== String(layout.xaxis.tickvals);
      layout.xaxis.tickvals = values;
      layout.xaxis.ticktext = texts;
      return changed;
    };

    const place = () => {
      const [from, to] = layout.xaxis.range;
      const share = (time - from) / (to - from);
      cursor.hidden = share < 0 || share > 1;
      cursor.style.left = `${MARGIN.l + share * (plot.clientWidth - MARGIN.l - MARGIN.r)}px`;
    };

    /** Index of the last point at or before `seconds`; the first one before any. */
    const pointAt = (seconds) => {
      const { times } = track();
      let [low, high] = [0, times.length - 1];
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (times[middle] <= seconds + 1e-3) low = middle;
        else high = middle - 1;
      }
      return low;
    };

    const isUncertain = (seconds) => track().uncertain.some(([from, to]) => from <= seconds && seconds <= to);

    const show = (seconds) => {
      time = Math.min(Math.max(seconds, 0), end);
      place();
      const values = shownCurves().map((column) => column[pointAt(time)]);
      toggles.forEach((toggle, at) => {
        toggle.querySelector(".now").textContent = values[at] === null ? "–" : percent(values[at]);
      });
      const best = values.indexOf(Math.max(...values));
      const said = values[0] === null
        ? "no usable face"
        : `${toggles[best].dataset.emotion} ${percent(values[best])}${isUncertain(time) ? ", uncertain" : ""}`;
      readout.textContent = `${clock(time)}: ${said}.`;
      slider.setAttribute("aria-valuenow", time.toFixed(1));
      slider.setAttribute("aria-valuetext", `${clock(time)}, ${said}`);
    };

    const seek = (seconds) => {
      show(seconds);
      if (video && !video.error) video.currentTime = time;
    };

    const draw = () => {
      if (!window.Plotly) return;
      setAxes();
      const shade = (stretches, look) => stretches.map(([x0, x1]) => (
        { type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, layer: "below", line: { width: 0 }, ...look }
      ));
      layout.shapes = [
        ...shade(gaps(track().smoothed[0], track().times, end), {}),
        ...shade(track().uncertain, { fillcolor: UNCERTAIN }),
      ];
      setTicks();
      Plotly.react(plot, traces(), layout, CONFIG);
      if (!drawn) {
        drawn = true;
        plot.on("plotly_doubleclick", () => Plotly.relayout(plot, { "xaxis.range": [0, end] }));
        // After a zoom, and after a change of width.
        plot.on("plotly_relayout", () => { if (setTicks()) Plotly.react(plot, traces(), layout, CONFIG); place(); });
      }
      show(time);
    };

    let pressed = null;
    slider.addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; }, true);
    // Plotly lays a cover over the page while a button is held, so the pointer may come up anywhere.
    addEventListener("pointerup", (event) => {
      if (!pressed) return;
      const moved = Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]);
      pressed = null;
      if (moved > CLICK_PIXELS || event.button > 0) return;
      const [from, to] = layout.xaxis.range;
      const share = (event.clientX - plot.getBoundingClientRect().left - MARGIN.l) / (plot.clientWidth - MARGIN.l - MARGIN.r);
      if (share >= -0.02 && share <= 1.02) seek(from + Math.min(Math.max(share, 0), 1) * (to - from));
    }, true);
    addEventListener("pointercancel", () => { pressed = null; }, true);

    slider.addEventListener("keydown", (event) => {
      const at = pointAt(time);
      const { times } = track();
      const moves = {
        ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
        PageDown: at - PAGE_KEY_POINTS, PageUp: at + PAGE_KEY_POINTS, Home: 0, End: times.length - 1,
      };
      if (event.key in moves) {
        seek(times[Math.min(Math.max(moves[event.key], 0), times.length - 1)]);
      } else if (event.key === " " && video && !video.error) {
        if (video.paused) video.play();
        else video.pause();
      } else {
        return;
      }
      event.preventDefault();
    });

    toggles.forEach((toggle) => toggle.addEventListener("click", () => {
      toggle.setAttribute("aria-pressed", String(!on(toggle)));
      draw();
    }));
    for (const box of [other, own, rawBasis, document.getElementById("basis-smoothed")]) {
      box?.addEventListener("change", () => { draw(); show(time); });
    }
    select?.addEventListener("change", draw);
    section.querySelectorAll(".peak").forEach((peak) => peak.addEventListener("click", () => {
      const its = data.tracks.findIndex(({ id }) => String(id) === peak.dataset.track);
      if (select && its >= 0 && its !== Number(select.value)) {
        select.value = String(its);
        draw();
      }
      seek(Number(peak.dataset.time));
    }));

    if (video) {
      const follow = () => show(video.currentTime);
      for (const name of ["timeupdate", "seeking", "seeked"]) video.addEventListener(name, follow);
      // Several times smoother than timeupdate, where the browser has it.
      const everyFrame = () => { follow(); video.requestVideoFrameCallback(everyFrame); };
      video.requestVideoFrameCallback?.(everyFrame);
    }

    chart.hidden = false;
    show(0);
    return async () => {
      try {
        await loadPlotly();
      } catch {
        plot.textContent = "This browser cannot draw the curves; one of 2023 or later can.";
      }
      if (!drawn) draw();
    };
  }

  for (const video of document.querySelectorAll("video")) {
    const note = video.parentElement.querySelector(".unplayable");
    const codec = CODECS[video.dataset.codec];
    const unknown = codec !== undefined && video.canPlayType(`video/mp4; codecs="${codec}"`) === "";
    // What failed before this script began tells it by its state, what fails later by an event.
    const check = () => {
      if (!unknown && !video.error && !(video.readyState >= 1 && !video.videoWidth)) return;
      video.hidden = true;
      note.hidden = false;
    };
    check();
    for (const name of ["error", "loadedmetadata", "loadeddata", "stalled", "emptied"]) video.addEventListener(name, check);
  }

  // A page may hold hundreds of videos: their curves are drawn when they come near the window, or before printing.
  const waiting = new Map();
  for (const chart of document.querySelectorAll(".chart")) waiting.set(chart, connect(chart.closest("section")));
  const nearby = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) waiting.get(entry.target)();
  }, { rootMargin: "100% 0%" });
  for (const chart of waiting.keys()) nearby.observe(chart);
  addEventListener("beforeprint", () => { for (const draw of waiting.values()) draw(); });
})();
