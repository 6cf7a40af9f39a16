/**
 * A rehearsal of the way from an event to a kill, on a memory of its own, so that the first kill
 * finds compiled code and is as quick as the hundredth.
 *
 * @module
 */
import { STORM_KILLS_MAX } from "../memory/kill_plan.ts";
import { Member, packRss } from "../memory/layout.ts";
import { Accounting } from "../accounting.ts";
import { CLONE_THREAD, CLONE_VM } from "../books/births.ts";
import { Killer, type KillKernel, Refusal } from "../kill/killer.ts";
import { LimitRules } from "../limits/limits.ts";
import { RulesPublisher } from "../limits/published_rules.ts";
import { attachMemory, createMemory } from "../memory/memory.ts";
import { DEFAULT_SETTINGS, type VictimPolicy } from "../memory/settings.ts";
import { RecordWriter } from "../messages/record_writer.ts";
import { RingProducer } from "../memory/ring.ts";

const UID = 1;
const HARD_PAGES = 64;
/** What the victim takes: more than hard by what it may share with its child. */
const VICTIM_PAGES = HARD_PAGES + 8;
/** What the rehearsal is about: the victim, and a smaller one beside it. */
const VICTIM_PID = 10;
const NEIGHBOUR_PID = 11;
/** Threads of the victims are numbered from here, and their children. */
const THREAD_TID = 10_000;
const CHILD_PID = 20_000;
/** An mm that is none of theirs. */
const FOREIGN_MM = -1;

/** Kills rehearsed at a worker's start: enough for V8 to compile the way, in some 50 ms. */
export const WARM_UP_KILLS = 100;
/** Kills rehearsed later, to have code and data at hand again. */
export const REFRESH_KILLS = 10;

/** A kernel on which everything succeeds at once and nothing happens. */
export class PaperKillKernel implements KillKernel {
  private tsNs = 1e9;

  open(pid: number): number {
    return pid;
  }
  check(): number {
    return Refusal.none;
  }
  kill(): number {
    return 0;
  }
  reap(): void {}
  hurry(): void {}
  sharesMm(): boolean {
    return true;
  }
  oomScoreAdj(): number {
    return 0;
  }
  exited(): boolean {
    return true;
  }
  close(): void {}
  comm(): Uint8Array {
    return NO_COMM;
  }
  nowNs(): number {
    return this.tsNs++;
  }
}
const NO_COMM = new Uint8Array(0);

export interface WarmUpOptions {
  /** Kills to rehearse; V8 compiles what was called some hundred times. */
  readonly kills: number;
  readonly policy: VictimPolicy;
  /** Bits of the counted members; anon must be one for kills to happen. */
  readonly countMask: number;
  /** Makes the kernel of the rehearsal. Its victims must count as exited at once. */
  readonly kernel: KillKernel;
  /** Called after each kill: signs of life. */
  readonly alive: () => void;
}

/** @returns Kills rehearsed, so that nobody can leave the work out. */
export function warmUp(options: WarmUpOptions): number {
  const memory = attachMemory(createMemory({
    readers: 1,
    ringRecords: 1024,
    users: 16,
    processes: 64,
    tasks: 64,
    mms: 64,
    rules: 4,
    pageBytes: 4096,
  }));
  const rules = new LimitRules();
  rules.set({ uidFirst: UID, uidLast: UID, hardPages: HARD_PAGES, softPages: HARD_PAGES / 2 });
  new RulesPublisher(memory.settings).publish(rules, {
    ...DEFAULT_SETTINGS,
    countMask: options.countMask | 1 << Member.anon,
    victimPolicy: options.policy,
    // Nobody has a storm: the first kill in earnest is of none.
    storm: { kills: STORM_KILLS_MAX, seconds: 1, then: "off" },
  });
  const accounting = new Accounting(memory, {
    unknownUid: UID,
    marginPages: 0,
    wakeSweeper: () => {},
    wakeCoordinator: () => {},
  });
  accounting.start();
  const killer = new Killer(memory, options.kernel, { patienceNs: 1e9 });
  killer.start();
  const ring = new RingProducer(memory.buffer, memory.plan.readerRings[0]!);
  const writer = new RecordWriter(ring, () => {});
  const kills = memory.users.kills;
  const anon = packRss(Member.anon, 1, false);
  const teardown = packRss(Member.anon, 0, false);
  let tsNs = 1e9;
  for (let kill = 0; kill < options.kills; kill++) {
    const pid = VICTIM_PID + 2 * (kill % 1000);
    const mm = VICTIM_PID + 2 * kill;
    const thread = THREAD_TID + pid;
    const child = CHILD_PID + pid;
    writer.rss(tsNs, 0, pid + 1, NEIGHBOUR_PID + 2 * kill, 4, anon, 0);
    // A life, with all that may come before the end.
    writer.exec(tsNs++, 0, pid, pid, pid);
    writer.rss(tsNs++, 0, pid, mm, 1, anon, 0);
    writer.newTask(tsNs++, 0, pid, thread, CLONE_VM | CLONE_THREAD, pid);
    writer.rss(tsNs++, 0, thread, mm, 2, anon, pid);
    writer.newTask(tsNs++, 0, pid, child, 0, pid);
    writer.rss(tsNs++, 0, child, -child, 1, anon, 0);
    writer.rss(tsNs++, 0, thread, -child, 2, teardown, 0);
    writer.exit(tsNs++, 0, child, child, 1);
    writer.rss(tsNs++, 0, child, -child, 0, teardown, 0);
    writer.free(tsNs++, 0, child, child);
    writer.rss(tsNs++, 0, thread, 0, 1, anon, 0);
    writer.rss(tsNs++, 0, thread, 0, 1, teardown, 0);
    writer.rss(tsNs++, 0, thread, FOREIGN_MM, 1, teardown, 0);
    writer.exit(tsNs++, 0, thread, thread, 0);
    writer.free(tsNs++, 0, thread, thread);
    for (let pages = 1; pages <= VICTIM_PAGES; pages++) {
      writer.rss(tsNs++, 0, pid, mm, pages, anon, 0);
      // Some of it goes back again and again.
      if (pages % 8 === 0) writer.rss(tsNs++, 0, pid, mm, pages - 4, anon, 0);
    }
    ring.publish();
    for (let turns = 0; turns < 4; turns++) {
      accounting.step(tsNs);
      killer.step();
    }
    writer.rss(tsNs++, 0, pid, mm, 0, teardown, 0);
    writer.exit(tsNs++, 0, pid, pid, 1);
    writer.free(tsNs++, 0, pid, pid);
    writer.rss(tsNs++, 0, pid + 1, NEIGHBOUR_PID + 2 * kill, 0, teardown, 0);
    writer.exit(tsNs++, 0, pid + 1, pid + 1, 1);
    ring.publish();
    accounting.step(tsNs);
    killer.step();
    options.alive();
  }
  return kills.reduce((sum, count) => sum + count, 0);
}
