// The transcript and the player follow each other; one utterance is the current one.
const list = find("rows"), follow = find("follow"), which = find("which");
let current = -1;
let held = 0; // until when somebody who scrolls is left alone
const inOrder = data.start.map((at, row) => [at, row]).filter(([at]) => at !== null).sort((a, b) => a[0] - b[0]);

const choose = (row, { seek = false, focus = false, scroll = true } = {}) => {
  if (row < 0 || row >= count) return;
  if (current >= 0) {
    rows[current].removeAttribute("aria-current");
    stops(current, -1);
  } else stops(0, -1);
  current = row;
  rows[row].setAttribute("aria-current", "true");
  stops(row, 0);
  if (scroll) bring(row);
  if (focus) rows[row].querySelector(".at").focus({ preventScroll: true });
  if (seek && player && data.start[row] !== null) player.currentTime = data.start[row];
  reveal(start[row]);
  redraw();
};
const out = (row) => rows[row].classList.contains("out");
// Tab stops at one row; arrow keys go to the others.
const stops = (row, index) => rows[row].querySelectorAll("button, select").forEach((part) => { part.tabIndex = index; });
const bring = (row) => {
  const to = () => { list.scrollTop = rows[row].offsetTop - list.clientHeight / 3; };
  to();
  // Rows that were never seen have a height only now.
  requestAnimationFrame(to);
};
const step = (by, focus) => {
  let row = current < 0 && by < 0 ? count : current;
  do row += by; while (row >= 0 && row < count && out(row));
  choose(row, { seek: true, focus });
};
const play = () => { if (player.paused) player.play().catch(() => {}); else player.pause(); };

if (player && data.timed) {
  head.hidden = false;
  // The last utterance that began.
  const at = (moment) => {
    let [low, high] = [0, inOrder.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (inOrder[middle][0] <= moment + 0.02) low = middle + 1; else high = middle;
    }
    return low ? inOrder[low - 1][1] : -1;
  };
  const move = () => {
    place();
    if (!player.paused) {
      reveal(player.currentTime);
      requestAnimationFrame(move);
    }
    const row = at(player.currentTime);
    // Of two that speak at once, the one that somebody chose stays.
    const within = current >= 0 && data.start[current] <= player.currentTime + 0.02 && player.currentTime < data.end[current];
    if (row >= 0 && row !== current && !within) choose(row, { scroll: follow.checked && performance.now() > held });
  };
  player.onplay = move;
  player.onseeked = move;
}
if (player) {
  player.onerror = () => { find("lost").hidden = false; };
  find("lost").querySelector("input").onchange = (event) => {
    const [file] = event.target.files;
    if (!file) return;
    find("lost").hidden = true;
    player.src = URL.createObjectURL(file);
  };
}
["wheel", "touchmove"].forEach((kind) => list.addEventListener(kind, () => { held = performance.now() + 4000; }, { passive: true }));

list.onclick = (event) => {
  if (!event.target.closest(".row") || event.target.closest("select") || String(getSelection())) return;
  choose(rowOf(event.target), { seek: true, scroll: false });
};
document.querySelectorAll(".jump").forEach((button) => {
  button.onclick = () => {
    choose(Number(button.dataset.row), { seek: true, focus: true });
    rows[current].scrollIntoView({ block: "nearest" });
  };
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, audio, video")) return;
  const inside = list.contains(event.target), button = event.target.closest?.("button, a");
  const by = { ArrowLeft: -1, ArrowRight: 1, ...(inside && { ArrowUp: -1, ArrowDown: 1 }) }[event.key];
  if (by) step(by, inside);
  else if (event.key === " " && player && (inside || !button)) play();
  else if (inside && /^\d$/.test(event.key) && current >= 0) correctBy(Number(event.key));
  else return;
  event.preventDefault();
});

which.onchange = () => {
  const shows = { unsure: (row) => data.unsure[row], far: (row) => data.far[row], differ: (row) => data.differ[row],
    corrected: (row) => row in corrections, uncorrected: (row) => !(row in corrections) }[which.value] ?? (() => true);
  rows.forEach((row, at) => row.classList.toggle("out", !shows(at)));
  const left = rows.filter((_, at) => !out(at)).length;
  find("shown").textContent = left === count ? "" : `${left} of ${count}`;
  if (current >= 0 && !out(current)) bring(current);
};
