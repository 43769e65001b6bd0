"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const player = find("player");
const rows = [...find("rows").children];
const count = rows.length;
// Where there are no times an utterance is as long as any other.
const start = data.timed ? data.start : data.position.map((_, at) => at);
const end = data.timed ? data.end : data.position.map((_, at) => at + 1);
const length = Math.max(data.timed ? data.seconds ?? 0 : count, ...end.filter((at) => at !== null), 0.001);

document.querySelectorAll("[data-share]").forEach((part) => { part.style.flexGrow = part.dataset.share; });

const clock = (seconds) => {
  const [tenths, sign] = [Math.round(10 * Math.abs(seconds)), seconds < 0 ? "-" : ""];
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  return `${sign}${hours ? `${hours}:${two(minutes)}` : minutes}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
};
const rowOf = (element) => Number(element.closest(".row").id.slice(1));
const speakerOf = (row) => rows[row].querySelector(".who").textContent;
const textOf = (row) => rows[row].querySelector(".text").textContent;
const moodOf = (row) => rows[row].querySelector(".mood").textContent.replace(/\s+/g, " ").trim();
