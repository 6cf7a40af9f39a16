/**
 * What the brake promises: who is lowered is written down, has less than what it had itself, and gets
 * that back in the end.
 *
 * @module
 */
import { GiveBack } from "../../../pipeline/brake/give_back.ts";
import { familyIdOf } from "../../../pipeline/brake/marks.ts";
import { Broken, type SimContext } from "../context.ts";
import { SimBrakeWorld, type SimRecord } from "../kernel/sim_brake.ts";

const STEPS_MAX = 10_000;

/** After every step. @throws {Broken} */
export function assertBrakeRecorded({ kernel }: SimContext, { families }: SimRecord): void {
  for (const { pid, softBytes, ownSoftBytes, hardBytes, ownHardBytes } of kernel.alive()) {
    if (hardBytes !== ownHardBytes) throw new Broken(`I12: the hard limit of ${pid} was changed`);
    if (softBytes === ownSoftBytes) continue;
    if (softBytes > ownSoftBytes) throw new Broken(`I12: the limit of ${pid} was raised`);
    if (!families.has(familyIdOf(softBytes))) {
      throw new Broken(`I12: ${pid} is lowered to ${softBytes}, and nobody has written that down`);
    }
  }
}

/** At the end toom stops: all is given back. @throws {Broken} */
export function assertGivenBack(sim: SimContext, record: SimRecord): void {
  const world = new SimBrakeWorld(sim, record);
  const giveBack = new GiveBack(world, world);
  for (const family of world.left) giveBack.add(family);
  for (let step = 0; giveBack.size > 0; step++) {
    if (step > STEPS_MAX) throw new Broken("I12: what was lowered cannot be given back");
    sim.kernel.nowNs += 1e6;
    giveBack.step(sim.kernel.nowNs);
  }
  for (const { pid, softBytes, ownSoftBytes } of sim.kernel.alive()) {
    if (softBytes === ownSoftBytes) continue;
    throw new Broken(`I12: ${pid} stays lowered: ${softBytes}, not ${ownSoftBytes}`);
  }
}
