/**
 * How a page looks in a browser: whether it fits, whether its text can be read, and photographs.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Screen, Tab } from "./browser.ts";

export const DESKTOP: Screen = { width: 1280, height: 860 };
export const PHONE: Screen = { width: 390, height: 844, isPhone: true };

/** Kept in the folder TOOM_PHOTOGRAPHS, if that is set. */
export async function photograph(tab: Tab, name: string): Promise<void> {
  const folder = Deno.env.get("TOOM_PHOTOGRAPHS");
  const png = await tab.photograph();
  assertEquals([...png.subarray(1, 4)], [...new TextEncoder().encode("PNG")]);
  if (folder !== undefined) await Deno.writeFile(`${folder}/${name}.png`, png);
}

/** Nothing of the page is wider than the screen. */
export async function assertFits(tab: Tab): Promise<void> {
  const wide = await tab.value<string[]>(`[...document.querySelectorAll("body *")].filter((one) =>
      one.closest(".scroll, .sr, .u-wrap, .name bdi, .key bdi, .clip bdi") === null && one.getClientRects().length > 0 &&
      one.getBoundingClientRect().right >
        (one.closest(".panel, .tile, dialog") ?? document.documentElement)
          .getBoundingClientRect().right + 1)
    .map((one) => one.outerHTML.slice(0, 90))`);
  assertEquals(wide, []);
  assert(
    await tab.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
    "it scrolls aside",
  );
}

/** Texts whose contrast with what is behind them is below 4.5 to 1. WCAG 2.2, 1.4.3. */
export const CONTRAST = `(() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.a === 1) return colour;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const poor = new Set();
  for (const element of document.querySelectorAll("#app *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
    if (!own || element.closest(".sr") !== null || element.getClientRects().length === 0) continue;
    const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(element.className + " " + element.innerText.slice(0, 30) + " " + ratio.toFixed(2));
  }
  return [...poor];
})()`;
