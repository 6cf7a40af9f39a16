/**
 * What processes of the simulation say of themselves to rules: a name by their number.
 *
 * @module
 */
import type { ProcessFacts } from "../../../pipeline/rules/matcher.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import type { SimContext } from "../context.ts";

/** Names that processes have in turn. */
const NAMES = 7;

/** The name of a process. */
export function simName(pid: number): string {
  return `name${pid % NAMES}`;
}

export class SimFacts implements ProcessFacts {
  private readonly sim: SimContext;
  private pid = 0;

  constructor(sim: SimContext) {
    this.sim = sim;
  }

  begin(pid: number): void {
    this.pid = pid;
  }

  command(): string | undefined {
    this.sim.call(Role.sweeper);
    return simName(this.pid);
  }

  realUid(): undefined {}
  isSessionLeader(): boolean | undefined {
    return false;
  }
  executable(): undefined {}
  commandLine(): undefined {}
  cgroup(): undefined {}
  directory(): undefined {}
  oomScoreAdj(): undefined {}
}
