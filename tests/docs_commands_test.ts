/** Manual pages and completions, compared with the command table; and used, where there is what uses them. */
import { assert, assertEquals } from "@std/assert";
import { COMMAND_LIST, shownOptions, wordsOf } from "../docs/command_list.ts";
import { completionFiles } from "../docs/completions.ts";
import { manualPages } from "../docs/manual_pages.ts";
import { main } from "../cli/main.ts";
import { hasFile, needing } from "./_support/real_kernel.ts";

const ROOT = new URL("../", import.meta.url);
const BASH = "/bin/bash";
const MAN = "/usr/bin/man";

Deno.test("manual pages and completions are of this command table", () => {
  for (const [path, text] of Object.entries({ ...manualPages(), ...completionFiles() })) {
    assertEquals(Deno.readTextFileSync(new URL(path, ROOT)), text, `${path}: run deno task docs`);
  }
});

Deno.test("each command of toom --help has its place in them, and no other", async () => {
  const lines: string[] = [];
  await main(["--help"], { out: (line) => void lines.push(line), err: () => {} });
  const commands = lines.slice(lines.indexOf("Commands:") + 1, lines.lastIndexOf(""))
    .map((line) => line.trim().split(/\s+/)[0]!);
  assertEquals([...new Set(COMMAND_LIST.map((one) => wordsOf(one)[0]!))].sort(), commands.sort());
});

Deno.test("toom(8) tells each command and each of its options", () => {
  const page = manualPages()["deploy/man/toom.8"]!.replaceAll("\\-", "-");
  for (const command of COMMAND_LIST) {
    const at = page.indexOf(`\n.SS\n${command.name}`);
    assert(at >= 0, command.name);
    const section = page.slice(at, page.indexOf("\n.SS\n", at + 1) >>> 0);
    for (const { name } of shownOptions(command)) {
      assert(section.includes(`.B --${name}`), `${command.name} --${name}`);
    }
  }
});

Deno.test({
  ...needing(hasFile(MAN), "man", "manual pages are read without a warning"),
  async fn(): Promise<void> {
    for (const { name } of Deno.readDirSync(new URL("deploy/man/", ROOT))) {
      const { success, stderr } = await new Deno.Command(MAN, {
        args: ["--warnings=w", "-E", "UTF-8", "-l", `deploy/man/${name}`],
        cwd: ROOT,
        stdout: "null",
        env: { MANROFFSEQ: "", MANWIDTH: "80" },
      }).output();
      assertEquals([success, new TextDecoder().decode(stderr)], [true, ""], name);
    }
  },
});

/** What bash offers for the last word of a command line. */
async function offered(line: string): Promise<string[]> {
  const words = line.split(" ");
  const script = `. deploy/completions/toom.bash; COMP_WORDS=(${
    words.map((word) => `'${word}'`).join(" ")
  }); COMP_CWORD=${words.length - 1}; _toom; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { success, stdout } = await new Deno.Command(BASH, {
    args: ["--norc", "-c", script],
    cwd: ROOT,
  }).output();
  assert(success, line);
  return new TextDecoder().decode(stdout).trim().split("\n").filter((word) => word !== "");
}

Deno.test({
  ...needing(hasFile(BASH), "bash", "bash completes commands, options, their values and users"),
  async fn(): Promise<void> {
    assertEquals(await offered("toom st"), ["status"]);
    assertEquals(await offered("toom limit "), [
      "set",
      "get",
      "list",
      "diff",
      "clear",
      "reset",
      "--help",
    ]);
    assertEquals(await offered("toom limit se"), ["set"]);
    assertEquals(await offered("toom run --vic"), ["--victim"]);
    assertEquals(await offered("toom run --victim gr"), ["growing"]);
    assertEquals(await offered("toom limit set --no"), ["--now"]);
    assert((await offered("toom limit set roo")).includes("root"));
    assert((await offered("toom run --state-dir dep")).includes("deploy"));
    for (const command of COMMAND_LIST) {
      assertEquals(
        (await offered(`${command.name} --`)).sort(),
        shownOptions(command).map(({ name }) => `--${name}`).sort(),
      );
    }
  },
});
