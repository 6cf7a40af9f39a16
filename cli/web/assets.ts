/**
 * The files of the page, by the paths that a browser asks for. Only what is in this table can be had, so
 * no path leads anywhere else. They are read once, from beside this module: from the checkout, or from
 * within the compiled program.
 *
 * @module
 */

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Files of the page; `vendor/` is what others have written, see vendor/vendor.json. */
export const PAGE_FILES = [
  "page/app.css",
  "page/icon.svg",
  "page/main.js",
  "page/format.js",
  "page/store.js",
  "page/connection.js",
  "page/html.js",
  "page/keys.js",
  "page/chart.js",
  "page/series.js",
  "page/theme.js",
  "page/view_app.js",
  "page/view_head.js",
  "page/view_users.js",
  "page/view_user.js",
  "page/view_kills.js",
  "page/view_health.js",
] as const;
/** Of the page of a recording, beside what it shares with the other. */
export const RECORDING_PAGE_FILES = [
  "page/recording.js",
  "page/answers.js",
  "page/view_recording.js",
] as const;
export const VENDOR_FILES = [
  "vendor/htm.module.js",
  "vendor/preact.mjs",
  "vendor/uPlot.esm.js",
  "vendor/uPlot.min.css",
] as const;
/** The documents, by what they show. */
export const DOCUMENTS = { live: "page/index.html", recording: "page/recording.html" } as const;

export interface Asset {
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Differs when the bytes do. */
  readonly etag: string;
}

export type Assets = ReadonlyMap<string, Asset>;

/**
 * @param shown What the page is of.
 * @throws {Error} When a file is missing: a program that was put together wrongly.
 */
export async function loadAssets(shown: keyof typeof DOCUMENTS = "live"): Promise<Assets> {
  const assets = new Map<string, Asset>();
  const more = shown === "recording" ? RECORDING_PAGE_FILES : [];
  const files = [...PAGE_FILES, ...more, ...VENDOR_FILES];
  const paths = [["/", DOCUMENTS[shown]], ...files.map((file) => [`/${file}`, file])];
  for (const [path, file] of paths) {
    const bytes = await Deno.readFile(new URL(`./${file}`, import.meta.url));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const type = TYPES[file!.slice(file!.lastIndexOf(".") + 1)]!;
    assets.set(path!, { type, bytes, etag: `"${hex(digest.slice(0, 16))}"` });
  }
  return assets;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
