/**
 * Who belongs together, by /proc and cgroups: {@link UnitKernel} on the real kernel.
 *
 * @module
 */
import { Sharer, type UnitKernel } from "../../pipeline/kill/unit_kernel.ts";
import { gidOfAccount } from "../../pipeline/limits/shared_groups.ts";
import { Unit } from "../../pipeline/memory/kill_plan.ts";
import { KernelError } from "../ffi/errno.ts";
import { ProcStatus } from "../../pipeline/ports.ts";
import { ProcReader } from "../proc/proc.ts";

/** Fields of /proc/PID/stat. */
const Field = { parent: 4, group: 5, session: 6 } as const;
/** Cgroups below one that are looked at, and processes in all of them; more are killed one by one. */
const SCOPE_CGROUPS_MAX = 256;
const SCOPE_PROCESSES_MAX = 4096;
/** Numbers of cgroups that are remembered; then they are forgotten all at once. */
const SCOPES_MAX = 1024;

/** The cgroup of a process as /proc/PID/cgroup has it. */
export interface Scope {
  /** Of cgroup v2; else of systemd's named hierarchy of v1. */
  readonly isUnified: boolean;
  /** Never `/`: the root cgroup is no scope. */
  readonly path: string;
}

/**
 * The scope in a text of /proc/PID/cgroup: the path in cgroup v2, or where that is the root, in the
 * hierarchy that systemd has in v1. cgroups(7)
 *
 * @returns undefined: it is in no cgroup of its own, or in one that is not seen from here.
 */
export function scopeOf(text: string): Scope | undefined {
  let named: Scope | undefined;
  for (const line of text.split("\n")) {
    // hierarchy-ID:controller-list:cgroup-path; the path may hold colons.
    const [, id, controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    // "/.." is outside of the cgroup namespace, " (deleted)" is gone.
    if (path === undefined || path === "/" || path.startsWith("/..")) continue;
    if (path.endsWith(" (deleted)")) continue;
    if (id === "0" && controllers === "") return { isUnified: true, path };
    if (controllers === "name=systemd") named = { isUnified: false, path };
  }
  return named;
}

/** Where cgroup v2 is mounted as a whole, by a text of /proc/self/mountinfo; undefined: nowhere. */
export function unifiedMount(text: string): string | undefined {
  for (const line of text.split("\n")) {
    // 35 23 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw
    const [before, after] = line.split(" - ");
    if (after?.split(" ")[0] !== "cgroup2") continue;
    const [, , , root, place] = before!.split(" ");
    if (root === "/" && place !== undefined && !place.includes("\\")) return place;
  }
  return undefined;
}

export class LinuxUnitKernel implements UnitKernel {
  private readonly proc = new ProcReader();
  private readonly status = new ProcStatus();
  /** By key less 1. */
  private readonly scopes: Scope[] = [];
  private mount: string | null | undefined;

  parentOf(pid: number): number {
    return Math.max(0, this.asked(() => this.proc.readRelation(pid, Field.parent)) ?? 0);
  }

  unitOf(pid: number, unit: number): number {
    if (unit === Unit.scope) return this.scopeKey(pid);
    return Math.max(0, this.relationOf(pid, unit));
  }

  private relationOf(pid: number, unit: number): number {
    const field = unit === Unit.group ? Field.group : Field.session;
    return this.asked(() => this.proc.readRelation(pid, field)) ?? 0;
  }

  private scopeKey(pid: number): number {
    const scope = this.scopeNow(pid);
    if (scope === undefined) return 0;
    if (this.scopes.length === SCOPES_MAX) this.scopes.length = 0;
    return this.scopes.push(scope);
  }

  private scopeNow(pid: number): Scope | undefined {
    const text = this.asked(() => this.proc.readCgroups(pid));
    return text === undefined ? undefined : scopeOf(text);
  }

  isIn(pid: number, unit: number, key: number): boolean {
    if (unit !== Unit.scope) return this.relationOf(pid, unit) === key;
    const wanted = this.scopes[key - 1];
    const scope = wanted === undefined ? undefined : this.scopeNow(pid);
    if (wanted === undefined || scope === undefined) return false;
    return scope.isUnified === wanted.isUnified &&
      (scope.path === wanted.path || scope.path.startsWith(`${wanted.path}/`));
  }

  sharerOf(pid: number, uid: number): number {
    if (gidOfAccount(uid >>> 0) === undefined) return Sharer.none;
    const { status } = this;
    const isThere = this.asked(() => this.proc.readStatus(pid, status)) === true;
    return isThere ? status.realUid >>> 0 : Sharer.unknown;
  }

  killScope(key: number, mayKill: (pid: number) => boolean): boolean {
    const scope = this.scopes[key - 1];
    if (scope?.isUnified !== true) return false;
    if (this.mount === undefined) this.mount = this.findMount();
    if (this.mount === null) return false;
    const folder = `${this.mount}${scope.path}`;
    try {
      const pids = processesBelow(folder);
      if (pids === undefined || !pids.every(mayKill)) return false;
      Deno.writeTextFileSync(`${folder}/cgroup.kill`, "1", { create: false });
      return true;
    } catch {
      // Before Linux 5.14, or the cgroup is gone, or cannot be written: each is signalled by itself.
      return false;
    }
  }

  private findMount(): string | null {
    try {
      return unifiedMount(Deno.readTextFileSync("/proc/self/mountinfo")) ?? null;
    } catch {
      return null;
    }
  }

  /** undefined: the kernel cannot be asked at this moment. @throws What is not the kernel's. */
  private asked<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  }
}

/**
 * Processes of a cgroup and of those below it; undefined: there are too many, or one that is not seen from
 * here.
 * @throws {Error} When one cannot be read.
 */
function processesBelow(folder: string): readonly number[] | undefined {
  const pids: number[] = [];
  const folders = [folder];
  for (let at = 0; at < folders.length; at++) {
    if (folders.length > SCOPE_CGROUPS_MAX) return undefined;
    const here = folders[at]!;
    for (const word of Deno.readTextFileSync(`${here}/cgroup.procs`).split("\n")) {
      if (word === "") continue;
      // A process of another pid namespace is 0.
      if (!(Number(word) > 1) || pids.length === SCOPE_PROCESSES_MAX) return undefined;
      pids.push(Number(word));
    }
    for (const { name, isDirectory } of Deno.readDirSync(here)) {
      if (isDirectory) folders.push(`${here}/${name}`);
    }
  }
  return pids;
}
