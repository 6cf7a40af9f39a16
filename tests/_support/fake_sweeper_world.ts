/**
 * A world for the sweeper without a kernel: a /proc of entries, a list of traced tasks, execs and
 * changes of user told by hand, and a clock that moves when it waits.
 *
 * @module
 */
import { ChangesRead, type SweeperWorld, Woken } from "../../pipeline/discovery/sweeper_world.ts";
import type { BrakeWorld } from "../../pipeline/brake/brake_kernel.ts";
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import type { GuardedInstance } from "../../pipeline/ports.ts";
import { loadPatterns } from "../../kernel/rules/linear_patterns.ts";
import { FakeFacts } from "./fake_facts.ts";
import { FakeProc } from "./fake_proc.ts";

const GIB = 2 ** 30;

export class FakeSweeperWorld implements SweeperWorld {
  nowNs = 1e9;
  readonly clock = { nowNs: () => this.nowNs += 100, suspendedNs: () => 0 };
  readonly proc = new FakeProc();
  readonly traced = new Set<number>();
  hadSentinel = true;
  restored = 0;
  /** A write to the list is under way until then. */
  private endWrite: (() => void) | undefined;
  isSlow = false;
  readonly list: SweeperWorld["list"];
  readonly shares = {
    readMinorFaults: () => 0,
    readRollup: () => Promise.resolve(undefined),
  };
  found: string | undefined;
  readonly instance: GuardedInstance = {
    names: ["events/tracing_on"],
    look: () => this.found,
    mend: () => this.found = undefined,
  };
  readonly traceCounts = undefined;
  readonly facts = new FakeFacts();
  readonly loadPatterns = loadPatterns;
  brake: BrakeWorld | undefined;
  /** Processes that changed their user; what the next reads give instead, each once. */
  readonly changes: number[] = [];
  readonly changeFailures: ChangesRead[] = [];
  changeReads = 0;
  readonly userChanges = {
    read: (onChange: (tgid: number) => void): ChangesRead => {
      this.changeReads++;
      const failure = this.changeFailures.shift();
      if (failure !== undefined) return failure;
      for (const tgid of this.changes.splice(0, 256)) onChange(tgid);
      return this.changes.length > 0 ? ChangesRead.more : ChangesRead.all;
    },
  };
  /** Written by the next reading of execs. */
  readonly execs: ((writer: RecordWriter) => void)[] = [];
  memory = { totalBytes: 10 * GIB, availableBytes: 5 * GIB };
  woken: number = Woken.none;
  readonly waitsMs: number[] = [];
  /** What was asked for, in order: "urgent", "ordinary", "sweep". */
  readonly deeds: string[] = [];
  /** Pressure is listened to. */
  listens = false;
  isClosed = false;

  constructor() {
    const append = (tids: Iterable<number>): void => {
      for (const tid of tids) this.traced.add(tid);
    };
    const hadSentinel = (): boolean => this.hadSentinel;
    this.list = {
      readPids: () => {
        this.deeds.push("sweep");
        return [...this.traced];
      },
      writePids: (tids) => {
        this.traced.clear();
        append(tids);
      },
      appendPids: append,
      appendPidsAsync: (tids) => {
        append(tids);
        return this.isSlow ? new Promise((resolve) => this.endWrite = resolve) : Promise.resolve();
      },
      get hadSentinel(): boolean {
        return hadSentinel();
      },
      restoreSentinel: () => {
        this.restored++;
        this.hadSentinel = true;
      },
    };
  }

  readonly openExecs: SweeperWorld["openExecs"] = (writer) => ({
    read: () => {
      const { length } = this.execs;
      for (const write of this.execs.splice(0)) write(writer);
      return length;
    },
  });

  /** The write to the list ends. */
  async letGo(): Promise<void> {
    this.endWrite?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  listenToPressure(): void {
    this.listens = true;
  }

  readMemory(): { totalBytes: number; availableBytes: number } {
    return this.memory;
  }

  wait(timeoutMs: number): number {
    this.waitsMs.push(timeoutMs);
    const { woken } = this;
    this.woken = Woken.none;
    this.nowNs += 100e3;
    if (woken === Woken.none) this.nowNs += timeoutMs * 1e6;
    return woken;
  }

  setUrgent(isUrgent: boolean): void {
    this.deeds.push(isUrgent ? "urgent" : "ordinary");
  }

  close(): void {
    this.isClosed = true;
  }
}
