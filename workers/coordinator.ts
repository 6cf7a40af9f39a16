/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The coordinator worker: the shell of pipeline/promises/coordinator.ts and its socket. Sleeps in
 * epoll_wait(2).
 *
 * @module
 */
import { attachCounters } from "../pipeline/memory/memory.ts";
import { BellSleeper, Doorbell } from "../pipeline/memory/doorbell.ts";
import { Role } from "../pipeline/memory/layout.ts";
import { Ledger, ledgerBytes } from "../pipeline/promises/ledger.ts";
import { ReportWriter } from "../pipeline/messages/reports.ts";
import { RingProducer } from "../pipeline/memory/ring.ts";
import { SettingsView } from "../pipeline/memory/settings.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { EventFd, readTextFile } from "../kernel/ffi/fd.ts";
import { procErrorPages } from "../kernel/proc/proc_accuracy.ts";
import { mapSharedFile } from "../kernel/ffi/shared_file.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker, type WorkerAgent, type WorkerContext } from "./shell.ts";
import { TmallocServer } from "./tmalloc_server.ts";

/** Processes that may hold promises. */
const LEDGER_ROWS = 4096;

function makeCoordinator({ memory, init }: WorkerContext): WorkerAgent {
  const { tmalloc, pageBytes, coordinatorWakeFd } = init.config;
  if (tmalloc === undefined) return makeIdle(memory);
  const settings = new SettingsView(memory.settings);
  const counters = attachCounters(memory, Role.coordinator);
  const server = new TmallocServer({
    memory,
    ledger: new Ledger(
      mapSharedFile(tmalloc.ledgerPath, ledgerBytes(LEDGER_ROWS)),
      LEDGER_ROWS,
      pageBytes,
      bootId(),
    ),
    counters,
    reports: new ReportWriter(
      new RingProducer(memory.buffer, memory.plan.reportRings[Role.coordinator]!),
      counters,
      new Doorbell(memory, Role.supervisor),
    ),
    clock: new MonotonicClock(),
    listeners: [
      { fd: tmalloc.listenFd, isStream: false },
      { fd: tmalloc.streamListenFd, isStream: true },
    ],
    wake: new EventFd(coordinatorWakeFd),
    pageBytes,
    get countMask() {
      settings.refresh();
      return settings.current.countMask;
    },
    procErrorPages: procErrorPages(Deno.osRelease(), navigator.hardwareConcurrency),
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

/** The 16 bytes by which the kernel names this boot. random(4) */
function bootId(): Uint8Array {
  const hex = readTextFile("/proc/sys/kernel/random/boot_id").replace(/[^0-9a-f]/g, "");
  return Uint8Array.from(
    { length: 16 },
    (_, index) => parseInt(hex.slice(2 * index, 2 * index + 2), 16),
  );
}

runWorker({ fifoPriority: FIFO_PRIORITY.coordinator }, makeCoordinator);
