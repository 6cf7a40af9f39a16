/**
 * The ledger: what each process was promised, in memory that outlives the coordinator (and, as a
 * file, the daemon), so that nothing is granted twice after a restart.
 *
 *     header, 64 bytes: magic | version | rows | page size | boot (4 words)
 *     rows, 64 bytes each: see LedgerWord
 *
 * One writer: the coordinator. A row counts while its state is `used`, which is written last when
 * it is made and first when it is dropped: a writer that dies in between leaves nothing half.
 *
 * @module
 */
import { invariant } from "../memory/invariant.ts";

/** "tmlc" in ASCII. */
const MAGIC = 0x746d6c63;
const VERSION = 1;
const HEADER_WORDS = 16;
const ROW_WORDS = 16;
const BOOT_WORDS = 4;

/** Words of a row. */
export const LedgerWord = {
  /** 0 free, 1 used. */
  state: 0,
  pid: 1,
  /** Low 32 bits of the process's start time: with the pid, which process. */
  startTicks: 2,
  /** Where its stack begins, folded: another after an exec. */
  imageId: 3,
  uid: 4,
  /** What it had when it asked first; see admission.ts. */
  basePages: 5,
  /** Granted and not given back. */
  reservedPages: 6,
  /** The most it will ever need, as a level; 0 not said. */
  claimPages: 7,
  /** Inherited by fork, and room for a copy of it was granted; see allocations.ts. */
  insuredPages: 8,
} as const;

/** Bytes of a ledger for so many processes. */
export function ledgerBytes(rows: number): number {
  return (HEADER_WORDS + rows * ROW_WORDS) * 4;
}

export class Ledger {
  readonly capacity: number;
  private readonly words: Int32Array;
  private readonly free: number[] = [];

  /**
   * Takes over a ledger, or makes one where there is none of this boot, version and size.
   *
   * @param bootId 16 bytes that change with every boot: pids and start times count for one only.
   */
  constructor(memory: ArrayBufferLike, rows: number, pageBytes: number, bootId: Uint8Array) {
    invariant(memory.byteLength >= ledgerBytes(rows), "ledger: too little memory for its rows");
    this.capacity = rows;
    this.words = new Int32Array(memory, 0, HEADER_WORDS + rows * ROW_WORDS);
    const { words } = this;
    const boot = new Int32Array(bootId.slice(0, BOOT_WORDS * 4).buffer);
    const header = [MAGIC, VERSION, rows, pageBytes, ...boot];
    if (header.some((word, index) => words[index] !== word)) {
      words.fill(0);
      for (let index = header.length - 1; index >= 0; index--) words[index] = header[index]!;
    }
    for (let row = rows - 1; row >= 0; row--) if (!this.isUsed(row)) this.free.push(row);
  }

  isUsed(row: number): boolean {
    return this.get(row, LedgerWord.state) === 1;
  }

  /** Makes a row. @returns -1 when there is no room. */
  add(pid: number, startTicks: number, imageId: number, uid: number): number {
    const row = this.free.pop();
    if (row === undefined) return -1;
    this.set(row, LedgerWord.pid, pid);
    this.set(row, LedgerWord.startTicks, startTicks);
    this.set(row, LedgerWord.imageId, imageId);
    this.set(row, LedgerWord.uid, uid);
    this.set(row, LedgerWord.basePages, 0);
    this.set(row, LedgerWord.reservedPages, 0);
    this.set(row, LedgerWord.claimPages, 0);
    this.set(row, LedgerWord.insuredPages, 0);
    this.set(row, LedgerWord.state, 1);
    return row;
  }

  drop(row: number): void {
    this.set(row, LedgerWord.state, 0);
    this.free.push(row);
  }

  get(row: number, word: number): number {
    return this.words[HEADER_WORDS + row * ROW_WORDS + word]!;
  }

  /** What it had when it asked first, and what it was granted since. */
  level(row: number): number {
    return this.get(row, LedgerWord.basePages) + this.get(row, LedgerWord.reservedPages);
  }

  set(row: number, word: number, value: number): void {
    this.words[HEADER_WORDS + row * ROW_WORDS + word] = value;
  }
}
