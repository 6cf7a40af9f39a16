/**
 * What accounting does with each kind of record but rss_stat events: births and ends, what /proc says,
 * what the killer answers.
 *
 * @module
 */
import {
  CounterIndex,
  CPU_SHIFT,
  HeaderWord,
  KIND_MASK,
  RecordKind,
  Trigger,
} from "../memory/layout.ts";
import { invariant } from "../memory/invariant.ts";
import type { Attribution } from "../books/attribution.ts";
import { type Books, UNKNOWN_UID } from "../books/books.ts";
import { Measuring } from "../books/measuring.ts";
import type { ProcFacts } from "../books/proc_facts.ts";
import type { Enforcement } from "../limits/enforcement.ts";
import type { Inbox } from "../messages/inbox.ts";
import type { ReportWriter } from "../messages/reports.ts";
import type { Doubt } from "./doubt.ts";
import type { EventTime } from "./event_time.ts";

export interface OtherRecordsParts {
  readonly header: Int32Array;
  readonly counters: Float64Array;
  readonly books: Books;
  readonly attribution: Attribution;
  readonly facts: ProcFacts;
  readonly enforcement: Enforcement;
  readonly doubt: Doubt;
  readonly reports: ReportWriter;
  readonly time: EventTime;
}

export class OtherRecords {
  private readonly header: Int32Array;
  private readonly counters: Float64Array;
  private readonly books: Books;
  private readonly attribution: Attribution;
  private readonly facts: ProcFacts;
  private readonly measuring: Measuring;
  private readonly enforcement: Enforcement;
  private readonly doubt: Doubt;
  private readonly reports: ReportWriter;
  private readonly time: EventTime;
  /** Outside of sweeps, /proc is read for logins: that is news of the user, not the timer. */
  private readingTrigger: Trigger = Trigger.user;

  constructor(parts: OtherRecordsParts) {
    this.header = parts.header;
    this.counters = parts.counters;
    this.books = parts.books;
    this.attribution = parts.attribution;
    this.facts = parts.facts;
    this.measuring = new Measuring(parts.books);
    this.enforcement = parts.enforcement;
    this.doubt = parts.doubt;
    this.reports = parts.reports;
    this.time = parts.time;
  }

  apply(inbox: Inbox, word: number, kindCpu: number): void {
    const { attribution, doubt, enforcement, facts, counters } = this;
    const tsNs = inbox.ring.doubles[word >> 1]!;
    switch (kindCpu & KIND_MASK) {
      case RecordKind.newTask: {
        counters[CounterIndex.lifecycle]!++;
        const { parentTid, childTid, cloneFlags, parentTgid } = inbox.newTask.at(word);
        attribution.births.newTask(parentTid, childTid, cloneFlags, parentTgid, tsNs);
        break;
      }
      case RecordKind.exec: {
        counters[CounterIndex.lifecycle]!++;
        const { pid, oldPid } = inbox.exec.at(word);
        attribution.births.exec(pid, oldPid, tsNs);
        break;
      }
      case RecordKind.exit: {
        counters[CounterIndex.lifecycle]!++;
        const { pid, groupDead } = inbox.exit.at(word);
        attribution.ends.exit(pid, groupDead, tsNs);
        break;
      }
      case RecordKind.free:
        counters[CounterIndex.lifecycle]!++;
        attribution.ends.free(inbox.free.at(word).pid, tsNs);
        break;
      case RecordKind.inherited: {
        const { pages, uid } = inbox.inherited.at(word);
        enforcement.kernel?.chargeInherited(uid, pages);
        break;
      }
      case RecordKind.kernelOver: {
        this.time.lastTsNs = tsNs;
        const { uid, tgid } = inbox.kernelOver.at(word);
        enforcement.overInKernel(this.books.findUser(uid), this.books.findProcess(tgid), tsNs);
        break;
      }
      case RecordKind.kernelKill: {
        const { tid, uid, usagePages, tookNs } = inbox.kernelKill.at(word);
        enforcement.killedByKernel(tsNs, tid, uid, usagePages, tookNs);
        break;
      }
      case RecordKind.lost:
        doubt.lost(tsNs, kindCpu >> CPU_SHIFT, inbox.lost.at(word).events);
        break;
      case RecordKind.proc: {
        const { tgid, uid, startTicks, bornLow, packed } = inbox.proc.at(word);
        facts.process(tsNs, tgid, uid, startTicks, bornLow, packed);
        break;
      }
      case RecordKind.procPages: {
        const { tgid, filePages, anonPages, swapPages, shmemPages } = inbox.procPages.at(word);
        const user = facts.pages(tsNs, tgid, filePages, anonPages, swapPages, shmemPages);
        enforcement.evaluate(user, tsNs, this.readingTrigger);
        break;
      }
      case RecordKind.lender: {
        const { tgid, lenderTgid } = inbox.lender.at(word);
        facts.lender(tsNs, tgid, lenderTgid);
        break;
      }
      case RecordKind.task: {
        const { tid, tgid } = inbox.task.at(word);
        facts.task(tsNs, tid, tgid);
        break;
      }
      case RecordKind.gone: {
        const { tid, isUntraced } = inbox.gone.at(word);
        facts.gone(tsNs, tid, isUntraced !== 0);
        break;
      }
      case RecordKind.sweepBegin: {
        const { number, errorPages } = inbox.sweepBegin.at(word);
        doubt.sweepBegins();
        this.readingTrigger = Trigger.lastDefense;
        if (this.header[HeaderWord.sweepDone] === 0) enforcement.firstSweepBegins();
        facts.begin(tsNs, number, errorPages);
        break;
      }
      case RecordKind.sweepEnd: {
        const { number, flags } = inbox.sweepEnd.at(word);
        doubt.sweepEnd(tsNs, number, flags);
        this.readingTrigger = Trigger.user;
        break;
      }
      case RecordKind.measureBegin: {
        const { number, uid } = inbox.measureBegin.at(word);
        this.measuring.begin(uid, number, tsNs);
        Atomics.store(this.header, HeaderWord.measureBegun, number);
        break;
      }
      case RecordKind.measured: {
        const measured = inbox.measured.at(word);
        this.measuring.found(measured.tgid, measured);
        break;
      }
      case RecordKind.measureEnd: {
        const { number, uid } = inbox.measureEnd.at(word);
        this.measureEnds(number, uid, tsNs);
        break;
      }
      case RecordKind.verifyBegin:
        doubt.verifyBegins(tsNs, inbox.verifyBegin.at(word).uid);
        break;
      case RecordKind.verifyEnd:
        doubt.verified(tsNs, inbox.verifyEnd.at(word).uid);
        break;
      case RecordKind.oomVictim:
        this.oomVictim(tsNs, inbox.oomVictim.at(word).pid);
        break;
      case RecordKind.pressure: {
        const { reason, missingPages } = inbox.pressure.at(word);
        enforcement.pressure(tsNs, reason, missingPages);
        break;
      }
      case RecordKind.victimGone: {
        const { pid, processSlot, generation } = inbox.victimGone.at(word);
        this.victimGone(tsNs, pid, processSlot, generation);
        break;
      }
      case RecordKind.recheck: {
        const { userSlot, generation, isNobody } = inbox.recheck.at(word);
        enforcement.recheck(tsNs, userSlot, generation, isNobody !== 0);
        break;
      }
      default:
        invariant(false, `accounting: a record of unknown kind ${kindCpu & KIND_MASK}`);
    }
  }

  private victimGone(tsNs: number, pid: number, processSlot: number, generation: number): void {
    const { processes } = this.books;
    if (processes.generation[processSlot] !== generation || processes.tgid[processSlot] !== pid) {
      return;
    }
    this.attribution.ends.killed(processSlot, tsNs);
  }

  private measureEnds(measure: number, uid: number, tsNs: number): void {
    const userSlot = this.measuring.end(uid, measure);
    if (userSlot < 0) return;
    this.enforcement.measured(userSlot, tsNs);
  }

  /** The kernel's own OOM killer has chosen: logged and credited, nothing else to do. */
  private oomVictim(tsNs: number, pid: number): void {
    const { processes, users } = this.books;
    const process = this.books.processOfTid(pid);
    const uid = process < 0 ? UNKNOWN_UID : users.uid[processes.userSlot[process]!]!;
    this.reports.put("kernelKill", tsNs, [pid, uid]);
  }
}
