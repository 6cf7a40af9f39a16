/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The coordinator worker: alive and watched; its pings are answered by the shell.
 *
 * @module
 */
import { BellSleeper } from "../pipeline/doorbell.ts";
import { Role } from "../pipeline/layout.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker } from "./shell.ts";

runWorker({ fifoPriority: FIFO_PRIORITY.none, sharesPathCpu: false }, ({ memory }) => {
  const bell = new BellSleeper(memory, Role.coordinator);
  return {
    step: () => {
      bell.listen();
      return false;
    },
    sleep: (timeoutMs) => bell.sleep(timeoutMs),
  };
});
