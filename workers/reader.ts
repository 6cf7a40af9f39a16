/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The reader worker: kernel buffers in, records out. Sleeps in poll(2).
 *
 * It never drops: when its ring is full it waits, the kernel's buffer absorbs, and what is lost is
 * lost there, where the kernel counts it.
 *
 * @module
 */
import { attachCounters } from "../pipeline/memory/memory.ts";
import { attachRole, BellSleeper, Doorbell } from "../pipeline/memory/doorbell.ts";
import {
  CounterIndex,
  HeaderWord,
  HEARTBEAT_MS,
  Role,
  RoleWord,
} from "../pipeline/memory/layout.ts";
import { RecordWriter } from "../pipeline/messages/record_writer.ts";
import { RingProducer } from "../pipeline/memory/ring.ts";
import { ReadTurn } from "../pipeline/reading/read_turn.ts";
import { NAPS_MS } from "../pipeline/limits/urgency.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { EventFd } from "../kernel/ffi/fd.ts";
import { POLLIN, PollSet } from "../kernel/ffi/poll.ts";
import {
  REFRESH_READS,
  rehearseLines,
  rehearsePages,
  WARM_UP_READS,
} from "../kernel/trace/rehearsal.ts";
import { RawSource } from "../kernel/trace/raw_source.ts";
import { SourceCounts } from "../kernel/trace/source_counts.ts";
import { TextSource } from "../kernel/trace/text_source.ts";
import { rawFormats } from "./formats.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker, type WorkerAgent, type WorkerContext } from "./shell.ts";

/** Thrown out of the parser when the worker must end while its ring is full. */
class GaveUp extends Error {}

/** More of them make no other code. */
const REHEARSED_CPUS_MAX = 4;
/** poll(2) said so often in a row that there is data, and there was none: do not believe it. */
const FALSE_ALARMS_MAX = 8;

function makeReader({ memory, init }: WorkerContext): WorkerAgent {
  const { config, role, epoch } = init;
  const index = role - Role.reader;
  const words = attachRole(memory, role);
  const counters = attachCounters(memory, role);
  const ring = new RingProducer(memory.buffer, memory.plan.readerRings[index]!);
  const accounting = new Doorbell(memory, Role.accounting);
  const publish = (): void => {
    if (ring.publish() > 0) accounting.ring();
  };
  const writer = new RecordWriter(ring, () => {
    counters[CounterIndex.ringFull]!++;
    publish();
    accounting.ring();
    ring.waitForRoom(HEARTBEAT_MS);
    Atomics.add(words, RoleWord.heartbeat, 1);
    if (Atomics.load(words, RoleWord.stop) !== 0 || Atomics.load(words, RoleWord.epoch) !== epoch) {
      throw new GaveUp("the ring is full and the worker must end");
    }
  });
  const pipes = config.readerPipes[index]!;
  const source = config.source === "raw"
    ? new RawSource(pipes, rawFormats(config), writer, publish)
    : new TextSource(pipes, config.pageBytes, writer, publish);
  const counts = new SourceCounts(counters, source.parsers);
  const wake = new EventFd(config.readerWakeFds[index]!);
  const poll = new PollSet(pipes.length + 1);
  for (const { fd } of pipes) poll.add(fd, POLLIN);
  const wakeIndex = poll.add(wake.fd, POLLIN);
  const bell = new BellSleeper(memory, role);
  const turn = new ReadTurn(words);
  const take = (isChasing: boolean): number => {
    turn.begin();
    const bytes = source.read(isChasing);
    publish();
    counts.store();
    counters[CounterIndex.bytesRead]! += bytes;
    turn.end();
    return bytes;
  };
  const rehearse = (reads: number): void => {
    if (config.source === "raw") {
      rehearsePages(rawFormats(config), Math.min(pipes.length, REHEARSED_CPUS_MAX), reads);
    } else rehearseLines(config.pageBytes, reads);
    // Of what is there, mostly nothing: calls of the kernel allocate until V8 has compiled them.
    for (let i = 0; i < reads; i++) {
      bell.listen();
      bell.sleep(0);
      take((i & 1) === 0);
    }
  };
  if (Atomics.load(words, RoleWord.epochSeen) > 0) {
    // A predecessor took data out of the pipes that never became records. No time to rehearse.
    writer.lost(new MonotonicClock().nowNs(), pipes[0]!.cpu, -1);
    publish();
  } else rehearse(WARM_UP_READS);
  let falseAlarms = 0;
  let isLively = false;
  return {
    rehearse: () => rehearse(REFRESH_READS),
    step: () => {
      bell.listen();
      const napMs = NAPS_MS[Atomics.load(memory.header, HeaderWord.urgency)]!;
      if (isLively && napMs > 0) bell.sleep(napMs);
      isLively = take(napMs === 0) > 0;
      if (isLively) falseAlarms = 0;
      return isLively;
    },
    sleep: (timeoutMs) => {
      if (falseAlarms > FALSE_ALARMS_MAX) {
        Atomics.wait(words, RoleWord.bell, words[RoleWord.bell]!, 1);
      }
      if (poll.wait(timeoutMs) > 0) {
        falseAlarms++;
        if ((poll.revents(wakeIndex) & POLLIN) !== 0) wake.drain();
      }
      counters[CounterIndex.wakeups]!++;
    },
  };
}

runWorker({ fifoPriority: FIFO_PRIORITY.reader, cpu: "readerCpu" }, makeReader);
