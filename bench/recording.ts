/**
 * How long a recording of many records takes to replay, and how small it is. `--records N`, 10 million
 * where it is not said:
 *
 *     deno run -A --no-check bench/recording.ts --records 1000000
 *
 * @module
 */
import { runRecording } from "../cli/run_recording.ts";
import { DEFLATE } from "../kernel/packing/deflate.ts";
import { Member, packRss, RECORD_BYTES, RecordKind } from "../pipeline/memory/layout.ts";
import { DEFAULT_CAPACITY } from "../pipeline/memory/memory.ts";
import { DEFAULT_SETTINGS } from "../pipeline/memory/settings.ts";
import {
  ChunkType,
  fileHead,
  jsonBytes,
  RECORDS_HEAD_BYTES,
  Stream,
  writeChunk,
} from "../pipeline/recording/format.ts";
import { RecordPacker } from "../pipeline/recording/pack_records.ts";
import { RecordList } from "../pipeline/recording/record_list.ts";

const CHUNK = 16_384;
const PROCESSES = 40;
const at = Deno.args.indexOf("--records");
const total = at < 0 ? 10_000_000 : Number(Deno.args[at + 1]);
const path = await Deno.makeTempFile({ suffix: ".toomrec" });
const file = await Deno.open(path, { write: true });
const put = (type: ChunkType, payload: Uint8Array): number =>
  file.writeSync(writeChunk(type, payload, DEFLATE));

const head = {
  ...DEFAULT_CAPACITY,
  toomVersion: "bench",
  startedAt: new Date().toISOString(),
  startedNs: 1e9,
  source: "raw",
  marginPages: 1000,
  kernel: "",
};
file.writeSync(fileHead());
put(ChunkType.head, jsonBytes(head));
const limits = [{ uidFirst: 0, uidLast: 0, hardPages: 1e6, softPages: 9e5 }];
put(ChunkType.settings, jsonBytes({ sequence: 2, settings: DEFAULT_SETTINGS, limits }));
const keyframe = {
  readNs: 1e9,
  tsNs: 1e9,
  readerRecords: [0],
  sweeperRecords: 0,
  killerRecords: 0,
  position: 0,
  settings: 2,
  isWhole: true,
  isDegraded: false,
  processes: 0,
};
put(ChunkType.keyframe, jsonBytes(keyframe));
const packer = new RecordPacker();
const list = new RecordList();
const putList = (stream: number, first: number): void => {
  const packed = packer.pack(list.words, list.doubles, list.count);
  const payload = new Uint8Array(RECORDS_HEAD_BYTES + packed.length);
  const view = new DataView(payload.buffer);
  view.setUint32(0, stream, true);
  view.setInt32(4, first | 0, true);
  payload.set(packed, RECORDS_HEAD_BYTES);
  put(ChunkType.records, payload);
  list.clear();
};
putList(Stream.keyframe, 0);

// Programs that touch pages, give some back, and take turns, 1 to 4 us from page to page.
let tsNs = 1e9;
let random = 1;
const pages = new Int32Array(PROCESSES);
let process = 0;
const anon = packRss(Member.anon, 1, false);
for (let done = 0; done < total;) {
  const first = done;
  for (let count = 0; count < CHUNK && done < total; count++, done++) {
    random = Math.imul(random, 1664525) + 1013904223 | 0;
    if ((random >>> 24) < 12) process = (random >>> 8) % PROCESSES;
    tsNs += 1000 + ((random >>> 12) & 0xfff);
    pages[process] = pages[process]! > 4000 ? 100 : pages[process]! + 1;
    list.put(
      tsNs,
      RecordKind.rss,
      100 + process,
      5000 + process,
      pages[process]!,
      anon,
      100 + process,
    );
  }
  putList(0, first);
  list.put(tsNs, RecordKind.stepped, 0, done, 0, 2, 0);
  putList(Stream.accountingLog, 0);
}
put(ChunkType.tail, jsonBytes({ endedNs: tsNs, records: total, lostRecords: 0 }));
file.close();
const { size } = await Deno.stat(path);
const startedMs = performance.now();
const { replay, damage } = await runRecording(path, () => undefined);
const seconds = (performance.now() - startedMs) / 1000;
await Deno.remove(path);
if (damage !== undefined || replay.records !== total) {
  throw new Error(`${damage} ${replay.records}`);
}
// deno-lint-ignore no-console
console.log(
  `${total} records: ${size} bytes, ${(total * RECORD_BYTES / size).toFixed(1)} times smaller; ` +
    `replayed in ${seconds.toFixed(1)} s, ${(total / seconds / 1e6).toFixed(2)} million a second`,
);
