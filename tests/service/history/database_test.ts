/** The history's file: what is written is read; it stays within its bounds, and survives damage. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { HistoryDatabase } from "../../../service/history/database.ts";
import { HistoryReader } from "../../../service/history/reader.ts";
import { type KillRecord, withEnd } from "../../../service/history/record.ts";
import { ForeignFileError } from "../../../service/history/schema.ts";
import { AT } from "../../_support/journal_events.ts";
import { killRecord } from "../../_support/kill_entries.ts";

const BOUNDS = { ageMsMax: 86_400_000, bytesMax: 2 ** 20 };
const NONE = { kills: [], ends: [], peaks: [] };
const END = { freedBytes: 4096, exitUs: 800.5, exitStatus: 9, outcome: null };

interface Place {
  readonly dir: string;
  readonly path: string;
  nowMs: number;
  open(bounds?: typeof BOUNDS): HistoryDatabase;
}

async function within(test: (place: Place) => void): Promise<void> {
  const dir = await Deno.makeTempDir();
  const place: Place = {
    dir,
    path: `${dir}/history.db`,
    nowMs: AT.getTime() + 60_000,
    open: (bounds = BOUNDS) => {
      const database = new HistoryDatabase(place.path, bounds, () => new Date(place.nowMs));
      database.open();
      return database;
    },
  };
  try {
    test(place);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function read<T>(path: string, ask: (reader: HistoryReader) => T): T {
  using reader = new HistoryReader(path);
  return ask(reader);
}

Deno.test("kills, their ends and peaks are read as they were written, also while it is open", async () => {
  await within(({ path, open }) => {
    const database = open();
    const [first, second, other] = [killRecord(1), killRecord(2), killRecord(3, 7)];
    const hourMs = 3_600_000 * 400_000;
    database.write({
      kills: [first, second, other],
      ends: [{ id: second.id, ...END }],
      peaks: [{ hourMs, uid: 7, peakBytes: 100 }, { hourMs, uid: 8, peakBytes: 100 }],
    });
    database.write({ ...NONE, peaks: [{ hourMs, uid: 7, peakBytes: 90 }] });
    database.write({ ...NONE, peaks: [{ hourMs, uid: 8, peakBytes: 110 }] });
    const ended = withEnd(second, { id: second.id, ...END });
    const all = { limit: 10 };
    assertEquals(read(path, (reader) => reader.kills(all)), [first, ended, other]);
    assertEquals(read(path, (reader) => reader.kills({ ...all, uid: 7 })), [other]);
    assertEquals(read(path, (reader) => reader.kills({ limit: 1 })), [other]);
    const sinceMs = Date.parse(second.at);
    assertEquals(read(path, (reader) => reader.kills({ ...all, sinceMs })), [ended, other]);
    assertEquals(read(path, (reader) => reader.kill(second.id)), ended);
    assertEquals(read(path, (reader) => reader.kill(second.id.slice(0, -1))), ended);
    assertEquals(read(path, (reader) => reader.kill("m")), undefined, "of several it is none");
    assertEquals(read(path, (reader) => reader.kill("")), undefined);
    assertEquals(
      read(path, (reader) => reader.peaks(all)).map(({ uid, peakBytes }) => [uid, peakBytes]),
      [
        [8, 110],
        [7, 100],
      ],
    );
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    database.close();
    assertEquals(read(path, (reader) => reader.kills(all)).length, 3);
  });
});

Deno.test("what is too old goes, and a full file makes room by its oldest kills", async () => {
  await within((place) => {
    let database = place.open();
    database.write({
      ...NONE,
      kills: [killRecord(1)],
      peaks: [{ hourMs: AT.getTime(), uid: 1, peakBytes: 1 }],
    });
    place.nowMs += BOUNDS.ageMsMax;
    database.close();
    database = place.open();
    assertEquals(read(place.path, (reader) => reader.kills({ limit: 9 })), []);
    assertEquals(read(place.path, (reader) => reader.peaks({ limit: 9 })), []);
    database.close();

    place.nowMs = AT.getTime() + 60_000;
    database = place.open({ ...BOUNDS, bytesMax: 2 ** 18 });
    for (let number = 0; number < 1000; number += 10) {
      const kills = Array.from({ length: 10 }, (_, index) => killRecord(number + index));
      database.write({ ...NONE, kills });
    }
    database.close();
    assert(Deno.statSync(place.path).size <= 2 ** 18, `${Deno.statSync(place.path).size} bytes`);
    const kept = read(place.path, (reader) => reader.kills({ limit: 10_000 }));
    assert(kept.length > 50 && kept.length < 500, `${kept.length} kept`);
    assertEquals(kept.at(-1)!.id, killRecord(999).id, "the newest stay");
    assertEquals(kept[0]!.id, killRecord(1000 - kept.length).id, "without a gap");
  });
});

Deno.test("I7: who loses processes by the thousand pushes out its own receipts, not those of others", async () => {
  await within((place) => {
    const database = place.open({ ...BOUNDS, bytesMax: 2 ** 18 });
    database.write({ ...NONE, kills: [killRecord(0, 7), killRecord(1, 8)] });
    for (let number = 10; number < 1000; number += 10) {
      const kills = Array.from({ length: 10 }, (_, index) => killRecord(number + index, 9));
      database.write({ ...NONE, kills });
    }
    database.close();
    const kept = read(place.path, (reader) => reader.kills({ limit: 10_000 }));
    assertEquals(kept.slice(0, 2).map(({ uid }) => uid), [7, 8]);
    assertEquals(kept.at(-1)!.id, killRecord(999).id);
  });
});

Deno.test("a damaged file is set aside and a new one begun; few of them are kept", async () => {
  await within((place) => {
    for (let round = 0; round < 4; round++) {
      place.nowMs += 1000;
      Deno.writeTextFileSync(place.path, `no database ${round} `.repeat(1000));
      const database = place.open();
      assertMatch(
        database.damage!,
        /history\.db was damaged \(.*\) and is set aside as .*damaged-/,
      );
      database.write({ ...NONE, kills: [killRecord(round)] });
      database.close();
      assertEquals(read(place.path, (reader) => reader.kills({ limit: 9 })).length, 1);
    }
    const aside = [...Deno.readDirSync(place.dir)].filter(({ name }) =>
      /damaged-[\dT-]*Z$/.test(name)
    );
    assertEquals(aside.length, 2);
    const [oldest] = aside.map(({ name }) => name).sort();
    assertMatch(Deno.readTextFileSync(`${place.dir}/${oldest}`), /^no database 2 /);
  });
});

Deno.test("a file with holes in its pages is found damaged at the start, or while it is written", async () => {
  await within((place) => {
    let database = place.open();
    const kills = Array.from({ length: 200 }, (_, index) => killRecord(index));
    database.write({ ...NONE, kills });
    database.close();
    const bytes = Deno.readFileSync(place.path);
    bytes.fill(0xa5, 4096 * 2, 4096 * 40);
    Deno.writeFileSync(place.path, bytes);
    database = place.open();
    assertMatch(database.damage!, /damaged/);
    database.write({ ...NONE, kills: kills.slice(0, 3) });
    database.close();
    assertEquals(read(place.path, (reader) => reader.kills({ limit: 9 })).length, 3);
  });
});

Deno.test("what another program or a later toom has written is left as it is", async () => {
  await within(({ path, open }) => {
    const foreign = new DatabaseSync(path);
    foreign.exec("CREATE TABLE kills (id TEXT)");
    foreign.close();
    assertThrows(() => open(), ForeignFileError, "of another program");
    assertThrows(() => new HistoryReader(path), ForeignFileError);
    Deno.removeSync(path);
    open().close();
    const later = new DatabaseSync(path);
    later.exec("PRAGMA user_version = 9");
    later.close();
    assertThrows(() => open(), ForeignFileError, "a later toom");
    assertThrows(() => new HistoryReader(`${path}.none`), Error);
  });
});

Deno.test("what an older toom did not know of a kill is nothing; what is no receipt is left out", async () => {
  await within(({ path, open }) => {
    const database = open();
    const { rule: _rule, policy: _policy, peakPages: _peak, ...older } = killRecord(1);
    const broken = { ...killRecord(3), pid: "x" as unknown as number };
    database.write({ ...NONE, kills: [older as KillRecord, killRecord(2), broken] });
    database.close();
    assertEquals(read(path, (reader) => reader.kills({ limit: 9 })), [
      { ...killRecord(1), rule: null, policy: "largest", peakPages: 0 },
      killRecord(2),
    ]);
  });
});
