import { assertEquals, assertRejects } from "@std/assert";
import { findAccount, findGroupId } from "../../../kernel/users/account.ts";
import { FormatError } from "../../../pipeline/limits/units.ts";

/** Databases of a test; the directory does not know about "away". */
function getent(database: "group" | "passwd", key?: string): Promise<string | undefined> {
  if (key === "away") return Promise.reject(new FormatError("expected an answer of getent"));
  const entries: Readonly<Record<string, string>> = database === "passwd"
    ? {
      alice: "alice:x:1000:1010:Alice:/home/alice:/bin/sh\n",
      // As getent answers who asks for a number.
      "1000": "alice:x:1000:1010:Alice:/home/alice:/bin/sh\n",
      broken: "broken:x:none\n",
    }
    : { staff: "staff:x:50:alice\n" };
  return Promise.resolve(Object.hasOwn(entries, key!) ? entries[key!] : undefined);
}

Deno.test("an account is found by its name, with uid and primary group", async () => {
  assertEquals(await findAccount("alice", getent), { name: "alice", uid: 1000, gid: 1010 });
  assertEquals(await findGroupId("staff", getent), 50);
});

Deno.test("what is no name of an account is none, and is not asked for", async () => {
  for (const name of ["", "nobody here", "1000", "broken", "-s", "a:b", "a\nb", "a\0b"]) {
    assertEquals(await findAccount(name, getent), undefined, JSON.stringify(name));
    assertEquals(await findGroupId(name, getent), undefined, JSON.stringify(name));
  }
});

Deno.test("a directory that does not answer says nothing about a name", async () => {
  await assertRejects(() => findAccount("away", getent), FormatError);
});

Deno.test("root is on every machine", async () => {
  assertEquals(await findAccount("root"), { name: "root", uid: 0, gid: 0 });
  assertEquals(await findGroupId("root"), 0);
});
