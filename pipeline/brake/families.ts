/**
 * The families whose limits are lowered: written down before the first is, ended when nobody has the
 * value any more.
 *
 * @module
 */
import type { BrakeKernel, BrakeRecord, RecordedFamily } from "./brake_kernel.ts";
import { GiveBack, isOfFamily } from "./give_back.ts";
import { FAMILY_ID_MAX, familyIdOf, isFamilyId } from "./marks.ts";

interface Living {
  readonly family: RecordedFamily;
  members: number;
}

export class Families {
  readonly giveBack: GiveBack;
  private readonly record: BrakeRecord;
  private readonly living = new Map<number, Living>();
  private lastId = 0;

  /** What a predecessor has left is given back. */
  constructor(kernel: BrakeKernel, record: BrakeRecord) {
    this.record = record;
    this.giveBack = new GiveBack(kernel, record);
    for (const family of record.left) {
      this.giveBack.add(family);
      this.lastId = Math.max(this.lastId, family.id);
    }
  }

  /** The family whose value a process has inherited, if any; it has one member more then. */
  join(pid: number, startTicks: number, softBytes: bigint): RecordedFamily | undefined {
    const id = familyIdOf(softBytes);
    if (id === 0) return undefined;
    const living = this.living.get(id);
    if (living !== undefined) {
      if (!isOfFamily(pid, startTicks, living.family)) return undefined;
      living.members++;
      return living.family;
    }
    if (!this.giveBack.has(id)) return undefined;
    const family = this.giveBack.take(id)!;
    if (!isOfFamily(pid, startTicks, family)) {
      this.giveBack.add(family);
      return undefined;
    }
    this.living.set(id, { family, members: 1 });
    return family;
  }

  /** @returns undefined: there is no room, or it cannot be written down. */
  begin(first: Omit<RecordedFamily, "id">): RecordedFamily | undefined {
    const id = this.freeId();
    if (id === 0) return undefined;
    const family = { id, ...first };
    if (!this.record.begin(family)) return undefined;
    this.living.set(id, { family, members: 1 });
    return family;
  }

  /** One member less; of the last, all are given back what they had. */
  leave(family: RecordedFamily): void {
    const living = this.living.get(family.id);
    if (living === undefined || --living.members > 0) return;
    this.living.delete(family.id);
    this.giveBack.add(family);
  }

  private freeId(): number {
    for (let tries = 0; tries < FAMILY_ID_MAX; tries++) {
      this.lastId = this.lastId % FAMILY_ID_MAX + 1;
      const id = this.lastId;
      if (isFamilyId(id) && !this.living.has(id) && !this.giveBack.has(id)) return id;
    }
    return 0;
  }
}
