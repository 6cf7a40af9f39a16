import { assertEquals } from "@std/assert";
import { KernelUsers } from "../../../kernel/bpf/kernel_users.ts";
import {
  CHAIN_MAX,
  CONTROL_BYTES,
  headOf,
  Mode,
  User,
  USERS_MAX,
} from "../../../kernel/bpf/programs/books_layout.ts";

const SETTING = { limitPages: 1000, mode: Mode.book };
/** A uid, and others that are in the same list. */
function sameList(uid: number, count: number): number[] {
  const uids = [uid];
  for (let other = uid + 1; uids.length < count; other++) {
    if (headOf(other) === headOf(uid)) uids.push(other);
  }
  return uids;
}

interface Rows {
  readonly users: KernelUsers;
  readonly view: DataView;
  readonly again: () => KernelUsers;
}

function makeRows(): Rows {
  const rows = new ArrayBuffer(USERS_MAX * User.bytes);
  const control = new ArrayBuffer(CONTROL_BYTES);
  const again = (): KernelUsers => new KernelUsers(rows, control);
  return { users: again(), view: new DataView(rows), again };
}

Deno.test("KernelUsers finds users by real uid, and nobody else", () => {
  const { users } = makeRows();
  const first = users.add(1000, SETTING);
  const [, like, another] = sameList(1000, 3);
  const second = users.add(like!, SETTING);
  const large = users.add(4_294_967_294, SETTING);
  assertEquals([users.find(1000), users.find(like!)], [first, second]);
  assertEquals(users.find(4_294_967_294), large);
  assertEquals(users.find(-2), large, "as an int32 pattern too");
  assertEquals([users.find(1001), users.find(another!)], [0, 0]);
  assertEquals(users.uids().sort((a, b) => a - b), [1000, like!, 4_294_967_294]);
});

Deno.test("KernelUsers takes each out of the middle of a list, and gives its row away again", () => {
  const { users } = makeRows();
  const uids = sameList(1000, 3);
  const rows = uids.map((uid) => users.add(uid, SETTING));
  users.remove(rows[1]!);
  assertEquals(uids.map((uid) => users.find(uid)), [rows[0], 0, rows[2]]);
  assertEquals(users.add(5, SETTING), rows[1]);
});

Deno.test("KernelUsers gives no row away in which address spaces are booked still", () => {
  const { users, view } = makeRows();
  const row = users.add(1000, SETTING);
  view.setBigInt64(row * User.bytes + User.slots, 1n, true);
  users.remove(row);
  assertEquals(users.add(1001, SETTING) === row, false);
});

Deno.test("KernelUsers says 0 when there is no room, or a list is as long as programs follow it", () => {
  const { users } = makeRows();
  const uids = sameList(7, CHAIN_MAX + 1);
  const last = uids.pop()!;
  for (const uid of uids) assertEquals(users.add(uid, SETTING) > 0, true);
  assertEquals(users.add(last, SETTING), 0);
  let uid = 10_000;
  const next = (): number => {
    while (headOf(uid) === headOf(last)) uid++;
    return uid++;
  };
  for (let row = CHAIN_MAX + 1; row < USERS_MAX; row++) {
    assertEquals(users.add(next(), SETTING) > 0, true);
  }
  assertEquals(users.add(next(), SETTING), 0);
});

Deno.test("KernelUsers takes rows away from users without processes, and from nobody else", () => {
  const { users, view } = makeRows();
  const idle = users.add(1000, SETTING);
  const busy = users.add(1001, SETTING);
  const owner = users.add(1002, SETTING);
  const subordinate = users.add(100_000, SETTING, owner);
  const asking = users.add(1003, SETTING);
  const forking = users.add(1004, SETTING);
  const set = (row: number, field: number): void =>
    view.setBigInt64(row * User.bytes + field, 1n, true);
  set(busy, User.slots);
  set(subordinate, User.slots);
  set(forking, User.inheritedPages);
  users.setRecordAll(asking, true);
  users.removeIdle();
  assertEquals(users.uids().sort((a, b) => a - b), [1001, 1002, 1003, 1004, 100_000]);
  assertEquals(users.add(5, SETTING), idle, "its row is given away again");
});

Deno.test("KernelUsers: a successor finds what its predecessor has written", () => {
  const { users, again } = makeRows();
  const row = users.add(1000, SETTING);
  assertEquals(again().find(1000), row);
  assertEquals(again().add(1001, SETTING) === row, false);
});

Deno.test("KernelUsers writes lines in two halves: what is above all numbers stays so", () => {
  const { users, view } = makeRows();
  const row = users.add(1000, SETTING);
  for (const limitPages of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52]) {
    users.setLine(row, limitPages, Mode.kill);
    assertEquals(Number(view.getBigInt64(row * User.bytes + User.limitPages, true)), limitPages);
  }
  assertEquals(view.getUint32(row * User.bytes + User.mode, true), Mode.kill);
});

Deno.test("KernelUsers keeps the candidate's process in the lower half, its slot in the upper", () => {
  const { users, view } = makeRows();
  const row = users.add(1000, SETTING);
  users.setCandidate(row, 4_194_304, 65_535);
  const at = row * User.bytes + User.candidate;
  assertEquals(view.getBigUint64(at, true), 65_535n << 32n | 4_194_304n);
});

Deno.test("KernelUsers: who has no slot for an address space is not exact", () => {
  const { users, view } = makeRows();
  const row = users.add(1000, SETTING);
  assertEquals(users.isExact(row), true);
  view.setBigUint64(row * User.bytes + User.full, 1n, true);
  assertEquals(users.isExact(row), false);
});
