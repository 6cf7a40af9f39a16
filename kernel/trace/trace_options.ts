/**
 * Options of instances: `trace_options`.
 *
 * @module
 */
import { readTextFile, writeTextFile } from "../ffi/fd.ts";
import { KernelError } from "../ffi/errno.ts";

// All options that change what the reader gets. A new instance has those of the top level, which may
// be anything. The order does not matter.
export const FIXED_OPTIONS: readonly (readonly [string, boolean])[] = [
  ["context-info", true],
  ["overwrite", true],
  ["annotate", true],
  ["latency-format", false],
  ["verbose", false],
  ["raw", false],
  ["hex", false],
  ["bin", false],
  ["fields", false],
  ["block", false],
  ["stacktrace", false],
  ["userstacktrace", false],
  ["markers", false],
  ["copy_trace_marker", false],
  ["pause-on-trace", false],
  ["disable_on_free", false],
];

/** Whether an option, as `trace_options` names it, is one that `configure` of an instance sets. */
export function isSetOption(option: string): boolean {
  const name = option.replace(/^no(?=.)/, "");
  return FIXED_OPTIONS.some(([fixed]) => fixed === name || fixed === option) ||
    name === "irq-info" || name === "event-fork";
}

/** Where an instance lies. */
export interface InstancePath {
  readonly tracefs: string;
  readonly name: string;
  /** Its directory. */
  readonly path: string;
}

/** Whether an option is on; undefined when this kernel does not have it. */
export function readOption(instance: InstancePath, name: string): boolean | undefined {
  const words = readTextFile(`${instance.path}/trace_options`).split(/\s+/);
  if (words.includes(name)) return true;
  return words.includes(`no${name}`) ? false : undefined;
}

/** Sets an option, where this kernel has it. */
export function setOption(instance: InstancePath, name: string, on: boolean): void {
  const now = readOption(instance, name);
  if (now === undefined || now === on) return;
  writeTextFile(`${instance.path}/trace_options`, on ? name : `no${name}`);
}

/**
 * Sets an option whose machinery is common to all instances. Switching one off here switches it off
 * for every event that anybody has on (trace_event_enable_cmd_record), so where somebody else is
 * tracing it stays as it is: readers of lines must understand both.
 */
export function setShared(instance: InstancePath, name: string, on: boolean): void {
  if (!on && readOption(instance, name) === true && doOthersTrace(instance)) return;
  setOption(instance, name, on);
}

function doOthersTrace(instance: InstancePath): boolean {
  const idle = (path: string): boolean => {
    try {
      return readTextFile(`${path}/events/enable`).trim() === "0";
    } catch (error) {
      if (error instanceof KernelError) return true; // Removed meanwhile.
      throw error;
    }
  };
  if (!idle(instance.tracefs)) return true;
  for (const { name } of Deno.readDirSync(`${instance.tracefs}/instances`)) {
    if (name !== instance.name && !idle(`${instance.tracefs}/instances/${name}`)) return true;
  }
  return false;
}
