/**
 * Names of toom's instances: whose they are.
 *
 * @module
 */

/** The process that an instance belongs to. */
export interface InstanceOwner {
  readonly pid: number;
  /** Start time, clock ticks: tells it from later processes of the same pid. */
  readonly startTicks: number;
  readonly purpose: string;
}

const INSTANCE_NAME = /^toom-(\d+)-(\d+)-([A-Za-z0-9_]+)$/;

/** Name of an instance: `toom-<pid>-<startTicks>-<purpose>`. */
export function instanceName(owner: InstanceOwner): string {
  const name = `toom-${owner.pid}-${owner.startTicks}-${owner.purpose}`;
  if (!INSTANCE_NAME.test(name)) {
    throw new TypeError(`Cannot name an instance ${JSON.stringify(name)}: purpose is one word`);
  }
  return name;
}

/** The reverse of {@link instanceName}; undefined for names that are not toom's. */
export function parseInstanceName(name: string): InstanceOwner | undefined {
  const parts = INSTANCE_NAME.exec(name);
  if (parts === null) return undefined;
  return { pid: Number(parts[1]), startTicks: Number(parts[2]), purpose: parts[3]! };
}
