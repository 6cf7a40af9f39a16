/**
 * Which folder of the code imports which: docs/structure.md, made from the sources. Run by itself it
 * counts what each folder of a checkout holds:
 *
 *     deno run --allow-read docs/structure.ts [DIRECTORY]
 *
 * @module
 */

/** Folders that are the program; with the folders in them. */
export const PROGRAM_FOLDERS: readonly string[] = [
  "pipeline",
  "kernel",
  "workers",
  "service",
  "tmalloc",
  "cli",
];

/** A module: its path from the root of the checkout, and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** What a folder holds, without the folders in it. */
export interface FolderCount {
  readonly folder: string;
  files: number;
  lines: number;
  /** Lines of its longest file. */
  longest: number;
  /** Imports by its files of files of other folders. */
  imports: number;
  /** Folders that these files are in, sorted. */
  imported: string[];
}

/** The modules in a folder and the folders in it, sorted; none when it is not there. */
export function sourcesIn(root: URL, folder: string): Source[] {
  const sources: Source[] = [];
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(new URL(`${folder}/`, root))];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) sources.push(...sourcesIn(root, path));
    else if (entry.name.endsWith(".ts")) {
      sources.push({ path, text: Deno.readTextFileSync(new URL(path, root)) });
    }
  }
  return sources;
}

/** Paths from the root of what a module imports, or starts as a worker, of the same checkout. */
export function importsOf({ path, text }: Source): string[] {
  const root = new URL("file:///");
  const specifiers = [
    ...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|new URL\(\s*)"(\.{1,2}\/[^"]+)"/g),
  ].map((match) => match[1]!);
  return specifiers.map((specifier) =>
    new URL(specifier, new URL(path, root)).href.slice(root.href.length)
  );
}

/** The folder of a path; empty for a file at the root. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** Counts each folder of these modules; imports of files at the root do not count. */
export function countFolders(sources: readonly Source[]): FolderCount[] {
  const counts = new Map<string, FolderCount>();
  for (const source of sources) {
    const folder = folderOf(source.path);
    let count = counts.get(folder);
    if (count === undefined) {
      count = { folder, files: 0, lines: 0, longest: 0, imports: 0, imported: [] };
      counts.set(folder, count);
    }
    const lines = source.text.split("\n").length - 1;
    count.files++;
    count.lines += lines;
    count.longest = Math.max(count.longest, lines);
    const others = importsOf(source).map(folderOf)
      .filter((other) => other !== folder && other !== "");
    count.imports += others.length;
    count.imported = [...new Set([...count.imported, ...others])].sort();
  }
  return [...counts.values()];
}

/** Which folder imports which others. */
export function folderImports(sources: readonly Source[]): Map<string, ReadonlySet<string>> {
  return new Map(countFolders(sources).map(({ folder, imported }) => [folder, new Set(imported)]));
}

/** A circle of folders in which each imports the next; empty when there is none. */
export function circleOf(imports: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const visit = (folder: string, path: readonly string[]): string[] => {
    if (path.includes(folder)) return [...path.slice(path.indexOf(folder)), folder];
    if (done.has(folder)) return [];
    for (const next of imports.get(folder) ?? []) {
      const circle = visit(next, [...path, folder]);
      if (circle.length > 0) return circle;
    }
    done.add(folder);
    return [];
  };
  for (const folder of imports.keys()) {
    const circle = visit(folder, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

/**
 * Folders by layers: those of a layer import only folders of layers before it.
 * @throws {Error} When folders import each other in a circle: then there are no such layers.
 */
export function layersOf(imports: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const circle = circleOf(imports);
  if (circle.length > 0) throw new Error(`Cannot sort folders: ${circle.join(" imports ")}`);
  const layers: string[][] = [];
  const placed = new Set<string>();
  while (placed.size < imports.size) {
    const layer = [...imports.keys()].filter((folder) =>
      !placed.has(folder) &&
      [...imports.get(folder)!].every((other) => placed.has(other) || !imports.has(other))
    ).sort();
    for (const folder of layer) placed.add(folder);
    layers.push(layer);
  }
  return layers;
}

/** docs/structure.md, which a test compares with this. */
export function structureDocument(root: URL): string {
  const imports = folderImports(PROGRAM_FOLDERS.flatMap((folder) => sourcesIn(root, folder)));
  const lines = [
    "# Structure",
    "",
    "Made from the sources by `deno task docs`; not to be edited.",
    "",
    "The folders of the program by layers: a folder imports folders of earlier layers only, so no two",
    "folders import each other, by whatever path. A module that is started as a worker counts as",
    "imported; files at the root (`mod.ts`, `version.ts`) are left out.",
    "",
  ];
  layersOf(imports).forEach((layer, index) => {
    lines.push(`## Layer ${index}`, "");
    for (const folder of layer) {
      const others = [...imports.get(folder)!].map((other) => `\`${other}\``);
      lines.push(`- \`${folder}\`: ${others.length === 0 ? "nothing" : others.join(", ")}`);
    }
    lines.push("");
  });
  return `${lines.join("\n").trimEnd()}\n`;
}

if (import.meta.main) {
  const root = new URL(`file://${Deno.realPathSync(Deno.args[0] ?? ".")}/`);
  const folders = [...PROGRAM_FOLDERS, "bench", "tests"];
  const counts = countFolders(folders.flatMap((folder) => sourcesIn(root, folder)));
  const lines = ["| folder | files | lines | longest | imports | of folders |"];
  lines.push("| --- | ---: | ---: | ---: | ---: | ---: |");
  for (const { folder, files, lines: all, longest, imports, imported } of counts) {
    lines.push(
      `| \`${folder}\` | ${files} | ${all} | ${longest} | ${imports} | ${imported.length} |`,
    );
  }
  const program = PROGRAM_FOLDERS.flatMap((folder) => sourcesIn(root, folder));
  const circle = circleOf(folderImports(program));
  lines.push("", `circle: ${circle.length === 0 ? "none" : circle.join(" imports ")}`);
  await Deno.stdout.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
}
