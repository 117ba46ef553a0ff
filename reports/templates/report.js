"use strict";

// Hover: what each mark says to a screen reader becomes a box beside the pointer.
const tip = document.getElementById("tip");
for (const mark of document.querySelectorAll("svg .role-mark [aria-label]")) {
  const text = mark.getAttribute("aria-label");
  mark.addEventListener("pointermove", (event) => {
    tip.textContent = text;
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 4);
    const top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 4);
    tip.style.left = `${Math.max(left, 0)}px`;
    tip.style.top = `${Math.max(top, 0)}px`;
  });
  mark.addEventListener("pointerleave", () => { tip.hidden = true; });
}

// The table: filter by the controls above it, sort by a click on a heading; a run without accuracies has none.
const table = document.querySelector("#explorer-table table");
if (table) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const controls = document.getElementById("controls");
  const shown = document.getElementById("shown");

  function filter() {
    const wanted = ["family", "variant", "section"].map((name) => [name, controls.querySelector(`[name=${name}]`)]);
    const words = controls.querySelector("[name=words]").value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const row of rows) {
      const text = `${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase();
      const keep = wanted.every(([name, select]) => select.selectedIndex === 0 || row.dataset[name] === select.value)
        && words.every((word) => text.includes(word));
      row.hidden = !keep;
      number += keep ? 1 : 0;
    }
    shown.textContent = `${number} of ${rows.length} rows`;
  }

  function sortBy(column, heading) {
    const descending = heading.getAttribute("aria-sort") !== "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const keyed = rows.map((row) => {
      const cell = row.cells[column];
      return [row, "sort" in cell.dataset ? (cell.dataset.sort === "" ? null : Number(cell.dataset.sort)) : cell.textContent];
    });
    keyed.sort(([, a], [, b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // missing values stay last
      const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
      return descending ? -order : order;
    });
    body.append(...keyed.map(([row]) => row));
  }

  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => sortBy(column, heading));
  });
  controls.hidden = false;
  controls.addEventListener("input", filter);
  controls.addEventListener("change", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.querySelector("[name=section]").value = "Overall";
  filter();
}
