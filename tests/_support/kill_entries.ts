/**
 * Entries of the journal about kills, and the receipts that are made of them.
 *
 * @module
 */
import type { KillReceipt } from "../../service/journal/events.ts";
import type { JournalEntry } from "../../service/journal/journal.ts";
import { type KillRecord, recordOf } from "../../service/history/record.ts";
import { AT, KILL } from "./journal_events.ts";

export const RECEIPT: KillReceipt = {
  policy: "largest",
  victimRule: null,
  beganUs: 30,
  victimFilePages: 12,
  victimAnonPages: 3900,
  victimSwapPages: 60,
  victimShmemPages: 40,
  softPages: 3686,
  promisedPages: 25,
  peakPages: 4100,
  processes: 3,
  rule: "10000-19999 by toom run --limit",
  dyingPages: 4000,
  isDegraded: false,
  others: [
    {
      pid: 210,
      pages: 60,
      givesBackPages: 50,
      score: 50,
      oomScoreAdj: 0,
      fate: "weighed",
      rule: null,
    },
    {
      pid: 211,
      pages: 40,
      givesBackPages: 40,
      score: 0,
      oomScoreAdj: -1000,
      fate: "protected",
      rule: null,
    },
  ],
};

/** A kill, the `number`th of its kind: one each second, of pid 209 and up. */
export function killEntry(number: number, uid = KILL.uid): JournalEntry {
  const at = new Date(AT.getTime() + number * 1000);
  const pid = KILL.pid + number;
  const event = { ...KILL, uid, pid, id: `${at.getTime().toString(36)}-${pid}` };
  return { number, monotonicNs: number * 1e9, at, event, receipt: RECEIPT };
}

export function killRecord(number: number, uid = KILL.uid): KillRecord {
  return recordOf(killEntry(number, uid), 4096, number * 1e9 + 500_000)!;
}

/** The end of {@link killEntry}. */
export function endEntry(number: number, uid = KILL.uid): JournalEntry {
  return {
    number: number + 1000,
    monotonicNs: number * 1e9 + 10e6,
    at: new Date(AT.getTime() + number * 1000 + 10),
    event: {
      event: "killed",
      uid,
      pid: KILL.pid + number,
      freedBytes: 16_384_000,
      exitUs: 10_570,
      exitStatus: 9,
      outcome: null,
      storm: false,
    },
  };
}
