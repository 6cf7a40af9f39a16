/**
 * What made-up processes say of themselves to rules.
 *
 * @module
 */
import type { ProcessFacts } from "../../pipeline/rules/matcher.ts";

export interface FakeProcess {
  realUid?: number;
  command?: string;
  isSessionLeader?: boolean;
  executable?: string;
  commandLine?: string;
  cgroup?: string;
  directory?: string;
  oomScoreAdj?: number;
}

export class FakeFacts implements ProcessFacts {
  readonly processes = new Map<number, FakeProcess>();
  /** What was asked for, in order. */
  readonly asked: string[] = [];
  private now: FakeProcess = {};

  begin(pid: number): void {
    this.now = this.processes.get(pid) ?? {};
  }

  realUid(): number | undefined {
    return this.take("realUid");
  }
  command(): string | undefined {
    return this.take("command");
  }
  isSessionLeader(): boolean | undefined {
    return this.take("isSessionLeader");
  }
  executable(): string | undefined {
    return this.take("executable");
  }
  commandLine(): string | undefined {
    return this.take("commandLine");
  }
  cgroup(): string | undefined {
    return this.take("cgroup");
  }
  directory(): string | undefined {
    return this.take("directory");
  }
  oomScoreAdj(): number | undefined {
    return this.take("oomScoreAdj");
  }

  private take<Name extends keyof FakeProcess>(name: Name): FakeProcess[Name] {
    this.asked.push(name);
    return this.now[name];
  }
}
