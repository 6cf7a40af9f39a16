import { assertEquals } from "@std/assert";
import { Answers } from "../../../pipeline/kill/answers.ts";
import { WaitingUsers } from "../../../pipeline/kill/waiting_users.ts";
import { RingConsumer } from "../../../pipeline/memory/ring.ts";
import { RECHECK, VICTIM_GONE } from "../../../pipeline/messages/records.ts";
import { Desk } from "../../_support/desk.ts";
import { Hands } from "../../_support/killer_scene.ts";

/** Users that wait, and what accounting is told. */
function makeWaiting(): { waiting: WaitingUsers; told: () => number[] } {
  const desk = new Desk();
  const answers = new Answers(desk.memory, new Hands(desk));
  const ring = new RingConsumer(desk.memory.buffer, desk.memory.plan.killerRing);
  const recheck = RECHECK.view(ring.words);
  const told = (): number[] => {
    const slots: number[] = [];
    for (let word = ring.next(); word >= 0; word = ring.next()) {
      slots.push(recheck.at(word).userSlot);
      ring.release();
    }
    return slots;
  };
  return { waiting: new WaitingUsers(8, answers), told };
}

Deno.test("who waits is looked at again when its time has come, and once", () => {
  const { waiting, told } = makeWaiting();
  waiting.wait(3, 100);
  waiting.wait(5, 200);
  assertEquals([waiting.count, waiting.retry(99), told()], [2, 0, []]);
  assertEquals([waiting.retry(100), told(), waiting.count], [1, [3], 1]);
  assertEquals([waiting.retry(250), told(), waiting.count], [1, [5], 0]);
  assertEquals([waiting.retry(1e9), told()], [0, []]);
});

Deno.test("a user that waits again counts once, with its newest time", () => {
  const { waiting, told } = makeWaiting();
  waiting.wait(3, 100);
  waiting.wait(3, 300);
  assertEquals([waiting.count, waiting.retry(200)], [1, 0]);
  waiting.end(3);
  assertEquals([waiting.count, told()], [0, [3]]);
});

Deno.test("an end is told also of a user that does not wait", () => {
  const { waiting, told } = makeWaiting();
  waiting.end(2);
  assertEquals([waiting.count, told()], [0, [2]]);
});

Deno.test("accounting is told which process is gone", () => {
  const desk = new Desk();
  const ring = new RingConsumer(desk.memory.buffer, desk.memory.plan.killerRing);
  new Answers(desk.memory, new Hands(desk)).gone(77, 5, 9);
  const { pid, processSlot, generation } = VICTIM_GONE.view(ring.words).at(ring.next());
  assertEquals([pid, processSlot, generation], [77, 5, 9]);
});
