/** A real toom by files of a configuration: what they say is enforced, and a reload changes it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ControlClient } from "../../cli/control_client.ts";
import type { ReloadAnswer } from "../../service/control/control_api.ts";
import { Status } from "../../pipeline/promises/tmalloc_message.ts";
import { Asker } from "../_support/asker.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const UID = 60090;
const OTHER_UID = 60091;
const RANGE_UID = 60095;
const MIB = 2 ** 20;

/** Files of a configuration in a folder of its own. */
class Files implements Disposable {
  readonly dirPath = Deno.makeTempDirSync({ prefix: "toom-config-" });
  readonly path = `${this.dirPath}/config.jsonc`;

  constructor(text: string) {
    Deno.mkdirSync(`${this.dirPath}/config.d`, { mode: 0o755 });
    this.write(text);
  }

  write(text: string): void {
    const next = `${this.path}.new`;
    Deno.writeTextFileSync(next, text, { mode: 0o644 });
    Deno.renameSync(next, this.path);
  }

  dropIn(name: string, text: string): void {
    Deno.writeTextFileSync(`${this.dirPath}/config.d/${name}.jsonc`, text, { mode: 0o644 });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
  }
}

/** The hard limit that holds for a user, MiB; undefined: it has none. */
async function hardMib(toom: Toom, uid: number): Promise<number | undefined> {
  using client = new ControlClient(toom.socketPath);
  const answer = await client.limit({ uidFirst: uid, uidLast: uid });
  return answer === undefined ? undefined : answer.limit.hardBytes! / MIB;
}

async function reload(toom: Toom): Promise<ReloadAnswer> {
  using client = new ControlClient(toom.socketPath);
  return await client.reload();
}

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run enforces what files say, and what a reload makes of them",
  ),
  fn: async (t) => {
    using files = new Files(`{
      "limits": { "${UID}": "64MiB", "60000-60099": "512MiB" }, "victim": "newest"
    }`);
    await using toom = await Toom.start([`--config=${files.path}`, "--debug-faults"]);

    await t.step("a file's limit kills, and its policy chooses", async () => {
      await toom.waitFor("config", ({ message }) => message === `configured by ${files.path}`);
      await using older = await new Workload(UID, "hold", 30).until("held");
      await using newer = new Workload(UID, "hold", 40);
      assertEquals((await newer.end()).signal, "SIGKILL");
      assert(older.alive, "the older lives");
      const { out } = await toom.command("limit", "list");
      assertStringIncludes(out, `${files.path}:2`);
    });

    await t.step(
      "a reload is in force at once: a larger limit lets live, a smaller one kills",
      async () => {
        files.write(`{ "limits": { "${UID}": "256MiB", "60000-60099": "512MiB" } }`);
        const { code, out } = await toom.command("reload");
        assertEquals(code, 0);
        assertStringIncludes(out, "victim: largest (was newest)");
        assertEquals(await hardMib(toom, UID), 256);
        await using hog = await new Workload(UID, "hold", 150).until("held");
        files.dropIn("10-less", `{ "limits": { "${UID}": "100MiB" } }`);
        toom.signal("SIGHUP");
        const told = await toom.waitFor(
          "config",
          ({ message }) => String(message).includes("more than its new limit of 100.0 MiB"),
        );
        assertStringIncludes(String(told["message"]), "loses processes in 60 s unless");
        assertEquals(await hardMib(toom, UID), 100);
        await new Promise((resolve) => setTimeout(resolve, 1500));
        assert(hog.alive, "the grace is not over");
        assertEquals((await toom.command("reload", "--now")).code, 0);
        assertEquals((await hog.end()).signal, "SIGKILL");
        const kill = await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
        assertEquals(kill["hardPages"], 100 * MIB / 4096);
      },
    );

    await t.step(
      "a bad file leaves all as it is, and is told in answer, log and exit code",
      async () => {
        files.write(`{\n  "limits": { "${UID}": "9MiB" },\n  "victm": "newest", "soft": "95"\n}`);
        const { code, err } = await toom.command("reload");
        assertEquals(code, 2);
        assertStringIncludes(err, `${files.path}:3:3: victm: expected one of`);
        assertStringIncludes(err, `${files.path}:3:30: soft: expected 95% (of the hard limit)`);
        assertStringIncludes(err, "what was in force stays in force");
        assertEquals(await hardMib(toom, UID), 100);
        await toom.waitFor("config", ({ message }) => String(message).startsWith("not reloaded: "));
        await using alive = await new Workload(UID, "hold", 50).until("held");
        assert(alive.alive);
      },
    );

    await t.step("what needs a restart is named, and is as it was", async () => {
      files.write(`{ "limits": { "60000-60099": "512MiB" }, "tracing": { "readers": 2 } }`);
      const { restart } = await reload(toom);
      assertEquals(restart, ["tracing.readers: 2 (runs with 1)"]);
      const { out } = await toom.command("config", "show");
      assert(/tracing\.readers +1 +default/.test(out), out);
      assert(/interval +1s +default/.test(out), out);
    });

    await t.step("limits set while running lie above those of the files", async () => {
      assertEquals((await toom.command("limit", "set", String(UID), "200MiB")).code, 0);
      await reload(toom);
      assertEquals(await hardMib(toom, UID), 200);
      const { out } = await toom.command("limit", "diff");
      assert(/60090 +60090 +200\.0 MiB.* +100\.0 MiB.*10-less/.test(out), out);
      const shown = await toom.command("config", "show", "--user", String(UID));
      assert(/by toom limit set/.test(shown.out) && /10-less.* yields/.test(shown.out), shown.out);
    });

    await t.step("what was set while running is forgotten by toom limit reset", async () => {
      const { code, err } = await toom.command("limit", "reset", String(UID));
      assertEquals(code, 0, err);
      assertEquals(await hardMib(toom, UID), 100);
      assertEquals((await toom.command("limit", "set", String(UID), "200MiB")).code, 0);
    });

    await t.step("a start-over goes on with what was reloaded", async () => {
      await toom.fault("accounting", "hang");
      await toom.waitFor("restart", () => true, 20_000);
      assertEquals(await hardMib(toom, UID), 200);
      assertEquals(await hardMib(toom, RANGE_UID), 512);
      files.write(`{ "limits": { "60000-60099": "300MiB" } }`);
      assertEquals((await reload(toom)).reloaded, true);
      assertEquals(await hardMib(toom, RANGE_UID), 300);
    });

    assertEquals(toom.errors, []);
    assertEquals(toom.of("error"), []);
  },
});

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "a toom that is started again has the files' limits and those set while running",
  ),
  fn: async () => {
    using files = new Files(`{ "limits": { "${UID}": "64MiB", "${OTHER_UID}": "64MiB" } }`);
    const stateDir = `${files.dirPath}/state`;
    {
      await using toom = await Toom.start([`--config=${files.path}`], { stateDir });
      await toom.command("limit", "set", String(UID), "32MiB");
    }
    files.write(`{ "limits": { "${UID}": "128MiB", "${OTHER_UID}": "96MiB" } }`);
    await using toom = await Toom.start([`--config=${files.path}`], { stateDir });
    assertEquals([await hardMib(toom, UID), await hardMib(toom, OTHER_UID)], [32, 96]);
  },
});

for (const source of ["bpf", "raw"]) {
  Deno.test({
    ...needing(
      E2E_POSSIBLE,
      E2E_NEEDS,
      `a limit lowered below what is used: no more for who asks, a kill after the grace (${source})`,
    ),
    fn: async () => {
      await using toom = await Toom.start([
        `--limit=${UID}=256MiB`,
        "--lower-grace=2500ms",
        `--source=${source}`,
      ]);
      await using asker = await Asker.start(UID, toom.tmallocPath);
      await using hog = await new Workload(UID, "hold", 150).until("held");
      assertEquals((await asker.ask("reserve", 2 * MIB)).status, Status.ok);
      const began = performance.now();
      assertEquals((await toom.command("limit", "set", String(UID), "100MiB")).code, 0);
      assertEquals((await asker.ask("reserve", 8 * MIB)).status, Status.refused);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert(hog.alive, "the grace is not over");
      assertEquals((await hog.end()).signal, "SIGKILL");
      assert(performance.now() - began > 2300, "not before the grace was over");
      const kill = await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
      assertEquals(kill["hardPages"], 100 * MIB / 4096);
      assertEquals(toom.of("kill").length, 1);
      assertEquals((await asker.ask("reserve", 8 * MIB)).status, Status.ok, "who asked lives");
    },
  });
}

/** The whole is 1000 reloads: `TOOM_RELOADS=1000`. */
const RELOADS = Number(Deno.env.get("TOOM_RELOADS") ?? 60);

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    `${RELOADS} reloads while hogs run: each dies under the rule in force`,
  ),
  fn: async () => {
    using files = new Files("{}");
    const write = (mib: number): void =>
      files.write(`{ "limits": { "${UID}": "${mib}MiB", "60000-60099": "900MiB" } }`);
    write(40);
    // Each kill is to have its line.
    await using toom = await Toom.start([`--config=${files.path}`, "--storm-kills=0"]);
    await using neighbour = await new Workload(OTHER_UID, "hold", 100).until("held");
    const fdsBefore = openFds(toom.pid);
    let isOver = false;
    let died = 0;
    const hogs = async (): Promise<void> => {
      while (!isOver) {
        await using hog = new Workload(UID, "hold", 1024);
        assertEquals((await hog.end()).signal, "SIGKILL");
        died++;
      }
    };
    const acknowledged = new Map<number, number>();
    let refused = 0;
    const reloads = async (): Promise<void> => {
      using client = new ControlClient(toom.socketPath);
      for (let count = 0; count < RELOADS; count++) {
        if (count % 7 === 3) files.write(`{ "limits": { "${UID}": "1KiB", "nobody-here": 1 } }`);
        else write(count % 2 === 0 ? 40 : 80);
        const answer = await client.reload();
        if (!answer.reloaded) refused++;
        if (count % 5 !== 0) continue;
        const uid = 60_001 + count % 50;
        const { persisted } = await client.setLimit({ uidFirst: uid, uidLast: uid }, {
          hard: `${count + 1}MiB`,
        });
        if (persisted === true) acknowledged.set(uid, count + 1);
      }
      isOver = true;
    };
    await Promise.all([hogs(), hogs(), reloads()]);
    assert(died > 2, `${died} hogs`);
    assertEquals(
      refused,
      Array.from({ length: RELOADS }, (_, i) => i % 7 === 3).filter(Boolean).length,
    );
    // Each died under a rule that was in force, and nobody for the one of a bad file.
    await toom.waitFor("kill", () => toom.of("kill").length >= died);
    const kills = toom.of("kill");
    for (const kill of kills) {
      assertEquals(kill["uid"], UID);
      assert([40, 80].includes(Number(kill["hardPages"]) * 4096 / MIB), JSON.stringify(kill));
    }
    assert(neighbour.alive, "another user lives");
    for (const [uid, mib] of acknowledged) assertEquals(await hardMib(toom, uid), mib);
    assert(acknowledged.size > 0);
    // What writes the history ends two seconds after the last kill.
    await waitUntil(() => openFds(toom.pid) <= fdsBefore, "nothing stays open");
    assertEquals([toom.errors, toom.of("error"), toom.of("restart")], [[], [], []]);
  },
});

/** Open files of a process, but for sockets: connections come and go. */
function openFds(pid: number): number {
  let count = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      if (!Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("socket:")) count++;
    } catch {
      // Closed meanwhile.
    }
  }
  return count;
}
