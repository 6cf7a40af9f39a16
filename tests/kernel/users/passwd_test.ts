import { assertEquals } from "@std/assert";
import { findName, findUid, nameOf, uidOf } from "../../../kernel/users/passwd.ts";
import { nameInPasswd, uidInPasswd } from "../../../kernel/users/passwd_text.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { asBuffer, cString } from "../../../kernel/ffi/fd.ts";
import "../../_support/real_kernel.ts";

Deno.test("uidOf() and nameOf() agree with /etc/passwd", () => {
  assertEquals(uidOf("root"), 0);
  assertEquals(nameOf(0), "root");
});

Deno.test("uidOf() is undefined when there is no such user", () => {
  for (const name of ["no-such-user-xyz", "", "a\0b", "root:x", "0"]) {
    assertEquals(uidOf(name), undefined, JSON.stringify(name));
  }
});

Deno.test("findUid() finds what uidOf() finds, on another thread", async () => {
  for (const name of ["root", "nobody", "no-such-user-xyz", "", "a\0b", "x".repeat(5000)]) {
    assertEquals(await findUid(name), uidOf(name), JSON.stringify(name.slice(0, 20)));
  }
});

Deno.test("nameOf() is undefined when there is no such user", () => {
  assertEquals(nameOf(4_123_456_789), undefined);
  assertEquals(nameOf(60_099), undefined);
});

Deno.test("findName() agrees with nameOf(), many at a time", async () => {
  const uids = [0, 65534, 60_099, 4_123_456_789];
  const found = await Promise.all([...uids, ...uids].map(findName));
  assertEquals(found, [...uids, ...uids].map(nameOf));
});

Deno.test("getpwnam_r() fills a struct passwd with the offsets that passwd.ts expects", () => {
  const entry = new DataView(new ArrayBuffer(48));
  const buffer = new Uint8Array(4096);
  const result = new BigUint64Array(1);
  const error = openLibc().getpwnam_r(
    asBuffer(cString("nobody")),
    asBuffer(entry),
    asBuffer(buffer),
    4096n,
    asBuffer(result),
  );
  assertEquals(error, 0);
  assertEquals(entry.getUint32(16, true), uidOf("nobody"));
  const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  const start = Number(entry.getBigUint64(0, true) - BigInt(base));
  const end = buffer.indexOf(0, start);
  assertEquals(new TextDecoder().decode(buffer.subarray(start, end)), "nobody");
});

Deno.test("uidInPasswd() and nameInPasswd() take names as they are", () => {
  const names = ["CORP\\anna", "anna@corp.example", "anna lee", "host$", "andré", "60310", "a=b,c"];
  const long = `${"u".repeat(20)}@${"d".repeat(255)}`;
  const all = [...names, long];
  const text = [
    ...all.map((name, index) => `${name}:x:${60320 + index}:1::/:/bin/false`),
    `${names[0]}:x:1:1::/:/bin/false`,
    "+::::::",
    "odd",
    "nouid:x::1::/:",
  ].join("\n");
  for (const [index, name] of all.entries()) {
    assertEquals(uidInPasswd(text, name), 60320 + index, name);
    assertEquals(nameInPasswd(text, 60320 + index), name);
  }
  for (const name of ["anna", "anna le", "", "+", "odd", "nouid", "CORP"]) {
    assertEquals(uidInPasswd(text, name), undefined, name);
  }
});
