/**
 * What the numbers were measured on.
 *
 * @module
 */
import { VERSION } from "../../version.ts";

export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly virtual: boolean;
  readonly kernel: string;
  readonly arch: string;
  readonly memoryGib: number;
  readonly deno: string;
  readonly v8: string;
  readonly toom: string;
  /** First line of what each says of its version; left out where it is not installed. */
  readonly programs: Readonly<Record<string, string>>;
}

function firstLine(program: string, ...args: string[]): string | undefined {
  try {
    const { stdout, stderr } = new Deno.Command(program, { args, stdin: "null" }).outputSync();
    const text = new TextDecoder();
    const lines = `${text.decode(stdout)}\n${text.decode(stderr)}`.split("\n");
    return lines.find((line) => line.trim() !== "")?.trim();
  } catch {
    return undefined;
  }
}

export function describeMachine(): Machine {
  const cpuinfo = Deno.readTextFileSync("/proc/cpuinfo");
  const programs: Record<string, string> = {};
  const asked: readonly (readonly [string, ...string[]])[] = [
    ["gcc", "--version"],
    ["earlyoom", "-v"],
    ["nohang", "--version"],
  ];
  for (const [program, ...args] of asked) {
    const version = firstLine(program, ...args);
    if (version !== undefined) programs[program] = version;
  }
  return {
    cpu: /^model name\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.trim() ?? "unknown",
    cpus: navigator.hardwareConcurrency,
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(cpuinfo),
    kernel: Deno.osRelease(),
    arch: Deno.build.arch,
    memoryGib: Math.round(Deno.systemMemoryInfo().total / 2 ** 30 * 10) / 10,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    toom: VERSION,
    programs,
  };
}

export function machineLine(machine: Machine): string {
  const { cpu, cpus, kernel, arch, memoryGib, deno, v8, toom } = machine;
  const kind = machine.virtual ? "virtual machine" : "machine";
  return `${kind} with ${cpus} CPUs (${cpu}, ${arch}), ${memoryGib} GiB, Linux ${kernel}; ` +
    `toom ${toom}, Deno ${deno}, V8 ${v8}`;
}
