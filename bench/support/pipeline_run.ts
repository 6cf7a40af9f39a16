/**
 * The whole way of an event in one thread: parser, ring, accounting, a page at a time.
 *
 * @module
 */
import { Accounting } from "../../pipeline/accounting.ts";
import { CounterIndex, Role } from "../../pipeline/memory/layout.ts";
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import {
  attachCounters,
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
  type Memory,
} from "../../pipeline/memory/memory.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { InputParser, type PipelineInput } from "./pipeline_input.ts";

/** Whose all processes are. */
export const PIPELINE_UID = 60_000;
const HARD_PAGES = 1 << 30;

export function pipelineMemory(): SharedArrayBuffer {
  const buffer = createMemory(DEFAULT_CAPACITY);
  const rules = new LimitRules();
  rules.set({
    uidFirst: PIPELINE_UID,
    uidLast: PIPELINE_UID,
    hardPages: HARD_PAGES,
    softPages: HARD_PAGES - 1,
  });
  new RulesPublisher(attachMemory(buffer).settings).publish(rules);
  return buffer;
}

/** An accounting agent with empty books, so that the same trace is news again. */
export class FreshAccounting {
  readonly accounting: Accounting;
  private readonly asides: readonly RingConsumer[];

  constructor(memory: Memory) {
    const { buffer, plan } = memory;
    this.accounting = new Accounting(memory, {
      unknownUid: PIPELINE_UID,
      marginPages: 0,
      wakeSweeper: () => {},
      wakeCoordinator: () => {},
    });
    this.accounting.start();
    const { queryRing, orderRing, reportRings } = plan;
    this.asides = [queryRing, orderRing, reportRings[Role.accounting]!].map((place) =>
      new RingConsumer(buffer, place)
    );
    this.emptyAsides();
  }

  /** @returns Records taken. */
  drain(): number {
    let records = 0;
    for (let taken = this.accounting.step(0); taken > 0; taken = this.accounting.step(0)) {
      records += taken;
    }
    return records;
  }

  /** What sweeper, killer and log would have taken. */
  emptyAsides(): void {
    for (const ring of this.asides) {
      while (ring.next() >= 0);
      ring.release();
    }
  }
}

/** What accounting has counted since it began. */
export function accountingCounts(memory: Memory): { events: number; stale: number } {
  const counters = attachCounters(memory, Role.accounting);
  return { events: counters[CounterIndex.events]!, stale: counters[CounterIndex.stale]! };
}

export class OneThread {
  readonly memory: Memory;
  private readonly parser: InputParser;
  private fresh: FreshAccounting;

  constructor(input: PipelineInput) {
    this.memory = attachMemory(pipelineMemory());
    const ring = new RingProducer(this.memory.buffer, this.memory.plan.readerRings[0]!);
    const onPage = (): void => {
      ring.publish();
      this.fresh.drain();
    };
    this.parser = new InputParser(input, new RecordWriter(ring, onPage), onPage);
    this.fresh = new FreshAccounting(this.memory);
  }

  /** Before each {@link run}. */
  prepare(): void {
    this.fresh = new FreshAccounting(this.memory);
  }

  /** @returns Events that went all the way. */
  run(): number {
    return this.parser.run();
  }
}
