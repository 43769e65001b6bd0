// Corrections are kept by the browser, under a key that another transcript does not have.
const KEPT = `erc-kedro corrections ${data.key}`;
const corrections = (() => {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT)) ?? {};
    return Object.fromEntries(Object.entries(kept).filter(([row, label]) => rows[row] && data.labels[label]));
  } catch { return {}; }
})();
const keep = () => {
  const number = Object.keys(corrections).length;
  let said = number ? `${number} of ${count} corrected` : "";
  try {
    if (number) localStorage.setItem(KEPT, JSON.stringify(corrections)); else localStorage.removeItem(KEPT);
  } catch { said += "; this browser does not keep them: save them before you leave"; }
  find("kept").textContent = said;
};
const mark = (row) => {
  rows[row].classList.toggle("corrected", row in corrections);
  const pick = rows[row].querySelector("select");
  if (pick) pick.value = row in corrections ? corrections[row] : "";
};
const correct = (row, label) => {
  if (label === null) delete corrections[row]; else corrections[row] = label;
  mark(row);
  keep();
};
const correctBy = (digit) => { if (digit <= data.labels.length) correct(current, digit ? digit - 1 : null); };

// A choice of labels for 2,000 rows would be most of the page: a row gets its own when it comes near.
const choices = document.createElement("select");
choices.append(new Option("correct …", ""), ...data.labels.map(({ code, name }, label) => new Option(`${code} ${name}`, label)));
const choice = (row) => {
  if (rows[row].querySelector("select")) return;
  const pick = choices.cloneNode(true);
  pick.setAttribute("aria-label", `Correct the emotion of utterance ${row + 1}`);
  pick.tabIndex = row === Math.max(current, 0) ? 0 : -1;
  rows[row].querySelector(".top").append(pick);
  mark(row);
};
list.addEventListener("change", ({ target }) => correct(rowOf(target), target.value === "" ? null : Number(target.value)));
list.addEventListener("focusin", ({ target }) => { if (target.matches("select")) choose(rowOf(target), { scroll: false }); });
const nearing = new IntersectionObserver((seen) => seen.forEach(({ isIntersecting, target }) => {
  if (!isIntersecting) return;
  nearing.unobserve(target);
  choice(rowOf(target));
}), { root: list, rootMargin: "400px" });
rows.forEach((row) => nearing.observe(row));
Object.keys(corrections).forEach((row) => { choice(Number(row)); });

// The manifest that training reads: all utterances, since they are each other's context.
const manifest = () => {
  const { dialogue_id, clip, labels, annotated, speaker, text } = data.manifest, guess = find("decided").checked;
  const lines = rows.map((_, row) => {
    const decided = data.emotion[row] >= 0 && !data.unsure[row];
    const label = row in corrections ? labels[corrections[row]] : annotated[row] ?? (guess && decided ? labels[data.emotion[row]] : "");
    // A span that a manifest would refuse is left out, and the file with it: without a span all of it is meant.
    const spanned = data.start[row] !== null && data.start[row] >= 0 && data.end[row] > data.start[row];
    return [dialogue_id, data.position[row], speaker[row] ?? speakerOf(row), text[row] ?? textOf(row), label,
      ...(spanned ? [clip, data.start[row], data.end[row]] : ["", "", ""])];
  });
  const cell = (value) => (/[",;\t\n]/.test(value) ? `"${String(value).replace(/"/g, '""')}"` : String(value));
  const head = ["dialogue_id", "position", "speaker", "text", "label", "clip", "start_s", "end_s"];
  // Spreadsheets take a file for UTF-8 by its mark.
  return `\ufeff${[head, ...lines].map((cells) => cells.map(cell).join(",")).join("\r\n")}\r\n`;
};
find("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([manifest()], { type: "text/csv" }));
  link.download = `${data.name.replace(/[^\p{L}\p{N}_-]+/gu, "_").slice(0, 80) || "recording"}_corrected.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
};
find("forget").onclick = () => {
  if (!confirm("Remove all corrections of this recording?")) return;
  Object.keys(corrections).forEach((row) => { delete corrections[row]; mark(row); });
  keep();
};

// Paper is white, and has the whole timeline.
let screen = 0;
addEventListener("beforeprint", () => {
  screen = scale;
  document.documentElement.classList.add("print");
  scroller.style.width = "680px";
  look();
  zoom(0);
  draw();
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("print");
  scroller.style.width = "";
  look();
  zoom(screen);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { look(); redraw(); });
let fitted = 0;
new ResizeObserver(() => {
  if (scroller.clientWidth === fitted) return;
  // What showed all of the timeline goes on to.
  const whole = !fitted || scale * length <= fitted + 1;
  fitted = scroller.clientWidth;
  zoom(whole ? 0 : scale);
}).observe(scroller);
look();
keep();
zoom(0);
draw();
