// SPDX-License-Identifier: Apache-2.0
// What can be scrolled can be scrolled with a keyboard: wide tables, which the theme puts into boxes, and long lines of
// code, of which the theme's own script looks at some.
function reach() {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
    const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    if (scrolls && !box.hasAttribute("tabindex")) box.setAttribute("tabindex", "0");
  }
}

addEventListener("load", () => {
  reach();
  // The theme's script takes the attribute away from code that it has not measured yet.
  new MutationObserver(reach).observe(document.body, { subtree: true, attributeFilter: ["tabindex"] });
});
addEventListener("resize", reach);
