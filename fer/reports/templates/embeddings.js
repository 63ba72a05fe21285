"use strict";
// Shows the face of a point that is clicked, or reached with the arrow keys.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const map = byId("map");
  const mark = byId("chosen");
  const REACH = 40; // a finger's width on a phone, in units of the drawing
  let current = -1;

  const choose = (index) => {
    const [x, y, sample, split, label, predicted, confidence] = data.points[index];
    current = index;
    mark.setAttribute("cx", x);
    mark.setAttribute("cy", y);
    mark.removeAttribute("hidden");
    byId("hint").hidden = true;
    byId("card").hidden = false;
    byId("face").style.setProperty("--column", index % data.columns);
    byId("face").style.setProperty("--row", Math.floor(index / data.columns));
    const share = `${(100 * confidence).toFixed(0)} %`;
    byId("verdict").textContent =
      predicted === undefined ? label : label === predicted ? `${label}, recognised with ${share}` : `${label}, taken for ${predicted} with ${share}`;
    byId("sample").textContent = `${sample} (${split})`;
  };

  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * data.side;
    const y = ((event.clientY - box.top) / box.height) * data.side;
    let nearest = -1;
    let least = REACH;
    data.points.forEach(([px, py], index) => {
      const distance = Math.hypot(px - x, py - y);
      if (distance < least) [nearest, least] = [index, distance];
    });
    if (nearest >= 0) choose(nearest);
  });

  // To the nearest point in the direction of the arrow; the first time to the first point.
  const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  map.addEventListener("keydown", (event) => {
    const direction = DIRECTIONS[event.key];
    if (!direction) return;
    event.preventDefault();
    if (current < 0) {
      choose(0);
      return;
    }
    const [x, y] = data.points[current];
    let nearest = -1;
    let least = Infinity;
    data.points.forEach(([px, py], index) => {
      const along = (px - x) * direction[0] + (py - y) * direction[1];
      const across = Math.abs((px - x) * direction[1] + (py - y) * direction[0]);
      if (along > 0 && across <= along && along + across < least) [nearest, least] = [index, along + across];
    });
    if (nearest >= 0) choose(nearest);
  });
})();
