import { assertEquals } from "@std/assert";
import type { OwnerTable } from "../../../pipeline/limits/owners.ts";
import { Subuids } from "../../../service/limits/subuids.ts";

const PASSWD = ["root:x:0:0::/:", "anna:x:1000:1::/:", "777:x:1007:1::/:", "carl:x:100005:1::/:"];

interface World {
  readonly subuids: Subuids;
  readonly tables: OwnerTable[];
  readonly problems: string[];
  /** Answers the directory gives when it is asked to. */
  readonly answers: Map<string, PromiseWithResolvers<number | undefined>>;
  write(text: string): Promise<void>;
  remove(): Promise<void>;
}

async function withWorld(test: (world: World) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/subuid`;
  const tables: OwnerTable[] = [];
  const problems: string[] = [];
  const answers: World["answers"] = new Map();
  const subuids = new Subuids({
    path,
    passwd: () => PASSWD.join("\n"),
    findUid: (name) => {
      const answer = Promise.withResolvers<number | undefined>();
      answers.set(name, answer);
      return answer.promise;
    },
    onChange: (table) => tables.push(table),
    onProblem: (message) => problems.push(message.replace(path, "FILE")),
  });
  try {
    await test({
      subuids,
      tables,
      problems,
      answers,
      write: async (text) => {
        // As useradd does: whole, and renamed.
        await Deno.writeTextFile(`${path}+`, text);
        await Deno.rename(`${path}+`, path);
        subuids.check();
      },
      remove: async () => {
        await Deno.remove(path);
        subuids.check();
      },
    });
  } finally {
    subuids.close();
    await Deno.remove(dir, { recursive: true });
  }
}

/** Lets promises that are kept come to their ends. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("Subuids reads whose uids are, and reads again only when the file is another", async () => {
  await withWorld(async ({ subuids, tables, problems, write, remove }) => {
    subuids.check();
    assertEquals([tables, problems], [[], []], "no file");
    await write("anna:100000:10\n777:200000:10\n1001:300000:10\nroot:400000:10\nbad\n");
    assertEquals(tables.length, 1);
    const owners = [100000, 100005, 100009, 200000, 300001, 400000].map((uid) =>
      subuids.table.ownerOf(uid)
    );
    // 100005 has a name of its own; what root was given counts for itself.
    assertEquals(owners, [1000, 100005, 1000, 1007, 1001, 400000]);
    assertEquals(problems, ['FILE: line 5: expected NAME:FIRST:COUNT, not "bad"']);
    subuids.check();
    await write("# the same\nanna:100000:10\n777:200000:10\n1001:300000:10\n");
    assertEquals([tables.length, problems.length], [1, 1]);
    await write("anna:100000:5\n");
    assertEquals(subuids.table.ownerOf(100005), 100005);
    await remove();
    assertEquals([tables.length, subuids.table.ranges.length], [3, 0]);
  });
});

Deno.test("Subuids does not wait for a directory, and takes what it says later", async () => {
  await withWorld(async ({ subuids, tables, problems, answers, write }) => {
    await write("anna:100000:5\ndora:200000:5\nnobody-here:300000:5\nelse:400000:5\n");
    assertEquals([tables.length, subuids.table.ownerOf(200000)], [1, 200000]);
    answers.get("dora")!.resolve(5000);
    await settle();
    answers.get("nobody-here")!.resolve(undefined);
    await settle();
    answers.get("else")!.reject(new Error("the directory is away"));
    await settle();
    assertEquals([tables.length, subuids.table.ownerOf(200000)], [2, 5000]);
    assertEquals(problems, [
      'FILE: no user is "nobody-here"',
      'FILE: "else": the directory is away',
    ]);
    // An answer about an older file comes to nothing.
    await write("dora:200000:5\n");
    const late = answers.get("dora")!;
    await write("anna:200000:5\n");
    late.resolve(5000);
    await settle();
    assertEquals(subuids.table.ownerOf(200000), 1000);
  });
});

Deno.test("Subuids tells of a few bad lines and counts the rest", async () => {
  await withWorld(async ({ problems, write }) => {
    await write("x\n".repeat(100));
    assertEquals(problems.length, 6);
    assertEquals(problems.at(-1), "FILE: 95 more like these");
  });
});
