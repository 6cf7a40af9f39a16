/**
 * Names of processes and their oom_score_adj, read from /proc when somebody asks.
 *
 * @module
 */
import { ProcReader } from "../../kernel/proc/proc.ts";
import type { ProcessNames } from "./explanation.ts";

/** What cannot be read is not known: nobody acts on it. */
export class LiveProcessNames implements ProcessNames {
  private reader: ProcReader | undefined;

  comm(pid: number): string | undefined {
    return this.read((reader) => reader.readComm(pid));
  }

  oomScoreAdj(pid: number): number | undefined {
    return this.read((reader) => reader.readOomScoreAdj(pid));
  }

  private read<T>(ask: (reader: ProcReader) => T | undefined): T | undefined {
    try {
      this.reader ??= new ProcReader();
      return ask(this.reader);
    } catch {
      return undefined;
    }
  }
}
