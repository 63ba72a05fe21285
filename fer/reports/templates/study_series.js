"use strict";
// The numbers of a study's page, unpacked: curves, respondents' courses and differences, each by the numbers of its parts.
const Series = (() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("drawn").textContent);

  const decode = (id) => {
    const text = atob(byId(id).textContent.trim());
    const bytes = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place += 1) bytes[place] = text.charCodeAt(place);
    return bytes;
  };
  const numbers = new Int16Array(decode("curve-numbers").buffer);
  const cells = decode("cell-numbers");
  const values16 = (start, count, [low, high]) => Array.from(numbers.subarray(start, start + count), (value) => (value === -32768 ? null : low + ((value + 32767) / 65534) * (high - low)));

  const steps = (stimulus) => data.steps[stimulus];
  const end = (stimulus) => steps(stimulus).width * steps(stimulus).count;
  const stepAt = (seconds, stimulus) => Math.min(Math.max(Math.floor(seconds / steps(stimulus).width + 1e-6), 0), steps(stimulus).count - 1);
  const placeName = (stimulus, condition) => [data.stimuli[stimulus].name, data.conditions[condition]].filter(Boolean).join(", ");

  const known = new Map(data.curves.map((entry) => [entry.slice(0, 5).join(), entry]));
  /** A curve by numbers of its stimulus, condition, grouping, group and measure; null where there is none. */
  const curveOf = (stimulus, condition, grouping, group, which) => {
    const entry = known.get([stimulus, condition, grouping, group, which].join());
    if (!entry) return null;
    const { count } = steps(stimulus);
    const scale = data.scales[which];
    const part = (number, range) => values16(entry[6] + number * count, count, range);
    return { values: part(0, scale), low: part(1, scale), high: part(2, scale), share: part(3, [0, 1]), respondents: entry[5] };
  };

  const blockOf = (stimulus, condition) => data.heat.find((own) => own.stimulus === stimulus && own.condition === condition);
  /** A respondent's own course; null where there is none. */
  const courseOf = (person, stimulus, condition, which) => {
    const own = blockOf(stimulus, condition);
    const row = own ? own.respondents.indexOf(person) : -1;
    if (row < 0) return null;
    const { count } = steps(stimulus);
    const [low, high] = data.heat_scales[which];
    const start = own.start + (which * own.respondents.length + row) * count;
    return Array.from(cells.subarray(start, start + count), (value) => (value === 255 ? null : low + (value / 254) * (high - low)));
  };
  const differenceOf = ({ start, stimulus, scale }) => values16(start, steps(stimulus).count, scale);
  const hasCurve = (...place) => known.has(place.join());

  return { data, steps, end, stepAt, placeName, curveOf, hasCurve, blockOf, courseOf, differenceOf };
})();
