import { assertEquals } from "@std/assert";
import { LOOKUPS_MAX, UserNames } from "../../../service/limits/user_names.ts";

/** A directory whose answers the test gives, and a clock that it sets. */
class Directory {
  nowMs = 0;
  readonly asked: number[] = [];
  readonly names = new UserNames({
    local: (uid) => uid === 0 ? "root" : undefined,
    find: (uid) => {
      this.asked.push(uid);
      const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
      this.answers.set(uid, { resolve, reject });
      return promise;
    },
    nowMs: () => this.nowMs,
  });
  private readonly answers = new Map<
    number,
    { resolve: (name: string | undefined) => void; reject: (error: Error) => void }
  >();

  async answer(uid: number, name: string | undefined | Error): Promise<void> {
    const { resolve, reject } = this.answers.get(uid)!;
    if (name instanceof Error) reject(name);
    else resolve(name);
    for (let i = 0; i < 5; i++) await Promise.resolve();
  }
}

Deno.test("UserNames tells a local name at once, and asks nobody", () => {
  const directory = new Directory();
  assertEquals(directory.names.nameOf(0), "root");
  assertEquals(directory.asked, []);
});

Deno.test("UserNames never waits: a name is null until it is known", async () => {
  const directory = new Directory();
  const { names } = directory;
  assertEquals([names.nameOf(7), names.nameOf(7)], [null, null]);
  assertEquals(directory.asked, [7], "once");
  await directory.answer(7, "ann");
  assertEquals(names.nameOf(7), "ann");
  directory.nowMs = 61_000;
  assertEquals(names.nameOf(7), "ann", "an old name is better than none");
  assertEquals(directory.asked, [7, 7]);
  await directory.answer(7, "beth");
  assertEquals(names.nameOf(7), "beth");
  directory.nowMs = 122_000;
  names.nameOf(7);
  await directory.answer(7, undefined);
  assertEquals(names.nameOf(7), null, "it has been removed");
  assertEquals(directory.asked.length, 3);
});

Deno.test("UserNames keeps a name while the directory is away, and asks again", async () => {
  const directory = new Directory();
  const { names } = directory;
  names.nameOf(7);
  await directory.answer(7, "ann");
  directory.nowMs = 61_000;
  names.nameOf(7);
  await directory.answer(7, new Error("the directory is away"));
  assertEquals(names.nameOf(7), "ann");
  assertEquals(directory.asked.length, 2);
  directory.nowMs = 72_000;
  names.nameOf(7);
  assertEquals(directory.asked.length, 3);
});

Deno.test("UserNames has few lookups under way, and the others in their turn", async () => {
  const directory = new Directory();
  const { names } = directory;
  names.expect([1, 2, 3, 4]);
  assertEquals(directory.asked, [1, 2], "each takes a thread, for as long as it hangs");
  assertEquals(LOOKUPS_MAX, 2);
  assertEquals(names.nameOf(0), "root", "and local names do not depend on them");
  await directory.answer(2, "ben");
  assertEquals(directory.asked, [1, 2, 3]);
  await directory.answer(1, "ann");
  assertEquals(directory.asked, [1, 2, 3, 4]);
  assertEquals([1, 2, 3].map((uid) => names.nameOf(uid)), ["ann", "ben", null]);
});

Deno.test("UserNames.settled() waits for all names, and not for ever", async () => {
  const directory = new Directory();
  const { names } = directory;
  await names.settled(60_000);
  names.expect([1, 2, 3]);
  const settled = names.settled(60_000);
  await directory.answer(1, "ann");
  await directory.answer(2, "ben");
  await directory.answer(3, "cy");
  await settled;
  assertEquals(names.nameOf(3), "cy");
  names.expect([4]);
  const startMs = performance.now();
  await names.settled(50);
  assertEquals(names.nameOf(4), null);
  const tookMs = performance.now() - startMs;
  assertEquals(tookMs >= 45 && tookMs < 5000, true, `${tookMs} ms`);
  await directory.answer(4, undefined);
});
