/**
 * What the journal tells, counted: kills by what made toom act and by policy, how late and how far they
 * were, and entries by kind.
 *
 * @module
 */
import { VICTIM_POLICIES } from "../../pipeline/memory/settings.ts";
import { TRIGGER_NAMES } from "../../pipeline/memory/layout.ts";
import type { JournalEntry, Subscriber } from "../journal/journal.ts";
import { type Exposition, Histogram, labelsText } from "./exposition.ts";

const MIB = 2 ** 20;
/** Seconds. */
const LATENCY_BOUNDS = [
  0.00001,
  0.00002,
  0.00005,
  0.0001,
  0.0002,
  0.0005,
  0.001,
  0.005,
  0.02,
  0.1,
  0.5,
  2,
];
const OVERSHOOT_BOUNDS_BYTES = [
  4096,
  16_384,
  65_536,
  262_144,
  MIB,
  4 * MIB,
  16 * MIB,
  64 * MIB,
  256 * MIB,
  1024 * MIB,
];
const EXIT_BOUNDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

export class KillCounts implements Subscriber {
  readonly name = "metrics";
  private readonly kills = new Map<string, number>();
  private readonly entries = new Map<string, number>();
  private readonly latency = new Histogram(LATENCY_BOUNDS);
  private readonly overshoot = new Histogram(OVERSHOOT_BOUNDS_BYTES);
  private readonly exits = new Histogram(EXIT_BOUNDS);
  private freedBytes = 0;

  constructor() {
    for (const trigger of Object.values(TRIGGER_NAMES)) {
      for (const policy of VICTIM_POLICIES) this.kills.set(labelsText({ trigger, policy }), 0);
    }
  }

  take({ event, receipt }: JournalEntry): void {
    const kind = labelsText({ event: event.event });
    this.entries.set(kind, (this.entries.get(kind) ?? 0) + 1);
    if (event.event === "kill") {
      const { trigger } = event;
      const labels = labelsText({ trigger, policy: receipt?.policy ?? "largest" });
      this.kills.set(labels, (this.kills.get(labels) ?? 0) + 1);
      this.latency.observe(event.latencyUs / 1e6);
      this.overshoot.observe(event.overshootBytes);
    } else if (event.event === "killed") {
      this.exits.observe(event.exitUs / 1e6);
      this.freedBytes += event.freedBytes;
    }
  }

  write(out: Exposition): void {
    const kills = "toom_kills_total";
    out.family(kills, "counter", "Processes that toom has killed since it started, or would have");
    for (const [labels, count] of this.kills) out.sample(kills, labels, count);
    out.histogram(
      "toom_kill_latency_seconds",
      "From the page that crossed the line until the signal had been sent",
      this.latency,
    );
    out.histogram(
      "toom_kill_overshoot_bytes",
      "How far a user was over its hard limit when toom decided",
      this.overshoot,
    );
    out.histogram(
      "toom_kill_exit_seconds",
      "From the signal until the victim was gone",
      this.exits,
    );
    out.family("toom_freed_bytes_total", "counter", "Memory that came back with victims");
    out.sample("toom_freed_bytes_total", "", this.freedBytes);
    const entries = "toom_journal_entries_total";
    out.family(entries, "counter", "What happened, by kind of event");
    for (const [labels, count] of this.entries) out.sample(entries, labels, count);
  }
}
