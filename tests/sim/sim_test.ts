import { assertThrows } from "@std/assert";
import { Role } from "../../pipeline/memory/layout.ts";
import type { SimRole } from "./machine.ts";
import { Sim } from "./sim.ts";
import { optionsOf } from "./variants.ts";

/** A run in which the killer's turn is another. */
function runWith(step: (sim: Sim) => void): void {
  const sim = new Sim(optionsOf({ steps: 20 }, 1));
  const { machine } = sim;
  const make = machine.make.bind(machine);
  machine.make = (role, epoch, isSuccessor) => {
    make(role, epoch, isSuccessor);
    if (role === Role.killer) machine.roles.set(role, { step: () => step(sim) } as SimRole);
  };
  sim.run();
}

Deno.test("a run in which a role never ends its turn fails, and says which role and when", () => {
  const endless = (sim: Sim): void => {
    for (;;) sim.call(Role.killer);
  };
  assertThrows(
    () => runWith(endless),
    Error,
    "liveness: the run does not end: it has had 204000 steps, calls, waits and records, the last in step ",
  );
  assertThrows(() => runWith(endless), Error, `with role ${Role.killer} in its turn`);
});

Deno.test("a run in which a ring never runs dry fails too", () => {
  const sim = new Sim(optionsOf({ steps: 20 }, 1));
  const { machine } = sim;
  const begin = machine.begin.bind(machine);
  machine.begin = () => {
    begin();
    // Two that write to one ring could leave it like this.
    machine.supervisor["rings"][0]!["cursor"] = 1;
  };
  assertThrows(() => sim.run(), Error, "liveness: the run does not end");
});
