/**
 * How the roles are in truth, for the rules of I9: who shows life is not called hung, who hangs is
 * found, and who has thrown is replaced.
 *
 * @module
 */

import { RESTART_EVERY_MS } from "../../../pipeline/memory/timing.ts";
import { Broken } from "../context.ts";
import type { FakeKernel } from "../kernel/fake_kernel.ts";

/** Who has shown life within this time is well: 200 ms by its promise, and some for others' calls. */
const WELL_NS = 240e6;
/** A hang is found, and a successor is there, within this time in which the supervisor works. */
const FOUND_NS: number = 2 * RESTART_EVERY_MS * 1e6;
const FOUND_STEPS = 25;

interface Trouble {
  readonly what: string;
  readonly sinceNs: number;
  readonly steps: number;
}

export class RoleHealth {
  private readonly kernel: FakeKernel;
  private readonly lastBeatNs = new Map<number, number>();
  private readonly troubles = new Map<number, Trouble>();
  private frozenNs = 0;
  private frozeAtNs = -Infinity;
  private supervisorSteps = 0;

  constructor(kernel: FakeKernel) {
    this.kernel = kernel;
  }

  /** Time in which the machine ran. */
  private get ranNs(): number {
    return this.kernel.nowNs - this.frozenNs;
  }

  beat(role: number): void {
    this.lastBeatNs.set(role, this.ranNs);
  }

  /**
   * The machine stands still for a while.
   * @returns false when it has hardly run since the last time, which is not worth a rule.
   */
  freezes(ns: number): boolean {
    if (this.ranNs - this.frozeAtNs < 2 * WELL_NS) return false;
    this.frozenNs += ns;
    // When it runs again this is what its clock has been put back to.
    this.frozeAtNs = this.ranNs + ns;
    return true;
  }

  supervisorStepped(): void {
    this.supervisorSteps++;
  }

  started(role: number): void {
    this.beat(role);
    this.troubles.delete(role);
  }

  hung(role: number): void {
    if (!this.troubles.has(role)) this.trouble(role, "hangs, and nobody notices");
  }

  died(role: number): void {
    this.trouble(role, "has thrown, and nobody takes its place");
  }

  private trouble(role: number, what: string): void {
    this.troubles.set(role, { what, sinceNs: this.ranNs, steps: this.supervisorSteps });
  }

  /** Whether a role has shown no life for longer than it may. */
  isSilent(role: number): boolean {
    return this.ranNs - (this.lastBeatNs.get(role) ?? 0) > WELL_NS;
  }

  /** @throws {Broken} When somebody has been in trouble for too long. */
  assertWatched(): void {
    for (const [role, { what, sinceNs, steps }] of this.troubles) {
      if (this.ranNs - sinceNs < FOUND_NS || this.supervisorSteps - steps < FOUND_STEPS) continue;
      throw new Broken(
        `I9: role ${role} ${what} for ${Math.round((this.ranNs - sinceNs) / 1e6)} ms`,
      );
    }
  }
}
