/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The accounting worker: the shell of pipeline/accounting.ts. Sleeps on its bell.
 *
 * @module
 */
import { onlineCpus } from "../kernel/process/online_cpus.ts";
import { Accounting } from "../pipeline/accounting.ts";
import { UNKNOWN_UID } from "../pipeline/books/books.ts";
import { DegradedReason } from "../pipeline/messages/reports.ts";
import { BellSleeper } from "../pipeline/memory/doorbell.ts";
import { Role } from "../pipeline/memory/layout.ts";
import { marginPages } from "../pipeline/limits/urgency.ts";
import {
  PaperKillKernel,
  REFRESH_KILLS,
  WARM_UP_KILLS,
  warmUp,
} from "../pipeline/replay/warm_up.ts";
import { BpfLimits } from "../kernel/bpf/bpf_trigger.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { EventFd } from "../kernel/ffi/fd.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker } from "./shell.ts";

runWorker(
  { fifoPriority: FIFO_PRIORITY.accounting, cpu: "pathCpu" },
  ({ memory, init, alive }) => {
    const clock = new MonotonicClock();
    const { books } = init.config.sweeper;
    const bell = new BellSleeper(memory, Role.accounting);
    const sweeper = new EventFd(init.config.wakeFds.sweeper);
    const coordinator = new EventFd(init.config.wakeFds.coordinator);
    const options = {
      unknownUid: UNKNOWN_UID,
      marginPages: marginPages(onlineCpus(), init.config.pageBytes),
      kernel: books === undefined ? undefined : new BpfLimits(books),
      wakeSweeper: () => sweeper.ring(),
      wakeCoordinator: () => coordinator.ring(),
    };
    let accounting = new Accounting(memory, options);
    accounting.start();
    const rehearse = (kills: number): void => {
      const { victimPolicy: policy, countMask } = accounting.settings;
      warmUp({ kills, policy, countMask, kernel: new PaperKillKernel(), alive });
    };
    rehearse(WARM_UP_KILLS);
    return {
      step: () => {
        bell.listen();
        if (accounting.isOutdated) {
          accounting = new Accounting(memory, options);
          accounting.start(DegradedReason.settings);
        }
        return accounting.step(clock.nowNs()) > 0;
      },
      rehearse: () => rehearse(REFRESH_KILLS),
      sleep: (timeoutMs) => {
        if (!accounting.ready) bell.sleep(timeoutMs);
      },
    };
  },
);
