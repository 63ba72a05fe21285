"use strict";
// The charts beside those that follow the videos: small ones of the summary, and the course of a tested difference.
const SideCharts = (() => {
  const byId = (id) => document.getElementById(id);
  const { data, steps, end, stepAt, placeName, curveOf } = Series;
  const { clock, write } = Courses;
  const SMALL_HEIGHT = 130;
  const DIFFERENCE_HEIGHT = 220;
  const COLOUR = "var(--first-curve)";
  // Goes to a moment of the curves.
  let jump = null;

  const drawSmall = () => {
    const holder = byId("small-charts");
    const wanted = data.measures.flatMap((own, which) => (own.tested ? data.stimuli.map((stimulus, place) => [which, place]) : []));
    const drawn = wanted.filter(([which, stimulus]) => Series.hasCurve(stimulus, 0, 0, 0, which)).slice(0, data.small_charts);
    holder.hidden = drawn.length === 0;
    holder.replaceChildren(...drawn.map(([which, stimulus]) => {
      const part = document.createElement("div");
      part.append(Object.assign(document.createElement("h3"), { textContent: `${data.measures[which].name}: ${placeName(stimulus, 0)}`, title: placeName(stimulus, 0) }));
      part.append(Object.assign(document.createElement("div"), { className: "timeline-chart" }));
      return part;
    }));
    drawn.forEach(([which, stimulus], place) => {
      const curve = curveOf(stimulus, 0, 0, 0, which);
      Courses.draw(holder.children[place].lastChild, {
        end: end(stimulus), step: steps(stimulus).width, measure: data.measures[which], height: SMALL_HEIGHT, compact: true,
        segments: data.stimuli[stimulus].segments, label: holder.children[place].textContent,
        curves: [{ ...curve, colour: data.measures[which].colour ?? COLOUR }], go: (seconds) => jump(stimulus, 0, which, seconds),
      }).setTime(null);
    });
  };

  const differences = new Map();
  for (const entry of data.differences) {
    const name = entry.between_stimuli ? entry.contrast : `${entry.contrast}, ${data.stimuli[entry.stimulus].name}`;
    differences.set(name, [...(differences.get(name) ?? []), entry]);
  }
  const drawDifference = () => {
    const entries = differences.get(byId("difference").value);
    const entry = entries.find((own) => own.measure === Number(byId("difference-measure").value)) ?? entries[0];
    const own = data.measures[entry.measure];
    const values = Series.differenceOf(entry);
    const title = `${own.name}${own.unit === "share" ? ", points" : ""}: ${entry.a} less ${entry.b}`;
    const found = entry.clusters.length ? "Shaded: stretches in which the two differ." : "No stretch of time was found in which the two differ.";
    const resting = `${title}. ${entry.tested ? found : "Whether the two differ over time was not tested."}`;
    byId("difference-readout").textContent = resting;
    Courses.draw(byId("difference-curve"), {
      end: end(entry.stimulus), step: steps(entry.stimulus).width, measure: own, height: DIFFERENCE_HEIGHT, segments: data.stimuli[entry.stimulus].segments, label: title, difference: true,
      clusters: entry.clusters, curves: [{ values, colour: COLOUR, name: title }],
      go: (seconds) => jump(entry.stimulus, null, entry.measure, seconds),
      hover: (seconds) => {
        const said = seconds === null ? null : values[stepAt(seconds, entry.stimulus)];
        if (said !== null && said !== undefined) byId("difference-readout").textContent = `${clock(seconds)}: ${title}: ${write(own, said, true)}`;
        else byId("difference-readout").textContent = resting;
      },
    }).setTime(null);
  };
  const chooseDifference = () => {
    const measures = differences.get(byId("difference").value).map(({ measure }) => new Option(data.measures[measure].name, measure));
    byId("difference-measure").replaceChildren(...measures);
    drawDifference();
  };
  if (byId("difference")) {
    byId("difference").append(...[...differences.keys()].map((name) => new Option(name, name)));
    byId("difference").addEventListener("change", () => chooseDifference());
    byId("difference-measure").addEventListener("change", () => drawDifference());
  }

  const draw = (goes) => {
    jump = goes;
    drawSmall();
    if (!byId("difference")) return;
    if (byId("difference-measure").options.length) drawDifference();
    else chooseDifference();
  };

  return { draw };
})();
