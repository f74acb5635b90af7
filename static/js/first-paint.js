// A classic script in the head, so that the first paint already has the chosen theme; settings.js owns these keys.
(() => {
  try {
    const saved = JSON.parse(localStorage.getItem("obeaver.settings") || "{}");
    if (["light", "dark"].includes(saved.theme)) document.documentElement.dataset.theme = saved.theme;
    if (saved.sidebar === "narrow") document.documentElement.dataset.sidebar = "narrow";
  } catch {
    // Storage may be forbidden; the system's theme serves.
  }
})();
