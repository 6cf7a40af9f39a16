/**
 * Writes lines to a descriptor without ever making the caller wait: who reads the log slowly, or
 * not at all, must not hold up the supervisor. The queue is bounded; what is shed is counted.
 *
 * @module
 */

const QUEUE_LINES_MAX = 10_000;
/** Lines written with one call. */
const BATCH_LINES = 256;

/** What it writes to, e.g. Deno.stdout. */
export interface LineTarget {
  write(bytes: Uint8Array): Promise<number>;
}

export class LineSink {
  /** Lines that found the queue full, or the target broken. */
  shed = 0;
  private readonly target: LineTarget;
  private readonly queue: string[] = [];
  private pumping: Promise<void> | undefined;

  constructor(target: LineTarget) {
    this.target = target;
  }

  write(line: string): void {
    if (this.queue.length >= QUEUE_LINES_MAX) {
      this.shed++;
      return;
    }
    this.queue.push(line);
    this.pumping ??= this.pump();
  }

  /** Waits until everything is written, at most so long. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.pumping === undefined) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs));
    await Promise.race([this.pumping, timeout]);
    clearTimeout(timer);
  }

  private async pump(): Promise<void> {
    while (this.queue.length > 0) {
      const lines = this.queue.splice(0, BATCH_LINES);
      let bytes = new TextEncoder().encode(`${lines.join("\n")}\n`);
      try {
        while (bytes.length > 0) bytes = bytes.subarray(await this.target.write(bytes));
      } catch {
        this.shed += lines.length; // A closed pipe: enforcement goes on without a log.
      }
    }
    this.pumping = undefined;
  }
}
