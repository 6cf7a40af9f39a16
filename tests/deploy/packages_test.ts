/**
 * deploy/install.sh, and the packages of other distributions that are made with it: built by their own
 * tools, with a small program of the system in the place of the compiled one, as in tests/deb_test.ts.
 */
import { assert, assertEquals } from "@std/assert";
import { VERSION } from "../../version.ts";
import { isRoot, needing } from "../_support/real_kernel.ts";
import { missingTool, packSources, ROOT, runTool, useTool } from "../_support/tools.ts";

const PROGRAM = "/bin/ls";
const BUILDER_UID = 60_041;
const EPOCH = { SOURCE_DATE_EPOCH: "1764000000" };
const noBuild = missingTool("make", "cc", "install", "sed");
const noRpm = noBuild ?? missingTool("rpmbuild", "rpm", "strip", "tar");
const noArch = noBuild ?? missingTool("makepkg", "pacman", "fakeroot", "bsdtar") ??
  (isRoot() ? undefined : "root");

/** What each package must have, below its root. */
const FILES = [
  "etc/toom/config.jsonc",
  "usr/bin/toom",
  "usr/bin/toom-exec",
  "usr/lib/systemd/system/toom.service",
  "usr/lib/tmpfiles.d/toom.conf",
  "usr/lib/sysusers.d/toom.conf",
  "usr/share/toom/config.schema.json",
  "usr/share/bash-completion/completions/toom",
  "usr/share/zsh/site-functions/_toom",
  "usr/share/fish/vendor_completions.d/toom.fish",
];
const PAGES = ["man1/toom-exec.1", "man1/toom-top.1", "man5/toom.conf.5", "man8/toom.8"];

async function inTempDir(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "toom-packages-" });
  try {
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function digest(path: string): Promise<string> {
  return (await useTool("sha256sum", [path])).split(" ")[0]!;
}

function assertHas(listed: string, pages: string): void {
  const paths = listed.split("\n").map((line) => line.replace(/^\//, ""));
  for (const path of FILES) assert(paths.includes(path), `${path} is not among\n${listed}`);
  for (const page of PAGES) assert(paths.includes(`usr/share/man/${page}${pages}`), page);
  assert(paths.some((path) => path.endsWith("/libtmalloc-preload.so")), listed);
}

Deno.test({
  ...needing(noBuild === undefined, noBuild ?? "", "install.sh installs below any prefix"),
  fn: () =>
    inTempDir(async (dir) => {
      const args = ["--destdir", dir, "--binary", PROGRAM];
      await useTool("deploy/install.sh", args);
      const unit = await Deno.readTextFile(`${dir}/etc/systemd/system/toom.service`);
      assert(unit.includes("ExecStart=/usr/local/bin/toom run"));
      assertEquals(await digest(`${dir}/usr/local/bin/toom`), await digest(PROGRAM));
      // What an administrator has changed is kept; OpenRC's script gets the prefix too.
      await Deno.writeTextFile(`${dir}/etc/toom/config.jsonc`, "{}");
      await useTool("deploy/install.sh", [...args, "--init", "openrc", "--prefix", "/opt/toom"]);
      assertEquals(await Deno.readTextFile(`${dir}/etc/toom/config.jsonc`), "{}");
      const script = await Deno.readTextFile(`${dir}/etc/init.d/toom`);
      assert(script.includes("command=/opt/toom/bin/toom\n"), script);
    }),
});

Deno.test({
  ...needing(noBuild === undefined, noBuild ?? "", "install.sh says what it expected"),
  async fn(): Promise<void> {
    for (
      const [args, line] of [
        [
          ["--bnary", "x"],
          "expected --destdir, --prefix, --libdir, --binary or --init, not --bnary",
        ],
        [["--binary", "/nowhere"], "expected the program at /nowhere, made by deno task compile"],
        [
          ["--binary", PROGRAM, "--init", "runit"],
          "expected the init systemd or openrc, not runit",
        ],
      ] as const
    ) {
      const { code, text } = await runTool("deploy/install.sh", args);
      assertEquals([code, text], [2, `install.sh: ${line}\n`]);
    }
  },
});

Deno.test("the version of each package is this one", async () => {
  const spec = await Deno.readTextFile(`${ROOT}deploy/packages/rpm/toom.spec`);
  assert(spec.includes(`%global version_of ${VERSION}}`));
  const build = await Deno.readTextFile(`${ROOT}deploy/packages/arch/PKGBUILD`);
  assert(build.includes(`\npkgver=${VERSION}\n`));
});

Deno.test({
  ...needing(noRpm === undefined, noRpm ?? "", "the .rpm is built twice to the same bytes"),
  fn: (t) =>
    inTempDir(async (dir) => {
      await packSources(`${dir}/toom-${VERSION}.tar.gz`, VERSION, PROGRAM);
      const build = async (top: string): Promise<string[]> => {
        const defines = [`_topdir ${top}`, `_sourcedir ${dir}`, `version_of ${VERSION}`];
        await useTool("rpmbuild", [
          "-bb",
          "--quiet",
          "--nodeps",
          ...defines.flatMap((one) => ["--define", one]),
          "deploy/packages/rpm/toom.spec",
        ], { env: EPOCH });
        const found = await useTool("find", [top, "-name", "*.rpm"]);
        return found.trim().split("\n").sort();
      };
      const [main, devel] = await build(`${dir}/a`);
      const again = await build(`${dir}/b`);
      for (const [index, path] of [main!, devel!].entries()) {
        assertEquals(await digest(again[index]!), await digest(path), path);
      }
      assertHas(await useTool("rpm", ["-qlp", main!]), ".gz");
      const listed = await useTool("rpm", [
        "-qp",
        "--qf",
        "[%{FILENAMES} %{FILEFLAGS:fflags}\\n]",
        main!,
      ]);
      assert(listed.includes("/etc/toom/config.jsonc cn\n"), "the configuration is kept");
      assert((await useTool("rpm", ["-qlp", devel!])).includes("/usr/include/tmalloc.h"));
      const noLint = missingTool("rpmlint");
      await t.step({
        ...needing(
          noLint === undefined,
          noLint ?? "",
          "rpmlint has nothing to say that is not explained",
        ),
        async fn(): Promise<void> {
          const said = await useTool("rpmlint", [
            "-c",
            "deploy/packages/rpm/rpmlint.toml",
            main!,
            devel!,
          ]);
          assert(said.includes("0 errors, 0 warnings"), said);
        },
      });
    }),
});

Deno.test({
  ...needing(noArch === undefined, noArch ?? "", "makepkg builds the package of Arch Linux"),
  fn: () =>
    inTempDir(async (dir) => {
      for (const name of ["PKGBUILD", "toom.install"]) {
        await Deno.copyFile(`${ROOT}deploy/packages/arch/${name}`, `${dir}/${name}`);
      }
      await packSources(`${dir}/toom-${VERSION}.tar.gz`, VERSION, PROGRAM);
      await useTool("chown", ["-R", `${BUILDER_UID}:${BUILDER_UID}`, dir]);
      await useTool("makepkg", ["--nodeps", "--noconfirm"], {
        cwd: dir,
        env: { ...EPOCH, HOME: dir, PKGEXT: ".pkg.tar" },
        uid: BUILDER_UID,
      });
      const [path] = (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name))
        .filter((name) => name.endsWith(".pkg.tar"));
      assertHas(await useTool("tar", ["tf", `${dir}/${path}`]), ".gz");
      const info = await useTool("tar", ["xOf", `${dir}/${path}`, ".PKGINFO"]);
      assert(info.includes(`pkgver = ${VERSION}-1\n`), info);
      assert(info.includes("backup = etc/toom/config.jsonc\n"), "the configuration is kept");
    }),
});
