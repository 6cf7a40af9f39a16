import { assert, assertEquals } from "@std/assert";
import { compareAudit, type SeenProcess, UNEXPLAINED } from "../../cli/audit_compare.ts";
import type { Audit } from "../../service/control/control_api.ts";
import { FAKE_AUDIT } from "../_support/fake_control.ts";

const NEAR = { isNear: true, seconds: 1, looks: 1, lookMs: 1, refusals: 0 };
const BOOKS: Audit = {
  ...FAKE_AUDIT,
  near: NEAR,
  user: { countedPages: 900, creditPages: 100, inDoubt: false, processes: 2 },
  kernel: { totalPages: 900, pendingPages: 0, inheritedPages: 0 },
  processes: [{ pid: 10, countedPages: 600 }, { pid: 11, countedPages: 300 }],
};

function seen(pid: number, countedPages: number, more: Partial<SeenProcess> = {}): SeenProcess {
  return {
    pid,
    realUid: 1000,
    countedPages,
    heldPages: countedPages - 50,
    ageMs: 60_000,
    sharesMmWith: undefined,
    ...more,
  };
}

const TRUE = [seen(10, 600), seen(11, 300)];

/** The lines behind the first. */
function linesOf(before: Audit, all: readonly SeenProcess[], after = before): readonly string[] {
  const { lines, unexplained } = compareAudit(before, all, after, 0);
  assertEquals(lines.filter((line) => line.startsWith(UNEXPLAINED)).length, unexplained);
  return lines.slice(1);
}

function isExplained(lines: readonly string[]): boolean {
  return lines.length > 0 && !lines.some((line) => line.startsWith(UNEXPLAINED));
}

Deno.test("books that are true need no explanation", () => {
  const { lines, unexplained } = compareAudit(BOOKS, TRUE, BOOKS, 0);
  assertEquals([unexplained, lines.length], [0, 1]);
  assert(lines[0]!.includes("2 processes, 2 of them as in the books"), lines[0]);
});

Deno.test("a page too many or too few that stays has no explanation", () => {
  assertEquals(linesOf(BOOKS, [seen(10, 601), seen(11, 300)]), [
    "not explained: pid 10 has 601 pages, in the books 600",
  ]);
  assertEquals(
    linesOf(BOOKS, [seen(10, 600), seen(11, 300), seen(12, 5)])[0],
    "not explained: pid 12 has 5 pages, and is in no book",
  );
  assertEquals(
    linesOf(BOOKS, [seen(10, 600, { heldPages: 850 })])[0],
    "not explained: pid 11 is in the books with 300 pages, and not in /proc",
  );
});

Deno.test("what changes between two readings, is born or ends is explained by that", () => {
  const grown: Audit = {
    ...BOOKS,
    user: { ...BOOKS.user!, countedPages: 950 },
    kernel: { ...BOOKS.kernel!, totalPages: 950 },
    processes: [{ pid: 10, countedPages: 650 }, { pid: 11, countedPages: 300 }],
  };
  assertEquals(linesOf(BOOKS, [seen(10, 620), seen(11, 300)], grown), [
    "pid 10 has 620 pages, in the books 600, then 650: it changed meanwhile",
  ]);
  const gone: Audit = {
    ...BOOKS,
    user: { ...BOOKS.user!, countedPages: 600 },
    kernel: { ...BOOKS.kernel!, totalPages: 600 },
    processes: [{ pid: 10, countedPages: 600 }],
  };
  assert(isExplained(linesOf(BOOKS, [seen(10, 600)], gone)));
  assert(isExplained(linesOf(gone, TRUE, BOOKS)));
  assert(isExplained(linesOf(BOOKS, [...TRUE, seen(12, 5, { ageMs: 300, heldPages: 0 })])));
});

Deno.test("who runs on another's memory counts once", () => {
  const sharer = seen(12, 600, { sharesMmWith: 10, heldPages: 0 });
  assertEquals(linesOf(BOOKS, [...TRUE, sharer]), [
    "pid 12 has 600 pages, and is in no book: it runs on the memory of pid 10",
  ]);
});

Deno.test("books of a look, in doubt or degraded may differ, and say so", () => {
  const other = [seen(10, 700), seen(11, 300)];
  for (
    const [books, reason] of [
      [{ ...BOOKS, near: { ...NEAR, isNear: false } }, "the last look"],
      [{ ...BOOKS, degraded: true }, "degraded"],
      [{ ...BOOKS, user: { ...BOOKS.user!, inDoubt: true } }, "in doubt"],
    ] as const
  ) {
    const lines = linesOf(books, other);
    assert(isExplained(lines) && lines[0]!.includes(reason), lines.join("\n"));
  }
});

Deno.test("sums that do not add up, and other books in the kernel, have no explanation", () => {
  const wrong: Audit = { ...BOOKS, user: { ...BOOKS.user!, countedPages: 905 } };
  assert(
    linesOf(wrong, TRUE).some((line) => line.startsWith(`${UNEXPLAINED}the books have 905 pages`)),
  );
  const kernel: Audit = { ...BOOKS, kernel: { ...BOOKS.kernel!, totalPages: 400 } };
  assertEquals(linesOf(kernel, TRUE), [
    "not explained: the kernel's books have 400 pages, these 900",
  ]);
});

Deno.test("what is held and not charged is explained by sharing alone", () => {
  const held = [seen(10, 600, { heldPages: 600 }), seen(11, 300, { heldPages: 300 })];
  assert(isExplained(linesOf(BOOKS, held)));
  const none: Audit = { ...BOOKS, user: { ...BOOKS.user!, creditPages: 0 } };
  assertEquals(linesOf(none, held), []);
  const less = [seen(10, 600, { heldPages: 100 }), seen(11, 300, { heldPages: 100 })];
  assert(isExplained(linesOf(none, less)));
});

Deno.test("what /proc cannot say exactly on old kernels is no difference", () => {
  const { unexplained } = compareAudit(BOOKS, [seen(10, 700), seen(11, 300)], BOOKS, 64);
  assertEquals(unexplained, 0);
});
