import { assert, assertEquals, assertRejects } from "@std/assert";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import {
  findGroup,
  findGroupName,
  type Getent,
  localGroupNames,
} from "../../../kernel/users/group.ts";
import { findUid } from "../../../kernel/users/passwd.ts";
import { FormatError } from "../../../pipeline/limits/units.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

const GROUPS: Readonly<Record<string, string>> = {
  students: "students:x:2000:bob,carol, gone ,,anna lee\n",
  "domain users": "domain users:*:70000:",
  broken: "broken",
};
const PASSWD = "root:x:0:0::/root:/bin/sh\nbob:x:1001:1001::/:\nprim:x:1009:2000::/:\nx:y:z\n";
const UIDS: Readonly<Record<string, number>> = { bob: 1001, carol: 1002, "anna lee": 1003 };

const getent: Getent = (database, key) =>
  Promise.resolve(database === "passwd" ? PASSWD : GROUPS[key!]);
const uidOf = (name: string): Promise<number | undefined> => Promise.resolve(UIDS[name]);

Deno.test("findGroup() finds those of a group and those whose primary group it is", async () => {
  assertEquals(await findGroup("students", uidOf, getent), {
    gid: 2000,
    memberUids: [1001, 1002, 1003, 1009],
  });
  assertEquals((await findGroup("domain users", uidOf, getent))!.memberUids, []);
});

Deno.test("findGroup() says of no group that there is none", async () => {
  for (const name of ["nobody-here", "broken", "", "a:b", "-v", "a\nb"]) {
    assertEquals(await findGroup(name, uidOf, getent), undefined, name);
  }
});

Deno.test("findGroup() fails when the directory does, and does not say that nobody is in it", async () => {
  const away: Getent = () => Promise.reject(new FormatError("expected an answer"));
  await assertRejects(() => findGroup("students", uidOf, away), FormatError);
});

Deno.test("findGroup() asks this machine", async () => {
  assert((await findGroup("root", findUid))!.memberUids.includes(0));
  assertEquals(await findGroup("no such group here", findUid), undefined);
  // Nobody is in no group's list, and has one as its primary group.
  const group = ["nogroup", "nobody"].find((name) => localGroupNames().includes(name))!;
  const nobody = await findUid("nobody");
  assert((await findGroup(group, findUid))!.memberUids.includes(nobody!), `${group}: ${nobody}`);
  assert(localGroupNames().includes("root"));
});

Deno.test("findGroupName() gives the name of an id, and of no other", async () => {
  assertEquals(await findGroupName(0), "root");
  assertEquals(await findGroupName(4_000_000_000), undefined);
  const byId: Getent = (_, key) =>
    Promise.resolve(key === "2000" ? GROUPS["students"] : "2000:x:7:");
  assertEquals(await findGroupName(2000, byId), "students");
  assertEquals(await findGroupName(2001, byId), undefined, "a group with such a name is another");
});
