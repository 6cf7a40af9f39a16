import { assertEquals } from "@std/assert";
import { ReaderGuard } from "../../../pipeline/discovery/reader_guard.ts";
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import { CounterIndex, Role, RoleWord } from "../../../pipeline/memory/layout.ts";
import { attachCounters, attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { ReadTurn } from "../../../pipeline/reading/read_turn.ts";
import { SMALL } from "../../_support/desk.ts";

const LOOK_NS = 0.2e9;

/** A reader that takes events from the kernel and counts them, each when it is told to. */
class FakeReader {
  readonly words: Int32Array;
  private readonly counters: Float64Array;
  private readonly turn: ReadTurn;
  private uncounted = 0;

  constructor(memory: ReturnType<typeof attachMemory>, index: number) {
    this.words = attachRole(memory, Role.reader + index);
    this.counters = attachCounters(memory, Role.reader + index);
    this.turn = new ReadTurn(this.words);
    Atomics.store(this.words, RoleWord.epoch, 1);
  }

  begin(): void {
    this.turn.begin();
  }

  take(events: number): number {
    this.uncounted += events;
    return events;
  }

  end(): void {
    this.counters[CounterIndex.events]! += this.uncounted;
    this.uncounted = 0;
    this.turn.end();
  }

  /** It ends where it stands, and another begins. */
  die(): void {
    this.uncounted = 0;
    Atomics.add(this.words, RoleWord.epoch, 1);
  }
}

/** A kernel that counts what is read, by toom's readers and by a thief. */
class World {
  readonly readers: FakeReader[];
  readonly guard: ReaderGuard;
  nowNs = 0;
  /** Done while the guard reads what the kernel has counted, before and after. */
  beforeCount: () => void = () => {};
  afterCount: () => void = () => {};
  private read = 0;

  constructor(readers = 1) {
    const memory = attachMemory(createMemory({ ...SMALL, readers }));
    this.readers = Array.from({ length: readers }, (_, index) => new FakeReader(memory, index));
    this.guard = new ReaderGuard(memory, {
      eventsRead: () => {
        this.beforeCount();
        const { read } = this;
        this.afterCount();
        return read;
      },
    });
  }

  begin(index = 0): void {
    this.readers[index]!.begin();
  }
  take(events: number, index = 0): void {
    this.read += this.readers[index]!.take(events);
  }
  end(index = 0): void {
    this.readers[index]!.end();
  }
  turn(events: number, index = 0): void {
    this.begin(index);
    this.take(events, index);
    this.end(index);
  }
  steal(events: number): void {
    this.read += events;
  }
  empty(): void {
    this.read = 0;
  }
  look(): string | undefined {
    return this.guard.check(this.nowNs += LOOK_NS);
  }
  /** What was told in so many looks. */
  looks(count: number, before: () => void = () => {}): string[] {
    return Array.from({ length: count }, () => {
      before();
      return this.look();
    }).filter((told) => told !== undefined);
  }
}

const stolen = (events: number): string => `${events} events were read by somebody else`;

Deno.test("a reader that stands still within a turn is not taken for a thief", () => {
  const world = new World();
  world.turn(500);
  world.begin();
  world.take(300);
  assertEquals(world.looks(100), []);
  world.end();
  assertEquals(world.looks(30, () => world.turn(7)), []);
});

Deno.test("who is stopped over and over, each time for a second or two, blames nobody", () => {
  const world = new World();
  for (let round = 0; round < 50; round++) {
    world.begin();
    world.take(1 + round);
    assertEquals(world.looks(3 + round % 10), []);
    world.end();
    if (round % 3 === 0) assertEquals(world.look(), undefined);
  }
});

Deno.test("a thief is found at the next look at readers that rest", () => {
  const world = new World();
  assertEquals(world.looks(10, () => world.turn(100)), []);
  world.steal(3);
  assertEquals(world.look(), stolen(3));
  assertEquals(world.looks(10, () => world.turn(100)), []);
});

Deno.test("what is stolen while a reader stands still is told when its turn is over", () => {
  const world = new World();
  world.begin();
  world.take(300);
  assertEquals(world.looks(20, () => world.steal(10)), []);
  world.end();
  assertEquals(world.look(), stolen(200));
});

Deno.test("who goes on stealing is told of once a second, and nothing is left out", () => {
  const world = new World();
  const told = world.looks(15, () => world.steal(1));
  assertEquals(told, [stolen(1), stolen(5), stolen(5)]);
});

Deno.test("events that are read while the guard looks mislead it neither way", () => {
  const world = new World();
  world.beforeCount = () => world.turn(40);
  world.afterCount = () => world.turn(50);
  assertEquals(world.looks(50), []);
  world.steal(51);
  assertEquals(world.look(), stolen(1), "what was got meanwhile may hide as much");
});

Deno.test("a turn that begins while the guard looks does not count against the reader", () => {
  const world = new World();
  world.beforeCount = () => {
    world.begin();
    world.take(40);
  };
  assertEquals(world.looks(1), []);
  world.beforeCount = () => {};
  assertEquals(world.looks(20), []);
  world.end();
  assertEquals(world.look(), undefined);
});

/** One turn after the other, and each look falls into one. */
function flood(world: World, events: number): () => void {
  world.begin();
  world.take(events);
  return () => {
    world.end();
    world.begin();
    world.take(events);
  };
}

Deno.test("a reader that never rests is not misjudged, and a thief beside it is found", () => {
  const world = new World();
  const next = flood(world, 16_000);
  assertEquals(world.looks(100, next), []);
  world.steal(20_000);
  assertEquals(world.looks(26, next).length, 1);
  assertEquals(world.looks(100, next), []);
  world.end();
  assertEquals(world.looks(30), []);
});

Deno.test("a reader that moves seldom needs as many looks that saw it move", () => {
  const world = new World();
  const next = flood(world, 20_000);
  let look = 0;
  assertEquals(world.looks(120, () => look++ % 5 === 0 ? next() : undefined), []);
});

Deno.test("what a reader had taken when it ended is not stolen, and thieves are found afterwards", () => {
  const world = new World();
  world.turn(100);
  world.begin();
  world.take(50);
  assertEquals(world.looks(3), [], "it is dead, and nobody has noticed");
  world.readers[0]!.die();
  assertEquals(world.looks(3), [], "its successor has not begun");
  assertEquals(world.looks(10, () => world.turn(9)), []);
  world.steal(4);
  assertEquals(world.look(), stolen(4));
});

Deno.test("a successor is within its turn from its first event on", () => {
  const world = new World();
  world.begin();
  world.take(50);
  world.readers[0]!.die();
  world.begin();
  world.take(60);
  assertEquals(world.looks(20), []);
  world.end();
  assertEquals(world.looks(3), []);
  world.steal(1);
  assertEquals(world.look(), stolen(1));
});

Deno.test("of several readers each must have been outside of its turn", () => {
  const world = new World(3);
  world.turn(10, 0);
  world.begin(1);
  world.take(20, 1);
  world.turn(30, 2);
  assertEquals(world.looks(30, () => world.turn(5, 0)), []);
  world.steal(7);
  assertEquals(world.looks(5), []);
  world.end(1);
  assertEquals(world.look(), stolen(7));
});

Deno.test("buffers that somebody has emptied are told of, and counting begins anew", () => {
  const world = new World();
  world.turn(100);
  assertEquals(world.look(), undefined);
  world.empty();
  assertEquals(world.look(), "the buffers were emptied");
  assertEquals(world.looks(10, () => world.turn(10)), []);
  world.steal(2);
  assertEquals(world.look(), stolen(2));
});

Deno.test("where the kernel does not tell, nothing is concluded", () => {
  const memory = attachMemory(createMemory(SMALL));
  const guard = new ReaderGuard(memory, { eventsRead: () => -4 });
  assertEquals(guard.check(1e9), undefined);
});
