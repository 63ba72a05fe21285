"use strict";
// Joins each player with its curves: the cursor follows playback, and a moment chosen on the curves is played.
(() => {
  const MARGIN = { l: 48, r: 24, t: 10, b: 32 };
  const HEIGHT = 280;
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const TICK_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const PIXELS_A_TICK = 64;
  const SHARES = [0, 0.25, 0.5, 0.75, 1];
  // A pointer that moved further than this meant to drag.
  const CLICK_PIXELS = 4;
  const PAGE_KEY_POINTS = 10;
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
    const raw = chart.querySelector(".raw");
    const toggles = [...chart.querySelectorAll(".toggle")];
    const { times, end } = data;
    let drawn = false;
    let time = 0;

    const track = () => data.tracks[select ? Number(select.value) : 0];
    /** One list of probabilities, stretched over all points of the video. */
    const whole = (values) => {
      const all = new Array(times.length).fill(null);
      values.forEach((value, place) => { all[track().start + place] = value; });
      return all;
    };
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
      yaxis: {
        range: [0, 1], fixedrange: true, zeroline: false,
        tickvals: SHARES, ticktext: SHARES.map((share) => percent(1000 * share)),
      },
    };

    const traces = () => toggles.flatMap((toggle, place) => {
      if (!on(toggle)) return [];
      const curve = (values, look) => ({
        x: times,
        y: whole(values).map((value) => (value === null ? null : value / 1000)),
        type: "scatter",
        mode: "lines",
        name: toggle.dataset.emotion,
        connectgaps: false,
        hovertemplate: "%{y:.0%}",
        ...look,
      });
      const color = toggle.dataset.colour;
      const smoothed = track().smoothed[place];
      const found = [curve(smoothed, { line: { color, width: times.length > MOST_THICK_POINTS ? 1.25 : 2 } })];
      // A line needs two points; one that stands alone between gaps becomes a dot.
      const alone = smoothed.map((value, at) => ((smoothed[at - 1] ?? smoothed[at + 1] ?? null) === null ? value : null));
      if (alone.some((value) => value !== null)) {
        found.push(curve(alone, { mode: "markers", marker: { color, size: 5 }, hoverinfo: "skip", hovertemplate: "" }));
      }
      if (raw?.checked && track().raw) {
        found.unshift(curve(track().raw[place], { line: { color, width: 0.75 }, opacity: 0.55, hoverinfo: "skip", hovertemplate: "" }));
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
      let [low, high] = [0, times.length - 1];
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (times[middle] <= seconds + 1e-3) low = middle;
        else high = middle - 1;
      }
      return low;
    };

    const show = (seconds) => {
      time = Math.min(Math.max(seconds, 0), end);
      place();
      const values = track().smoothed.map((column) => column[pointAt(time) - track().start] ?? null);
      toggles.forEach((toggle, at) => {
        toggle.querySelector(".now").textContent = values[at] === null ? "–" : percent(values[at]);
      });
      const best = values.indexOf(Math.max(...values));
      const said = values[0] === null
        ? "no usable face"
        : `${toggles[best].dataset.emotion} ${percent(values[best])}`;
      readout.textContent = `${clock(time)}: ${said}.`;
      slider.setAttribute("aria-valuenow", time.toFixed(1));
      slider.setAttribute("aria-valuetext", `${clock(time)}, ${said}`);
    };

    const seek = (seconds) => {
      show(seconds);
      if (video && !video.error) video.currentTime = time;
    };

    const draw = () => {
      layout.shapes = gaps(whole(track().smoothed[0]), times, end).map(([x0, x1]) => (
        { type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, layer: "below", line: { width: 0 } }
      ));
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
    raw?.addEventListener("change", draw);
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
    return () => { if (!drawn) draw(); };
  }

  for (const video of document.querySelectorAll("video")) {
    const note = video.parentElement.querySelector(".unplayable");
    const tell = () => { video.hidden = true; note.hidden = false; };
    if (video.error) tell();
    video.addEventListener("error", tell);
    // A codec that the browser lacks may leave sound without a picture, and no error.
    video.addEventListener("loadedmetadata", () => { if (!video.videoWidth) tell(); });
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
