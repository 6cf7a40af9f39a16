/** Light, dark, or as the system has it; kept by the browser. */

const THEMES = ["auto", "light", "dark"];
const THEME_KEY = "toom.theme";

export class Theme {
  #name;
  #dark = matchMedia("(prefers-color-scheme: dark)");

  /** @param onChange Called when colours may be others. */
  constructor(onChange) {
    this.#name = THEMES.find((one) => one === localStorage.getItem(THEME_KEY)) ?? THEMES[0];
    document.documentElement.dataset.theme = this.#name;
    this.#dark.addEventListener("change", onChange);
  }

  next() {
    this.#name = THEMES[(THEMES.indexOf(this.#name) + 1) % THEMES.length];
    localStorage.setItem(THEME_KEY, this.#name);
    document.documentElement.dataset.theme = this.#name;
  }

  get name() {
    return this.#name;
  }

  /** Differs when the colours do. */
  get key() {
    return this.#name === "auto" ? `auto ${this.#dark.matches}` : this.#name;
  }
}
