/**
 * A run of accounting and killer on records that are made up, recorded beside them: processes of some
 * users come, grow, fork and go; who is killed goes some time later. Each is a random sequence by its seed.
 * With rules, a tagger looks at them beside accounting and killer, and they change their names.
 *
 * @module
 */
import { DEFLATE } from "../../kernel/packing/deflate.ts";
import { Accounting } from "../../pipeline/accounting.ts";
import { Killer } from "../../pipeline/kill/killer.ts";
import { type KillKernel, Refusal, Signal } from "../../pipeline/kill/kill_kernel.ts";
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import {
  HeaderWord,
  Member,
  packProc,
  packRss,
  Role,
  RoleWord,
  SweepFlag,
} from "../../pipeline/memory/layout.ts";
import { attachMemory, createMemory, DEFAULT_CAPACITY } from "../../pipeline/memory/memory.ts";
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import { DEFAULT_SETTINGS, type VictimPolicy } from "../../pipeline/memory/settings.ts";
import { RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { PROC, PROC_PAGES, SWEEP_BEGIN, SWEEP_END, TASK } from "../../pipeline/messages/records.ts";
import { DegradedReason, readReport } from "../../pipeline/messages/reports.ts";
import { type ProcessFact, readChunk } from "../../pipeline/recording/format.ts";
import { Recorder } from "../../pipeline/recording/recorder.ts";
import { VictimRulesPublisher } from "../../pipeline/rules/published_victim_rules.ts";
import { Tagger } from "../../pipeline/rules/tagger.ts";
import type { VictimRule } from "../../pipeline/rules/victim_rule.ts";
import { RecordingReplay, type WhatIf } from "../../pipeline/replay/recording_replay.ts";
import { CLONE_FORK } from "../sim/kernel/tasks.ts";
import { FakeFacts } from "./fake_facts.ts";
import { Random } from "./random.ts";

/** A kill, as far as a replay must repeat it. */
export interface RunKill {
  readonly uid: number;
  readonly pid: number;
  readonly usagePages: number;
  readonly victimPages: number;
}

export interface RunOptions {
  readonly seed: number;
  readonly policy: VictimPolicy;
  readonly steps: number;
  /** Steps before the recording begins. */
  readonly before: number;
  /** Between these steps the recorder gets no turn. */
  readonly stall?: readonly [from: number, until: number];
  readonly ringRecords?: number;
  /** Processes have names of {@link RUN_NAMES}. */
  readonly rules?: readonly VictimRule[];
  /** At this step anonymous memory ceases to count for the first user. */
  readonly countsOtherAt?: number;
}

export const RUN_NAMES = ["build", "shell", "game", "other"] as const;

export interface RecordedRun {
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
  /** Of the time that was recorded. */
  readonly kills: readonly RunKill[];
  /** And of those, how many had a victim that refused first. */
  readonly records: number;
}

const UIDS = [1001, 1002, 1003];
const HARD_PAGES = 400;
const ANON = packRss(Member.anon, 1, false);
const END = packRss(Member.anon, 0, false);

interface RunProcess {
  readonly uid: number;
  readonly pid: number;
  readonly mm: number;
  readonly isProtected: boolean;
  readonly scoreAdj: number;
  pages: number;
  dyingAt: number;
}

/** Victims go when the run says so. */
class RunKernel implements KillKernel {
  nowValueNs = 1e9;
  readonly processes = new Map<number, RunProcess>();
  step = 0;
  random = new Random(1);

  open(pid: number): number {
    return this.processes.has(pid) ? pid : -3;
  }
  check(_handle: number, pid: number): number {
    const process = this.processes.get(pid);
    if (process === undefined) return Refusal.gone;
    return process.isProtected ? Refusal.protected : Refusal.none;
  }
  kill(_handle: number, pid: number, signal: number): number {
    const process = this.processes.get(pid);
    if (process === undefined) return -3;
    if (signal === Signal.kill) process.dyingAt = this.step + 1 + this.random.below(40);
    return 0;
  }
  reap(): void {}
  hurry(): void {}
  close(): void {}
  exited(pid: number): boolean {
    return !this.processes.has(pid);
  }
  sharesMm(): boolean {
    return true;
  }
  oomScoreAdj(pid: number): number {
    return this.processes.get(pid)?.scoreAdj ?? 0;
  }
  comm(): Uint8Array {
    return new Uint8Array(0);
  }
  nowNs(): number {
    return this.nowValueNs += 300;
  }
}

export function recordRun(options: RunOptions): RecordedRun {
  const { seed, policy, steps, before, stall = [0, 0], countsOtherAt = Infinity } = options;
  const random = new Random(seed);
  const memory = attachMemory(createMemory({
    ...DEFAULT_CAPACITY,
    ringRecords: options.ringRecords ?? 8192,
    users: 16,
    processes: 256,
    tasks: 1024,
    mms: 512,
    rules: 8,
  }));
  const rules = new LimitRules();
  for (const uid of UIDS) {
    rules.set({ uidFirst: uid, uidLast: uid, hardPages: HARD_PAGES, softPages: 300 });
  }
  const publisher = new RulesPublisher(memory.settings);
  publisher.publish(rules, { ...DEFAULT_SETTINGS, victimPolicy: policy });
  const wakes = { wakeSweeper: () => {}, wakeCoordinator: () => {} };
  const accountingOptions = { unknownUid: -1, marginPages: 64, ...wakes };
  let accounting = new Accounting(memory, accountingOptions);
  accounting.start();
  /** As the worker does. */
  const stepAccounting = (nowNs: number, records?: number): void => {
    if (accounting.isOutdated) {
      accounting = new Accounting(memory, accountingOptions);
      accounting.start(DegradedReason.settings);
    }
    accounting.step(nowNs, records);
  };
  const kernel = new RunKernel();
  kernel.random = random;
  const killer = new Killer(memory, kernel, { patienceNs: 1e9 });
  killer.start();
  const ring = new RingProducer(memory.buffer, memory.plan.readerRings[0]!);
  const writer = new RecordWriter(ring, () => {
    throw new Error("the ring is full");
  });
  const sweeperRing = new RingProducer(memory.buffer, memory.plan.sweeperRing);
  const sweeper = new RecordWriter(sweeperRing, () => {
    throw new Error("the ring is full");
  });
  const reports = new RingConsumer(memory.buffer, memory.plan.reportRings[Role.killer]!);
  const accountingReports = new RingConsumer(
    memory.buffer,
    memory.plan.reportRings[Role.accounting]!,
  );
  const accountingWords = attachRole(memory, Role.accounting);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const { capacity } = memory.plan;
  const recorder = new Recorder({
    memory,
    head: {
      toomVersion: "0",
      startedAt: "",
      startedNs: 0,
      source: "raw",
      ...capacity,
      marginPages: 64,
      kernel: "",
    },
    packer: DEFLATE,
    put: (bytes) => chunks.push(bytes),
  });
  const facts = new FakeFacts();
  const tagger = options.rules === undefined ? undefined : new Tagger({
    memory,
    facts,
    loadPatterns: () => Promise.reject(new Error("no patterns here")),
    nowNs: () => kernel.nowNs(),
    disarm: () => {},
  });
  if (options.rules !== undefined) {
    new VictimRulesPublisher(memory.victimRules).publish(options.rules);
  }
  const look = (): void => {
    if (tagger !== undefined && !random.oneIn(3)) tagger.step(kernel.nowNs());
  };
  const kills: RunKill[] = [];
  let tsNs = 1e9;
  let nextPid = 100;
  let sweep = 0;
  let records = 0;
  const { processes } = kernel;

  const tell = (process: RunProcess): void => {
    const proc = sweeper.open(PROC, tsNs);
    proc.tgid = process.pid;
    proc.uid = process.uid;
    proc.startTicks = process.pid;
    proc.bornLow = Math.floor(tsNs / 1e6);
    proc.packed = packProc(0, Math.floor(tsNs / 1e6));
    sweeper.close();
    const pages = sweeper.open(PROC_PAGES, tsNs);
    pages.tgid = process.pid;
    pages.anonPages = process.pages;
    sweeper.close();
    const task = sweeper.open(TASK, tsNs);
    task.tid = task.tgid = process.pid;
    sweeper.close();
  };
  const factOf = ({ pid, isProtected, scoreAdj }: RunProcess): ProcessFact => {
    const { command = `p${pid}`, ...texts } = facts.processes.get(pid) ?? {};
    return [pid, tsNs, isProtected ? -1000 : scoreAdj, command, texts];
  };
  /** It is born of one of its user's, has its name, and may be on the books of its own fork only. */
  const forkOf = ({ pid, uid }: RunProcess): RunProcess | undefined => {
    facts.processes.set(pid, { command: random.pick(RUN_NAMES) });
    const parents = [...processes.values()].filter((one) =>
      one.uid === uid && one.pid !== pid && one.dyingAt === Infinity
    );
    if (parents.length === 0 || random.oneIn(2)) return undefined;
    const parent = random.pick(parents);
    facts.processes.set(pid, { ...facts.processes.get(parent.pid) });
    writer.newTask(tsNs, 0, parent.pid, pid, CLONE_FORK, parent.pid);
    return parent;
  };
  const renames = (): void => {
    const process = random.pick([...processes.values()]);
    const { pid } = process;
    facts.processes.set(pid, { command: random.pick(RUN_NAMES) });
    if (memory.header[HeaderWord.recording] !== 0) recorder.noteFacts([factOf(process)]);
    writer.exec(tsNs, 0, pid, pid, pid);
    tagger?.changed(pid);
  };
  const born = (): void => {
    const pid = nextPid++;
    const process: RunProcess = {
      uid: random.pick(UIDS),
      pid,
      mm: 10_000 + pid,
      isProtected: random.oneIn(12),
      scoreAdj: random.oneIn(10) ? 600 : 0,
      pages: random.below(10),
      dyingAt: Infinity,
    };
    processes.set(pid, process);
    const parent = tagger === undefined ? undefined : forkOf(process);
    if (parent === undefined) tell(process);
    if (memory.header[HeaderWord.recording] !== 0) recorder.noteFacts([factOf(process)]);
  };
  const ends = (process: RunProcess): void => {
    processes.delete(process.pid);
    writer.rss(tsNs, 0, process.pid, process.mm, 0, END, 0);
    writer.exit(tsNs, 0, process.pid, process.pid, 1);
    writer.free(tsNs + 10, 0, process.pid, process.pid);
  };
  const sweepAll = (): void => {
    sweep++;
    for (const [codec, isLast] of [[SWEEP_BEGIN, false], [SWEEP_END, true]] as const) {
      if (isLast) { for (const process of processes.values()) tell(process); }
      const record = sweeper.open(codec, tsNs);
      record.number = sweep;
      record.flags = SweepFlag.full;
      sweeper.close();
    }
  };
  const collect = (isRecorded: boolean): void => {
    for (let report = readReport(reports); report !== undefined; report = readReport(reports)) {
      if (report.name !== "kill" || !isRecorded) continue;
      const { uid, pid, usagePages, victimPages } = report.values as unknown as RunKill;
      kills.push({ uid, pid, usagePages, victimPages });
    }
    while (readReport(accountingReports) !== undefined);
  };

  sweepAll();
  for (let step = 0; step < before + steps; step++) {
    kernel.step = step;
    tsNs += 1_100_000 + random.below(2_000_000);
    if (random.oneIn(12) && processes.size < 60) born();
    for (let count = random.below(6); count > 0 && processes.size > 0; count--) {
      const process = random.pick([...processes.values()]);
      tsNs += 500;
      process.pages = Math.max(0, process.pages + random.between(-4, 14));
      if (process.dyingAt !== Infinity) process.pages = Math.floor(process.pages / 2);
      writer.rss(tsNs, 0, process.pid, process.mm, process.pages, ANON, 0);
      records++;
    }
    for (const process of [...processes.values()]) {
      if (process.dyingAt <= step || (process.dyingAt === Infinity && random.oneIn(400))) {
        ends(process);
      }
    }
    if (tagger !== undefined && random.oneIn(10) && processes.size > 0) renames();
    if (random.oneIn(150)) sweepAll();
    if (random.oneIn(300)) {
      const hardPages = HARD_PAGES + random.between(-100, 100);
      rules.set({ ...rules.find(UIDS[0]!)!, hardPages, softPages: 250 });
      publisher.publish(rules);
    }
    if (step === countsOtherAt) {
      rules.set({ ...rules.find(UIDS[0]!)!, countMask: 1 << Member.file });
      publisher.publish(rules);
    }
    // What the next accounting asks for, when it has taken the place of the last one.
    if (step === countsOtherAt + 2) sweepAll();
    ring.publish();
    sweeperRing.publish();
    kernel.nowValueNs = Math.max(kernel.nowValueNs, tsNs + 20_000);
    Atomics.store(accountingWords, RoleWord.parked, 0);
    // The killer may be some events behind.
    for (let turns = 1 + random.below(3); turns > 0; turns--) {
      stepAccounting(kernel.nowNs(), random.oneIn(3) ? 1 + random.below(3) : 512);
      look();
      if (!random.oneIn(4)) killer.step();
      look();
    }
    if (random.oneIn(2)) {
      for (let turns = 0; turns < 50 && (accounting.ready || killer.ready); turns++) {
        stepAccounting(kernel.nowNs());
        killer.step();
      }
      Atomics.store(accountingWords, RoleWord.parked, 1);
    }
    if (step === before) {
      Atomics.store(memory.header, HeaderWord.recording, 1);
      recorder.start();
      recorder.noteFacts([...processes.values()].map(factOf));
    }
    collect(recorder.isRunning);
    const isStalled = step >= stall[0] && step < stall[1];
    if (step >= before && step % 3 === 0 && !isStalled) recorder.step(kernel.nowNs());
  }
  for (let turns = 0; turns < 100 && (accounting.ready || killer.ready); turns++) {
    stepAccounting(kernel.nowNs());
    killer.step();
  }
  collect(recorder.isRunning);
  recorder.end(kernel.nowNs());
  return { chunks, kills, records };
}

/** Replays chunks of a file. */
export function replayChunks(
  chunks: readonly Uint8Array<ArrayBuffer>[],
  whatIf?: WhatIf,
): RecordingReplay {
  let replay: RecordingReplay | undefined;
  for (const bytes of chunks) {
    const result = readChunk(bytes, DEFLATE);
    if (result.is !== "chunk") throw new Error(JSON.stringify(result));
    const { chunk } = result;
    if (replay === undefined) {
      const head = JSON.parse(new TextDecoder().decode(chunk.payload));
      replay = new RecordingReplay(head, whatIf);
    } else replay.take(chunk);
  }
  replay!.end();
  return replay!;
}
