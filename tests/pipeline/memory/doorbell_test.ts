import { assert, assertEquals } from "@std/assert";
import { attachRole, BellSleeper, Doorbell } from "../../../pipeline/memory/doorbell.ts";
import { LINE_WORDS, Role, ROLE_BLOCK_BYTES, RoleWord } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { SMALL } from "../../_support/desk.ts";

Deno.test("whoever rings after listen() is not missed", () => {
  const memory = attachMemory(createMemory(SMALL));
  const sleeper = new BellSleeper(memory, Role.killer);
  const bell = new Doorbell(memory, Role.killer);
  sleeper.listen();
  bell.ring();
  const startMs = performance.now();
  sleeper.sleep(10_000);
  assert(performance.now() - startMs < 5000);
  assertEquals(attachRole(memory, Role.killer)[RoleWord.parked], 0);
});

Deno.test("without a ring sleep() ends with its time", () => {
  const memory = attachMemory(createMemory(SMALL));
  const sleeper = new BellSleeper(memory, Role.killer);
  new Doorbell(memory, Role.accounting).ring();
  sleeper.listen();
  const startMs = performance.now();
  sleeper.sleep(20);
  assert(performance.now() - startMs >= 15);
});

Deno.test("words of different writers are on lines of their own, and blocks do not overlap", () => {
  const line = (word: number): number => Math.floor(word / LINE_WORDS);
  const { epoch, stop, fault, ping, state, heartbeat, pong, parked, tid, epochSeen, bell } =
    RoleWord;
  assertEquals(new Set([epoch, stop, fault, ping].map(line)), new Set([0]));
  assertEquals(new Set([state, heartbeat, pong, parked, tid, epochSeen].map(line)), new Set([1]));
  assertEquals(line(bell), 2);
  const memory = attachMemory(createMemory(SMALL));
  const blocks = [Role.supervisor, Role.accounting, Role.killer, Role.reader].map((role) =>
    attachRole(memory, role).byteOffset
  );
  for (let i = 1; i < blocks.length; i++) assert(blocks[i]! - blocks[i - 1]! >= ROLE_BLOCK_BYTES);
});

Deno.test("two threads: no ring is lost between looking and sleeping", async () => {
  const rounds = 3000;
  const buffer = createMemory(SMALL);
  const words = new SharedArrayBuffer(8);
  const worker = new Worker(new URL("../../_support/bell_worker.ts", import.meta.url), {
    type: "module",
  });
  try {
    const messages: ((data: unknown) => void)[] = [];
    const message = (): Promise<unknown> => new Promise((resolve) => messages.push(resolve));
    worker.onmessage = ({ data }) => messages.shift()?.(data);
    await message();
    const timeouts = message();
    worker.postMessage([buffer, words, rounds]);
    const bell = new Doorbell(attachMemory(buffer), Role.killer);
    const shared = new Int32Array(words);
    for (let round = 1; round <= rounds; round++) {
      Atomics.store(shared, 0, round);
      bell.ring();
      // Now and then the other side has time to fall asleep; else it is met on its way to bed.
      if (round % 7 !== 0) continue;
      while (Atomics.load(shared, 1) !== round) {
        const answered = Atomics.load(shared, 1);
        if (answered === round) break;
        assert(Atomics.wait(shared, 1, answered, 10_000) !== "timed-out", `round ${round}`);
      }
    }
    assertEquals(await timeouts, 0, "it slept through a ring");
  } finally {
    worker.terminate();
  }
});
