/**
 * Faults of the toom that is judged: its threads are stopped as by a debugger, its workers throw.
 *
 * @module
 */
import type { Dice } from "./dice.ts";
import type { Judged } from "./judged.ts";

/** Where a stop of a thread must be noticed; 1.5 s is what the longest takes. */
const STOPS_MS = [100, 600, 1500] as const;
const WORKERS = ["reader0", "accounting", "killer", "coordinator", "sweeper"] as const;

/** Faults of toom, one after the other. */
export class Faults {
  readonly done: Record<string, number> = {};
  private readonly dir: string;
  private readonly toom: Judged;
  private readonly dice: Dice;

  constructor(dir: string, toom: Judged, dice: Dice) {
    this.dir = dir;
    this.toom = toom;
    this.dice = dice;
  }

  async next(): Promise<void> {
    const { dice } = this;
    const name = dice.below(3) === 0 ? await this.failing() : await this.stopping();
    this.done[name] = (this.done[name] ?? 0) + 1;
  }

  private async failing(): Promise<string> {
    const role = this.dice.pick(WORKERS);
    await this.toom.ask("/v1/debug/fault", { role, kind: "throw" });
    return `${role} throws`;
  }

  private async stopping(): Promise<string> {
    const { dice } = this;
    const threads = new Map<string, string[]>();
    for await (const { name: tid } of Deno.readDir(`/proc/${this.toom.pid}/task`)) {
      const comm = await Deno.readTextFile(`/proc/${this.toom.pid}/task/${tid}/comm`)
        .catch(() => "gone");
      threads.set(comm.trim(), [...threads.get(comm.trim()) ?? [], tid]);
    }
    // Deno and V8 have many threads of one name: each name gets the same share.
    const comm = dice.pick([...threads.keys()]);
    const tid = dice.pick(threads.get(comm)!);
    const ms = dice.pick(STOPS_MS);
    // One in four tracers is deaf: then the kernel lets toom start over only when the stop ends.
    const how = dice.below(4) === 0 ? ["deaf"] : [];
    await new Deno.Command(`${this.dir}/stop_thread`, {
      args: [tid, `${ms}`, ...how],
      stderr: "null",
    }).output();
    return [comm, "stopped for", `${ms} ms`, ...how].join(" ");
  }
}
