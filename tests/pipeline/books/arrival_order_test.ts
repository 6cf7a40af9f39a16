/**
 * The records of one fork come from two CPUs and from the sweeper, whose buffers are read one after
 * the other: each order of arrival is tried in which the records of one CPU stay in their order.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ProcFlag } from "../../../pipeline/memory/layout.ts";
import { Desk, type Sizes } from "../../_support/desk.ts";

const ANN = 1000;
const PARENT = 10;
const CHILD = 11;
const HELD = 600;
const PARENT_MM = 0xa;
const FORKED_MM = 0xb;
const EXECED_MM = 0xc;
/** Between two records, nanoseconds. */
const STEP_NS = 1000;

/** A record and what it does to a desk; times are places in the true order. */
interface Step {
  readonly name: string;
  readonly at: number;
  readonly put: (desk: Desk, tsNs: number) => unknown;
}

/** What /proc says of the child from a place in the true order on. */
interface Reading {
  readonly from: number;
  readonly sizes: Sizes;
  readonly flags: number;
  readonly stackStart?: number;
}

interface Story {
  readonly name: string;
  readonly parent: readonly Step[];
  readonly child: readonly Step[];
  /** On a third CPU. */
  readonly second?: readonly Step[];
  readonly readings: readonly Reading[];
  /** The most that is ever held, and what is at the end. */
  readonly mostPages: number;
  readonly lastPages: number;
}

const parentBuilds = (at: number, anon: number): Step => ({
  name: `build ${anon}`,
  at,
  put: (desk, tsNs) => desk.foreign(PARENT, FORKED_MM, { anon }, tsNs),
});
const fork: Step = { name: "fork", at: 2, put: (desk, tsNs) => desk.fork(PARENT, CHILD, tsNs) };
const vfork: Step = { name: "vfork", at: 2, put: (desk, tsNs) => desk.vfork(PARENT, CHILD, tsNs) };
const childHas = (at: number, mmId: number, sizes: Sizes): Step => ({
  name: `own ${mmId.toString(16)} ${JSON.stringify(sizes)}`,
  at,
  put: (desk, tsNs) => desk.own(CHILD, mmId, sizes, tsNs),
});
const childBuilds = (at: number, mmId: number, sizes: Sizes): Step => ({
  name: `foreign ${mmId.toString(16)} ${JSON.stringify(sizes)}`,
  at,
  put: (desk, tsNs) => desk.foreign(CHILD, mmId, sizes, tsNs),
});
const exec = (at: number): Step => ({
  name: "exec",
  at,
  put: (desk, tsNs) => desk.exec(CHILD, CHILD, tsNs),
});
const exit = (at: number): Step => ({
  name: "exit",
  at,
  put: (desk, tsNs) => desk.exit(CHILD, 1, tsNs),
});

const FORKED_CHILD_EXECS = [
  childHas(3, FORKED_MM, { anon: HELD + 1 }),
  childBuilds(4, EXECED_MM, { anon: 10 }),
  childBuilds(5, FORKED_MM, { anon: 0 }),
  childHas(6, EXECED_MM, { anon: 12 }),
  exec(7),
];
const FORK_PARENT = [parentBuilds(0, HELD / 2), parentBuilds(1, HELD), fork];

const STORIES: readonly Story[] = [
  {
    name: "a child that touches pages",
    parent: FORK_PARENT,
    child: [
      childHas(3, FORKED_MM, { file: 5 }),
      childHas(4, FORKED_MM, { anon: HELD + 2 }),
      childHas(5, FORKED_MM, { anon: HELD + 10 }),
    ],
    readings: [
      { from: 2, sizes: { anon: HELD }, flags: ProcFlag.mayShare },
      { from: 4, sizes: { file: 5, anon: HELD + 2 }, flags: ProcFlag.mayShare },
      { from: 5, sizes: { file: 5, anon: HELD + 10 }, flags: ProcFlag.mayShare },
    ],
    mostPages: HELD + 10,
    lastPages: HELD + 10,
  },
  {
    name: "a child that executes a program",
    parent: FORK_PARENT,
    child: FORKED_CHILD_EXECS,
    readings: [
      { from: 2, sizes: { anon: HELD }, flags: ProcFlag.mayShare },
      { from: 3, sizes: { anon: HELD + 1 }, flags: ProcFlag.mayShare },
      { from: 6, sizes: { anon: 12 }, flags: 0 },
    ],
    mostPages: HELD + 12,
    lastPages: HELD + 12,
  },
  {
    name: "a child that ends",
    parent: FORK_PARENT,
    child: [
      childHas(3, FORKED_MM, { anon: HELD + 1 }),
      exit(4),
      childBuilds(5, FORKED_MM, { anon: 200 }),
      childBuilds(6, FORKED_MM, { anon: 0 }),
    ],
    readings: [
      { from: 2, sizes: { anon: HELD }, flags: ProcFlag.mayShare },
      { from: 3, sizes: { anon: HELD + 1 }, flags: ProcFlag.mayShare },
    ],
    mostPages: HELD + 1,
    lastPages: HELD,
  },
  {
    name: "a child of vfork that executes a program",
    parent: [vfork],
    child: [
      childHas(3, PARENT_MM, { anon: HELD + 1 }),
      childBuilds(4, EXECED_MM, { anon: 10 }),
      childHas(6, EXECED_MM, { anon: 12 }),
      exec(7),
    ],
    readings: [
      { from: 2, sizes: { anon: HELD }, flags: ProcFlag.borrows },
      { from: 3, sizes: { anon: HELD + 1 }, flags: ProcFlag.borrows },
      { from: 6, sizes: { anon: 12 }, flags: 0 },
    ],
    mostPages: HELD + 13,
    lastPages: HELD + 13,
  },
];

/** The kernel gives the mm of the first child to the second, with the same mm_id. */
const SECOND = CHILD + 1;
const secondHas = (at: number, mmId: number, sizes: Sizes): Step => ({
  name: `second own ${mmId.toString(16)} ${JSON.stringify(sizes)}`,
  at,
  put: (desk, tsNs) => desk.own(SECOND, mmId, sizes, tsNs),
});
const secondBuilds = (at: number, mmId: number, sizes: Sizes): Step => ({
  name: `second foreign ${mmId.toString(16)} ${JSON.stringify(sizes)}`,
  at,
  put: (desk, tsNs) => desk.foreign(SECOND, mmId, sizes, tsNs),
});
const SECOND_FORK = [
  parentBuilds(8, HELD / 2),
  parentBuilds(9, HELD),
  {
    name: "fork second",
    at: 10,
    put: (desk: Desk, tsNs: number) => desk.fork(PARENT, SECOND, tsNs),
  },
];
const SECOND_TOUCHES = [
  secondHas(11, FORKED_MM, { anon: HELD + 1 }),
  secondHas(12, FORKED_MM, { anon: HELD + 2 }),
];
const NEXT_STORIES: readonly Story[] = [
  {
    name: "a second child, with the mm_id of the first, which has executed a program",
    parent: [...FORK_PARENT, ...SECOND_FORK],
    child: FORKED_CHILD_EXECS,
    second: SECOND_TOUCHES,
    readings: [],
    mostPages: HELD + 14,
    lastPages: HELD + 14,
  },
  {
    name: "a second child, with the mm_id of the first, which has ended",
    parent: [...FORK_PARENT, ...SECOND_FORK],
    child: [
      childHas(3, FORKED_MM, { anon: HELD + 1 }),
      exit(4),
      childBuilds(5, FORKED_MM, { anon: 200 }),
      childBuilds(6, FORKED_MM, { anon: 0 }),
    ],
    second: SECOND_TOUCHES,
    readings: [],
    mostPages: HELD + 2,
    lastPages: HELD + 2,
  },
  {
    name: "a program in an mm with the id of the one of a program that has ended",
    parent: [
      { ...vfork, at: 0 },
      {
        name: "vfork second",
        at: 10,
        put: (desk: Desk, tsNs: number) => desk.vfork(PARENT, SECOND, tsNs),
      },
    ],
    child: [
      childHas(3, PARENT_MM, { anon: HELD + 1 }),
      childBuilds(4, EXECED_MM, { anon: 10 }),
      childHas(6, EXECED_MM, { anon: 12 }),
      exec(7),
      exit(8),
      childBuilds(9, EXECED_MM, { anon: 0 }),
    ],
    second: [
      secondBuilds(11, EXECED_MM, { anon: 20 }),
      secondHas(12, EXECED_MM, { anon: 22 }),
      { name: "exec second", at: 13, put: (desk, tsNs) => desk.exec(SECOND, SECOND, tsNs) },
    ],
    readings: [],
    mostPages: HELD + 1 + 22 + 12,
    lastPages: HELD + 1 + 22,
  },
];

/** All orders in which two lists can come together. */
function* merged<T>(a: readonly T[], b: readonly T[]): Generator<T[]> {
  if (a.length === 0 || b.length === 0) {
    yield [...a, ...b];
    return;
  }
  for (const rest of merged(a.slice(1), b)) yield [a[0]!, ...rest];
  for (const rest of merged(a, b.slice(1))) yield [b[0]!, ...rest];
}

/** One in so many of the orders of three CPUs is tried, another one each time. */
const ORDERS_SAMPLE = 7;

function* ordersOf({ parent, child, second }: Story): Generator<Step[]> {
  if (second === undefined) {
    yield* merged(parent, child);
    return;
  }
  let number = 0;
  for (const children of merged(child, second)) {
    for (const order of merged(parent, children)) if (number++ % ORDERS_SAMPLE === 0) yield order;
  }
}

/** Orders of arrival of a story, without a reading and with one of each state at each place. */
function* arrivals(story: Story): Generator<Step[]> {
  for (const order of ordersOf(story)) {
    yield order;
    for (const { from, sizes, flags } of story.readings) {
      const reading: Step = {
        name: `read ${JSON.stringify(sizes)}`,
        at: from + 0.5,
        put: (desk, tsNs) => {
          desk.proc(CHILD, ANN, sizes, { tsNs, flags });
          if (flags === ProcFlag.borrows) desk.lender(CHILD, PARENT, tsNs);
        },
      };
      for (let place = 0; place <= order.length; place++) {
        yield [...order.slice(0, place), reading, ...order.slice(place)];
      }
    }
  }
}

function charged(desk: Desk): number {
  const { usagePages, creditPages } = desk.books.users;
  const slot = desk.books.findUser(ANN);
  return usagePages[slot]! - creditPages[slot]!;
}

for (const story of [...STORIES, ...NEXT_STORIES]) {
  Deno.test(`${story.name}: charged right in each order of arrival`, () => {
    const wrong: string[] = [];
    for (const order of arrivals(story)) {
      const desk = new Desk();
      desk.limit(ANN, story.mostPages);
      desk.proc(PARENT, ANN, {}).step().own(PARENT, PARENT_MM, { anon: HELD }).step();
      const beganNs = desk.tick(10 * STEP_NS);
      desk.tick(20 * STEP_NS);
      const trail = order.map(({ at, put }) => {
        put(desk, beganNs + at * STEP_NS);
        desk.step();
        return charged(desk);
      });
      const isOver = Math.max(...trail) > story.mostPages ||
        desk.orders().some(({ kind }) => kind === "kill");
      const last = trail.at(-1)!;
      if (isOver || last > story.lastPages || last < HELD) {
        wrong.push(`${order.map(({ name }) => name).join(", ")}: ${trail.join(" ")}`);
      }
    }
    assertEquals(wrong.slice(0, 12), []);
  });
}
