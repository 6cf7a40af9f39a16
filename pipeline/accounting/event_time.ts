/**
 * The time that accounting goes by: that of the newest event, or of whatever else was told last.
 *
 * @module
 */
export class EventTime {
  /** CLOCK_MONOTONIC, nanoseconds. */
  lastTsNs = 0;
}
