/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The sweeper worker: binds pipeline/discovery/sweeper.ts to /proc and tracefs. Sleeps in poll(2).
 *
 * @module
 */
import { onlineCpus } from "../kernel/process/online_cpus.ts";
import { Sweeper } from "../pipeline/discovery/sweeper.ts";
import { openSweeperWorld } from "../kernel/discovery/sweeper_world.ts";
import { procErrorPages } from "../kernel/proc/proc_accuracy.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker } from "./shell.ts";

runWorker({ fifoPriority: FIFO_PRIORITY.sweeper }, ({ memory, init }) => {
  const { config, epoch } = init;
  const world = openSweeperWorld(config.sweeper, FIFO_PRIORITY.sweeper);
  const cpus = onlineCpus();
  const sweeper = new Sweeper(memory, world, {
    epoch,
    cpus,
    growthBytesPerNs: config.growthBytesPerNs,
    ownPid: Deno.pid,
    errorPages: procErrorPages(Deno.osRelease(), cpus),
    pageBytes: config.pageBytes,
    realTime: config.realTime,
    isFirstStart: config.isFirstStart,
  });
  return {
    step: () => {
      sweeper.step();
      return false;
    },
    sleep: (timeoutMs) => sweeper.sleep(timeoutMs),
    close: () => world.close(),
    get wantsEventLoop() {
      return sweeper.isWaiting;
    },
  };
});
