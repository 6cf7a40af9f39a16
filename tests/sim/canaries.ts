/**
 * Where each mistake is looked for, and by which rule it is found.
 *
 * @module
 */
import type { Mistake, SimOptions } from "./options.ts";

export interface Canary {
  readonly options: Partial<SimOptions>;
  /** What the message of the failure has; empty where several rules may find it first. */
  readonly finds: string;
}

export const CANARIES: Readonly<Record<Mistake, Canary>> = {
  "accounting-delta": { options: {}, finds: "I4" },
  "accounting-sum": { options: {}, finds: "I3" },
  "killer-patience": { options: {}, finds: "I2" },
  "killer-dying": { options: {}, finds: "I2" },
  "killer-identity": { options: {}, finds: "I1" },
  "accounting-outdated": { options: { changesSettings: true }, finds: "" },
  "accounting-members": { options: { countsOwn: true }, finds: "I3" },
  "killer-settings": { options: { changesSettings: true }, finds: "dry run" },
  "accounting-no-grace": {
    options: { changesSettings: true, lowerGraceMs: 300, before: 20 },
    finds: "I2",
  },
  "killer-relief": { options: { machinePages: 1100, stalls: true, before: 20 }, finds: "I2" },
  "killer-impatient": { options: { planUnit: "process" }, finds: "within its grace" },
  "killer-unforgiving": { options: { planUnit: "process" }, finds: "I2" },
  "killer-silent": { options: {}, finds: "liveness" },
  "discovery-no-lender": { options: { before: 20, interleaves: true }, finds: "" },
  "discovery-late-time": { options: { sweepEveryNs: 1.5e8 }, finds: "I4" },
  "discovery-no-list": { options: { logins: true, before: 10, interleaves: true }, finds: "I4" },
  "measure-nothing": { options: { shares: true }, finds: "I10" },
  "tampering-unseen": { options: { tampers: true }, finds: "I8" },
  "brake-unwritten": { options: { brakes: true }, finds: "I12" },
  "brake-keeps": { options: { brakes: true }, finds: "I12" },
  "brake-raises": { options: { brakes: true }, finds: "I12" },
  "coordinator-levels": { options: { asks: true }, finds: "I5" },
  "coordinator-keeps": { options: { asks: true }, finds: "I5" },
  "coordinator-leaks": { options: { asks: true, dies: true }, finds: "I5" },
  "watch-impatient": { options: { hangs: true }, finds: "I9" },
  "watch-blind": { options: { hangs: true }, finds: "" },
  "watch-no-successor": { options: { dies: true }, finds: "I9" },
  "watch-late": { options: { hangs: true }, finds: "" },
};
