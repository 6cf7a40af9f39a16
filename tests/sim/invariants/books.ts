/**
 * I4 and I10: what is true of the books while things happen, and when nothing is in flight.
 *
 * @module
 */
import { UNKNOWN_UID } from "../../../pipeline/books/books.ts";
import { HeaderWord, UserState } from "../../../pipeline/memory/layout.ts";
import { Broken, type SimContext } from "../context.ts";
import { chargedPages, usagePages } from "../kernel/truth.ts";
import { freeUids, limitedUids } from "../options.ts";
import type { KillJudge } from "./kills.ts";

/** Sums of parts of pages. */
const ROUNDING = 1e-6;

export class BooksJudge {
  private readonly sim: SimContext;
  private readonly kills: KillJudge;
  private readonly inFlight: (uid: number) => number;

  constructor(sim: SimContext, kills: KillJudge, inFlight: (uid: number) => number) {
    this.sim = sim;
    this.kills = kills;
    this.inFlight = inFlight;
  }

  /** Counted pages differ from the truth by no more than what is in flight. */
  assertInFlight(): void {
    const { books, kernel, options } = this.sim;
    for (const uid of freeUids(options)) {
      const slot = books.findUser(uid);
      const booked = slot < 0 ? 0 : books.users.usagePages[slot]!;
      const truth = usagePages(kernel, uid);
      if (booked === truth) continue;
      // A death is known before the events that came before it: births of borrowers, for instance.
      if (this.kills.isSettling(uid)) continue;
      const inFlight = this.inFlight(uid);
      if (Math.abs(booked - truth) <= inFlight) continue;
      throw new Broken(`I4: uid ${uid}: books ${booked}, truth ${truth}, in flight ${inFlight}`);
    }
  }

  /** What is charged is never more than what a user holds, shared pages counted once. */
  assertLowerBound(): void {
    const { books, kernel, options } = this.sim;
    for (const uid of freeUids(options)) {
      const slot = books.findUser(uid);
      if (slot < 0 || this.kills.isSettling(uid)) continue;
      const charged = books.users.usagePages[slot]! - books.users.creditPages[slot]!;
      const truth = chargedPages(kernel, uid);
      if (charged <= truth + ROUNDING) continue;
      const inFlight = this.inFlight(uid);
      if (charged <= truth + inFlight + ROUNDING) continue;
      throw new Broken(
        `I10: uid ${uid}: charged ${charged}, holds ${truth}, ${inFlight} on the way`,
      );
    }
  }

  /** All tasks of users with a limit are on the kernel's list, so that events tell of them. */
  assertTraced(): void {
    const { kernel, options } = this.sim;
    const uids = limitedUids(options);
    for (const { pid, uid, tids, state } of kernel.processes.values()) {
      if (state !== "alive" || !uids.includes(uid)) continue;
      const tid = tids.find((one) => !kernel.tracing.isTraced(one));
      if (tid !== undefined) {
        throw new Broken(`I4: task ${tid} of ${pid}, uid ${uid}, is not traced`);
      }
    }
  }

  /** Nothing is in flight, and all of /proc was read: books and truth agree. */
  assertTruth(uids: readonly number[]): void {
    const { books, kernel, memory } = this.sim;
    if (memory.header[HeaderWord.degraded] !== 0) throw new Broken("I4: still degraded");
    const wrong: string[] = [];
    for (const uid of uids) {
      const slot = books.findUser(uid);
      const booked = slot < 0 ? 0 : books.users.usagePages[slot]!;
      const truth = usagePages(kernel, uid);
      if (booked !== truth) wrong.push(`uid ${uid}: books ${booked}, truth ${truth}`);
    }
    const unknown = books.findUser(UNKNOWN_UID);
    if (unknown >= 0 && books.users.state[unknown] !== UserState.free) {
      const pages = books.users.usagePages[unknown]!;
      if (pages !== 0) wrong.push(`nobody's: ${pages}`);
    }
    if (wrong.length > 0) throw new Broken(`I4: ${wrong.join("; ")}`);
  }
}
