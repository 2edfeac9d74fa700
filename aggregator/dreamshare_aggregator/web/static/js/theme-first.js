// Runs before the page is drawn, so that a chosen theme does not flash.
(function () {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* storage may be forbidden: the system's theme it is */ }
})();
