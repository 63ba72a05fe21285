"use strict";
// What all charts that scripts draw have in common: elements of SVG, and where the ticks of an axis stand.
const Svg = (() => {
  const NAMESPACE = "http://www.w3.org/2000/svg";

  const element = (name, attributes = {}, text = null) => {
    const made = document.createElementNS(NAMESPACE, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  };

  /** Round values between two others, about `most` of them. */
  const ticks = (low, high, most) => {
    const rough = (high - low) / most || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
    const found = [];
    for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number += 1) found.push(Number((number * step).toPrecision(12)));
    return found;
  };

  return { element, ticks };
})();
