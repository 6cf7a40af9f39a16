/** The record survives a crash at any byte. */
import { assert, assertEquals } from "@std/assert";
import {
  BRAKE_RECORD_NAME,
  BrakeRecordFile,
  familiesIn,
} from "../../../kernel/brake/brake_record.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import type { RecordedFamily } from "../../../pipeline/brake/brake_kernel.ts";

// Else the first test that needs it leaks it.
openLibc();

const BOOT = "5f1d8a0e-0000-4000-8000-000000000001";

function family(id: number): RecordedFamily {
  return {
    id,
    softBytes: id % 2 === 0 ? 0xffff_ffff_ffff_ffffn : BigInt(id) * 4096n,
    sinceTicks: 1000 + id,
    pid: 100 + id,
    startTicks: 900 + id,
  };
}

async function withDir(run: (dir: string) => void): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function open(dir: string, bootId = BOOT): BrakeRecordFile {
  return new BrakeRecordFile(dir, bootId);
}

Deno.test("what has begun and not ended is left, with each number as it was", async () => {
  await withDir((dir) => {
    const record = open(dir);
    assertEquals(record.left, []);
    for (const id of [1, 2, 3]) assert(record.begin(family(id)));
    record.end(2);
    record.close();
    const next = open(dir);
    assertEquals(next.left, [family(1), family(3)]);
    assert(next.begin(family(4)));
    next.end(1);
    next.close();
    assertEquals(open(dir).left, [family(3), family(4)]);
    assertEquals(open(dir, "another boot").left, [], "processes of another boot are gone");
  });
});

Deno.test("cut off at any byte, the lines before stay, and what is added later counts", async () => {
  await withDir((dir) => {
    const record = open(dir);
    for (const id of [1, 2, 3]) record.begin(family(id));
    record.end(1);
    record.close();
    const path = `${dir}/${BRAKE_RECORD_NAME}`;
    const whole = Deno.readTextFileSync(path);
    for (let length = 0; length <= whole.length; length++) {
      const part = whole.slice(0, length);
      const lines = part.split("\n").slice(1, -1);
      const expected = new Set<number>();
      for (const line of lines) {
        const [sign, id] = line.split(" ");
        if (sign === "+") expected.add(Number(id));
        else expected.delete(Number(id));
      }
      Deno.writeTextFileSync(path, part);
      const next = open(dir);
      assertEquals(next.left.map(({ id }) => id), [...expected], `${length} bytes`);
      assert(next.begin(family(9)));
      next.close();
      assertEquals(
        open(dir).left.map(({ id }) => id),
        [...expected, 9],
        `${length} bytes, and one`,
      );
    }
  });
});

Deno.test("a byte that is another one makes its line count for nothing, and no other", async () => {
  await withDir((dir) => {
    const record = open(dir);
    for (const id of [1, 2, 3]) record.begin(family(id));
    record.close();
    const text = Deno.readTextFileSync(`${dir}/${BRAKE_RECORD_NAME}`);
    const lines = text.split("\n");
    for (let at = lines[0]!.length + 1; at < text.length; at++) {
      if (text[at] === "\n") continue;
      const changed = text.slice(0, at) + (text[at] === "7" ? "8" : "7") + text.slice(at + 1);
      const hit = text.slice(0, at).split("\n").length - 1;
      const expected = [1, 2, 3].filter((id) => id !== hit);
      assertEquals([...familiesIn(changed, BOOT).keys()], expected, `byte ${at}`);
    }
  });
});

Deno.test("a full disk refuses a family, which is not lowered then", async () => {
  await withDir((dir) => {
    const record = open(dir);
    record.begin(family(1));
    record.close();
    const full = open(dir);
    full["path" as never] = `${dir}/no/such/folder` as never;
    assertEquals(full.begin(family(2)), false);
    assertEquals(open(dir).left, [family(1)]);
  });
});

Deno.test("a long record is written anew with what is left", async () => {
  await withDir((dir) => {
    const record = open(dir);
    record.begin(family(1));
    for (let turn = 0; turn < 3000; turn++) {
      record.begin(family(2));
      record.end(2);
    }
    record.close();
    assert(Deno.statSync(`${dir}/${BRAKE_RECORD_NAME}`).size < 128 * 1024);
    assertEquals(open(dir).left, [family(1)]);
  });
});
