/**
 * Measures what the processes of a user share, one after the other, while the user goes on.
 *
 * @module
 */
import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { HeaderWord } from "../../../pipeline/memory/layout.ts";
import type { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import { MEASURE_BEGIN, MEASURE_END, MEASURED } from "../../../pipeline/messages/records.ts";
import { writeRecord } from "../../_support/records.ts";
import type { SimContext } from "../context.ts";
import type { FakeProcess } from "../kernel/tasks.ts";
import { sharesOf } from "../kernel/truth.ts";

/** A user above its limit by counted pages is measured at most this often. */
const MEASURE_EVERY_NS = 20e6;
const READ_NS = 1000;

export class Measure {
  private readonly sim: SimContext;
  private readonly writer: RecordWriter;
  private readonly asked = new Set<number>();
  private run: { number: number; uid: number; left: FakeProcess[] } | undefined;
  private number = 0;
  private endedNs = -Infinity;

  constructor(sim: SimContext, writer: RecordWriter) {
    this.sim = sim;
    this.writer = writer;
  }

  ask(uid: number): void {
    this.asked.add(uid);
  }

  /** Reads some processes of a user, of whom more are read later. */
  step(): void {
    const { sim, writer } = this;
    const { kernel } = sim;
    if (this.run === undefined) {
      if (kernel.nowNs - this.endedNs < MEASURE_EVERY_NS) return;
      const uid = this.next();
      if (uid === undefined) return;
      const left = kernel.alive().filter((one) => one.uid === uid && one.lender === undefined);
      this.run = { number: ++this.number, uid, left };
      writeRecord(writer, MEASURE_BEGIN, kernel.nowNs, { number: this.number, uid });
    }
    const { number, uid, left } = this.run;
    if (sim.memory.header[HeaderWord.measureBegun] !== number) return;
    for (const { pid, mm, state } of left.splice(0, sim.random.between(1, 8))) {
      if (state !== "alive") continue;
      const values = { tgid: pid, number, ...sharesOf(mm) };
      writeRecord(writer, MEASURED, kernel.nowNs, values);
      kernel.nowNs += READ_NS;
    }
    if (left.length > 0) return;
    writeRecord(writer, MEASURE_END, kernel.nowNs, { number, uid });
    this.run = undefined;
    this.endedNs = kernel.nowNs;
  }

  private next(): number | undefined {
    for (const uid of this.asked) {
      this.asked.delete(uid);
      return uid;
    }
    const { users, userSlots } = this.sim.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      const row = (slot + this.number) % userSlots.highWater;
      if (users.creditPages[row] === 0 || users.hardPages[row] === NO_LIMIT_PAGES) continue;
      if (users.usagePages[row]! > users.hardPages[row]!) return users.uid[row]!;
    }
    return undefined;
  }
}
