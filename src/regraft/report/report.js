// A click on a number of the confusion matrix, or on a confused pair, shows only the photos of that pair.
"use strict";
const names = JSON.parse(document.body.dataset.classes);
const filter = document.getElementById("filter"), filterText = document.getElementById("filter-text");
const photos = [...document.querySelectorAll("#predictions [data-pair]")];
function show(pair) {
  let shown = 0;
  for (const photo of photos) {
    photo.hidden = pair !== null && photo.dataset.pair !== pair;
    if (!photo.hidden && photo.tagName !== "LI") shown += 1;
  }
  for (const part of document.querySelectorAll("#predictions .of-class")) {
    part.hidden = pair !== null && part.querySelector("[data-pair]:not([hidden])") === null;
  }
  filter.hidden = pair === null;
  if (pair === null) return;
  const [label, predicted] = pair.split("-").map(number => names[Number(number)] ?? "?");
  filterText.textContent = `${shown} shown: ${label}, predicted as ${predicted}.`;
  for (const details of document.querySelectorAll("#predictions details")) {
    if (details.querySelector("[data-pair]:not([hidden])") !== null) details.open = true;
  }
  document.getElementById("predictions").scrollIntoView();
  document.getElementById("show-all").focus({preventScroll: true});
}
document.addEventListener("click", event => {
  const cell = event.target.closest("[data-show]");
  if (cell !== null && filter !== null) show(cell.dataset.show);
  else if (event.target.id === "show-all") show(null);
});
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("#predictions details, #blocks details")) details.open = true;
});
