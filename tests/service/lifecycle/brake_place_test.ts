import { assert, assertEquals } from "@std/assert";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { endBrake, findBrake } from "../../../service/lifecycle/brake_place.ts";
import { isRoot, needing } from "../../_support/real_kernel.ts";

openLibc();

function journalOf(): { readonly journal: Journal; readonly events: JournalEvent[] } {
  const events: JournalEvent[] = [];
  const journal = new Journal({ nowNs: () => 1, now: () => new Date(0) });
  journal.subscribe({ name: "test", take: ({ event }) => void events.push(event) });
  return { journal, events };
}

Deno.test({
  ...needing(
    !isRoot(),
    "another user than root",
    "where nobody can be braked, who wants it is told",
  ),
  fn: () => {
    const { journal, events } = journalOf();
    assertEquals(findBrake({ brake: "off" }, [], journal), null);
    assertEquals(events, []);
    const rule = { uidFirst: 1, uidLast: 1, hardPages: 2, softPages: 1, brake: "all" } as const;
    assertEquals(findBrake({ brake: "off" }, [rule], journal), null);
    assertEquals(findBrake({ brake: "growers" }, [], journal), null);
    assertEquals(events.map(({ event }) => event), ["config", "config"]);
  },
});

Deno.test({
  ...needing(isRoot(), "root", "where processes can be braked nothing is told"),
  fn: () => {
    const { journal, events } = journalOf();
    assert(findBrake({ brake: "growers" }, [], journal) !== null);
    assertEquals(events, []);
  },
});

Deno.test("the end of the brake is quiet without a record, and tells of one that cannot be read", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const { journal, events } = journalOf();
    await endBrake({ stateDirPath: dir }, journal);
    await endBrake({ stateDirPath: `${dir}/nowhere` }, journal);
    assertEquals(events, []);
    await Deno.mkdir(`${dir}/brake.record`);
    await endBrake({ stateDirPath: dir }, journal);
    assertEquals(events.map((one) => one.event === "error" ? one.where : one), ["brake"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
