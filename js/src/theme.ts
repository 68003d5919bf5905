/** Is the host dark? Hosts say it in different places (JupyterLab, VS Code, marimo, a plain page): asked in this order. */
const DARK_CLASSES = ["vscode-dark", "vscode-high-contrast", "dark", "dark-theme"];
const LIGHT_CLASSES = ["vscode-light", "vscode-high-contrast-light", "light", "light-theme"];

export function isDark(theme: string, el: HTMLElement): boolean {
  if (theme === "dark" || theme === "light") return theme === "dark";
  const { body, documentElement } = el.ownerDocument;
  const lab = body.dataset.jpThemeLight;
  if (lab) return lab === "false";
  const classes = [...body.classList, ...documentElement.classList];
  if (classes.some((name) => LIGHT_CLASSES.includes(name))) return false;
  if (classes.some((name) => DARK_CLASSES.includes(name))) return true;
  const schemes = getComputedStyle(el).colorScheme.split(" ");
  if (schemes.includes("dark") !== schemes.includes("light")) return schemes.includes("dark");
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Call `changed` whenever the host may have switched its theme. */
export function watchTheme(el: HTMLElement, changed: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(changed);
  const options = {
    attributes: true,
    attributeFilter: ["class", "style", "data-jp-theme-light", "data-theme"],
  };
  observer.observe(el.ownerDocument.body, options);
  observer.observe(el.ownerDocument.documentElement, options);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
}
