/**
 * Handles that the coordinator holds, noted in the shared memory: they belong to the process and
 * outlive a worker that throws, so its successor closes them.
 *
 * @module
 */
import { DESCRIPTORS_MAX } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { Sockets } from "../ports.ts";

export class OwnedHandles {
  private readonly noted: Int32Array;
  private readonly sockets: Sockets;

  constructor(memory: Memory, sockets: Sockets) {
    this.noted = memory.descriptors;
    this.sockets = sockets;
  }

  /**
   * Closes those of the worker before. Its clients must hear that it is gone, because their requests
   * died with it.
   */
  closePredecessors(): void {
    for (let index = 0; index < DESCRIPTORS_MAX; index++) {
      const handle1 = this.noted[index]!;
      if (handle1 === 0) continue;
      this.sockets.close(handle1 - 1);
      this.noted[index] = 0;
    }
  }

  /** Notes a handle, in the place that its number names: what is beyond is not kept. */
  own(handle: number): void {
    if (handle < DESCRIPTORS_MAX) this.noted[handle] = handle + 1;
  }

  /** Closes a handle. */
  close(handle: number): void {
    if (handle < DESCRIPTORS_MAX) this.noted[handle] = 0;
    this.sockets.close(handle);
  }
}
