/**
 * Commands of the program, run within a test.
 *
 * @module
 */

export interface Ran {
  readonly code: number;
  readonly out: string[];
  readonly err: string[];
}

export type Command = (
  args: string[],
  io: { out: (line: string) => void; err: (line: string) => void },
) => Promise<number>;

/** Runs a command of the program in this process. */
export async function run(command: Command, ...args: string[]): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await command(args, {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
  });
  return { code, out, err };
}
