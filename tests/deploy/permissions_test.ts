/** What docs/guides/permissions.md says of Deno's permissions and of the unit's capabilities. */
import { assert, assertEquals } from "@std/assert";
import { ROOT, runTool } from "../_support/tools.ts";

const PERMISSIONS = ["ffi", "read", "write", "net", "env", "sys", "run", "import"] as const;
const GUIDE = Deno.readTextFileSync(`${ROOT}docs/guides/permissions.md`);
/** Files of the kinds that toom opens by Deno itself. */
const KERNEL_FILES = ["/proc/self/stat", "/sys/kernel/mm"];

/** Whether Deno opens files of the kernel with these permissions. */
async function opens(permissions: readonly string[]): Promise<boolean> {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/main.ts`;
    await Deno.writeTextFile(
      path,
      KERNEL_FILES.map((file) => `Deno.statSync("${file}");`).join("") +
        `Deno.readTextFileSync("${KERNEL_FILES[0]}");`,
    );
    const flags = permissions.map((name) => `--allow-${name}`);
    const { code, text } = await runTool(Deno.execPath(), [
      "run",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      ...flags,
      path,
    ]);
    assert(code === 0 || text.includes("NotCapable"), text);
    return code === 0;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("Deno opens the kernel's files with all permissions, and with one less it does not", async () => {
  assert(await opens(PERMISSIONS));
  for (const one of PERMISSIONS) {
    const others = PERMISSIONS.filter((name) => name !== one);
    assert(!await opens(others), `--allow-${one} is not needed any more: leave it out, and say so`);
  }
});

Deno.test("the guide tells of each permission, and of each capability of the unit", async () => {
  const told = [...GUIDE.matchAll(/^\| `--allow-(\w+)`/gm)].map((match) => match[1]!);
  assertEquals(told.sort(), [...PERMISSIONS].sort());
  const unit = await Deno.readTextFile(`${ROOT}deploy/toom.service`);
  const left = [...unit.matchAll(/^CapabilityBoundingSet=(.*)$/gm)].flatMap((match) =>
    match[1]!.split(" ")
  );
  const capabilities = [...GUIDE.matchAll(/`(CAP_\w+)`/g)].map((match) => match[1]!);
  assertEquals(capabilities.sort(), left.sort());
  const words: Readonly<Record<number, string>> = { 14: "fourteen", 15: "fifteen", 16: "sixteen" };
  assert(GUIDE.includes(`leaves it ${words[left.length]} capabilities`), `${left.length} of them`);
});
