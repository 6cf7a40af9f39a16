/** A group with one limit for all its members together, of a machine whose users the test has made. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { accountUidOf } from "../../pipeline/limits/shared_groups.ts";
import { Status } from "../../pipeline/promises/tmalloc_message.ts";
import { Asker } from "../_support/asker.ts";
import { hasFile, needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const POSSIBLE = E2E_POSSIBLE && hasFile("/usr/bin/unshare");
const NEEDS = `${E2E_NEEDS}, unshare`;
const FIRST = 60110;
const SECOND = 60111;
const OWN = 60112;
const GID = 60119;
const ACCOUNT = accountUidOf(GID);
const GROUP = "toom-sharers";
/** toom alone sees them: in a mount namespace of its own. */
const MOUNT =
  'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$@"';

/** Users and a group, for a toom that is started by {@link wrapper}, and its configuration. */
class Machine implements Disposable {
  readonly dirPath = Deno.makeTempDirSync({ prefix: "toom-sharers-" });
  readonly configPath = `${this.dirPath}/config.jsonc`;
  readonly wrapper = ["unshare", "--mount", "sh", "-c", MOUNT, this.dirPath];

  constructor(members: readonly string[]) {
    const names = { "toom-first": FIRST, "toom-second": SECOND, "toom-own": OWN };
    const lines = Object.entries(names).map(([name, uid]) => `${name}:x:${uid}:${uid}::/:/bin/sh`);
    this.file("passwd", `${Deno.readTextFileSync("/etc/passwd")}${lines.join("\n")}\n`);
    this.file("group", "");
    this.setMembers(members);
    this.file(
      "config.jsonc",
      `{ "limits": {
        "@${GROUP}": { "hard": "64MiB", "shared": true }, "toom-own": "512MiB"
      } }`,
    );
  }

  setMembers(members: readonly string[]): void {
    const group = `${Deno.readTextFileSync("/etc/group")}${GROUP}:x:${GID}:${members.join(",")}\n`;
    this.file("group", group);
  }

  private file(name: string, text: string): void {
    Deno.writeTextFileSync(`${this.dirPath}/${name}`, text, { mode: 0o644 });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
  }
}

const ALL = ["toom-first", "toom-second", "toom-own"];

for (const source of ["bpf", "raw"]) {
  Deno.test({
    ...needing(POSSIBLE, NEEDS, `members of a group share one limit (${source})`),
    fn: async () => {
      using machine = new Machine(ALL);
      await using toom = await Toom.start(
        [`--config=${machine.configPath}`, `--source=${source}`, "--subuid-file=none"],
        { wrapper: machine.wrapper },
      );
      await using own = await new Workload(OWN, "hold", 100).until("held");
      await using small = await new Workload(FIRST, "hold", 25).until("held");
      for (let round = 0; round < 3; round++) {
        await using hog = new Workload(SECOND, "hold", 60);
        assertEquals((await hog.end()).signal, "SIGKILL", "60 alone would fit, and 85 do not");
        const kill = await toom.waitFor("kill", ({ pid }) => pid === hog.pid);
        assertEquals([kill["uid"], kill["user"]], [ACCOUNT, `@${GROUP}`]);
      }
      assert(small.alive && own.alive, "one was enough, and who has an own limit takes no part");
      assertEquals(toom.of("kill").length, 3);
      const { users } = await toom.status();
      const group = users.find(({ uid }) => uid === ACCOUNT)!;
      assertEquals([group.user, group.hardPages], [`@${GROUP}`, 64 * 256]);
      assertEquals(users.some(({ uid }) => uid === FIRST || uid === SECOND), false);
      await using asker = await Asker.start(SECOND, toom.tmallocPath);
      assertEquals((await asker.ask("query")).hard, 64 * 2 ** 20);
      const refused = await asker.ask(`reserve ${45 * 2 ** 20}`);
      assertEquals(refused.status, Status.refused, "the other has 25");
      assertEquals((await asker.ask(`reserve ${20 * 2 ** 20}`)).status, Status.ok);
      assertEquals(toom.of("error"), []);
    },
  });
}

Deno.test({
  ...needing(POSSIBLE, NEEDS, "who joins or leaves a group counts for it or not after a reload"),
  fn: async () => {
    using machine = new Machine(["toom-first"]);
    await using toom = await Toom.start([`--config=${machine.configPath}`, "--subuid-file=none"], {
      wrapper: machine.wrapper,
    });
    await using first = await new Workload(FIRST, "hold", 30).until("held");
    await using second = await new Workload(SECOND, "hold", 60).until("held");
    // It counts for the group from now on, and is the larger.
    machine.setMembers(ALL);
    assertEquals((await toom.command("reload")).code, 0);
    assertEquals((await second.end(10_000)).signal, "SIGKILL");
    await toom.waitFor("kill", ({ pid, uid }) => pid === second.pid && uid === ACCOUNT);
    assert(first.alive);
    const set = await toom.command("limit", "set", `uid:${SECOND}`, "1G");
    assertEquals(set.code, 2);
    assertStringIncludes(
      set.err,
      `uid ${SECOND} is counted for group ${GID}, which shares a limit`,
    );
    // And back: it has no limit, whatever it takes.
    machine.setMembers(["toom-first"]);
    assertEquals((await toom.command("reload")).code, 0);
    await using free = await new Workload(SECOND, "hold", 100).until("held");
    await using more = await new Workload(FIRST, "hold", 12).until("held");
    const isCounted = async (): Promise<boolean> => await toom.usagePages(ACCOUNT) >= 42 * 256;
    for (let tries = 0; tries < 100 && !await isCounted(); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert(await isCounted(), "42 MiB of the first");
    await waitUntil(() => free.alive && more.alive && first.alive, "nobody else died");
    assertEquals(toom.of("kill").length, 1);
    assertEquals(toom.of("error"), []);
  },
});
