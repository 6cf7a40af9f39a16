/**
 * Vega-Lite specifications in, SVG out, without a browser: a JSON array on stdin, one on stdout.
 *
 * A program with a configuration and a lock of its own: Deno fetches all that a lock names, and who
 * runs toom from source must not have to fetch a plotting library.
 *
 * @module
 */
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

const specs: TopLevelSpec[] = await new Response(Deno.stdin.readable).json();
const svgs: string[] = [];
for (const spec of specs) {
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  svgs.push(await view.toSVG());
  view.finalize();
}
await new Response(JSON.stringify(svgs)).body!.pipeTo(Deno.stdout.writable);
