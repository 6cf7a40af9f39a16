/**
 * By how much /proc may be wrong about a process's memory.
 *
 * @module
 */

/**
 * Pages by which one member in /proc/PID/status may differ from the truth.
 *
 * Before Linux 6.2 each thread kept up to 64 pages to itself (SPLIT_RSS_COUNTING). From 6.2 on the
 * counters are per-CPU, and until 6.16 /proc read them without the CPUs' parts, each up to
 * max(32, 2 * CPUs) (lib/percpu_counter.c); since then it sums them up.
 *
 * @param release As in /proc/sys/kernel/osrelease, `6.18.44-…`.
 * @param cpus Number of CPUs online.
 */
export function procErrorPages(release: string, cpus: number): number {
  const parts = /^(\d+)\.(\d+)/.exec(release);
  if (parts === null) return 0;
  const version = Number(parts[1]) * 1000 + Number(parts[2]);
  if (version < 6002) return 64;
  return version < 6016 ? cpus * Math.max(32, 2 * cpus) : 0;
}
