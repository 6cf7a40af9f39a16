import { KillsBench } from "./kills.ts";
import { Toolbox } from "./toolbox.ts";
import { QUICK } from "./plan.ts";
import { pretty } from "./stats.ts";
using t = new Toolbox();
const s = performance.now();
const r = await new KillsBench(t, { ...QUICK }).run((w) => console.log(((performance.now() - s)/1000).toFixed(1), w));
for (const x of r.series) console.log(x.scenario.padEnd(11), x.label.padEnd(20), x.kills, x.survived, x.early, "stop", pretty(x.stopUs?.median), pretty(x.stopUs?.max), "death", pretty(x.deathUs?.median), "over", pretty(x.overKib?.median), pretty(x.overKib?.max), "log", x.logLatencyUs && pretty(x.logLatencyUs.median), x.logLatencyUs && pretty(x.logLatencyUs.max), "first", x.firstLogLatencyUs && pretty(x.firstLogLatencyUs.max));
console.log(r.skipped, performance.now() - s);
