/**
 * Numbers of the helpers that programs call. bpf-helpers(7), linux/bpf.h
 *
 * @module
 */
import type { Assembler } from "../asm/assembler.ts";

export const Helper = {
  map_lookup_elem: 1,
  ktime_get_ns: 5,
  get_smp_processor_id: 8,
  get_current_pid_tgid: 14,
  send_signal: 109,
  probe_read_kernel: 113,
  ringbuf_output: 130,
  ringbuf_query: 134,
  get_current_task_btf: 158,
  map_lookup_percpu_elem: 195,
} as const;

export function callHelper(a: Assembler, helper: keyof typeof Helper, comment = ""): void {
  a.callHelper(Helper[helper], helper, comment);
}
