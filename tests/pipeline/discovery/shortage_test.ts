import { assertEquals } from "@std/assert";
import { Shortage } from "../../../pipeline/discovery/shortage.ts";
import { PressureReason, RecordKind } from "../../../pipeline/memory/layout.ts";
import { Tellings } from "../../_support/fake_proc.ts";

const PAGE_BYTES = 4096;
const GIB = 2 ** 30;

class Stage {
  availableBytes = 5 * GIB;
  readonly tellings = new Tellings();
  readonly shortage: Shortage;

  constructor(minAvailableBytes: number) {
    this.shortage = new Shortage({
      writer: this.tellings.writer,
      readMemory: () => ({ totalBytes: 10 * GIB, availableBytes: this.availableBytes }),
      pageBytes: PAGE_BYTES,
      minAvailableBytes: () => minAvailableBytes,
    });
  }

  /** What was told: reason and missing pages. */
  told(): number[][] {
    return this.tellings.take().map(({ kind, a, b }) => {
      assertEquals(kind, RecordKind.pressure);
      return [a, b];
    });
  }
}

Deno.test("pressure alone is no shortage: a tenth of the memory must be lacking", () => {
  const stage = new Stage(0);
  stage.shortage.pressed(1e9);
  assertEquals(stage.told(), []);
  stage.availableBytes = GIB - 5 * PAGE_BYTES - 1;
  stage.shortage.pressed(1e9);
  assertEquals(stage.told(), [[PressureReason.psi, 6]]);
});

Deno.test("the floor that was asked for counts where it is higher", () => {
  const stage = new Stage(2 * GIB);
  stage.availableBytes = 2 * GIB - PAGE_BYTES;
  stage.shortage.pressed(1e9);
  assertEquals(stage.told(), [[PressureReason.psi, 1]]);
});

Deno.test("without a floor, a sweep looks at nothing; with one, below it somebody must go", () => {
  const none = new Stage(0);
  none.availableBytes = 0;
  none.shortage.check(1e9);
  assertEquals(none.told(), []);
  const stage = new Stage(GIB);
  stage.availableBytes = GIB;
  stage.shortage.check(1e9);
  assertEquals(stage.told(), []);
  stage.availableBytes = GIB - 10 * PAGE_BYTES;
  stage.shortage.check(1e9);
  assertEquals(stage.told(), [[PressureReason.minAvailable, 10]]);
});

Deno.test("after a shortage was told, memory has a second to come back", () => {
  const stage = new Stage(GIB);
  stage.availableBytes = 0;
  stage.shortage.check(1e9);
  stage.shortage.check(1.5e9);
  stage.shortage.pressed(1.9e9);
  assertEquals(stage.told().length, 1);
  stage.shortage.pressed(2e9);
  assertEquals(stage.told().length, 1);
});
