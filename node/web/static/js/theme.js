// Before the first paint, hence a classic script in the head: the theme kept from last time.
(() => {
  const root = document.documentElement;
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const stored = () => {
    try {
      const found = localStorage.getItem("theme");
      return found in NEXT ? found : "system";
    } catch {
      return "system"; // storage is off: the choice lasts as long as the page
    }
  };
  let theme = stored();
  const apply = () => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
    root.dispatchEvent(new CustomEvent("theme"));
  };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      theme = NEXT[theme];
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // storage is off
      }
      apply();
    });
  });
})();
