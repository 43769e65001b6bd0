// A figure is drawn when it comes near the screen, so that the page opens at once; all are for printing.
const drawn = new Set();
const draw = (source) => {
  if (drawn.has(source)) return;
  drawn.add(source);
  const { data, layout } = JSON.parse(source.textContent);
  Plotly.newPlot(source.dataset.chart, data, layout, { displayModeBar: false, responsive: true });
};
const sources = [...document.querySelectorAll("script[data-chart]")];
const near = new IntersectionObserver((seen) => seen.forEach((entry) => {
  if (entry.isIntersecting) draw(entry.target.source);
}), { rootMargin: "600px" });
sources.forEach((source) => {
  const chart = document.getElementById(source.dataset.chart);
  chart.source = source;
  near.observe(chart);
});

// A closed <details> prints nothing, and a figure keeps its width on screen unless told otherwise.
const charts = () => [...document.querySelectorAll(".chart")].filter((chart) => chart.data);
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  sources.forEach(draw);
  charts().forEach((chart) => Plotly.relayout(chart, { width: 640 }));
});
addEventListener("afterprint", () => {
  charts().forEach((chart) => Plotly.relayout(chart, { width: null, autosize: true }));
});
