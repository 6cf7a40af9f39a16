import { assertEquals } from "@std/assert";
import { LocalNames } from "../../../kernel/users/local_names.ts";

Deno.test("LocalNames has the users of a file, as it is now", async () => {
  const path = await Deno.makeTempFile();
  try {
    let nowMs = 0;
    const names = new LocalNames(() => nowMs, path);
    await Deno.writeTextFile(
      path,
      "root:x:0:0::/:/bin/sh\n\nann:x:7:7:::\nsecond:x:7:7:::\n:x:8:8:::\nbad:x:9z:9:::\n" +
        "DOM\\jo e:x:10:10:::\n",
    );
    const all = (): (string | undefined)[] => [0, 7, 8, 9, 10].map((uid) => names.nameOf(uid));
    assertEquals(all(), ["root", "ann", undefined, undefined, "DOM\\jo e"]);
    await Deno.writeTextFile(path, "beth:x:7:7:::");
    assertEquals(names.nameOf(7), "ann", "not looked at again within the second");
    nowMs += 1000;
    assertEquals(all(), [undefined, "beth", undefined, undefined, undefined]);
    await Deno.remove(path);
    nowMs += 1000;
    assertEquals(names.nameOf(7), undefined);
    await Deno.writeTextFile(path, "cy:x:7:7:::");
    nowMs += 1000;
    assertEquals(names.nameOf(7), "cy");
  } finally {
    await Deno.remove(path).catch(() => {});
  }
});

Deno.test("LocalNames reads /etc/passwd", () => {
  assertEquals(new LocalNames(() => 0).nameOf(0), "root");
});
