import { assertEquals } from "@std/assert";
import { EventRate } from "../../../service/status/event_rate.ts";

Deno.test("EventRate tells events a second of the last period; a new counter begins at 0", () => {
  const rate = new EventRate();
  rate.update(1000, 0);
  rate.update(3000, 5000);
  assertEquals(rate.perSecond, 2500);
  rate.update(3000, 9000);
  assertEquals(rate.perSecond, 2500, "no time has passed");
  rate.update(4000, 10);
  assertEquals(rate.perSecond, 0);
  rate.update(5000, 30);
  assertEquals(rate.perSecond, 20);
});
