/**
 * How long the coordinator looks for more before it sleeps: who asked on another CPU will ask again,
 * and waking up costs more than the work. Where that fails, the time gets shorter.
 *
 * @module
 */

const LINGER_NS_MAX = 60e3;
const LINGER_NS_MIN = 15e3;
/** After failures it is tried again when it was left out so often. */
const SKIPPED_MAX = 32;

export class Linger {
  /** 0: it did not pay. */
  private lingerNs = 0;
  private skipped = 0;

  /** How long to look now, nanoseconds; 0: to sleep at once. To be called when there was work. */
  nextNs(): number {
    if (this.lingerNs === 0 && ++this.skipped < SKIPPED_MAX) return 0;
    this.skipped = 0;
    return Math.max(this.lingerNs, LINGER_NS_MIN);
  }

  /** @param hasPaid Whether there was something within the time. */
  done(hasPaid: boolean): void {
    if (hasPaid) this.lingerNs = LINGER_NS_MAX;
    else this.lingerNs = this.lingerNs > LINGER_NS_MIN ? this.lingerNs / 2 : 0;
  }
}
