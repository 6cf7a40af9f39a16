import { assert, assertEquals, assertThrows } from "@std/assert";
import { IntMap, intMapBytes } from "../../../pipeline/memory/int_map.ts";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import {
  COUNTER_COUNT,
  DESCRIPTORS_MAX,
  HEADER_BYTES,
  HeaderWord,
  LAYOUT_VERSION,
  LINE_BYTES,
  MM_COLUMNS,
  PROCESS_COLUMNS,
  READERS_MAX,
  Role,
  ROLE_BLOCK_BYTES,
  roleName,
  RULE_WORDS,
  SettingsWord,
  TASK_COLUMNS,
  USER_COLUMNS,
  VICTIM_COLUMNS,
  VICTIMS_MAX,
} from "../../../pipeline/memory/layout.ts";
import {
  attachCounters,
  attachMemory,
  type Capacity,
  createMemory,
  DEFAULT_CAPACITY,
  planMemory,
} from "../../../pipeline/memory/memory.ts";
import { OWNERS_REGION_WORDS } from "../../../pipeline/memory/layout.ts";
import { ringBytes } from "../../../pipeline/memory/ring.ts";
import { tableBytes } from "../../../pipeline/memory/table.ts";
import { withSeeds } from "../../_support/random.ts";

const SMALL: Capacity = {
  readers: 2,
  ringRecords: 16,
  users: 3,
  processes: 5,
  tasks: 7,
  mms: 9,
  rules: 2,
  pageBytes: 4096,
};

/** All regions of a plan as [start, end). */
function regions(capacity: Capacity): [number, number][] {
  const plan = planMemory(capacity);
  const roles = Role.reader + capacity.readers;
  const list: [number, number][] = [[0, HEADER_BYTES]];
  const add = (at: number, bytes: number): void => void list.push([at, at + bytes]);
  add(plan.roles, roles * ROLE_BLOCK_BYTES);
  add(plan.counters, roles * COUNTER_COUNT * 8);
  const { readerRings, reportRings, sweeperRing, killerRing, orderRing, queryRing } = plan;
  for (
    const ring of [
      ...readerRings,
      ...reportRings,
      sweeperRing,
      killerRing,
      orderRing,
      queryRing,
      plan.accountingLog,
      plan.killerLog,
      plan.sweeperLog,
    ]
  ) add(ring.byteOffset, ringBytes(ring.records, ring.recordBytes));
  assertEquals(readerRings.length, capacity.readers);
  assertEquals(reportRings.length, roles);
  add(plan.settings, (SettingsWord.rules + capacity.rules * RULE_WORDS) * 4);
  add(plan.users, tableBytes(USER_COLUMNS, capacity.users));
  add(plan.processes, tableBytes(PROCESS_COLUMNS, capacity.processes));
  add(plan.tasks, tableBytes(TASK_COLUMNS, capacity.tasks));
  add(plan.mms, tableBytes(MM_COLUMNS, capacity.mms));
  add(plan.victims, tableBytes(VICTIM_COLUMNS, VICTIMS_MAX));
  add(plan.userMap, intMapBytes(capacity.users));
  add(plan.processMap, intMapBytes(capacity.processes));
  add(plan.taskMap, intMapBytes(capacity.tasks));
  add(plan.mmMap, intMapBytes(capacity.mms));
  add(plan.descriptors, DESCRIPTORS_MAX * 4);
  add(plan.owners, OWNERS_REGION_WORDS * 4);
  return list;
}

Deno.test("regions lie one behind the other, on lines of their own, and fill the memory", () => {
  const check = (capacity: Capacity): void => {
    const list = regions(capacity).sort((a, b) => a[0] - b[0]);
    for (let i = 0; i < list.length; i++) {
      const [start, end] = list[i]!;
      assertEquals(start % LINE_BYTES, 0);
      if (i > 0) assert(start >= list[i - 1]![1] && start - list[i - 1]![1] < LINE_BYTES);
      assert(end <= planMemory(capacity).totalBytes);
    }
  };
  check(SMALL);
  check(DEFAULT_CAPACITY);
  withSeeds(30, (random) =>
    check({
      readers: random.between(1, READERS_MAX),
      ringRecords: 1 << random.below(10),
      users: random.between(1, 99),
      processes: random.between(1, 99),
      tasks: random.between(1, 99),
      mms: random.between(1, 99),
      rules: random.between(1, 99),
      pageBytes: 4096,
    }));
});

Deno.test("attachMemory() gives the capacities that createMemory() was given", () => {
  const memory = attachMemory(createMemory(SMALL, 4711));
  assertEquals(memory.plan.capacity, SMALL);
  assertEquals(memory.header[HeaderWord.pid], 4711);
  assertEquals(memory.users.uid.length, SMALL.users);
  assertEquals(memory.mms.pages.length, 4 * SMALL.mms);
  assertEquals(memory.victims.state.length, VICTIMS_MAX);
});

Deno.test("attachMemory() refuses what is not toom's, of another version, or of another size", () => {
  assertThrows(
    () => attachMemory(new SharedArrayBuffer(HEADER_BYTES)),
    InvariantError,
    "not toom's",
  );
  const older = createMemory(SMALL);
  new Int32Array(older)[HeaderWord.version] = LAYOUT_VERSION + 1;
  assertThrows(() => attachMemory(older), InvariantError, `layout ${LAYOUT_VERSION + 1}`);
  const lying = createMemory(SMALL);
  new Int32Array(lying)[HeaderWord.users] = SMALL.users + 100;
  assertThrows(() => attachMemory(lying), InvariantError, "bytes");
  const whole = createMemory(SMALL);
  const cut = new SharedArrayBuffer(whole.byteLength - LINE_BYTES);
  new Uint8Array(cut).set(new Uint8Array(whole).subarray(0, cut.byteLength));
  assertThrows(() => attachMemory(cut), InvariantError, "bytes");
});

Deno.test("the number of readers has bounds", () => {
  assertThrows(() => planMemory({ ...SMALL, readers: 0 }), InvariantError);
  assertThrows(() => planMemory({ ...SMALL, readers: READERS_MAX + 1 }), InvariantError);
});

Deno.test("every role has counters of its own", () => {
  const memory = attachMemory(createMemory(SMALL));
  const roles = Role.reader + SMALL.readers;
  for (let role = 0; role < roles; role++) attachCounters(memory, role).fill(role + 1);
  for (let role = 0; role < roles; role++) {
    assert(attachCounters(memory, role).every((value) => value === role + 1));
  }
  assertEquals(roleName(Role.killer), "killer");
  assertEquals(roleName(Role.reader + 1), "reader1");
});

Deno.test("the maps of a memory do not disturb each other", () => {
  const { buffer, plan } = attachMemory(createMemory(SMALL));
  const maps = [plan.userMap, plan.processMap, plan.taskMap, plan.mmMap].map((at) =>
    new IntMap(buffer, at, 3)
  );
  maps.forEach((map, index) => map.set(7, index));
  maps.forEach((map, index) => assertEquals(map.get(7), index));
});
