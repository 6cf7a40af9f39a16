import { assert, assertEquals, assertThrows } from "@std/assert";
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import {
  CounterIndex,
  HeaderWord,
  RecordKind,
  RecordWord,
  Role,
  RoleWord,
} from "../../../pipeline/memory/layout.ts";
import { attachCounters, attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { RingConsumer } from "../../../pipeline/memory/ring.ts";
import { GaveUp } from "../../../pipeline/messages/record_outlet.ts";
import type { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import type { TraceSource } from "../../../pipeline/ports.ts";
import { isWithinTurn } from "../../../pipeline/reading/read_turn.ts";
import { Reader } from "../../../pipeline/reading/reader.ts";
import { SMALL } from "../../_support/desk.ts";

const EPOCH = 3;
const EVENT_BYTES = 36;

/** A kernel's buffer with so many events in it. */
class FakeSource implements TraceSource {
  readonly firstCpu = 2;
  events = 0;
  counted = 0;
  rehearsed = 0;
  /** What was asked for, and how: whether each read went on while more was written. */
  readonly chases: boolean[] = [];
  readonly waits: number[] = [];
  saysReady = false;
  duringRead: () => void = () => {};
  private readonly writer: RecordWriter;
  private readonly onPage: () => void;
  private readonly counters: Float64Array;

  constructor(writer: RecordWriter, onPage: () => void, counters: Float64Array) {
    this.writer = writer;
    this.onPage = onPage;
    this.counters = counters;
  }

  read(isChasing: boolean): number {
    this.chases.push(isChasing);
    this.duringRead();
    const { events } = this;
    for (let i = 0; i < events; i++) {
      if (i % 100 === 0) this.onPage();
      this.writer.rss(1 + i, 0, 10, 20, i, 0, 0);
      this.counted++;
      this.events--;
    }
    return events * EVENT_BYTES;
  }

  storeCounts(): void {
    this.counters[CounterIndex.events] = this.counted;
  }

  wait(timeoutMs: number): boolean {
    this.waits.push(timeoutMs);
    return this.saysReady;
  }

  rehearse(reads: number): void {
    this.rehearsed += reads;
  }
}

class Stage {
  readonly memory = attachMemory(createMemory(SMALL));
  readonly words = attachRole(this.memory, Role.reader);
  readonly counters = attachCounters(this.memory, Role.reader);
  readonly ring = new RingConsumer(this.memory.buffer, this.memory.plan.readerRings[0]!);
  readonly reader: Reader;
  source!: FakeSource;

  constructor() {
    Atomics.store(this.words, RoleWord.epoch, EPOCH);
    this.reader = new Reader(this.memory, {
      index: 0,
      epoch: EPOCH,
      clock: { nowNs: () => 77, suspendedNs: () => 0 },
      openSource: (writer, onPage, counters) =>
        this.source = new FakeSource(writer, onPage, counters),
    });
  }

  urgency(urgency: number): this {
    Atomics.store(this.memory.header, HeaderWord.urgency, urgency);
    return this;
  }

  /** How long a step takes, milliseconds. */
  stepMs(): number {
    const startMs = performance.now();
    this.reader.step();
    return performance.now() - startMs;
  }

  /** Kinds of the records that accounting can take. */
  kinds(): number[] {
    const kinds: number[] = [];
    for (let word = this.ring.next(); word >= 0; word = this.ring.next()) {
      kinds.push(this.ring.words[word + RecordWord.kindCpu]! & 0xff);
    }
    this.ring.release();
    return kinds;
  }
}

Deno.test("Reader hands over what it has read, and has counted it when its turn is over", () => {
  const stage = new Stage();
  stage.source.events = 250;
  stage.source.duringRead = () => assert(isWithinTurn(stage.words));
  assertEquals(stage.reader.step(), true);
  assertEquals(isWithinTurn(stage.words), false);
  assertEquals(stage.kinds().length, 250);
  assertEquals(stage.counters[CounterIndex.events], 250);
  assertEquals(stage.counters[CounterIndex.bytesRead], 250 * EVENT_BYTES);
  assertEquals(Atomics.load(attachRole(stage.memory, Role.accounting), RoleWord.bell) > 0, true);
  assertEquals(stage.reader.step(), false);
});

Deno.test("Reader lets events gather while everybody is far, and takes each when somebody is near", () => {
  const stage = new Stage().urgency(0);
  stage.source.events = 1;
  stage.reader.step();
  stage.source.events = 1;
  assert(stage.stepMs() >= 0.9, "a nap after a turn that found something");
  assertEquals(stage.source.chases, [false, false]);
  stage.reader.step();
  const emptyMs = Math.min(...Array.from({ length: 5 }, () => stage.stepMs()));
  assert(emptyMs < 0.5, `none after an empty turn: ${emptyMs} ms`);
  stage.urgency(3).source.chases.length = 0;
  const nearMs = Math.min(...Array.from({ length: 5 }, () => {
    stage.source.events = 1;
    return stage.stepMs();
  }));
  assert(nearMs < 0.3, `none when somebody is near: ${nearMs} ms`);
  assertEquals(new Set(stage.source.chases), new Set([true]));
});

Deno.test("Reader needs no ring of before its nap: how near users are is read after it", () => {
  const stage = new Stage().urgency(0);
  stage.source.events = 1;
  stage.reader.step();
  const napsMs = Array.from({ length: 5 }, () => {
    stage.source.events = 1;
    stage.source.duringRead = () => void Atomics.add(stage.words, RoleWord.bell, 1);
    return stage.stepMs();
  });
  assert(Math.min(...napsMs) >= 0.9, `${napsMs}`);
  stage.source.duringRead = () => void stage.urgency(3);
  stage.reader.step();
  stage.source.duringRead = () => {};
  stage.source.events = 1;
  const nearMs = Math.min(...Array.from({ length: 5 }, () => stage.stepMs()));
  assert(nearMs < 0.3, `${nearMs} ms`);
});

Deno.test("Reader does not believe a kernel that says over and over that there is something", () => {
  const stage = new Stage();
  const sleepMs = (): number => {
    const startMs = performance.now();
    assertEquals(stage.reader.step(), false);
    stage.reader.sleep(200);
    return performance.now() - startMs;
  };
  stage.source.saysReady = true;
  const believed = Array.from({ length: 9 }, sleepMs);
  assert(Math.min(...believed) < 0.9);
  const doubted = Array.from({ length: 5 }, sleepMs);
  assert(Math.min(...doubted) >= 0.9, `${doubted}`);
  assertEquals(new Set(stage.source.waits), new Set([200]));
  assertEquals(stage.counters[CounterIndex.wakeups], 14);
  stage.source.events = 1;
  stage.reader.step();
  stage.reader.step();
  assert(Math.min(sleepMs(), sleepMs(), sleepMs()) < 0.9, "after data it is believed again");
});

Deno.test("Reader's successor tells of a loss at once, the first rehearses", () => {
  const first = new Stage();
  first.reader.start(50);
  assertEquals([first.source.rehearsed, first.source.chases.length], [50, 50]);
  assertEquals(first.kinds(), []);
  const successor = new Stage();
  Atomics.store(successor.words, RoleWord.epochSeen, EPOCH - 1);
  successor.reader.start(50);
  assertEquals([successor.source.rehearsed, successor.source.chases.length], [0, 0]);
  const word = successor.ring.next();
  assertEquals(successor.ring.words[word + RecordWord.kindCpu], RecordKind.lost | 2 << 8);
  assertEquals(successor.ring.words[word + RecordWord.a], -1, "nobody knows how many");
  assertEquals(successor.ring.doubles[word >> 1], 77);
});

Deno.test("Reader takes what is there while it rehearses", () => {
  const stage = new Stage();
  stage.source.events = 5;
  stage.reader.rehearse(3);
  assertEquals(stage.kinds().length, 5);
});

for (
  const [why, word, value] of [
    ["is told to stop", RoleWord.stop, 1],
    ["has been replaced", RoleWord.epoch, EPOCH + 1],
  ] as const
) {
  Deno.test(`Reader waits while its ring is full, shows life, and gives up when it ${why}`, () => {
    const stage = new Stage();
    let beats = 0;
    stage.source.events = SMALL.ringRecords + 1;
    const { heartbeat } = RoleWord;
    stage.source.duringRead = () => {
      beats = stage.words[heartbeat]!;
      Atomics.store(stage.words, word, value);
    };
    assertThrows(() => stage.reader.step(), GaveUp);
    assert(stage.words[heartbeat]! > beats);
    assertEquals(stage.counters[CounterIndex.ringFull], 1);
    assertEquals(stage.kinds().length, SMALL.ringRecords, "what had room is there");
    assert(isWithinTurn(stage.words), "what it had taken besides is counted by nobody");
  });
}
