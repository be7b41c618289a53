// A table that is wider than the page can be scrolled with the keyboard.
document$.subscribe(() => requestAnimationFrame(() => {
  for (const frame of document.querySelectorAll(".md-typeset__scrollwrap")) frame.tabIndex = 0
}))
