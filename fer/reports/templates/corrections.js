"use strict";
// Takes a person's answers by click and by key, keeps them in the browser until they are saved, and saves a CSV.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const person = byId("person");
  const cards = data.images.map((_, index) => byId(`face-${index}`));
  const storageKey = `fer-corrections-${data.key}`;
  const answers = new Map();

  // A browser may forbid a page of a file to keep anything; then a closed page is lost, and nothing else.
  const keep = () => {
    try {
      localStorage.setItem(storageKey, JSON.stringify({ person: person.value, answers: [...answers] }));
    } catch {}
  };
  const recall = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(storageKey) ?? "{}");
      person.value = kept.person ?? "";
      for (const [index, label] of kept.answers ?? []) if (index in cards) answers.set(index, label);
    } catch {}
  };

  const show = (index) => {
    const label = answers.get(index);
    cards[index].classList.toggle("answered", label !== undefined);
    for (const button of cards[index].querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.label === label));
    }
  };
  const showProgress = (text = "") => {
    byId("progress").textContent = text || `${answers.size} of ${cards.length} answered`;
  };

  const answer = (index, label) => {
    if (label === undefined || answers.get(index) === label) answers.delete(index);
    else answers.set(index, label);
    show(index);
    showProgress();
    keep();
  };
  const move = (index) => {
    if (index < 0 || index >= cards.length) return;
    cards[index].focus();
    cards[index].scrollIntoView({ block: "nearest" });
  };

  document.querySelector(".cards").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) answer(Number(button.dataset.face), button.dataset.label);
  });

  // Keys go to the card in which somebody clicked or moved; before that to the first one without an answer.
  const findCard = (target) => {
    if (target === document.body) return cards.findIndex((_, index) => !answers.has(index));
    return cards.indexOf(target.closest(".card"));
  };

  document.addEventListener("keydown", (event) => {
    const index = findCard(event.target);
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    // On a button Enter presses it.
    if (event.key === "Enter" && event.target.closest("button")) return;
    const choice = event.key === "0" ? data.leave_out : data.emotions[Number(event.key) - 1];
    const confirmed = event.key === "Enter" && data.labels[index];
    if (choice || confirmed) {
      if (answers.get(index) !== (choice || confirmed)) answer(index, choice || confirmed);
      move(index + 1);
    } else if (event.target === document.body) return;
    else if (event.key === "Backspace") answer(index, undefined);
    else if (event.key === "ArrowRight" || event.key === "ArrowDown") move(index + 1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") move(index - 1);
    else return;
    event.preventDefault();
  });

  // As a spreadsheet reads it; what it would take for a formula has a ' in front.
  const quote = (text) => `"${(/^[=+\-@\t\n]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  byId("save").addEventListener("click", () => {
    const name = person.value.trim();
    if (!answers.size) {
      showProgress("Nothing is answered yet.");
      return;
    }
    if (!name) {
      showProgress("Who are you? The data set names who said what.");
      person.focus();
      return;
    }
    const rows = [...answers].sort(([a], [b]) => a - b).map(([index, label]) => [data.images[index], label, name]);
    const text = [["image", "label", "person"], ...rows].map((row) => row.map(quote).join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = data.csv;
    link.click();
    URL.revokeObjectURL(link.href);
    showProgress(`${rows.length} answers saved`);
  });

  person.addEventListener("input", keep);
  recall();
  cards.forEach((_, index) => show(index));
  showProgress();
})();
