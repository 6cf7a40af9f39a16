import { assertEquals } from "@std/assert";
import { InstanceGuard, type Tampering } from "../../../pipeline/discovery/instance_guard.ts";
import type { GuardedInstance } from "../../../pipeline/ports.ts";

/** Files that somebody changes, and that can be mended or not. */
class FakeInstance implements GuardedInstance {
  readonly names = ["events/tracing_on", "events/filter", "logins/tracing_on"];
  readonly found: (string | undefined)[] = [];
  readonly problems: (string | undefined)[] = [];
  mends = 0;

  look(index: number): string | undefined {
    return this.found[index];
  }

  mend(index: number): string | undefined {
    this.mends++;
    if (this.problems[index] === undefined) this.found[index] = undefined;
    return this.problems[index];
  }
}

Deno.test("InstanceGuard mends what differs at once, and says what it was", () => {
  const instance = new FakeInstance();
  const guard = new InstanceGuard(instance);
  const told: Tampering[] = [];
  assertEquals(guard.check(1e9, (one) => told.push(one)), false);
  instance.found[0] = '"0"';
  instance.found[2] = "ENOENT";
  assertEquals(guard.check(2e9, (one) => told.push(one)), true);
  assertEquals(told, [
    { what: 'events/tracing_on was "0"', mended: true },
    { what: "logins/tracing_on was ENOENT", mended: true },
  ]);
  assertEquals(guard.check(3e9, (one) => told.push(one)), false);
  assertEquals(instance.mends, 2);
});

Deno.test("InstanceGuard tells of the same file once a second, and mends it each time", () => {
  const instance = new FakeInstance();
  const guard = new InstanceGuard(instance);
  const told: Tampering[] = [];
  for (const atNs of [1e9, 1.5e9, 1.9e9, 2e9]) {
    instance.found[1] = '"x"';
    assertEquals(guard.check(atNs, (one) => told.push(one)), true);
  }
  assertEquals([told.length, instance.mends], [2, 4]);
});

Deno.test("InstanceGuard says why something cannot be mended, and tries again", () => {
  const instance = new FakeInstance();
  const guard = new InstanceGuard(instance);
  instance.found[0] = '"0"';
  instance.problems[0] = "cannot be put right: EPERM";
  const told: Tampering[] = [];
  guard.check(1e9, (one) => told.push(one));
  assertEquals(told, [
    { what: 'events/tracing_on was "0" (cannot be put right: EPERM)', mended: false },
  ]);
  instance.problems[0] = undefined;
  assertEquals(guard.check(1.2e9, () => {}), true);
  assertEquals(guard.check(1.4e9, () => {}), false);
});
