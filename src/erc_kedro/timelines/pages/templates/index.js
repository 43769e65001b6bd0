"use strict";
document.querySelectorAll("[data-share]").forEach((part) => { part.style.flexGrow = part.dataset.share; });
const body = document.querySelector("#recordings tbody");
document.querySelectorAll(".sort").forEach((button) => {
  button.onclick = () => {
    const heading = button.parentElement, column = heading.cellIndex, text = heading.classList.contains("text");
    const up = heading.getAttribute("aria-sort") !== "ascending" && (text || heading.hasAttribute("aria-sort"));
    document.querySelectorAll("#recordings thead th").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const of = (row) => row.cells[column].dataset.value;
    const order = text ? (a, b) => of(a).localeCompare(of(b), undefined, { numeric: true }) : (a, b) => of(a) - of(b);
    body.append(...[...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
  };
});
