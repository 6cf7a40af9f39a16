/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The killer worker: the shell of pipeline/kill/killer.ts. Sleeps on its bell; while a victim is dying
 * it looks again soon, in case no event tells of its end.
 *
 * @module
 */
import { PATIENCE_NS } from "../pipeline/memory/timing.ts";
import { BellSleeper } from "../pipeline/memory/doorbell.ts";
import { Killer } from "../pipeline/kill/killer.ts";
import { Role } from "../pipeline/memory/layout.ts";
import { SettingsView } from "../pipeline/memory/settings.ts";
import { OwnersView } from "../pipeline/limits/owners.ts";
import { REFRESH_KILLS, WARM_UP_KILLS, warmUp } from "../pipeline/replay/warm_up.ts";
import { BpfCandidates } from "../kernel/bpf/bpf_trigger.ts";
import { PidfdKillKernel, PidKillKernel } from "../kernel/kill/kill_kernel.ts";
import { LinuxUnitKernel } from "../kernel/kill/unit_kernel.ts";
import { probePidfd } from "../kernel/kill/pidfd.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker } from "./shell.ts";

const WATCH_MS = 1;

runWorker(
  { fifoPriority: FIFO_PRIORITY.killer, cpu: "pathCpu" },
  ({ memory, init, alive }) => {
    const { books } = init.config.sweeper;
    const bell = new BellSleeper(memory, Role.killer);
    const pidfd = probePidfd();
    const owners = new OwnersView(memory.owners);
    const ownerOf = (uid: number): number => owners.ownerOf(uid);
    const makeKernel = (isRehearsal: boolean): PidfdKillKernel =>
      pidfd.open && pidfd.sendSignal
        ? new PidfdKillKernel(pidfd.mrelease, isRehearsal, ownerOf)
        : new PidKillKernel(isRehearsal, ownerOf);
    const kernel = makeKernel(false);
    const rehearsalKernel = makeKernel(true);
    const killer = new Killer(memory, kernel, {
      patienceNs: PATIENCE_NS,
      unitKernel: new LinuxUnitKernel(),
      kernelCandidates: books === undefined ? undefined : new BpfCandidates(books),
    });
    killer.start();
    const rehearse = (kills: number): void => {
      const { victimPolicy: policy, countMask } = new SettingsView(memory.settings).current;
      warmUp({ kills, policy, countMask, kernel: rehearsalKernel, alive });
    };
    rehearse(WARM_UP_KILLS);
    return {
      step: () => {
        bell.listen();
        return killer.step() > 0;
      },
      sleep: (timeoutMs) => {
        if (!killer.ready) bell.sleep(killer.busy ? WATCH_MS : timeoutMs);
      },
      rehearse: () => rehearse(REFRESH_KILLS),
      get wantsEventLoop() {
        return kernel.reapsUnderWay > 0 && !killer.busy && !killer.ready;
      },
    };
  },
);
