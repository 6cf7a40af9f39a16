import { assertEquals } from "@std/assert";
import { TraceWatch } from "../../../pipeline/discovery/trace_watch.ts";
import { RecordKind, Role } from "../../../pipeline/memory/layout.ts";
import { Doorbell } from "../../../pipeline/memory/doorbell.ts";
import { attachCounters, attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { RingConsumer, RingProducer } from "../../../pipeline/memory/ring.ts";
import { readReport, ReportWriter } from "../../../pipeline/messages/reports.ts";
import { SMALL } from "../../_support/desk.ts";
import { Tellings } from "../../_support/fake_proc.ts";

const MS = 1e6;

/** A watch over one file, a list and a count, each of which somebody may change. */
class Stage {
  readonly memory = attachMemory(createMemory(SMALL));
  readonly tellings = new Tellings();
  found: string | undefined;
  isStuck = false;
  read = 0;
  looks = 0;
  restored = 0;
  hadSentinel = true;
  readonly watch: TraceWatch;
  private readonly reports = new RingConsumer(
    this.memory.buffer,
    this.memory.plan.reportRings[Role.sweeper]!,
  );

  constructor() {
    const mend = (): string | undefined => {
      if (!this.isStuck) this.found = undefined;
      return this.isStuck ? "EPERM" : undefined;
    };
    const look = (): string | undefined => {
      this.looks++;
      return this.found;
    };
    const hadSentinel = (): boolean => this.hadSentinel;
    this.watch = new TraceWatch({
      memory: this.memory,
      writer: this.tellings.writer,
      reports: new ReportWriter(
        new RingProducer(this.memory.buffer, this.memory.plan.reportRings[Role.sweeper]!),
        attachCounters(this.memory, Role.sweeper),
        new Doorbell(this.memory, Role.supervisor),
      ),
      recordsEvents: true,
      instance: { names: ["events/f"], look, mend },
      list: {
        get hadSentinel(): boolean {
          return hadSentinel();
        },
        restoreSentinel: () => void this.restored++,
      },
      counts: { eventsRead: () => this.read },
    });
  }

  /** Losses that accounting is told of. */
  losses(): number {
    return this.tellings.take().filter(({ kind, a }) => kind === RecordKind.lost && a === -1)
      .length;
  }

  told(): string[] {
    const told: string[] = [];
    for (let one = readReport(this.reports); one !== undefined; one = readReport(this.reports)) {
      told.push(`${new TextDecoder().decode(one.text)}, mended ${one.values["mended"]}`);
    }
    return told;
  }
}

Deno.test("TraceWatch looks five times a second", () => {
  const stage = new Stage();
  for (let atMs = 0; atMs < 1000; atMs += 10) stage.watch.look(atMs * MS);
  assertEquals(stage.looks, 5);
});

Deno.test("TraceWatch makes a loss of what somebody has changed, and tells of it", () => {
  const stage = new Stage();
  stage.watch.look(0);
  assertEquals([stage.losses(), stage.told()], [0, []]);
  stage.found = '"0"';
  stage.watch.look(200 * MS);
  assertEquals([stage.losses(), stage.told()], [1, ['events/f was "0", mended 1']]);
  stage.watch.look(1400 * MS);
  assertEquals(stage.losses(), 0);
});

Deno.test("TraceWatch makes a loss a second of what cannot be mended, and none less at its end", () => {
  const stage = new Stage();
  stage.found = '"0"';
  stage.isStuck = true;
  for (let atMs = 0; atMs <= 2000; atMs += 200) stage.watch.look(atMs * MS);
  assertEquals(stage.losses(), 3);
  assertEquals(stage.told().length, 3);
  stage.isStuck = false;
  stage.watch.look(2200 * MS);
  assertEquals(stage.losses(), 0, "too soon");
  stage.watch.look(3000 * MS);
  assertEquals(stage.losses(), 1, "what was missed since the last is told");
});

Deno.test("TraceWatch tells of who reads what toom should", () => {
  const stage = new Stage();
  // No reader has ever begun: its epoch is not that of a first one.
  stage.watch.look(0);
  stage.read = 40;
  stage.watch.look(200 * MS);
  assertEquals(stage.losses(), 1);
  const [told] = stage.told();
  assertEquals(told, "events/trace_pipe_raw: 40 events were read by somebody else, mended 0");
});

Deno.test("TraceWatch puts its mark back into a list that somebody else wrote", () => {
  const stage = new Stage();
  stage.watch.listWasRead(0);
  assertEquals(stage.restored, 0);
  stage.hadSentinel = false;
  stage.watch.listWasRead(100 * MS);
  assertEquals([stage.restored, stage.losses()], [1, 1]);
  assertEquals(stage.told(), ["events/set_event_pid was written anew, mended 1"]);
});
