import { assertEquals } from "@std/assert";
import { Client, UserAllocation } from "../../../pipeline/promises/client.ts";
import {
  addHold,
  awaitedPages,
  childArrived,
  expireHolds,
} from "../../../pipeline/promises/holds.ts";

function makeParent(): { user: UserAllocation; client: Client } {
  const user = new UserAllocation(1000);
  const client = new Client(10, 0);
  user.clients.add(client);
  return { user, client };
}

Deno.test("rooms for copies add up, of the others one is enough for all", () => {
  const { user, client } = makeParent();
  for (let i = 0; i < 2; i++) addHold(user, client, 100, 1e9, true);
  assertEquals([client.heldPages, user.heldPages], [200, 200]);
  for (let i = 0; i < 2; i++) addHold(user, client, 7, 1e9, false);
  assertEquals([client.heldPages, user.heldPages], [207, 207]);
});

Deno.test("a child that is there ends the oldest hold; room for a copy is told", () => {
  const { user, client } = makeParent();
  assertEquals(childArrived(user, client, 50), false, "no room was asked for");
  addHold(user, client, 100, 1e9, true);
  addHold(user, client, 7, 1e9, false);
  assertEquals([childArrived(user, client, 50), user.heldPages], [true, 7]);
  assertEquals(awaitedPages(user), Infinity, "one is about to be born");
  assertEquals([childArrived(user, client, 50), user.heldPages], [false, 0]);
  assertEquals(awaitedPages(user), 50, "its credit may be late");
});

Deno.test("holds end when their time is over, and the next end is told", () => {
  const { user, client } = makeParent();
  addHold(user, client, 100, 10, true);
  addHold(user, client, 200, 30, true);
  assertEquals(expireHolds(user, client, 9), 10);
  assertEquals([expireHolds(user, client, 10), user.heldPages], [30, 200]);
  assertEquals([expireHolds(user, client, 30), user.heldPages], [Infinity, 0]);
  assertEquals(awaitedPages(user), 0);
});
