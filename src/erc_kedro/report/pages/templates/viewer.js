const element = (tag, text, className) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const row = (cells, tag = "td") => {
  const made = element("tr");
  cells.forEach((cell) => made.append(cell instanceof Node ? cell : element(tag, cell)));
  return made;
};
const table = (caption, head, rows) => {
  const made = element("table");
  made.append(element("caption", caption));
  const top = element("thead");
  top.append(row(head, "th"));
  const body = element("tbody");
  rows.forEach((each) => body.append(each));
  made.append(top, body);
  return made;
};
const best = (p) => p.indexOf(Math.max(...p));
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

function view(box) {
  const { classes, heads, weights, dialogues } = JSON.parse(
    document.querySelector(`script[data-dialogues="${box.dataset.viewer}"]`).textContent);
  const [pick, head] = [box.querySelector(".pick"), box.querySelector(".head")];
  const main = heads.length - 1;
  const errors = (turns) => turns.filter((t) => t[2] >= 0 && best(t[3][main]) !== t[2]).length;
  dialogues.forEach(({ id, turns }, index) =>
    pick.append(new Option(`${id} (${turns.length}, ${errors(turns)} wrong)`, index)));
  heads.forEach((name, index) => head.append(new Option(name, index, index === main, index === main)));
  let chosen = 0;
  // Each kind of weight has a range of its own: the colours span it over all dialogues.
  const kind = (name) => name.split(" ")[0];
  const ranges = {};
  weights.forEach((name, w) => dialogues.forEach(({ turns }) => turns.forEach((t) => {
    const [low, high] = ranges[kind(name)] ?? [Infinity, -Infinity];
    if (t[4][w] !== null) ranges[kind(name)] = [Math.min(low, t[4][w]), Math.max(high, t[4][w])];
  })));
  const shade = (value, w) => {
    const [low, high] = ranges[kind(weights[w])] ?? [0, 1];
    return value === null ? null : (value - low) / Math.max(high - low, 1);
  };

  const show = () => {
    const { turns } = dialogues[pick.value];
    const rows = turns.map(([speaker, text, truth, p], index) => {
      const guess = best(p[head.value]);
      const wrong = truth >= 0 && guess !== truth;
      const made = row([index + 1, speaker, text, truth < 0 ? "–" : classes[truth],
        element("td", `${classes[guess]} ${p[head.value][guess]} %${wrong ? " ✗" : ""}`, wrong ? "wrong" : "")]);
      made.tabIndex = 0;
      made.onclick = () => { chosen = index; show(); };
      made.onkeydown = (event) => { if (event.key === "Enter") made.onclick(); };
      if (index === chosen) made.className = "chosen";
      return made;
    });
    box.querySelector(".turns").replaceChildren(table("", ["", "speaker", "utterance", "truth", "prediction"], rows));

    const time = turns.map((_, index) => index + 1);
    const traces = classes.map((name, c) => ({
      x: time, y: turns.map((t) => t[3][head.value][c]), name: plain(name), mode: "lines+markers",
      line: { color: PALETTE[c % PALETTE.length], dash: ["solid", "dash", "dot"][Math.floor(c / PALETTE.length) % 3], width: 2 },
      // The truth is marked on its own line.
      marker: { symbol: "star", size: turns.map((t) => (t[2] === c ? 13 : 0.1)), color: PALETTE[c % PALETTE.length] },
      hovertemplate: `%{x}: ${plain(name)} %{y} %<extra></extra>`,
    }));
    if (weights.length) traces.push({
      type: "heatmap", x: time, y: weights.map(plain), z: weights.map((_, w) => turns.map((t) => shade(t[4][w], w))),
      customdata: weights.map((_, w) => turns.map((t) => t[4][w])),
      colorscale: [[0, "#ffffff"], [0.5, "#7fb3d5"], [1, "#00446b"]], zmin: 0, zmax: 1, showscale: false, yaxis: "y2",
      hovertemplate: "%{x}: %{y} %{customdata} %<extra></extra>",
    });
    const chart = box.querySelector(".along");
    chart.style.height = `${weights.length ? 320 + 17 * weights.length : 320}px`;
    Plotly.react(chart, traces, {
      margin: { l: 8, r: 8, t: 8, b: 32 }, font: { family: "system-ui, sans-serif", size: 12 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      xaxis: { title: { text: "utterance" }, dtick: turns.length > 30 ? 5 : 1, automargin: true, anchor: "free", position: 0 },
      yaxis: { title: { text: "probability, %" }, range: [0, 105], domain: weights.length ? [0.56, 1] : [0, 1], automargin: true },
      yaxis2: { domain: [0, 0.5], autorange: "reversed", automargin: true },
    }, { displayModeBar: false, responsive: true });

    const [speaker, text, truth, p, w] = turns[chosen];
    const of = `${chosen + 1}. ${speaker}: ${text} (truth: ${truth < 0 ? "none" : classes[truth]})`;
    const every = heads.map((name, h) => row([name, ...p[h].map((value, c) =>
      element("td", value, c === best(p[h]) && truth >= 0 && c !== truth ? "wrong" : ""))]));
    const inside = weights.map((name, index) => `${name} ${w[index] ?? "–"}`).join("; ");
    box.querySelector(".heads").replaceChildren(
      table(`Probabilities in % of every head for utterance ${of}`, ["head", ...classes], every),
      element("p", inside ? `Weights in %: ${inside}` : "", "soft"));
  };
  const go = (by) => { pick.selectedIndex = (pick.selectedIndex + by + dialogues.length) % dialogues.length; pick.onchange(); };
  pick.onchange = () => { chosen = 0; show(); };
  head.onchange = show;
  box.querySelector(".earlier").onclick = () => go(-1);
  box.querySelector(".later").onclick = () => go(1);
  box.show = show;
  show();
}
const opened = new IntersectionObserver((seen) => seen.forEach((entry) => {
  if (entry.isIntersecting && !entry.target.show) view(entry.target);
}), { rootMargin: "600px" });
const viewers = [...document.querySelectorAll(".viewer")];
viewers.forEach((box) => opened.observe(box));
addEventListener("beforeprint", () => viewers.forEach((box) => { if (!box.show) view(box); }));
