/**
 * What a toom takes of the machine, sampled from outside while a soak goes on.
 *
 * @module
 */
import type { Judged } from "./judged.ts";

/** One moment of a process. */
export interface ProcessSample {
  /** Resident and its own: what would come back with its end. */
  readonly ownKib: number;
  readonly descriptors: number;
  readonly threads: number;
}

export interface Sample {
  readonly atSeconds: number;
  readonly daemon: ProcessSample;
  /** The process that serves the page; null: it could not be read. */
  readonly page: ProcessSample | null;
  /** CPU of each worker since it began, milliseconds. */
  readonly cpuMs: Readonly<Record<string, number>>;
  readonly events: number;
  /** Pages by which sweeps have found books to be off, so far. */
  readonly driftPages: number;
  readonly isDegraded: boolean;
}

interface StatusPart {
  readonly events: { readonly total: number; readonly driftPages: number };
  readonly degraded: unknown;
  readonly workers: readonly { readonly role: string; readonly cpuMs: number }[];
}

function number(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? NaN);
}

async function sampleProcess(pid: number): Promise<ProcessSample> {
  const rollup = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return {
    ownKib: number(rollup, "Private_Dirty") + number(rollup, "Private_Clean"),
    descriptors: (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length,
    threads: number(status, "Threads"),
  };
}

/** @returns The process that serves the page of a daemon; undefined: there is none. */
async function pageOf(pid: number): Promise<number | undefined> {
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const children = await Deno.readTextFile(`/proc/${pid}/task/${name}/children`).catch(() => "");
    for (const child of children.split(" ").filter((word) => word !== "")) {
      const line = await Deno.readTextFile(`/proc/${child}/cmdline`).catch(() => "");
      if (line.includes("--for-daemon")) return Number(child);
    }
  }
  return undefined;
}

/** @throws {Error} Where toom does not answer, as while it starts over. */
export async function takeSample(toom: Judged, atSeconds: number): Promise<Sample> {
  const status = await toom.ask("/v1/status") as StatusPart;
  const page = await pageOf(toom.pid);
  return {
    atSeconds,
    daemon: await sampleProcess(toom.pid),
    page: page === undefined ? null : await sampleProcess(page).catch(() => null),
    cpuMs: Object.fromEntries(status.workers.map(({ role, cpuMs }) => [role, cpuMs])),
    events: status.events.total,
    driftPages: status.events.driftPages,
    isDegraded: status.degraded !== null && status.degraded !== false,
  };
}
