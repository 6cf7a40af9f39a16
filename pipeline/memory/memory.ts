/**
 * The shared memory as a whole: what lies where for given capacities, how it is made, and how a
 * worker attaches to it.
 *
 * @module
 */
import {
  type Columns,
  COUNTER_COUNT,
  DESCRIPTORS_MAX,
  HEADER_BYTES,
  HeaderWord,
  LAYOUT_VERSION,
  LINE_BYTES,
  MAGIC,
  MM_COLUMNS,
  OWNERS_REGION_WORDS,
  PROCESS_COLUMNS,
  READERS_MAX,
  RECORD_BYTES,
  REPORT_BYTES,
  REPORT_RING_RECORDS,
  Role,
  ROLE_BLOCK_BYTES,
  RULE_WORDS,
  SettingsWord,
  TASK_COLUMNS,
  USER_COLUMNS,
  VICTIM_COLUMNS,
  VICTIM_RULES_REGION_WORDS,
  VICTIMS_MAX,
} from "./layout.ts";
import { intMapBytes } from "./int_map.ts";
import { ringBytes, type RingPlace } from "./ring.ts";
import { attachColumns, type ColumnArrays, tableBytes } from "./table.ts";
import { invariant } from "./invariant.ts";
import { publishPage } from "./seqlock.ts";
import { DEFAULT_SETTINGS, storeSettings } from "./settings.ts";

/** How much of everything there is; fixed at start. */
export interface Capacity {
  /** Readers, 1 to READERS_MAX, each with a ring of its own. */
  readonly readers: number;
  /** Records of each reader's ring, a power of two. */
  readonly ringRecords: number;
  readonly users: number;
  readonly processes: number;
  readonly tasks: number;
  readonly mms: number;
  /** Limit rules. */
  readonly rules: number;
  /** Bytes of a page of this machine, or of the one that made the capture. */
  readonly pageBytes: number;
}

/** Records of the rings that carry little: from the sweeper, the killer, and to both. */
export const SIDE_RING_RECORDS = 8192;

export const DEFAULT_CAPACITY: Capacity = {
  readers: 1,
  ringRecords: 16384,
  users: 4096,
  processes: 16384,
  tasks: 65536,
  mms: 32768,
  rules: 1024,
  pageBytes: 4096,
};

/** Offsets of all regions. */
export interface Plan {
  readonly capacity: Capacity;
  readonly totalBytes: number;
  readonly roles: number;
  readonly counters: number;
  readonly readerRings: readonly RingPlace[];
  /** Sweeper to accounting: what /proc says. */
  readonly sweeperRing: RingPlace;
  /** Killer to accounting: victims that are gone. */
  readonly killerRing: RingPlace;
  /** Accounting to killer: users to arm for, to act on. */
  readonly orderRing: RingPlace;
  /** Accounting to sweeper: tasks to look up, resync requests. */
  readonly queryRing: RingPlace;
  /** For recordings: what accounting, killer and sweeper did, see messages/role_log.ts. */
  readonly accountingLog: RingPlace;
  readonly killerLog: RingPlace;
  readonly sweeperLog: RingPlace;
  /** Worker to supervisor, by role. */
  readonly reportRings: readonly RingPlace[];
  readonly settings: number;
  readonly users: number;
  readonly processes: number;
  readonly tasks: number;
  readonly mms: number;
  readonly victims: number;
  readonly userMap: number;
  readonly processMap: number;
  readonly taskMap: number;
  readonly mmMap: number;
  /** Descriptors that the coordinator holds, each + 1: a successor closes them. */
  readonly descriptors: number;
  /** Whom subordinate uids count for. */
  readonly owners: number;
  /** Rules about who dies. */
  readonly victimRules: number;
}

/**
 * Lays the regions out one after the other, each on lines of its own.
 * @throws {InvariantError} When a capacity is out of range.
 */
export function planMemory(capacity: Capacity): Plan {
  invariant(
    capacity.readers >= 1 && capacity.readers <= READERS_MAX,
    `memory: readers must be 1 to ${READERS_MAX}, not ${capacity.readers}`,
  );
  let at = HEADER_BYTES;
  const region = (bytes: number): number => {
    const offset = at;
    at = Math.ceil((at + bytes) / LINE_BYTES) * LINE_BYTES;
    return offset;
  };
  const ring = (records: number, recordBytes: number): RingPlace => ({
    byteOffset: region(ringBytes(records, recordBytes)),
    records,
    recordBytes,
  });
  const table = (columns: Columns, rows: number): number => region(tableBytes(columns, rows));
  const roleCount = Role.reader + capacity.readers;
  const plan = {
    capacity,
    roles: region(roleCount * ROLE_BLOCK_BYTES),
    counters: region(roleCount * COUNTER_COUNT * 8),
    readerRings: Array.from(
      { length: capacity.readers },
      () => ring(capacity.ringRecords, RECORD_BYTES),
    ),
    sweeperRing: ring(SIDE_RING_RECORDS, RECORD_BYTES),
    killerRing: ring(SIDE_RING_RECORDS, RECORD_BYTES),
    orderRing: ring(SIDE_RING_RECORDS, RECORD_BYTES),
    queryRing: ring(SIDE_RING_RECORDS, RECORD_BYTES),
    accountingLog: ring(SIDE_RING_RECORDS, RECORD_BYTES),
    killerLog: ring(SIDE_RING_RECORDS, RECORD_BYTES),
    sweeperLog: ring(SIDE_RING_RECORDS, RECORD_BYTES),
    reportRings: Array.from(
      { length: roleCount },
      () => ring(REPORT_RING_RECORDS, REPORT_BYTES),
    ),
    settings: region((SettingsWord.rules + capacity.rules * RULE_WORDS) * 4),
    users: table(USER_COLUMNS, capacity.users),
    processes: table(PROCESS_COLUMNS, capacity.processes),
    tasks: table(TASK_COLUMNS, capacity.tasks),
    mms: table(MM_COLUMNS, capacity.mms),
    victims: table(VICTIM_COLUMNS, VICTIMS_MAX),
    userMap: region(intMapBytes(capacity.users)),
    processMap: region(intMapBytes(capacity.processes)),
    taskMap: region(intMapBytes(capacity.tasks)),
    mmMap: region(intMapBytes(capacity.mms)),
    descriptors: region(DESCRIPTORS_MAX * 4),
    owners: region(OWNERS_REGION_WORDS * 4),
    victimRules: region(VICTIM_RULES_REGION_WORDS * 4),
  };
  return { ...plan, totalBytes: at };
}

/** Makes the memory. The version is stored last: who sees it sees a whole header. */
export function createMemory(capacity: Capacity, pid = 0): SharedArrayBuffer {
  const plan = planMemory(capacity);
  const memory = new SharedArrayBuffer(plan.totalBytes);
  const header = new Int32Array(memory, 0, HEADER_BYTES / 4);
  header[HeaderWord.magic] = MAGIC;
  header[HeaderWord.totalBytes] = plan.totalBytes;
  header[HeaderWord.readers] = capacity.readers;
  header[HeaderWord.ringRecords] = capacity.ringRecords;
  header[HeaderWord.users] = capacity.users;
  header[HeaderWord.processes] = capacity.processes;
  header[HeaderWord.tasks] = capacity.tasks;
  header[HeaderWord.mms] = capacity.mms;
  header[HeaderWord.rules] = capacity.rules;
  header[HeaderWord.pageBytes] = capacity.pageBytes;
  header[HeaderWord.pid] = pid;
  const words = settingsOf(memory, plan);
  publishPage(
    words,
    () => storeSettings(words, { ...DEFAULT_SETTINGS, userProcessesMax: capacity.processes }),
  );
  Atomics.store(header, HeaderWord.version, LAYOUT_VERSION);
  return memory;
}

function settingsOf(buffer: SharedArrayBuffer, { settings, capacity }: Plan): Int32Array {
  return new Int32Array(buffer, settings, SettingsWord.rules + capacity.rules * RULE_WORDS);
}

/** A worker's view of the memory. */
export interface Memory {
  readonly buffer: SharedArrayBuffer;
  readonly plan: Plan;
  readonly header: Int32Array;
  /** Settings and limits: settings.ts, ../limits/limits.ts. */
  readonly settings: Int32Array;
  readonly users: ColumnArrays<typeof USER_COLUMNS>;
  readonly processes: ColumnArrays<typeof PROCESS_COLUMNS>;
  readonly tasks: ColumnArrays<typeof TASK_COLUMNS>;
  readonly mms: ColumnArrays<typeof MM_COLUMNS>;
  readonly victims: ColumnArrays<typeof VICTIM_COLUMNS>;
  readonly descriptors: Int32Array;
  readonly owners: Int32Array;
  readonly victimRules: Int32Array;
}

/**
 * Attaches to a memory that {@link createMemory} made.
 * @throws {InvariantError} When it is not one, or of another version of the layout.
 */
export function attachMemory(buffer: SharedArrayBuffer): Memory {
  const header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  const version = Atomics.load(header, HeaderWord.version);
  invariant(header[HeaderWord.magic] === MAGIC, "memory: not toom's");
  invariant(
    version === LAYOUT_VERSION,
    `memory: layout ${version}, but this program knows ${LAYOUT_VERSION}`,
  );
  const plan = planMemory({
    readers: header[HeaderWord.readers]!,
    ringRecords: header[HeaderWord.ringRecords]!,
    users: header[HeaderWord.users]!,
    processes: header[HeaderWord.processes]!,
    tasks: header[HeaderWord.tasks]!,
    mms: header[HeaderWord.mms]!,
    rules: header[HeaderWord.rules]!,
    pageBytes: header[HeaderWord.pageBytes]!,
  });
  invariant(
    plan.totalBytes === header[HeaderWord.totalBytes] && buffer.byteLength === plan.totalBytes,
    `memory: ${buffer.byteLength} bytes where the header's capacities need ${plan.totalBytes}`,
  );
  const { capacity } = plan;
  return {
    buffer,
    plan,
    header,
    settings: settingsOf(buffer, plan),
    users: attachColumns(buffer, plan.users, USER_COLUMNS, capacity.users),
    processes: attachColumns(buffer, plan.processes, PROCESS_COLUMNS, capacity.processes),
    tasks: attachColumns(buffer, plan.tasks, TASK_COLUMNS, capacity.tasks),
    mms: attachColumns(buffer, plan.mms, MM_COLUMNS, capacity.mms),
    victims: attachColumns(buffer, plan.victims, VICTIM_COLUMNS, VICTIMS_MAX),
    descriptors: new Int32Array(buffer, plan.descriptors, DESCRIPTORS_MAX),
    owners: new Int32Array(buffer, plan.owners, OWNERS_REGION_WORDS),
    victimRules: new Int32Array(buffer, plan.victimRules, VICTIM_RULES_REGION_WORDS),
  };
}

/** The counters of one role. */
export function attachCounters(memory: Memory, role: number): Float64Array {
  return new Float64Array(
    memory.buffer,
    memory.plan.counters + role * COUNTER_COUNT * 8,
    COUNTER_COUNT,
  );
}
