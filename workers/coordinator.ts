/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The coordinator worker: binds pipeline/promises/tmalloc_server.ts to the sockets. Sleeps in
 * epoll_wait(2).
 *
 * @module
 */
import { onlineCpus } from "../kernel/process/online_cpus.ts";
import { attachCounters } from "../pipeline/memory/memory.ts";
import { BellSleeper, Doorbell } from "../pipeline/memory/doorbell.ts";
import { Role } from "../pipeline/memory/layout.ts";
import { ReportWriter } from "../pipeline/messages/reports.ts";
import { RingProducer } from "../pipeline/memory/ring.ts";
import { TmallocServer } from "../pipeline/promises/tmalloc_server.ts";
import { BpfExactUsers } from "../kernel/bpf/bpf_trigger.ts";
import { EventFd } from "../kernel/ffi/fd.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { ProcReader } from "../kernel/proc/proc.ts";
import { procErrorPages } from "../kernel/proc/proc_accuracy.ts";
import { openLedger } from "../kernel/sockets/ledger_file.ts";
import { openSockets } from "../kernel/sockets/tmalloc_sockets.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker, type WorkerAgent, type WorkerContext } from "./shell.ts";

function makeCoordinator({ memory, init }: WorkerContext): WorkerAgent {
  const { tmalloc, pageBytes } = init.config;
  if (tmalloc === undefined) return makeIdle(memory);
  const { books } = init.config.sweeper;
  const sweeperWake = new EventFd(init.config.wakeFds.sweeper);
  const counters = attachCounters(memory, Role.coordinator);
  const server = new TmallocServer({
    memory,
    ledger: openLedger(tmalloc.ledgerPath, pageBytes),
    counters,
    reports: new ReportWriter(
      new RingProducer(memory.buffer, memory.plan.reportRings[Role.coordinator]!),
      counters,
      new Doorbell(memory, Role.supervisor),
    ),
    clock: new MonotonicClock(),
    sockets: openSockets(tmalloc),
    exact: books && new BpfExactUsers(books, () => sweeperWake.ring()),
    proc: new ProcReader(),
    pageBytes,
    procErrorPages: procErrorPages(Deno.osRelease(), onlineCpus()),
  });
  return {
    step: () => server.turn(0),
    sleep: (timeoutMs) => void server.turn(timeoutMs),
  };
}

/** Without a socket there is nothing to do but to be alive. */
function makeIdle(memory: WorkerContext["memory"]): WorkerAgent {
  const bell = new BellSleeper(memory, Role.coordinator);
  return {
    step: () => {
      bell.listen();
      return false;
    },
    sleep: (timeoutMs) => bell.sleep(timeoutMs),
  };
}

runWorker({ fifoPriority: FIFO_PRIORITY.coordinator }, makeCoordinator);
