/**
 * The programs that the brake is tried on: each takes memory until it is refused, or ends.
 *
 * @module
 */

/** Where things are made before the runs, readable by all users. */
export interface Place {
  readonly dir: string;
  /** The C program of tests/_support/brake_program.c, linked statically. */
  readonly cProgram: string;
}

export interface TriedProgram {
  readonly name: string;
  /** A file that must be there. */
  readonly needs: string;
  /** Makes what it works on. @throws {Error} When that cannot be made. */
  readonly prepare?: (place: Place) => Promise<void>;
  /** For /bin/sh, in a folder of its own. */
  readonly command: (place: Place) => string;
  /** In its output when it was refused memory and has noticed. */
  readonly notices: RegExp;
  /** What makes it behave well. */
  readonly advice: string;
}

const PYTHON = "/usr/bin/python3";
const SORT_BYTES = 320 * 2 ** 20;

/** Runs a command as root. @throws {Error} With what it said. */
async function run(dir: string, ...command: readonly string[]): Promise<void> {
  const [program, ...args] = command;
  const output = await new Deno.Command(program!, { args, cwd: dir, stdin: "null" }).output();
  if (output.success) return;
  throw new Error(`${command.join(" ")}: ${new TextDecoder().decode(output.stderr)}`);
}

const PYTHON_GROW = `
held = []
try:
    while True: held.append(bytearray(1 << 20))
except MemoryError:
    print("MemoryError after", len(held), "MiB")
    held.clear()
`;
const NUMPY_GROW = `
import numpy
held = []
try:
    while True: held.append(numpy.ones(1 << 18))
except MemoryError as error:
    print("MemoryError after", 2 * len(held), "MiB:", error)
    held.clear()
`;
const R_GROW = `
held <- list()
message(tryCatch({
  repeat held[[length(held) + 1]] <- rep(1, 262144)
}, error = function(error) paste("error after", 2 * length(held), "MiB:", conditionMessage(error))))
`;
const NODE_GROW = `
const held = [];
try {
  for (;;) held.push(Buffer.alloc(1 << 20, 1));
} catch (error) {
  console.log(String(error), "after", held.length, "MiB");
}
`;
const JAVA_GROW = `
import java.util.ArrayList;
public class Grow {
  public static void main(String[] args) {
    ArrayList<byte[]> held = new ArrayList<>();
    try {
      for (;;) {
        byte[] block = new byte[1 << 20];
        java.util.Arrays.fill(block, (byte) 1);
        held.add(block);
      }
    } catch (OutOfMemoryError error) {
      int size = held.size();
      held = null;
      System.out.println(error + " after " + size + " MiB");
    }
  }
}
`;
const GO_GROW = `
package main
func main() {
  held := [][]byte{}
  for {
    block := make([]byte, 1<<20)
    for at := range block { block[at] = 1 }
    held = append(held, block)
  }
}
`;
const RUST_GROW = `
fn main() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop { held.push(vec![1u8; 1 << 20]); }
}
`;
const RUST_TRY = `
fn main() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut block: Vec<u8> = Vec::new();
        if let Err(error) = block.try_reserve_exact(1 << 20) {
            println!("{} after {} MiB", error, held.len());
            return;
        }
        block.resize(1 << 20, 1);
        held.push(block);
    }
}
`;

/** A file of C that a compiler needs much memory for. */
async function makeLargeSource(dir: string): Promise<void> {
  const lines: string[] = ["int use(int);"];
  for (let i = 0; i < 60_000; i++) {
    lines.push(
      `int f${i}(int a) { int s = a; for (int i = 0; i < ${i % 17 + 2}; i++) ` +
        `s += use(s ^ (i * ${i})) + (s >> ${i % 13}); return s ? use(s) : f_(a); }`.replace(
          "f_(a)",
          "a",
        ),
    );
  }
  await Deno.writeTextFile(`${dir}/large.c`, lines.join("\n"));
}

async function makeJava(dir: string): Promise<void> {
  await Deno.writeTextFile(`${dir}/Grow.java`, JAVA_GROW);
  await run(dir, "javac", "Grow.java");
}

/** Lines in no order. */
async function makeLines(dir: string): Promise<void> {
  const script = `import random
random.seed(7)
with open("lines", "w") as f:
    left = ${SORT_BYTES}
    while left > 0:
        block = "".join("%016x %s\\n" % (random.getrandbits(64), "x" * 480) for _ in range(20000))
        f.write(block)
        left -= len(block)
`;
  await run(dir, PYTHON, "-c", script);
}

/** A repository of large files that resemble each other. */
async function makeRepository(dir: string): Promise<void> {
  const script = `import random, os
random.seed(9)
base = bytearray(random.randbytes(24 << 20))
for i in range(14):
    for _ in range(2000):
        base[random.randrange(len(base))] = random.randrange(256)
    open("repo/file%02d" % i, "wb").write(base)
`;
  await Deno.mkdir(`${dir}/repo`, { recursive: true });
  await run(dir, "git", "init", "-q", "repo");
  await run(dir, PYTHON, "-c", script);
  const git = ["git", "-c", "user.name=b", "-c", "user.email=b@b"];
  await run(`${dir}/repo`, ...git, "-c", "core.compression=0", "add", ".");
  await run(`${dir}/repo`, ...git, "commit", "-q", "-m", "files");
}

const NOTHING = "nothing";

export const PROGRAMS: readonly TriedProgram[] = [
  {
    name: "C, static, 1 MiB at a time",
    needs: "/usr/bin/cc",
    command: ({ cProgram }) => `(echo; echo; echo) | ${cProgram} checks 1024`,
    notices: /refused/,
    advice: "check what malloc gives",
  },
  {
    name: "Python, bytearrays",
    needs: PYTHON,
    prepare: ({ dir }) => Deno.writeTextFile(`${dir}/grow.py`, PYTHON_GROW),
    command: ({ dir }) => `${PYTHON} ${dir}/grow.py`,
    notices: /MemoryError/,
    advice: NOTHING,
  },
  {
    name: "NumPy, arrays of 2 MiB",
    needs: "/usr/lib/python3/dist-packages/numpy/__init__.py",
    prepare: ({ dir }) => Deno.writeTextFile(`${dir}/numpy_grow.py`, NUMPY_GROW),
    command: ({ dir }) => `OPENBLAS_NUM_THREADS=1 ${PYTHON} ${dir}/numpy_grow.py`,
    notices: /MemoryError/,
    advice: "arrays that are large beside the limit: `--brake all`",
  },
  {
    name: "R, vectors of 2 MiB",
    needs: "/usr/bin/Rscript",
    prepare: ({ dir }) => Deno.writeTextFile(`${dir}/grow.R`, R_GROW),
    command: ({ dir }) => `Rscript --vanilla ${dir}/grow.R`,
    notices: /cannot allocate/,
    advice: NOTHING,
  },
  {
    name: "gcc -O2, a large file",
    needs: "/usr/bin/gcc",
    prepare: ({ dir }) => makeLargeSource(dir),
    command: ({ dir }) => `gcc -O2 -c -o /dev/null ${dir}/large.c`,
    notices: /out of memory|memory exhausted|cannot allocate/i,
    advice: NOTHING,
  },
  {
    name: "sort, of a file",
    needs: "/usr/bin/sort",
    prepare: ({ dir }) => makeLines(dir),
    command: ({ dir }) => `sort ${dir}/lines >/dev/null; echo sort ended $?`,
    notices: /sort ended 0|memory exhausted/,
    advice: "`--brake all`, by which it takes a smaller buffer and ends well; or `sort -S 10M`",
  },
  {
    name: "sort, of a pipe",
    needs: "/usr/bin/sort",
    prepare: ({ dir }) => makeLines(dir),
    command: ({ dir }) => `cat ${dir}/lines | sort >/dev/null; echo sort ended $?`,
    notices: /sort ended 0|memory exhausted/,
    advice: NOTHING,
  },
  {
    name: "git repack, 14 files of 24 MiB",
    needs: "/usr/bin/git",
    prepare: ({ dir }) => makeRepository(dir),
    command: ({ dir }) =>
      `cp -r ${dir}/repo repo && cd repo && git -c safe.directory='*' -c pack.threads=1 ` +
      `repack -a -d -f -q; echo git ended $?`,
    notices: /[Oo]ut of memory|malloc failed|mmap failed|unable to|git ended 0/,
    advice: "`pack.windowMemory`, for packing within less",
  },
  {
    name: "node, buffers",
    needs: "/usr/bin/node",
    prepare: ({ dir }) => Deno.writeTextFile(`${dir}/grow.js`, NODE_GROW),
    command: ({ dir }) => `node ${dir}/grow.js`,
    notices: /out of memory|ERR_MEMORY|Array buffer allocation failed/i,
    advice: "`--max-old-space-size`, for what is no buffer",
  },
  {
    name: "java, as it is",
    needs: "/usr/bin/java",
    prepare: ({ dir }) => makeJava(dir),
    command: ({ dir }) => `java -cp ${dir} Grow`,
    notices: /OutOfMemoryError|insufficient memory|Could not reserve/,
    advice: "`-Xmx`, or `--brake all`: it maps its whole first heap at its start",
  },
  {
    name: "java -Xms16m -XX:+UseSerialGC",
    needs: "/usr/bin/java",
    prepare: ({ dir }) => makeJava(dir),
    command: ({ dir }) => `java -Xms16m -XX:+UseSerialGC -cp ${dir} Grow`,
    notices: /OutOfMemoryError|insufficient memory|Could not reserve/,
    advice: "`-Xmx`, or `--brake all`: its heap grows by much at a time",
  },
  {
    name: "Go, blocks of 1 MiB",
    needs: "/usr/bin/go",
    prepare: async ({ dir }) => {
      await Deno.writeTextFile(`${dir}/grow.go`, GO_GROW);
      await run(dir, "env", `GOCACHE=${dir}/gocache`, "go", "build", "-o", "grow-go", "grow.go");
    },
    command: ({ dir }) => `${dir}/grow-go`,
    notices: /cannot allocate memory|out of memory/,
    advice: "`--brake all`, or `GOMEMLIMIT`: it maps 64 MiB at a time",
  },
  {
    name: "Rust, blocks of 1 MiB",
    needs: "/usr/bin/cc",
    prepare: async ({ dir }) => {
      await Deno.writeTextFile(`${dir}/grow.rs`, RUST_GROW);
      await run(dir, "rustc", "-O", "-o", "grow-rust", "grow.rs");
    },
    command: ({ dir }) => `${dir}/grow-rust`,
    notices: /memory allocation of \d+ bytes failed/,
    advice: "`try_reserve`: else it ends with its own message",
  },
  {
    name: "Rust, with try_reserve",
    needs: "/usr/bin/cc",
    prepare: async ({ dir }) => {
      await Deno.writeTextFile(`${dir}/try.rs`, RUST_TRY);
      await run(dir, "rustc", "-O", "-o", "try-rust", "try.rs");
    },
    command: ({ dir }) => `${dir}/try-rust`,
    notices: /after \d+ MiB/,
    advice: NOTHING,
  },
];
