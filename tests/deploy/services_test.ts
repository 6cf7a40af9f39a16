/** Services of other init systems, and what goes beside the unit, read by the programs that use them. */
import { assert, assertEquals } from "@std/assert";
import { isRoot, needing } from "../_support/real_kernel.ts";
import { missingTool, ROOT, runTool, useTool } from "../_support/tools.ts";

const SHELL_SCRIPTS = [
  ".ci/run",
  ".ci/compile-kit.sh",
  ".ci/machine.sh",
  "deploy/install.sh",
  "deploy/openrc/toom",
  "deploy/packages/debian/postinst",
  "deploy/packages/debian/postrm",
  "deploy/packages/debian/prerm",
  "tests/vm/machine.sh",
];
const noShellcheck = missingTool("shellcheck");
const noOpenrc = missingTool("openrc-run");
const noTmpfiles = missingTool("systemd-tmpfiles");
const noAnalyze = missingTool("systemd-analyze");

Deno.test({
  ...needing(noShellcheck === undefined, "shellcheck", "shellcheck has nothing to say of scripts"),
  async fn(): Promise<void> {
    assertEquals(await useTool("shellcheck", SHELL_SCRIPTS), "");
    const inside = ["checks.sh", "ways.sh", "package.sh", "quick.sh"].map((name) =>
      `tests/vm/${name}`
    );
    // One is sourced by another, which quotes what a shell of somebody else expands.
    await useTool("shellcheck", ["-s", "bash", "-e", "SC1091,SC2016,SC2154", ...inside]);
    const pacman = ["deploy/packages/arch/PKGBUILD", "deploy/packages/arch/toom.install"];
    await useTool("shellcheck", ["-s", "bash", ...pacman]);
  },
});

Deno.test({
  ...needing(noOpenrc === undefined, "openrc-run", "OpenRC understands its script"),
  async fn(): Promise<void> {
    const said = await useTool("/sbin/openrc-run", [`${ROOT}deploy/openrc/toom`, "describe"]);
    assert(said.includes("Out-of-memory killer that works per user"), said);
    assert(said.includes("reload: Read the configuration again"), said);
  },
});

Deno.test("OpenRC's script makes the folders that the unit makes", async () => {
  const script = await Deno.readTextFile(`${ROOT}deploy/openrc/toom`);
  const unit = await Deno.readTextFile(`${ROOT}deploy/toom.service`);
  const tmpfiles = await Deno.readTextFile(`${ROOT}deploy/tmpfiles.d/toom.conf`);
  for (
    const [path, name] of [["/run/toom", "Runtime"], ["/var/lib/toom", "State"]] as const
  ) {
    const mode = new RegExp(`^${name}DirectoryMode=(\\d+)$`, "m").exec(unit)![1]!;
    assert(script.includes(`--mode ${mode} --owner root:root ${path} `), `${path} of OpenRC`);
    assert(tmpfiles.includes(`d ${path} ${mode} root root -`), `${path} of tmpfiles.d`);
  }
});

Deno.test({
  ...needing(
    noTmpfiles === undefined && isRoot(),
    "root and systemd-tmpfiles",
    "systemd-tmpfiles makes the folders",
  ),
  async fn(): Promise<void> {
    const root = await Deno.makeTempDir({ prefix: "toom-tmpfiles-" });
    try {
      const config = `${root}/toom.conf`;
      await Deno.copyFile(`${ROOT}deploy/tmpfiles.d/toom.conf`, config);
      const { text } = await runTool("systemd-tmpfiles", ["--create", `--root=${root}`, config]);
      const modes = ["run/toom", "var/lib/toom"].map((path) => {
        return (Deno.statSync(`${root}/${path}`).mode! & 0o7777).toString(8);
      });
      assertEquals(modes, ["755", "700"], text);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
});

const noSysusers = missingTool("systemd-sysusers");
Deno.test({
  ...needing(
    noSysusers === undefined && isRoot(),
    "root and systemd-sysusers",
    "systemd-sysusers makes the group that may look",
  ),
  async fn(): Promise<void> {
    const root = await Deno.makeTempDir({ prefix: "toom-sysusers-" });
    try {
      await Deno.mkdir(`${root}/etc`);
      await useTool("systemd-sysusers", [`--root=${root}`, `${ROOT}deploy/sysusers.d/toom.conf`]);
      assert(/^toom:x:\d+:$/m.test(await Deno.readTextFile(`${root}/etc/group`)));
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
});

/** What systemd-analyze says of a unit that has this text, with its exit code. */
async function verify(name: string, text: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "toom-units-" });
  try {
    await Deno.writeTextFile(`${dir}/${name}`, text);
    const run = await runTool("systemd-analyze", ["verify", "--man=no", `${dir}/${name}`]);
    return run.text.split("\n").filter((line) => line.includes(name)).join("\n");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test({
  ...needing(noAnalyze === undefined, "systemd-analyze", "systemd understands the net of slices"),
  async fn(): Promise<void> {
    const text = await Deno.readTextFile(`${ROOT}deploy/user-slice/50-toom.conf`);
    assertEquals(await verify("toomtest.slice", text), "");
    assert((await verify("toomtest.slice", `${text}MemoryMox=1\n`)).includes("MemoryMox"));
  },
});

Deno.test({
  ...needing(noAnalyze === undefined, "systemd-analyze", "systemd understands the unit"),
  async fn(): Promise<void> {
    const unit = await Deno.readTextFile(`${ROOT}deploy/toom.service`);
    // The program is where it is installed, which is not here.
    const text = unit.replaceAll("/usr/local/bin/toom", "/bin/true");
    assertEquals(await verify("toomtest.service", text), "");
    assert((await verify("toomtest.service", `${text}\n[Service]\nTipe=x\n`)).includes("Tipe"));
  },
});
