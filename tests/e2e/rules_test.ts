/** Rules and policies about who dies, each with real processes: the right one dies, neighbours live. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Actions, Actor, type ActorPlace } from "../_support/actor.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON } from "../_support/workload.ts";

const UID = 60160;
const OTHER_UID = 60161;
const LIMIT_MIB = 64;
/** With what python itself takes, some 4 MiB each, the three stay below the limit until one grows. */
const MARKED_MIB = 26;
const PLAIN_MIB = 16;
const SMALL_MIB = 1;
/** More than is left, in steps that give rules time to be looked at. */
const GROWTH_MIB = 14;
/** Where groups of processes of systemd are, with cgroups of version 1 and 2. */
const CGROUPS = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/** A folder for a configuration and what processes need. */
class Place implements Disposable {
  readonly dirPath = Deno.makeTempDirSync({ prefix: "toom-rules-" });
  readonly configPath = `${this.dirPath}/config.jsonc`;
  readonly program = `${this.dirPath}/my-program`;
  readonly workDir = `${this.dirPath}/work`;
  cgroup: string | undefined;

  constructor() {
    Deno.chmodSync(this.dirPath, 0o755);
    Deno.copyFileSync(Deno.realPathSync(PYTHON!), this.program);
    Deno.chmodSync(this.program, 0o755);
    Deno.mkdirSync(this.workDir, { mode: 0o755 });
    for (const root of CGROUPS) {
      try {
        const path = `${root}/toom-rules-test`;
        Deno.mkdirSync(path);
        Deno.statSync(`${path}/cgroup.procs`);
        this.cgroup = path;
        break;
      } catch {
        // Not there, or not to be written.
      }
    }
  }

  write(rules: readonly unknown[], more: Record<string, unknown> = {}): void {
    const limits = { [UID]: `${LIMIT_MIB}MiB`, [OTHER_UID]: `${LIMIT_MIB}MiB` };
    const text = JSON.stringify({ limits, rules, defaultRules: false, ...more }, null, 2);
    Deno.writeTextFileSync(this.configPath, text, { mode: 0o644 });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
    if (this.cgroup !== undefined) Deno.removeSync(this.cgroup);
  }
}

async function reload(toom: Toom): Promise<void> {
  const { code, err } = await toom.command("reload");
  assertEquals([code, err], [0, ""]);
}

interface Roles {
  readonly marked: Actor;
  readonly plain: Actor;
  readonly small: Actor;
}

/**
 * Three processes of a user: the marked one is the largest, the small one grows until one of them is
 * killed. @returns Which one.
 */
async function whoDies(
  toom: Toom,
  marked: Partial<Actions>,
  { place = {}, plain = {}, small = {}, prepare }: {
    readonly place?: ActorPlace;
    readonly plain?: Partial<Actions>;
    readonly small?: Partial<Actions>;
    readonly prepare?: (roles: Roles) => void;
  } = {},
): Promise<{ readonly victim: string; readonly kill: Record<string, unknown> }> {
  await using largest = await Actor.start(UID, { mib: MARKED_MIB, ...marked }, place);
  await using middle = await Actor.start(UID, { mib: PLAIN_MIB, ...plain });
  await using least = await Actor.start(UID, { mib: SMALL_MIB, pauseMs: 20, ...small });
  const roles = { marked: largest, plain: middle, small: least };
  prepare?.(roles);
  const before = toom.of("kill").length;
  // What has grown within the last second counts as going to grow again.
  await new Promise((resolve) => setTimeout(resolve, 1300));
  await least.grow(GROWTH_MIB);
  await waitUntil(() => toom.of("kill").length > before, "somebody is killed");
  const kill = toom.of("kill").at(-1)!;
  await waitUntil(
    () => Object.values(roles).filter(({ alive }) => !alive).length === 1,
    "the victim has ended",
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  const dead = Object.entries(roles).filter(([, { alive }]) => !alive);
  assertEquals(dead.length, 1, "and nobody else");
  assertEquals(kill["pid"], dead[0]![1].pid);
  await toom.waitFor("killed", ({ pid }) => pid === kill["pid"]);
  return { victim: dead[0]![0], kill };
}

/** What a rule asks for, and what makes the marked process be so. */
function kinds(place: Place): Readonly<
  Record<string, { match: unknown; marked?: Partial<Actions>; place?: ActorPlace }>
> {
  return {
    "a name": { match: { command: "my-name" }, marked: { name: "my-name" } },
    "a glob of names": { match: { command: "my-*" }, marked: { name: "my-name/x" } },
    "a program": { match: { executable: place.program }, place: { program: place.program } },
    "a glob of programs": {
      match: { executable: "/tmp/**/my-pro*" },
      place: { program: place.program },
    },
    "arguments": {
      match: { commandLine: "*--important*" },
      place: { more: ["--important", "--other"] },
    },
    "a pattern": {
      match: { commandLine: { pattern: "(a+)+b$" } },
      place: { more: ["--x=aaaaaaaaab"] },
    },
    "a directory": { match: { directory: `${place.workDir}` }, marked: { dir: place.workDir } },
    "an oom_score_adj": { match: { oomScoreAdj: { min: 100, max: 400 } }, marked: { score: 300 } },
    "a session": { match: { sessionLeader: true }, marked: { leader: true } },
    "a user and a name": {
      match: { user: `${UID}`, command: "my-name" },
      marked: { name: "my-name" },
    },
  };
}

for (const source of ["bpf", "raw"] as const) {
  Deno.test({
    ...needing(E2E_POSSIBLE, E2E_NEEDS, `toom run keeps and prefers whom rules say, by ${source}`),
    fn: async (t) => {
      using place = new Place();
      place.write([]);
      await using toom = await Toom.start([`--config=${place.configPath}`, `--source=${source}`]);

      await t.step("without a rule the largest dies", async () => {
        assertEquals((await whoDies(toom, { name: "my-name" })).victim, "marked");
      });

      // What a rule asks for has nothing to do with where pages come from.
      const asked = Object.entries(kinds(place)).slice(0, source === "bpf" ? undefined : 2);
      for (const [name, { match, marked = {}, place: where }] of asked) {
        await t.step(`${name} is avoided`, async () => {
          place.write([{ ...match as object, effect: "avoid" }]);
          await reload(toom);
          const { victim, kill } = await whoDies(toom, marked, where && { place: where });
          assertEquals(victim, "plain");
          const [kept] = kill["kept"] as { rule: string }[];
          assertEquals(kept?.rule, `avoid ${place.configPath}:7`);
        });
      }

      await t.step("a cgroup is avoided", async () => {
        assert(place.cgroup !== undefined, "a cgroup can be made here");
        place.write([{ cgroup: "/toom-rules-*", effect: "avoid" }]);
        await reload(toom);
        const prepare = ({ marked }: Roles): void =>
          Deno.writeTextFileSync(`${place.cgroup}/cgroup.procs`, String(marked.pid));
        assertEquals((await whoDies(toom, {}, { prepare })).victim, "plain");
      });

      await t.step("one that is protected lives, though the others are small", async () => {
        place.write([{ command: "my-name", user: `${UID}`, effect: "protect" }]);
        await reload(toom);
        const { victim, kill } = await whoDies(toom, { name: "my-name" });
        assertEquals(victim, "plain");
        const [kept] = kill["kept"] as { rule: string }[];
        assertEquals(kept?.rule, `protect ${place.configPath}:7`);
        const { out } = await toom.command("kills", "show", String(kill["id"]));
        assertStringIncludes(out, `protect ${place.configPath}:7`);
      });

      await t.step("one that is preferred dies, though it is small", async () => {
        place.write([{ command: "my-name", effect: "prefer" }]);
        await reload(toom);
        const { victim, kill } = await whoDies(toom, {}, { plain: { name: "my-name" } });
        assertEquals([victim, kill["rule"]], ["plain", `prefer ${place.configPath}:7`]);
      });

      await t.step("the heavier is preferred, the lighter avoided", async () => {
        place.write([
          { command: "one", effect: "prefer", weight: 2 },
          { command: "two", effect: "prefer", weight: 9 },
        ]);
        await reload(toom);
        const two = { plain: { name: "two" } };
        assertEquals((await whoDies(toom, { name: "one" }, two)).victim, "plain");
        place.write([
          { command: "one", effect: "avoid", weight: 9 },
          { command: "two", effect: "avoid", weight: 2 },
          { command: "three", effect: "avoid", weight: 9 },
        ]);
        await reload(toom);
        const all = { ...two, small: { name: "three" } };
        assertEquals((await whoDies(toom, { name: "one" }, all)).victim, "plain");
      });

      await t.step("the last rule that matches holds, of drop-ins too", async () => {
        place.write([
          { command: "my-*", effect: "avoid" },
          { command: "my-name", effect: "none" },
        ]);
        await reload(toom);
        assertEquals((await whoDies(toom, { name: "my-name" })).victim, "marked");
      });

      await t.step("session leaders are avoided by default", async () => {
        place.write([], { defaultRules: true });
        await reload(toom);
        const { victim, kill } = await whoDies(toom, { leader: true });
        assertEquals(victim, "plain");
        const [kept] = kill["kept"] as { rule: string }[];
        assertEquals(kept?.rule, "avoid built in (sessionLeader: true)");
      });

      await t.step("an avoided process that alone is too much dies", async () => {
        await using lone = await Actor.start(UID, { mib: 30, leader: true });
        await using neighbour = await Actor.start(UID, { mib: 1 });
        await lone.grow(60);
        await waitUntil(() => !lone.alive, "it is killed");
        assert(neighbour.alive, "its small neighbour would not have sufficed");
      });

      for (const victim of ["culprit", "largest=1,culprit=5"]) {
        await t.step(`--victim ${victim} takes who took the page`, async () => {
          place.write([], { victim });
          await reload(toom);
          assertEquals((await whoDies(toom, {})).victim, "small");
        });
      }

      await t.step(
        "a limit has a policy of its own, and rules hold for the culprit too",
        async () => {
          const limits = { [UID]: { hard: `${LIMIT_MIB}MiB`, victim: "culprit" } };
          place.write([], { limits });
          await reload(toom);
          assertEquals((await whoDies(toom, {})).victim, "small");
          place.write([{ command: "my-name", effect: "avoid" }], { limits });
          await reload(toom);
          const { victim } = await whoDies(toom, {}, { small: { name: "my-name" } });
          assertEquals(victim, "marked");
          const { out } = await toom.command("explain", String(UID));
          assertStringIncludes(out, "uid");
        },
      );

      await t.step("nothing went wrong meanwhile", () => {
        assertEquals(toom.errors, []);
        assertEquals(toom.of("worker-restart"), []);
      });
    },
  });
}
