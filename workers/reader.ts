/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The reader worker: binds pipeline/reading/reader.ts to the pipes of a trace instance. Sleeps in
 * poll(2).
 *
 * @module
 */
import { Role } from "../pipeline/memory/layout.ts";
import { Reader } from "../pipeline/reading/reader.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { REFRESH_READS, WARM_UP_READS } from "../kernel/trace/rehearsal.ts";
import { openTraceSource } from "../kernel/trace/trace_source.ts";
import { openBpfSource } from "../kernel/bpf/bpf_source.ts";
import { FIFO_PRIORITY } from "./priorities.ts";
import { runWorker } from "./shell.ts";

runWorker({ fifoPriority: FIFO_PRIORITY.reader, cpu: "readerCpu" }, ({ memory, init }) => {
  const index = init.role - Role.reader;
  const spec = init.config.readers[index]!;
  const reader = new Reader(memory, {
    index,
    epoch: init.epoch,
    clock: new MonotonicClock(),
    openSource: (writer, onPage, counters) =>
      spec.source === "bpf"
        ? openBpfSource(spec, writer, onPage, counters)
        : openTraceSource(spec, writer, onPage, counters),
  });
  reader.start(WARM_UP_READS);
  return {
    step: () => reader.step(),
    sleep: (timeoutMs) => reader.sleep(timeoutMs),
    rehearse: () => reader.rehearse(REFRESH_READS),
  };
});
