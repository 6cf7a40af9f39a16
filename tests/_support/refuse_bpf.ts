/**
 * Has the kernel refuse bpf(2) to one program, command by command, as a container's rules or a shortage
 * would: see refuse_bpf.c.
 *
 * @module
 */
import { hasFile } from "./real_kernel.ts";

/** Commands of linux/bpf.h. */
export const BpfCommand = {
  mapCreate: 0,
  programLoad: 5,
  programRun: 10,
  tracepointOpen: 17,
  linkCreate: 28,
  iteratorCreate: 33,
} as const;

/** Whether calls can be refused here, and what that needs. */
export const REFUSABLE = hasFile("/usr/bin/cc");
export const REFUSE_NEEDS = "a C compiler";

const SOURCE = new URL("./refuse_bpf.c", import.meta.url).pathname;

export class BpfRefusals implements Disposable {
  private readonly dirPath = Deno.makeTempDirSync({ prefix: "toom-refuse-" });
  private readonly filePath = `${this.dirPath}/refused`;
  /** What is to execute the program. */
  readonly wrapper: readonly string[];

  constructor() {
    const path = `${this.dirPath}/refuse_bpf`;
    const { success, stderr } = new Deno.Command("/usr/bin/cc", { args: ["-o", path, SOURCE] })
      .outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    this.wrapper = [path, this.filePath];
  }

  /** From here on calls with that command fail, and others do not. */
  refuse(command: number, errno: number): void {
    const path = `${this.filePath}.new`;
    Deno.writeTextFileSync(path, `${command} ${errno}\n`);
    Deno.renameSync(path, this.filePath);
  }

  /** None fails. */
  allow(): void {
    Deno.removeSync(this.filePath);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
  }
}
