/** Subordinate uids, which rootless containers run under, count for their owner. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Asker } from "../_support/asker.ts";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const PERSON = 60050;
const SUB = 60060;
const NEIGHBOUR = 60051;
const NEIGHBOUR_SUB = 60080;
const FREE = 60052;
const LIMITS = [`--limit=${PERSON}=64MiB`, `--limit=${NEIGHBOUR}=64MiB`];

/** Runs a test with a file of subordinate uids. */
async function withFile(text: string, test: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/subuid`;
    await Deno.writeTextFile(path, text);
    await test(path);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A process of a rootless container of the person, under one of its uids; holds so much on go. */
function contained(inside: number, mib: number): Promise<Workload> {
  return new Workload(0, "namespace", PERSON, SUB, inside, mib).until("here");
}

function realUid({ pid }: Workload): number {
  return Number(/^Uid:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]);
}

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "subordinate uids count for their owner, and for nobody else",
  ),
  fn: async (t) => {
    const lines = [
      "# uids of containers",
      `${PERSON}:${SUB}:4`,
      "rubbish",
      `${PERSON}:${SUB + 4}:5`,
      `${NEIGHBOUR}:${NEIGHBOUR_SUB}:10`,
    ];
    await withFile(lines.join("\n"), async (path) => {
      await using toom = await Toom.start([
        ...LIMITS,
        `--subuid-file=${path}`,
        // A limit of its own that a subordinate uid does not have.
        `--limit=${SUB}-${SUB + 5}=1GiB`,
        `--limit=60000-61000=32MiB`,
        `--limit=${FREE}=none`,
      ]);
      await using neighbour = await new Workload(NEIGHBOUR_SUB + 3, "hold", 40).until("held");
      await using free = await new Workload(FREE, "hold", 100).until("held");

      await t.step("150 MiB in a container, under any uid of it, die", async () => {
        for (const inside of [0, 1, 6]) {
          await using hog = await contained(inside, 150);
          assertEquals(realUid(hog), inside === 0 ? PERSON : SUB + inside - 1);
          await hog.go();
          assertEquals((await hog.end()).signal, "SIGKILL");
          const kill = await toom.waitFor("kill", ({ pid }) => pid === hog.pid);
          assertEquals(kill["uid"], PERSON);
          assertNotEquals(kill["trigger"], "last-defense");
        }
      });

      await t.step("what is inside and what is outside is one sum", async () => {
        await using inside = await (await (await contained(3, 40)).go()).until("held");
        await using outside = new Workload(PERSON, "hold", 30);
        assertEquals((await inside.end()).signal, "SIGKILL", "the larger one");
        await outside.until("held");
        assert(outside.alive, "one of the two was enough");
        await toom.waitFor("kill", ({ pid, uid }) => pid === inside.pid && uid === PERSON);
      });

      await t.step("and less than the limit lives, as one user's", async () => {
        await using first = await contained(2, 15);
        await using second = await contained(7, 15);
        for (const one of [first, second]) await (await one.go()).until("held");
        const { users } = await toom.status();
        assertEquals(users.filter(({ uid }) => uid >= SUB && uid <= SUB + 9), []);
        const person = users.find(({ uid }) => uid === PERSON)!;
        assert(person.processes >= 2 && person.usagePages >= 30 * 256, JSON.stringify(person));
      });

      await t.step("who asks from inside asks for the person", async () => {
        await using asker = await Asker.start(SUB + 2, toom.tmallocPath);
        assertEquals((await asker.ask("query")).hard, 64 * 2 ** 20);
        assertEquals((await asker.ask(`reserve ${80 * 2 ** 20}`)).never, true);
      });

      await t.step(
        "no limit can be set for them alone, and it is said whose they are",
        async () => {
          const set = await toom.command("limit", "set", `uid:${SUB}`, "1G");
          assertEquals([set.code, set.out], [2, ""]);
          assert(set.err.includes(`uid ${SUB} is subordinate to uid ${PERSON}`), set.err);
          const get = await toom.command("limit", "get", `uid:${SUB}`);
          assert(get.out.includes(`(uid ${PERSON})`), get.out);
          const messages = toom.of("config").map(({ message }) => String(message));
          for (
            const told of [`${path}: line 3: expected NAME:FIRST:COUNT`, `uids ${SUB}-${SUB + 5}`]
          ) {
            assert(messages.some((message) => message.includes(told)), messages.join("\n"));
          }
        },
      );

      assert(neighbour.alive && free.alive, "nobody else died");
      assertEquals(new Set(toom.of("kill").map(({ uid }) => uid)), new Set([PERSON]));
    });
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "a change of the file counts soon, for who is there already"),
  fn: async () => {
    await withFile("", async (path) => {
      await using toom = await Toom.start([...LIMITS, `--subuid-file=${path}`]);
      await using hog = await (await (await contained(5, 150)).go()).until("held");
      await using neighbour = await new Workload(NEIGHBOUR, "hold", 40).until("held");
      await Deno.writeTextFile(`${path}.new`, `${PERSON}:${SUB}:9\n`);
      await Deno.rename(`${path}.new`, path);
      assertEquals((await hog.end(10_000)).signal, "SIGKILL");
      await toom.waitFor("kill", ({ pid, uid }) => pid === hog.pid && uid === PERSON);
      // And back: they count for themselves again.
      await Deno.writeTextFile(path, "");
      await toom.waitFor("config", ({ message }) => String(message).startsWith("0 ranges"));
      await using free = await (await (await contained(5, 150)).go()).until("held");
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert(free.alive && neighbour.alive);
    });
  },
});

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "--no-subuids lets every uid count for itself"),
  fn: async () => {
    await withFile(`${PERSON}:${SUB}:10\n`, async (path) => {
      await using toom = await Toom.start([
        ...LIMITS,
        `--limit=${SUB + 5}-${SUB + 6}=32MiB`,
        `--subuid-file=${path}`,
        "--no-subuids",
      ]);
      await using free = await (await (await contained(2, 150)).go()).until("held");
      await using limited = await (await contained(6, 150)).go();
      assertEquals((await limited.end()).signal, "SIGKILL");
      await toom.waitFor("kill", ({ pid, uid }) => pid === limited.pid && uid === SUB + 5);
      assert(free.alive);
    });
  },
});
