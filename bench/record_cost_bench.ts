/**
 * The most that one step of accounting costs when the tables are full: no record may hold up events
 * for more than 5 ms.
 *
 * Each benchmark prepares full tables and times the one step that the record or the change needs.
 *
 * @module
 */
import { MEASURE_END } from "../pipeline/messages/records.ts";
import { DEFAULT_CAPACITY } from "../pipeline/memory/memory.ts";
import { Desk } from "../tests/_support/desk.ts";

const FIRST_UID = 60_000;
const LAST_UID = 69_999;
/** Users among whom the tables are full. */
const USERS = 64;
const PROCESSES = 16_000;
const THREADS = 30_000;

function makeDesk(): Desk {
  const desk = new Desk({ capacity: { ...DEFAULT_CAPACITY, ringRecords: 65_536, rules: 8 } });
  return desk.limit(FIRST_UID, 1e6, 9e5, LAST_UID);
}

function fill(desk: Desk): void {
  for (let i = 0; i < PROCESSES; i++) {
    desk.proc(10 + 4 * i, FIRST_UID + i % USERS, { anon: 10 }, {
      tids: [0, 1, 2].map((thread) => 10 + 4 * i + thread),
    });
    if (i % 1000 === 999) desk.stepUnchecked();
  }
  desk.stepUnchecked();
}

/** @param prepare Writes the record; the step that takes it is timed. */
function bench(name: string, make: () => Desk, prepare: (desk: Desk) => void): void {
  Deno.bench({
    name,
    group: "one step, full tables",
    n: 10,
    warmup: 2,
    fn: (b) => {
      const desk = make();
      prepare(desk);
      desk.publish();
      b.start();
      desk.accounting.step(desk.nowNs, 1);
      b.end();
    },
  });
}

const full = (): Desk => {
  const desk = makeDesk();
  fill(desk);
  return desk;
};

bench("the end of a sweep that found nobody: one part", full, (desk) => {
  desk.tick(1e9);
  desk.sweep(() => {});
  desk.publish();
  desk.accounting.step(desk.nowNs, 1);
  desk.accounting.step(desk.nowNs, 1);
});
bench("the end of a process of 30 000 threads", () => {
  const desk = makeDesk().proc(10, FIRST_UID, { anon: 10 }).stepUnchecked();
  for (let thread = 0; thread < THREADS; thread++) desk.thread(10, 100 + thread);
  return desk.stepUnchecked();
}, (desk) => desk.gone(10));
bench("the user of an ancestor of 8000 processes", () => {
  const desk = makeDesk();
  for (let i = 0; i < 8000; i++) desk.fork(1000 + i, 1001 + i);
  return desk.stepUnchecked();
}, (desk) => desk.proc(1000, FIRST_UID, {}));
bench("lost events: all users in doubt", full, (desk) => desk.lost());
bench("a limit that is changed", full, (desk) => desk.limit(FIRST_UID, 1e6, 8e5, LAST_UID));
bench(
  "the end of a measuring",
  full,
  (desk) => desk.sweeperPut(MEASURE_END, { number: 1, uid: FIRST_UID }),
);
bench("a parent that ends, of 250 children that have its pages", () => {
  const desk = full();
  desk.proc(9, FIRST_UID, {}).stepUnchecked().own(9, 0x9, { anon: 100 }).stepUnchecked();
  for (let child = 0; child < 250; child++) {
    desk.foreign(9, 0x1000 + child, { anon: 100 }).fork(9, 90_000 + child);
  }
  return desk.stepUnchecked().exit(9).stepUnchecked();
}, (desk) => desk.foreign(9, 0x9, { anon: 0 }));
