import { KillsBench, SCENARIOS } from "./kills.ts";
import { killerNamed } from "./killers.ts";
import { runBreakdown } from "./breakdown.ts";
import { runScale, highestLossless } from "./scale.ts";
import { Toolbox } from "./toolbox.ts";
import { QUICK } from "./plan.ts";
using t = new Toolbox();
const b = new KillsBench(t, QUICK);
for (const k of ["nohang", "earlyoom"]) { const s = performance.now(); console.log(k, await b.block(SCENARIOS[0]!, killerNamed(k)), performance.now() - s); }
for (const sc of ["huge", "steady"]) { const x = await b.block(SCENARIOS.find((o) => o.name === sc)!, killerNamed("toom-raw")); console.log(sc, JSON.stringify(x)); }
const bd = await runBreakdown(t, QUICK);
for (const s of bd.stages) console.log(s.label, s.us.median.toFixed(1), s.us.p90.toFixed(1), s.us.max.toFixed(1));
console.log(bd.kills, bd.lost, bd.signalUs);
const s = performance.now();
const sc = await runScale(t, QUICK, (w) => console.log(((performance.now() - s) / 1000).toFixed(1), w));
console.log((performance.now() - s) / 1000);
console.log(sc.cost.map((c) => [c.processes, c.users, c.nsPerEvent.median.toFixed(1), c.ratio.toFixed(2)].join(" ")).join("\n"));
console.log(sc.cpu); console.table(sc.loss);
