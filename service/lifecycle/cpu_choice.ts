/**
 * Which CPU the way from an event to a kill has.
 *
 * @module
 */
import { allowedCpus, pinThread } from "../../kernel/process/affinity.ts";
import type { Protection } from "../../kernel/process/self_protection.ts";
import type { WorkerConfig } from "../../workers/protocol.ts";

const ANY_CPU = { pathCpu: -1, readerCpu: -1, otherCpus: [] };
const DONE: Protection = { ok: true };
const NOT_ALLOWED: Protection = {
  ok: false,
  reason: "not one that toom may run on",
  mend: "choose another with --cpu",
};

/**
 * One CPU for the whole way from an event to a kill: handing over to a thread on another, idle
 * CPU costs 30 us and more, to one on the same 3. The last CPU, as the first ones have the most
 * interrupts. Several readers, or one of text, keep CPUs busy of their own (the kernel prints the
 * lines in the reader's time), and do so on the others.
 *
 * @param pathCpu What was asked for; -1 any.
 * @param isNarrow One reader, of pages.
 * @param tell Told whether a CPU that was asked for can be had.
 */
export function chooseCpus(
  pathCpu: number | "auto",
  isNarrow: boolean,
  tell: (wish: string, result: Protection) => void,
): Pick<WorkerConfig, "pathCpu" | "readerCpu" | "otherCpus"> {
  const cpus = allowedCpus();
  const chosen = pathCpu === "auto" ? cpus.at(-1) ?? -1 : pathCpu;
  if (chosen < 0) return ANY_CPU;
  tell(`CPU ${chosen}`, cpus.includes(chosen) ? DONE : NOT_ALLOWED);
  if (!cpus.includes(chosen)) return ANY_CPU;
  return {
    pathCpu: chosen,
    readerCpu: isNarrow ? chosen : -1,
    otherCpus: cpus.filter((cpu) => cpu !== chosen),
  };
}

/**
 * Keeps this thread off the CPU of {@link chooseCpus}, and what it starts from now on, because what
 * waits behind real-time threads waits long. To be called when the workers have started: until then
 * they need all CPUs.
 */
export function keepOff({ otherCpus }: Pick<WorkerConfig, "otherCpus">): void {
  if (otherCpus.length > 0) pinThread(otherCpus);
}
