/**
 * Every number of the shared memory, and where each word lies. The header and small regions are here;
 * the rest is in files of its own, and exported from here: no other file knows the words of a region
 * or the columns of a table.
 *
 * One SharedArrayBuffer holds everything that the workers share:
 *
 *     header | roles | rings | reports | settings | users | processes | tasks | mms | maps | victims
 *     | owners | victim rules
 *
 * Rules that hold for all of it (docs/INVARIANTS.md, "Shared memory"):
 *  - one writer a word, named beside the word; everybody else only reads;
 *  - payload words are plain, the word that publishes them is stored with `Atomics.store` last;
 *  - words of different writers lie at least {@link LINE_BYTES} apart.
 *
 * @module
 */
import { LINE_BYTES, LINE_WORDS } from "./line.ts";

export * from "./columns.ts";
export * from "./counters.ts";
export * from "./line.ts";
export * from "./record_words.ts";
export * from "./ring_words.ts";
export * from "./role_words.ts";

/** First word of the header: "toom" in ASCII, big endian. */
export const MAGIC = 0x746f6f6d;
/** Raised with every change of these files that an older reader would misread. */
export const LAYOUT_VERSION = 10;

/** Words of the memory's header. */
export const HeaderWord = {
  magic: 0,
  version: 1,
  totalBytes: 2,
  readers: 3,
  ringRecords: 4,
  users: 5,
  processes: 6,
  tasks: 7,
  mms: 8,
  rules: 9,
  pageBytes: 10,
  pid: 11,
  /** Accounting: 1 while the books are not to be trusted. On a line of its own. */
  degraded: LINE_WORDS,
  /** Accounting: number of the last sweep whose end it has applied. */
  sweepDone: LINE_WORDS + 1,
  /** Accounting: how near the nearest user is to its limit, 0 far to 3; see urgency.ts. */
  urgency: LINE_WORDS + 2,
  /** Accounting: number of the measuring that it keeps apart what is credited for; see measuring.ts. */
  measureBegun: LINE_WORDS + 3,
  /** Sweeper: 1 when the first look at /proc has been sent. */
  discovered: 2 * LINE_WORDS,
  /** Killer: victims that are dying, and rows of the victims table below which all in use lie. */
  victimsDying: 3 * LINE_WORDS,
  victimsEnd: 3 * LINE_WORDS + 1,
  /** Coordinator: how often what a user was promised has changed. */
  promiseChanges: 4 * LINE_WORDS,
  /** Supervisor: number of the recording that was begun last, while one is made; 0 none is. */
  recording: 5 * LINE_WORDS,
} as const;
export const HEADER_BYTES = 6 * LINE_BYTES;

// ---------------------------------------------------------------------------------------------
// Reports: what workers tell the supervisor's journal. 832 bytes: 32 doubles, 128 bytes of text, then
// rows of doubles.
// ---------------------------------------------------------------------------------------------

export const REPORT_BYTES = 832;
export const REPORT_F64S = REPORT_BYTES / 8;
export const REPORT_TEXT_OFFSET_BYTES = 256;
export const REPORT_TEXT_BYTES_MAX = 128;
export const REPORT_ROWS_OFFSET_BYTES: number = REPORT_TEXT_OFFSET_BYTES + REPORT_TEXT_BYTES_MAX;
/** Doubles of all rows. */
export const REPORT_ROW_F64S: number = (REPORT_BYTES - REPORT_ROWS_OFFSET_BYTES) / 8;
export const REPORT_RING_RECORDS = 256;

// ---------------------------------------------------------------------------------------------
// Settings, and behind them the limits: written by the supervisor; see settings.ts.
// ---------------------------------------------------------------------------------------------

/** `sequence` is odd while the supervisor writes, even when the page is whole; see seqlock.ts. */
export const SettingsWord = {
  sequence: 0,
  ruleCount: 1,
  /** Weights of policies: packPolicy() of settings.ts. */
  victimPolicy: 2,
  countMask: 3,
  flags: 4,
  intervalMs: 5,
  userProcessesMax: 6,
  minAvailableLow: 7,
  minAvailableHigh: 8,
  /** Index in BRAKE_MODES of settings.ts. */
  brake: 9,
  lowerGraceMs: 10,
  /** Plan and storm brake: PLAN_WORDS of kill_plan.ts. */
  plan: 11,
  /** Rows of limits, {@link RULE_WORDS} each. */
  rules: LINE_WORDS,
} as const;
/**
 * uidFirst, uidLast (both unsigned, inclusive), hardPages, softPages, processesMax (0: as all), flags
 * (1: at once, without a grace; bits 4 to 7: counted members, 0: as the settings say), index in BRAKE_MODES of settings.ts + 1 (0: as the settings say), then
 * PLAN_WORDS of kill_plan.ts, and weights of victim policies (0: as the settings say).
 */
export const RULE_WORDS = 15;

// ---------------------------------------------------------------------------------------------
// Owners: whom subordinate uids count for, written by the supervisor; see owners.ts.
// ---------------------------------------------------------------------------------------------

/** Raised with each publication; its lowest bit says which of the two banks holds. */
export const OwnersWord = { generation: 0, banks: LINE_WORDS } as const;
/** Behind a bank's count: uidFirst, uidLast (inclusive), ownerUid, all unsigned. */
export const OWNER_WORDS = 3;
export const OWNERS_MAX = 16_384;
export const OWNERS_BANK_WORDS: number = 1 + OWNERS_MAX * OWNER_WORDS;
/** 32-bit words of the shared region. */
export const OWNERS_REGION_WORDS: number = OwnersWord.banks + 2 * OWNERS_BANK_WORDS;

// ---------------------------------------------------------------------------------------------
// Rules about who dies: JSON, written by the supervisor; see ../rules/published_victim_rules.ts.
// ---------------------------------------------------------------------------------------------

/** `edition` is raised with each publication; `bytes` of text lie from `text` on. */
export const VictimRulesWord = { sequence: 0, edition: 1, bytes: 2, text: LINE_WORDS } as const;
export const VICTIM_RULES_BYTES_MAX: number = 256 * 1024;
/** 32-bit words of the shared region. */
export const VICTIM_RULES_REGION_WORDS: number = VictimRulesWord.text + VICTIM_RULES_BYTES_MAX / 4;
