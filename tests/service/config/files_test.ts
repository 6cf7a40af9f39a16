import { assertEquals, assertStringIncludes } from "@std/assert";
import { distrustOf, dropInFolder, readConfigFiles } from "../../../service/config/files.ts";
import { problemLine } from "../../../service/config/place.ts";
import { isRoot, needing } from "../../_support/real_kernel.ts";

const ASKED = { mustExist: true, isTrusted: false };

async function withFolder(
  test: (dirPath: string, path: string) => void | Promise<void>,
): Promise<void> {
  const dirPath = await Deno.makeTempDir();
  try {
    await test(dirPath, `${dirPath}/config.jsonc`);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

function write(path: string, text: string | Uint8Array, mode = 0o644): void {
  if (typeof text === "string") Deno.writeTextFileSync(path, text);
  else Deno.writeFileSync(path, text);
  Deno.chmodSync(path, mode);
}

/** The only problem of a file. */
function problemOf(path: string): string {
  const { sources, problems } = readConfigFiles(path, ASKED);
  assertEquals(sources, []);
  assertEquals(problems.length, 1);
  return problemLine(problems[0]!);
}

Deno.test(needing(isRoot(), "root", "drop-ins are read behind the file, by name"), async () => {
  await withFolder((dirPath, path) => {
    assertEquals(dropInFolder(path), `${dirPath}/config.d`);
    Deno.mkdirSync(`${dirPath}/config.d`, { mode: 0o755 });
    write(path, "main");
    for (const name of ["20.jsonc", "10.jsonc", ".hidden.jsonc", "30.jsonc~", "README"]) {
      write(`${dirPath}/config.d/${name}`, name);
    }
    const { sources, problems } = readConfigFiles(path, ASKED);
    assertEquals(problems, []);
    assertEquals(sources.map(({ text }) => text), ["main", "10.jsonc", "20.jsonc"]);
  });
});

Deno.test("a file that is not there is a problem only when it was asked for", async () => {
  await withFolder((_, path) => {
    assertEquals(readConfigFiles(path, { ...ASKED, mustExist: false }), {
      sources: [],
      problems: [],
    });
    assertEquals(problemOf(path), `${path}: expected a file, and there is none`);
  });
});

Deno.test(
  needing(isRoot(), "root", "a file that others than root can change is refused"),
  async () => {
    await withFolder((dirPath, path) => {
      write(path, "{}", 0o646);
      assertStringIncludes(problemOf(path), "everybody can: mode 0646 (chmod go-w)");
      write(path, "{}", 0o664);
      assertEquals(readConfigFiles(path, ASKED).problems, []); // Of the group root.
      Deno.chownSync(path, 0, 60001);
      assertStringIncludes(problemOf(path), "group 60001 can: mode 0664 (chmod g-w)");
      Deno.chownSync(path, 60001, 0);
      assertStringIncludes(
        problemOf(path),
        "expected a file of root, and it is owned by uid 60001",
      );
      assertEquals(readConfigFiles(path, { ...ASKED, isTrusted: true }).problems, []);
      // The same through a link: what counts is the file.
      write(`${dirPath}/real`, "{}", 0o666);
      Deno.removeSync(path);
      Deno.symlinkSync(`${dirPath}/real`, path);
      assertStringIncludes(problemOf(path), "everybody can");
    });
  },
);

Deno.test(
  needing(isRoot(), "root", "a folder of drop-ins that others can change is refused"),
  async () => {
    await withFolder((dirPath, path) => {
      write(path, "{}");
      Deno.mkdirSync(`${dirPath}/config.d`);
      Deno.chmodSync(`${dirPath}/config.d`, 0o777);
      const { problems } = readConfigFiles(path, ASKED);
      assertStringIncludes(problemLine(problems[0]!), "expected a folder that only root can write");
      Deno.removeSync(`${dirPath}/config.d`);
      write(`${dirPath}/config.d`, "");
      assertStringIncludes(
        problemLine(readConfigFiles(path, ASKED).problems[0]!),
        "a folder of drop-ins",
      );
    });
  },
);

Deno.test(
  needing(isRoot(), "root", "what is no file, too large or no UTF-8 is refused"),
  async () => {
    await withFolder((_, path) => {
      Deno.symlinkSync(path, path);
      assertStringIncludes(problemOf(path), "expected a file that can be read");
      Deno.removeSync(path);
      const { code } = new Deno.Command("mkfifo", { args: [path] }).outputSync();
      assertEquals(code, 0);
      assertEquals(problemOf(path), `${path}: expected a file`);
      Deno.removeSync(path);
      Deno.mkdirSync(path);
      assertEquals(problemOf(path), `${path}: expected a file`);
      Deno.removeSync(path);
      write(path, "x".repeat(1024 * 1024 + 1));
      assertStringIncludes(problemOf(path), "expected at most 1048576 bytes, not 1048577");
      write(path, new Uint8Array([0x7b, 0xc3, 0xa4, 0xff, 0x7d]));
      assertStringIncludes(problemOf(path), "expected UTF-8, and byte 3 is none");
    });
  },
);

Deno.test("distrustOf() says what to do", () => {
  const root = { uid: 0, gid: 0, mode: 0o100644 };
  assertEquals(distrustOf(root, "file"), undefined);
  assertEquals(distrustOf({ ...root, mode: null }, "file"), undefined);
  assertStringIncludes(distrustOf({ ...root, uid: 7 }, "file")!, "chown root");
  assertStringIncludes(distrustOf({ ...root, mode: 0o100602 }, "file")!, "chmod go-w");
});
