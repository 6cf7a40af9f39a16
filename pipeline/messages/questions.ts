/**
 * What accounting asks of the sweeper. A question for which there is no room is dropped, because the
 * next full sweep answers all of them.
 *
 * @module
 */
import type { RingProducer } from "../memory/ring.ts";
import { RecordWriter } from "./record_writer.ts";
import { MEASURE, RESOLVE, RESYNC, VERIFY } from "./records.ts";

export class Questions {
  private readonly writer: RecordWriter;
  private readonly wakeSweeper: () => void;

  constructor(ring: RingProducer, wakeSweeper: () => void) {
    this.writer = new RecordWriter(ring, () => {});
    this.wakeSweeper = wakeSweeper;
  }

  /** Whose is this task, which nobody announced? */
  resolve(tid: number, tsNs: number): void {
    const question = this.writer.tryOpen(RESOLVE, tsNs);
    if (question === undefined) return;
    question.tid = tid;
    this.send();
  }

  /** What does everybody have? */
  resync(tsNs: number): void {
    if (this.writer.tryOpen(RESYNC, tsNs) !== undefined) this.send();
  }

  /** What does a user have whose books are in doubt? */
  verify(uid: number, tsNs: number): void {
    const question = this.writer.tryOpen(VERIFY, tsNs);
    if (question === undefined) return;
    question.uid = uid;
    this.send();
  }

  /** What does a user share whose credit decides by now? */
  measure(uid: number, tsNs: number): void {
    const question = this.writer.tryOpen(MEASURE, tsNs);
    if (question === undefined) return;
    question.uid = uid;
    this.send();
  }

  private send(): void {
    this.writer.close();
    this.writer.ring.publish();
    this.wakeSweeper();
  }
}
