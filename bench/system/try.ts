import { AllocationBench } from "./allocation.ts";
import { Toolbox } from "./toolbox.ts";
import { QUICK } from "./plan.ts";
import { pretty } from "./stats.ts";
using t = new Toolbox();
const s = performance.now();
const r = await new AllocationBench(t, { ...QUICK, allocationRounds: 3 }).run();
for (const x of r.states) console.log(x.label.padEnd(45), pretty(x.nsPerPage.median), x.ratio.median.toFixed(3), x.ratio.min.toFixed(3), x.ratio.max.toFixed(3), x.eventsPerPage);
console.log(r.trivial, r.skipped, performance.now() - s);
