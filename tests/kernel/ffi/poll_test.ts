import { assert, assertEquals, assertThrows } from "@std/assert";
import { EventFd } from "../../../kernel/ffi/fd.ts";
import { POLLIN, POLLNVAL, PollSet } from "../../../kernel/ffi/poll.ts";
import "../../_support/real_kernel.ts";

Deno.test("PollSet.wait() returns 0 after the time when nothing is ready", () => {
  using bell = new EventFd();
  const set = new PollSet(1);
  const index = set.add(bell.fd, POLLIN);
  const start = performance.now();
  assertEquals(set.wait(20), 0);
  assert(performance.now() - start >= 15);
  assertEquals(set.revents(index), 0);
});

Deno.test("PollSet.revents() tells which descriptor is ready", () => {
  using first = new EventFd();
  using second = new EventFd();
  const set = new PollSet(20);
  const firstIndex = set.add(first.fd, POLLIN);
  const secondIndex = set.add(second.fd, POLLIN);
  second.ring();
  assertEquals(set.wait(-1), 1);
  assertEquals([set.revents(firstIndex), set.revents(secondIndex)], [0, POLLIN]);
  second.drain();
  first.ring();
  assertEquals(set.wait(0), 1);
  assertEquals([set.revents(firstIndex), set.revents(secondIndex)], [POLLIN, 0]);
});

Deno.test("PollSet.replace() skips a negative descriptor, and POLLNVAL marks a closed one", () => {
  using bell = new EventFd();
  bell.ring();
  const set = new PollSet(1);
  const index = set.add(bell.fd, POLLIN);
  set.replace(index, -1);
  assertEquals(set.wait(0), 0);
  assertEquals(set.revents(index), 0);
  const closed = new EventFd();
  closed.close();
  set.replace(index, closed.fd);
  assertEquals(set.wait(0), 1);
  assertEquals(set.revents(index), POLLNVAL);
});

Deno.test("PollSet.add() throws when the set is full", () => {
  const set = new PollSet(1);
  set.add(0, POLLIN);
  assertThrows(() => set.add(1, POLLIN), RangeError, "holds 1");
  assertEquals(set.count, 1);
});
