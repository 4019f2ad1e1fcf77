// The box in the head of the table ticks all boxes of the page.
"use strict";
document.getElementById("im-all")?.addEventListener("change", (event) => {
  for (const box of document.querySelectorAll("input.action-select")) {
    box.checked = event.target.checked;
  }
});
