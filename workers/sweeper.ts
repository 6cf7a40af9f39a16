/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The sweeper worker: everything that is slow. It finds the processes of limited users (the first
 * time, at logins, after setuid, by sweeps), puts them on the list of traced tasks, reads /proc for
 * the books, and listens to the kernel's own signals of shortage. Sleeps in poll(2).
 *
 * @module
 */
import { attachCounters } from "../pipeline/memory/memory.ts";
import { attachRole, Doorbell } from "../pipeline/memory/doorbell.ts";
import {
  CounterIndex,
  HeaderWord,
  HEARTBEAT_MS,
  PressureReason,
  RECORD_BYTES,
  RecordKind,
  RecordWord,
  Role,
  RoleWord,
} from "../pipeline/memory/layout.ts";
import { RulesView } from "../pipeline/limits/limits.ts";
import { Sweep } from "../pipeline/discovery/sweep.ts";
import { OwnersView } from "../pipeline/limits/owners.ts";
import { EXEC, OOM_VICTIM, PRESSURE, RESOLVE, VERIFY } from "../pipeline/messages/records.ts";
import { RecordWriter } from "../pipeline/messages/record_writer.ts";
import { ringBytes, RingConsumer, RingProducer } from "../pipeline/memory/ring.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { Errno } from "../kernel/ffi/errno.ts";
import { closeFd, EventFd, readTextFile } from "../kernel/ffi/fd.ts";
import { POLLIN, POLLPRI, PollSet } from "../kernel/ffi/poll.ts";
import { ProcReader, readMemInfo } from "../kernel/proc/proc.ts";
import { procErrorPages } from "../kernel/proc/proc_accuracy.ts";
import { ProcConnector } from "../kernel/proc/proc_connector.ts";
import { openPsiTrigger } from "../kernel/pressure/psi.ts";
import { openPipes } from "../kernel/trace/trace_source.ts";
import { setFifo, setOrdinary } from "../kernel/process/self_protection.ts";
import { TraceInstance } from "../kernel/trace/tracefs.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { TraceWatch } from "./trace_watch.ts";
import { runWorker, type WorkerAgent, type WorkerContext } from "./shell.ts";
import { ShareMeasure } from "./share_measure.ts";

/** PSI: somebody waited for memory 100 ms of one second. */
const PSI_STALL_US = 100_000;
const PSI_WINDOW_US = 1_000_000;
/** Pressure alone is no shortage: reclaim of page cache stalls too. Below this it is one. */
const PSI_AVAILABLE_MIN = 0.1;
/** After pressure somebody has this long to give memory back. */
const PRESSURE_EVERY_NS = 1e9;
/** Sweeps that losses ask for are at least so far apart. */
const RESYNC_EVERY_NS = 50e6;
/** While logins come without end, a sweep waits no longer than this for the list of traced tasks. */
const LIST_WAIT_NS_MAX = 200e6;
/** Reads of changes of user in one turn, of 256 each: as many as can be looked at. */
const CHANGE_READS_MAX = 16;
/** Records of the ring that carries logins from the parser to this same thread. */
const LOGIN_RECORDS = 4096;

function makeSweeper({ memory, init }: WorkerContext): WorkerAgent {
  const { config, role, epoch } = init;
  const { buffer, plan, header } = memory;
  const words = attachRole(memory, role);
  const counters = attachCounters(memory, role);
  const clock = new MonotonicClock();
  const accounting = new Doorbell(memory, Role.accounting);
  const ring = new RingProducer(buffer, plan.sweeperRing);
  const publish = (): void => {
    if (ring.publish() > 0) accounting.ring();
  };
  const writer = new RecordWriter(ring, () => {
    publish();
    ring.waitForRoom(HEARTBEAT_MS);
    Atomics.add(words, RoleWord.heartbeat, 1);
    if (Atomics.load(words, RoleWord.stop) !== 0 || Atomics.load(words, RoleWord.epoch) !== epoch) {
      throw new Error("the ring is full and the worker must end");
    }
  });
  const rules = new RulesView(memory.rules);
  rules.refresh();
  const queries = new RingConsumer(buffer, plan.queryRing);
  const verify = VERIFY.view(queries.words);
  const resolve = RESOLVE.view(queries.words);
  const instance = TraceInstance.attach(config.instanceName, config.tracefsPath);
  const watch = new TraceWatch(memory, config, counters, writer);
  const sweep = new Sweep({
    memory,
    writer,
    rules,
    owners: new OwnersView(memory.owners),
    list: instance,
    proc: new ProcReader(),
    clock,
    pageBytes: config.pageBytes,
    errorPages: procErrorPages(
      readTextFile("/proc/sys/kernel/osrelease"),
      navigator.hardwareConcurrency,
    ),
    ownPid: Deno.pid,
    publish,
    alive: () => Atomics.add(words, RoleWord.heartbeat, 1),
  });

  // Logins: all execs of the machine, through a small ring of this thread's own.
  const loginMemory = new SharedArrayBuffer(ringBytes(LOGIN_RECORDS, RECORD_BYTES));
  const loginPlace = { byteOffset: 0, records: LOGIN_RECORDS, recordBytes: RECORD_BYTES };
  const loginRing = new RingProducer(loginMemory, loginPlace);
  const logins = new RingConsumer(loginMemory, loginPlace);
  const execs = EXEC.view(logins.words);
  const victims = OOM_VICTIM.view(logins.words);
  const loginWriter = new RecordWriter(loginRing, () => takeLogins());
  const loginSource = openPipes(config.logins, loginWriter, () => takeLogins());
  const takeLogins = (): void => {
    loginRing.publish();
    for (let word = logins.next(); word >= 0; word = logins.next()) {
      const kind = logins.words[word + RecordWord.kindCpu]! & 0xff;
      if (kind === RecordKind.exec) sweep.look(execs.at(word).pid);
      else if (kind === RecordKind.lost) wanted = true;
      else if (kind === RecordKind.oomVictim) {
        writer.open(OOM_VICTIM, clock.nowNs()).pid = victims.at(word).pid;
        writer.close();
      }
    }
    logins.release();
  };

  const measure = config.creditsShares
    ? new ShareMeasure({
      memory,
      writer,
      clock,
      counters,
      publish,
      countMask: config.countMask,
      pageBytes: config.pageBytes,
    })
    : undefined;
  const wake = new EventFd(config.sweeperWakeFd);
  const connector = ProcConnector.open();
  const psi = config.psi
    ? openPsiTrigger({ stallUs: PSI_STALL_US, windowUs: PSI_WINDOW_US })
    : undefined;
  const poll = new PollSet(config.logins.pipes.length + 3);
  const wakeIndex = poll.add(wake.fd, POLLIN);
  for (const { fd } of config.logins.pipes) poll.add(fd, POLLIN);
  if (connector.ok) poll.add(connector.connector.fd, POLLIN);
  const psiIndex = psi?.ok === true ? poll.add(psi.fd, POLLPRI) : -1;

  let wanted = true;
  let afterLoss = false;
  let sweptNs = -Infinity;
  /** Since when a sweep should be under way; Infinity: it should not. */
  let dueSinceNs = Infinity;
  let pressureNs = -Infinity;

  const pressure = (reason: number, belowBytes: number): void => {
    const nowNs = clock.nowNs();
    if (nowNs - pressureNs < PRESSURE_EVERY_NS) return;
    const missingBytes = belowBytes - readMemInfo().availableBytes;
    if (missingBytes <= 0) return;
    pressureNs = nowNs;
    const missingPages = Math.ceil(missingBytes / config.pageBytes);
    const shortage = writer.open(PRESSURE, nowNs);
    shortage.reason = reason;
    shortage.missingPages = missingPages;
    writer.close();
  };
  const answerQueries = (): void => {
    for (let word = queries.next(); word >= 0; word = queries.next()) {
      const kind = queries.words[word + RecordWord.kindCpu]!;
      if (kind === RecordKind.resync) wanted = afterLoss = true;
      else if (kind === RecordKind.verify) sweep.verify(verify.at(word).uid);
      else if (kind === RecordKind.measure) measure?.hurry();
      else sweep.resolve(resolve.at(word).tid);
    }
    queries.release();
  };

  /** What the kernel could not tell of for want of room is in /proc. */
  const takeUserChanges = (changes: ProcConnector): void => {
    for (let reads = 0; reads < CHANGE_READS_MAX; reads++) {
      const count = changes.read((tgid) => sweep.lookChanged(tgid));
      if (count < 0) {
        counters[CounterIndex.userChangesLost]!++;
        wanted = true;
      }
      if (!changes.hasMore || (count < 0 && count !== -Errno.ENOBUFS)) return;
    }
  };

  return {
    close: () => {
      if (connector.ok) connector.connector.close();
      if (psi?.ok === true) closeFd(psi.fd);
    },
    step: () => {
      if (rules.refresh()) {
        sweep.rulesChanged();
        wanted = true;
      }
      answerQueries();
      loginSource.read();
      takeLogins();
      if (connector.ok) takeUserChanges(connector.connector);
      sweep.lookAll();
      if (sweep.hasOverrun) {
        sweep.hasOverrun = false;
        wanted = true;
      }
      measure?.step();
      const nowNs = clock.nowNs();
      // While a write to the list is under way, the kernel would let a look at it wait.
      if (!sweep.isWaiting) watch.look(nowNs);
      const sinceNs = nowNs - sweptNs;
      const due = sinceNs >= config.intervalMs * 1e6 || (wanted && sinceNs >= RESYNC_EVERY_NS);
      // It would wait for a write to the list, and logins that are not traced yet for it.
      dueSinceNs = due ? Math.min(dueSinceNs, nowNs) : Infinity;
      const waits = sweep.isWaiting && nowNs - dueSinceNs < LIST_WAIT_NS_MAX;
      if (due && !waits) {
        dueSinceNs = Infinity;
        sweptNs = nowNs;
        wanted = false;
        // Reading all of /proc may take long: not before everybody else, unless nothing is enforced
        // until it is done.
        const yields = config.realTime &&
          (config.isFirstStart || counters[CounterIndex.sweeps]! > 0);
        if (yields) setOrdinary();
        sweep.full(afterLoss);
        if (yields) setFifo(FIFO_PRIORITY.sweeper);
        afterLoss = false;
        if (!instance.hadSentinel) watch.listWasWritten(clock.nowNs(), instance);
        counters[CounterIndex.sweeps]!++;
        Atomics.store(header, HeaderWord.discovered, 1);
        if (config.minAvailableBytes > 0) {
          pressure(PressureReason.minAvailable, config.minAvailableBytes);
        }
      }
      publish();
      return false;
    },
    get wantsEventLoop() {
      return sweep.isWaiting || measure?.isWaiting === true;
    },
    sleep: (timeoutMs) => {
      const dueNs = Math.min(
        sweptNs + config.intervalMs * 1e6,
        sweep.nextLookNs,
        measure?.nextNs ?? Infinity,
      );
      const dueMs = (dueNs - clock.nowNs()) / 1e6;
      const waitMs = Math.max(0, Math.min(timeoutMs, Math.ceil(dueMs), wanted ? 20 : timeoutMs));
      if (poll.wait(waitMs) <= 0) return;
      counters[CounterIndex.wakeups]!++;
      if ((poll.revents(wakeIndex) & POLLIN) !== 0) wake.drain();
      if (psiIndex >= 0 && (poll.revents(psiIndex) & POLLPRI) !== 0) {
        const floorBytes = readMemInfo().totalBytes * PSI_AVAILABLE_MIN;
        pressure(PressureReason.psi, Math.max(floorBytes, config.minAvailableBytes));
        publish();
      }
    },
  };
}

runWorker({ fifoPriority: FIFO_PRIORITY.sweeper }, makeSweeper);
