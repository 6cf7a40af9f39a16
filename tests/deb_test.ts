/**
 * The Debian packages: what is in them, that two builds are the same, and what lintian says.
 *
 * What is packed as the program is a small one of the system, because compiling takes its time and what
 * it is makes no difference to the packing; tests/vm/ installs the real packages on a real machine.
 */
import { assert, assertEquals } from "@std/assert";
import { buildDebs } from "../deploy/packages/deb.ts";
import { VERSION } from "../version.ts";
import { hasFile, needing } from "./_support/real_kernel.ts";

const TOOLS = ["/usr/bin/dpkg-deb", "/usr/bin/make", "/usr/bin/cc", "/usr/bin/strip"];
const LINTIAN = "/usr/bin/lintian";
const EPOCH_SECONDS = 1_764_000_000;
const why = TOOLS.find((tool) => !hasFile(tool));
const PROGRAM = "/bin/ls";

async function output(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const decoder = new TextDecoder();
  assert(
    success,
    `${program} ${args.join(" ")}: ${decoder.decode(stdout)}${decoder.decode(stderr)}`,
  );
  return decoder.decode(stdout);
}

async function build(outPath: string): Promise<readonly string[]> {
  return await buildDebs({
    binaryPath: PROGRAM,
    outPath,
    compression: "gzip",
    epochSeconds: EPOCH_SECONDS,
  });
}

Deno.test({
  ...needing(
    why === undefined,
    why ?? "",
    "Debian packages have everything, and nothing of the builder",
  ),
  async fn(t): Promise<void> {
    const dir = await Deno.makeTempDir();
    try {
      const [main, dev] = await build(`${dir}/a`);
      const listed = await output("dpkg-deb", "-c", main!);

      await t.step("the program, what it comes with, and root's", () => {
        for (
          const path of [
            "/usr/bin/toom",
            "/usr/bin/toom-exec",
            "/usr/lib/systemd/system/toom.service",
            "/etc/toom/config.jsonc",
            "/etc/toom/config.d/",
            "/usr/share/toom/config.schema.json",
            "/usr/share/man/man8/toom.8.gz",
            "/usr/share/man/man5/toom.conf.5.gz",
            "/usr/share/man/man1/toom-top.1.gz",
            "/usr/share/man/man1/toom-exec.1.gz",
            "/usr/share/bash-completion/completions/toom",
            "/usr/share/doc/toom/copyright",
          ]
        ) assert(listed.includes(` .${path}`), path);
        for (const line of listed.trim().split("\n")) assert(line.includes(" root/root "), line);
      });

      await t.step("the unit starts what the package has", async () => {
        const unit = await output(
          "sh",
          "-c",
          `dpkg-deb --fsys-tarfile ${main} | tar -xO ./usr/lib/systemd/system/toom.service`,
        );
        assert(unit.includes("ExecStart=/usr/bin/toom run"));
        assert(!unit.includes("/usr/local/"), "nothing is installed there");
      });

      await t.step("the other one has header, library and manual page", async () => {
        const files = await output("dpkg-deb", "-c", dev!);
        for (
          const path of ["/usr/include/tmalloc.h", "libtmalloc.a", "libtmalloc.pc", "tmalloc.3.gz"]
        ) {
          assert(files.includes(path), path);
        }
        assertEquals(
          (await output("dpkg-deb", "-f", dev!, "Depends")).trim(),
          `toom (= ${VERSION}-1)`,
        );
        assert(!listed.includes("tmalloc.h"));
      });

      await t.step("two builds are the same bytes", async () => {
        const again = await build(`${dir}/b`);
        for (const [index, path] of [main!, dev!].entries()) {
          assertEquals(await Deno.readFile(again[index]!), await Deno.readFile(path), path);
        }
      });

      await t.step({
        name: "lintian has nothing to say that is not explained",
        ignore: !hasFile(LINTIAN),
        async fn(): Promise<void> {
          const said = await output(
            LINTIAN,
            "--allow-root",
            "--fail-on",
            "error,warning",
            main!,
            dev!,
          );
          assertEquals(said.split("\n").filter((line) => /^[EW]:/.test(line)), []);
        },
      });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
