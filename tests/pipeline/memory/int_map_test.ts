import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { IntMap, intMapBytes } from "../../../pipeline/memory/int_map.ts";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { withSeeds } from "../../_support/random.ts";

function makeMap(capacity: number, memory = new SharedArrayBuffer(intMapBytes(capacity))): IntMap {
  return new IntMap(memory, 0, capacity);
}

/** Keys whose homes are few, by the map's own hash. */
function collidingKeys(mask: number): number[] {
  const keys: number[] = [];
  for (let key = -3000; keys.length < 40; key++) {
    const mixed = Math.imul(key, 0x9e3779b1);
    const home = (mixed ^ (mixed >>> 15)) & mask;
    // The last pairs and the first, so that runs go around the end.
    if (home >= mask - 1 || home === 0) keys.push(key);
  }
  return keys;
}

Deno.test("a map does what Map does, with keys that collide and with deletions", () => {
  withSeeds(60, (random) => {
    const capacity = random.pick([1, 3, 8, 31, 32]);
    const map = makeMap(capacity);
    const model = new Map<number, number>();
    const colliding = collidingKeys(intMapBytes(capacity) / 8 - 1);
    const special = [0, -1, 0x7fffffff, -0x80000000];
    for (let step = 0; step < 800; step++) {
      const key = random.pick(random.oneIn(5) ? special : colliding);
      const what = random.below(5);
      if (what < 2 && (model.size < capacity || model.has(key))) {
        const slot = random.below(1 << 20);
        map.set(key, slot);
        model.set(key, slot);
      } else if (what < 4) assertEquals(map.delete(key), model.delete(key));
      else assertEquals(map.get(key), model.get(key) ?? -1);
      assertEquals(map.size, model.size);
      if (step % 40 === 0) {
        for (const one of [...colliding, ...special]) {
          assertEquals(map.get(one), model.get(one) ?? -1, `key ${one}`);
        }
      }
    }
  });
});

Deno.test("a map that is full refuses another key, but replaces one", () => {
  const map = makeMap(2);
  map.set(1, 10);
  map.set(2, 20);
  assertThrows(() => map.set(3, 30), InvariantError);
  map.set(2, 21);
  assertEquals(map.get(2), 21);
  assert(map.delete(1));
  assertFalse(map.delete(1));
  map.set(3, 30);
  assertEquals(map.get(3), 30);
});

Deno.test("clear() forgets everything", () => {
  const map = makeMap(8);
  for (let key = 0; key < 8; key++) map.set(key, key);
  map.clear();
  assertEquals(map.size, 0);
  for (let key = 0; key < 8; key++) assertEquals(map.get(key), -1);
});
