/**
 * A /proc of entries, and what a {@link RecordWriter} has written about it.
 *
 * @module
 */
import { RECORD_BYTES, RecordWord } from "../../pipeline/memory/layout.ts";
import { ringBytes, RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import {
  type Proc,
  type ProcIdentity,
  type ProcStatus,
  STATE_ZOMBIE,
} from "../../pipeline/ports.ts";

export interface Entry {
  ppid?: number;
  /** 1000 by default. */
  uid?: number;
  anonKib?: number;
  startTicks?: number;
  stackStart?: number;
  /** Processes with the same number run on one mm; its pid by default. */
  mm?: number;
  tids?: number[];
  isLeaderDead?: boolean;
}

/** /proc cannot be read, which says nothing of the process. */
export class ProcRefused extends Error {}

/** A /proc of entries, which calls `afterRead` after each reading of a status. */
export class FakeProc implements Proc {
  readonly entries = new Map<number, Entry>();
  afterRead: () => void = () => {};
  /** The next so many readings succeed, and the one after fails; Infinity: none does. */
  readsLeft = Infinity;

  isFailure(error: unknown): boolean {
    return error instanceof ProcRefused;
  }

  private refuse(): void {
    if (this.readsLeft-- > 0) return;
    this.readsLeft = Infinity;
    throw new ProcRefused("too many open files");
  }

  readStatus(id: number, out: ProcStatus): boolean {
    this.refuse();
    const [pid, entry] = this.find(id);
    if (pid === undefined || entry === undefined) return false;
    const { ppid = 1, uid = 1000, anonKib = 0, tids = [pid], isLeaderDead = false } = entry;
    out.tgid = pid;
    out.ppid = ppid;
    out.realUid = uid;
    out.state = isLeaderDead && id === pid ? STATE_ZOMBIE : 0x53;
    out.threads = tids.length;
    out.rssAnonKib = out.state === STATE_ZOMBIE ? 0 : anonKib;
    this.afterRead();
    return true;
  }

  readIdentity(id: number, out: ProcIdentity): boolean {
    this.refuse();
    const [pid, entry] = this.find(id);
    if (pid === undefined || entry === undefined) return false;
    out.ppid = entry.ppid ?? 1;
    out.startTicks = id === pid ? entry.startTicks ?? pid : id;
    // A leader that has exited has no memory, and no stack in it.
    const isDead = entry.isLeaderDead === true && id === pid;
    out.stackStart = isDead ? 0 : entry.stackStart ?? pid * 4096;
    return true;
  }

  /** Whose thread it is. */
  private find(id: number): [pid?: number, entry?: Entry] {
    return [...this.entries].find(([pid, { tids = [pid] }]) => tids.includes(id)) ?? [];
  }

  listPids(out: Int32Array): number {
    this.refuse();
    const pids = [...this.entries.keys()].sort((a, b) => a - b);
    out.set(pids);
    return pids.length;
  }

  listTids(pid: number): number[] {
    this.refuse();
    return this.entries.get(pid)?.tids ?? [pid];
  }

  listChildren(pid: number): number[] {
    this.refuse();
    return [...this.entries].filter(([, { ppid }]) => ppid === pid).map(([child]) => child);
  }

  /** As kcmp(2): tasks without memory share it. */
  sharesMm(idA: number, idB: number): boolean {
    const [a, b] = [this.mmOf(idA), this.mmOf(idB)];
    return a !== undefined && a === b;
  }

  /** 0: none; undefined: nobody has that number. */
  private mmOf(id: number): number | undefined {
    const [pid, entry] = this.find(id);
    if (pid === undefined || entry === undefined) return undefined;
    return entry.isLeaderDead === true && id === pid ? 0 : entry.mm ?? pid;
  }
}

/** A record. */
export interface Telling {
  readonly tsNs: number;
  readonly kind: number;
  readonly tid: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** A ring of records and both of its ends. */
export class Tellings {
  readonly writer: RecordWriter;
  private readonly producer: RingProducer;
  private readonly consumer: RingConsumer;

  constructor() {
    const place = { byteOffset: 0, records: 1024, recordBytes: RECORD_BYTES };
    const memory = new SharedArrayBuffer(ringBytes(place.records, RECORD_BYTES));
    this.producer = new RingProducer(memory, place);
    this.consumer = new RingConsumer(memory, place);
    this.writer = new RecordWriter(this.producer, () => {
      throw new Error("the ring is full");
    });
  }

  /** What was written since the last time. */
  take(): Telling[] {
    this.producer.publish();
    const records: Telling[] = [];
    const { words, doubles } = this.consumer;
    for (let word = this.consumer.next(); word >= 0; word = this.consumer.next()) {
      const at = (name: keyof typeof RecordWord): number => words[word + RecordWord[name]]!;
      records.push({
        tsNs: doubles[word >> 1]!,
        kind: at("kindCpu") & 0xff,
        tid: at("tid"),
        a: at("a"),
        b: at("b"),
        c: at("c"),
        d: at("d"),
      });
    }
    this.consumer.release();
    return records;
  }
}
