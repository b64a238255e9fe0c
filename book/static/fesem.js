// What the pages do beyond standing still: a slider over two pictures, and a closer look at one.
// Without this file both pictures stand side by side, and figures are as large as the page.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".before-after").forEach(slideOver);
  // Sphinx calls the references a list, and forgets to call each of them an item of it.
  document
    .querySelectorAll(".citation-list > .citation")
    .forEach((reference) => reference.setAttribute("role", "listitem"));
  // It writes the parameters of a signature as a list of descriptions of nothing.
  document
    .querySelectorAll("dt.sig dl, dt.sig dl > dd")
    .forEach((part) => part.setAttribute("role", "none"));
  // What scrolls by itself has to be reached by the keyboard, too, whenever it comes to scroll.
  const sized = new ResizeObserver((sizes) => sizes.forEach(({ target }) => {
    const table = target.closest(".text_html");
    const scrolls = table.scrollHeight > table.clientHeight || table.scrollWidth > table.clientWidth;
    table.tabIndex = scrolls ? 0 : -1;
  }));
  document
    .querySelectorAll(".cell_output .text_html, .cell_output .text_html table")
    .forEach((table) => sized.observe(table));
  const closer = document.createElement("dialog");
  closer.className = "closer-look";
  closer.setAttribute("aria-label", "Enlarged figure; Escape or a click closes it");
  closer.addEventListener("click", () => closer.close());
  closer.addEventListener("keydown", (event) => event.key === "Escape" && closer.close());
  document.body.append(closer);
  document
    .querySelectorAll(".bd-article figure img, .bd-article .cell_output > img")
    .forEach((image) => enlarge(image, closer));
});

/* Lay the second picture over the first, and let a range decide how much of it is seen. */
function slideOver(pair) {
  const range = document.createElement("input");
  range.type = "range";
  range.min = 0;
  range.max = 100;
  range.value = 50;
  const [before, after] = pair.querySelectorAll("img");
  range.setAttribute("aria-label", `From left to right: ${after.alt} instead of ${before.alt}`);
  const show = () => pair.style.setProperty("--share", `${range.value}%`);
  range.addEventListener("input", show);
  show();
  pair.classList.add("sliding");
  pair.append(range);
}

/* Make a picture a link to itself, which opens over the page. */
function enlarge(image, closer) {
  if (image.closest("a")) return;
  const link = document.createElement("a");
  link.href = image.src;
  link.className = "enlarge";
  link.title = "Enlarge";
  image.replaceWith(link);
  link.append(image);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const copy = document.createElement("img");
    copy.src = image.src;
    copy.alt = image.alt;
    closer.replaceChildren(copy);
    closer.showModal();
  });
}
