/** Room for children: held while they are about to be born, and what a child has then. */
import { assert, assertEquals } from "@std/assert";
import { MEASURE_BEGIN, MEASURE_END, MEASURED } from "../../../pipeline/messages/records.ts";
import { RequestType, Status } from "../../../pipeline/promises/tmalloc_message.ts";
import { ask, lastReply, PromiseWorld } from "../../_support/promises.ts";

const UID = 1000;
const { reserve, release, query, fork } = RequestType;
Deno.test("Coordinator holds room for a child, for a while", () => {
  const world = new PromiseWorld(UID, 100);
  const parent = world.spawn(30);
  ask(world, parent, reserve, 10);
  assertEquals(ask(world, parent, fork)!.pages, 40);
  assertEquals(ask(world, parent, reserve, 21)!.status, Status.refused);
  const child = world.fork(parent);
  world.sync();
  assertEquals(ask(world, child, query)!.levelPages, 30);
  assertEquals(ask(world, parent, query)!.committedPages, 70, "the child counts by itself now");
  assertEquals(ask(world, parent, reserve, 30)!.status, 0);
  world.end(child);
  world.sync();
  assertEquals(ask(world, parent, fork)!.status, Status.refused);
  ask(world, parent, release, 30);
  assertEquals(ask(world, parent, fork)!.status, 0);
  world.turn(1.1e9);
  assertEquals(ask(world, parent, query)!.committedPages, 40, "the child never came");
});

Deno.test("a child that executes a program costs its user only what it needs until then", () => {
  const world = new PromiseWorld(UID, 100);
  const parent = world.spawn(30);
  ask(world, parent, reserve, 40);
  world.touch(parent, 40);
  world.sync();
  const answer = ask(world, parent, fork, 8)!;
  assertEquals([answer.status, answer.pages, answer.committedPages], [0, 8, 78]);
  assertEquals(ask(world, parent, fork, 8)!.committedPages, 86, "before the first has gone");
  assertEquals(ask(world, parent, query)!.committedPages, 78, "one room is enough for both");
  const child = world.forkSharing(parent);
  world.sync();
  assertEquals(ask(world, parent, query)!.committedPages, 78, "shared pages count once");
  world.exec(child);
  world.sync();
  assertEquals(ask(world, parent, query)!.committedPages, 81);
  world.turn(101e6);
  assertEquals(ask(world, parent, query)!.committedPages, 73);
  ask(world, parent, reserve, 20);
  assertEquals(ask(world, parent, fork, 8)!.status, Status.refused, "not even that");
});

Deno.test("Coordinator does not refuse what fits as soon as the tables know what is shared", () => {
  const world = new PromiseWorld(UID, 100);
  const parent = world.spawn(60);
  assertEquals(ask(world, parent, fork, 8)!.status, 0);
  world.forkSharing(parent);
  world.desk.step();
  world.credit(0);
  assertEquals(ask(world, parent, reserve, 20), undefined, "it is looked at again");
  world.credit(60);
  world.turn(1e6);
  assertEquals([lastReply(world).status, lastReply(world).committedPages], [0, 88]);
});

/** A parent of 60 pages whose second fork waits, because the tables do not know what its child shares. */
function waitingFork(): PromiseWorld {
  const world = new PromiseWorld(UID, 100);
  const parent = world.spawn(60);
  assertEquals(ask(world, parent, fork, 8)!.status, 0);
  const child = world.forkSharing(parent);
  world.desk.step();
  world.declare(child, 60);
  world.credit(0);
  assertEquals(ask(world, parent, fork, 8), undefined, "it is looked at again");
  return world;
}

Deno.test("a fork waits until the tables know what the child before it shares", () => {
  const world = waitingFork();
  world.turn(50e6);
  world.credit(60);
  world.turn(1e6);
  assertEquals([lastReply(world).status, lastReply(world).committedPages], [0, 68]);
});

Deno.test("a fork that the tables leave no room for is refused when a child's grace is over", () => {
  const world = waitingFork();
  world.turn(101e6);
  assertEquals(lastReply(world).status, Status.refused);
});

Deno.test("a child that stays has what it has, and asks for more", () => {
  const world = new PromiseWorld(UID, 100);
  const parent = world.spawn(10);
  ask(world, parent, reserve, 50);
  world.touch(parent, 20);
  world.sync();
  ask(world, parent, fork, 8);
  const child = world.forkSharing(parent);
  world.sync();
  world.declare(child, 60);
  const declared = lastReply(world);
  assertEquals([declared.status, declared.levelPages], [0, 30], "not what is not there yet");
  assertEquals(declared.committedPages, 60, "and its parent's room for it has ended");
  assertEquals(ask(world, child, reserve, 40)!.levelPages, 70);
  assertEquals(ask(world, child, reserve, 1)!.status, Status.refused);
  world.touch(child, 40);
  world.sync();
  world.end(parent);
  world.sync();
  assertEquals(ask(world, child, query)!.committedPages, 70, "all of it is its own now");
});

Deno.test("a child that was granted a copy may write to all that it inherited", () => {
  const world = new PromiseWorld(UID, 100);
  const parent = world.spawn(30);
  assertEquals(ask(world, parent, fork)!.pages, 30);
  const child = world.forkSharing(parent);
  world.sync();
  world.declare(child, 30);
  assertEquals(ask(world, parent, query)!.committedPages, 60, "though it shares all of it");
  world.startCoordinator();
  assertEquals(ask(world, parent, query)!.committedPages, 60, "and over a restart");
  world.exec(child);
  world.sync();
  world.turn(201e6);
  assertEquals(ask(world, parent, query)!.committedPages, 33);
});

Deno.test("what was granted is promised, though the kernel can take it back", () => {
  const world = new PromiseWorld(UID, 100);
  const program = world.spawn(10);
  ask(world, program, reserve, 70);
  world.touch(program, 70);
  const other = world.spawn(1);
  world.sync();
  // MADV_FREE: charged no more, until the program writes to the pages again.
  world.credit(61);
  assertEquals(ask(world, program, query)!.pages, 20);
  assert(lastReply(world).committedPages >= 70, "but for what was never asked for");
  assertEquals(ask(world, other, reserve, 40)!.status, Status.refused);
});

Deno.test("room for a child ends on every way", () => {
  for (const pages of [0, 8]) {
    const world = new PromiseWorld(UID, 200);
    const parent = world.spawn(30);
    const committed = (): number => {
      world.sync();
      return ask(world, parent, query)!.committedPages;
    };
    // The child dies at once, executes a program at once, or never comes: fork(2) has failed.
    for (const way of ["dies", "execs", "fails"]) {
      assertEquals(ask(world, parent, fork, pages)!.status, 0);
      const child = way === "fails" ? undefined : world.forkSharing(parent);
      world.sync();
      if (way === "execs") world.exec(child!);
      if (child !== undefined) world.end(child);
      world.turn(251e6);
      assertEquals(committed(), 30, way);
    }
    // The parent dies before its child has said anything.
    ask(world, parent, fork, pages);
    const orphan = world.forkSharing(parent);
    world.end(parent);
    world.sync();
    world.declare(orphan, 30);
    assertEquals(ask(world, orphan, query)!.committedPages, 30);
    world.end(orphan);
    world.sync();
    assertEquals(world.coordinator.allocations.users.size, 0);
  }
});

/** A measuring of all processes: pid, shared pages, credit. */
function measure(world: PromiseWorld, number: number, found: readonly (readonly number[])[]): void {
  const { desk } = world;
  desk.sweeperPut(MEASURE_BEGIN, { number, uid: UID }).step();
  for (const [tgid, sharedPages, creditPages] of found) {
    desk.sweeperPut(MEASURED, {
      tgid: tgid!,
      sharedPages: sharedPages!,
      creditPages: creditPages!,
    });
  }
  desk.sweeperPut(MEASURE_END, { number, uid: UID }).step();
}

Deno.test("I5: what a measured child leaves to its parent is not promised to others", () => {
  const world = new PromiseWorld(UID, 100);
  const parent = world.spawn(60);
  assertEquals(ask(world, parent, fork, 8)!.status, 0);
  const child = world.forkSharing(parent);
  world.desk.step();
  measure(world, 1, [[parent.pid, 60, 30], [child.pid, 60, 30]]);
  world.turn(101e6);
  assertEquals(ask(world, parent, query)!.committedPages, 60);
  world.end(child);
  world.desk.step();
  // It was charged for half of them: the other half is the parent's now, and no measuring has told.
  assertEquals(ask(world, parent, query)!.committedPages, 60);
  assertEquals(ask(world, parent, reserve, 50)!.status, Status.refused);
  assertEquals(ask(world, parent, reserve, 40)!.status, 0);
  measure(world, 2, [[parent.pid, 0, 0]]);
  assertEquals(ask(world, parent, query)!.committedPages, 100);
});
