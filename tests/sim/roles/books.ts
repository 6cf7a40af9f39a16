/**
 * The real accounting, and the mistakes that can be put into it.
 *
 * @module
 */
import { Accounting } from "../../../pipeline/accounting.ts";
import { UNKNOWN_UID } from "../../../pipeline/books/books.ts";
import { DegradedReason } from "../../../pipeline/messages/reports.ts";
import type { SimContext } from "../context.ts";
import { assertMembers } from "../invariants/members.ts";

const RECORDS_MAX = 40;

export interface AccountingEvents {
  wakeCoordinator(): void;
  /** Other members count: another accounting has taken its place. */
  onAnew(): void;
}

export class AccountingRole {
  accounting: Accounting;
  private readonly sim: SimContext;
  private readonly events: AccountingEvents;

  constructor(sim: SimContext, events: AccountingEvents) {
    this.sim = sim;
    this.events = events;
    this.accounting = this.make();
    this.accounting.start();
  }

  private make(): Accounting {
    const { sim, events } = this;
    const accounting = new Accounting(sim.memory, {
      unknownUid: UNKNOWN_UID,
      marginPages: 0,
      wakeSweeper: () => {},
      wakeCoordinator: () => events.wakeCoordinator(),
    });
    sim.kernel.countMask = accounting["countMask"];
    const { mistake } = sim.options;
    if (mistake === "accounting-delta") {
      const { books } = accounting;
      const setMember = books.setMember.bind(books);
      let calls = 0;
      books.setMember = (mm, member, pages, tsNs) =>
        setMember(mm, member, ++calls % 200 === 0 && pages > 0 ? pages + 1 : pages, tsNs);
    } else if (mistake === "accounting-members") {
      accounting.books.setCountMask = (userSlot) => {
        accounting.books.users.countMask[userSlot] = accounting["countMask"];
      };
    } else if (mistake === "killer-dying") accounting["enforcement"]["dying"].pages = () => 0;
    else if (mistake === "killer-relief") {
      Object.assign(accounting["enforcement"]["relief"], { dying: { count: 0 } });
    } else if (mistake === "accounting-no-grace") {
      const grace = accounting["enforcement"]["grace"];
      const hardPages = grace.hardPages.bind(grace);
      grace.hardPages = (userSlot, rule, nowNs) =>
        Math.min(hardPages(userSlot, rule, nowNs), rule?.hardPages ?? Infinity);
    }
    return accounting;
  }

  /** I3 holds after each step. @returns Records taken. */
  step(records = this.sim.random.between(1, RECORDS_MAX)): number {
    const { sim, events } = this;
    if (this.accounting.isOutdated && sim.options.mistake !== "accounting-outdated") {
      this.accounting = this.make();
      this.accounting.start(DegradedReason.settings);
      events.onAnew();
    }
    const { accounting } = this;
    const taken = accounting.step(sim.kernel.nowNs, records);
    if (!accounting.isOutdated) this.noteMasks(accounting);
    if (sim.options.mistake === "accounting-sum" && sim.random.oneIn(100)) {
      accounting.books.users.usagePages[0]!++;
    }
    const { books } = accounting;
    books.checkSums();
    // Others count by now, and another accounting is about to take this one's place.
    if (!accounting.isOutdated) {
      assertMembers(books, (uid) => accounting["rules"].countMaskOf(uid));
    }
    return taken;
  }

  /** What counts is what accounting counts by, from now on. */
  private noteMasks(accounting: Accounting): void {
    const { kernel } = this.sim;
    kernel.countMask = accounting["countMask"];
    for (const uid of kernel.ownMasks.keys()) {
      kernel.ownMasks.set(uid, accounting["rules"].countMaskOf(uid));
    }
  }
}
