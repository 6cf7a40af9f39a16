/**
 * Debian packages of a compiled toom:
 *
 *     deno task compile && deno task deb
 *
 * `toom` has the program, the library that programs preload, toom-exec, the unit, manual pages,
 * completions and the configuration; `toom-dev` what C programs are built with. Two builds of one commit
 * are the same bytes, because all times are SOURCE_DATE_EPOCH or that of the commit. Needs make, a C
 * compiler and dpkg-deb.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { VERSION } from "../../version.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const MAINTAINER = "The toom authors <toom@users.noreply.github.com>";
const REVISION = "1";
/** Debian's names of architectures, by Deno's; and where its libraries lie. */
const ARCHITECTURES = {
  x86_64: { debian: "amd64", triplet: "x86_64-linux-gnu" },
  aarch64: { debian: "arm64", triplet: "aarch64-linux-gnu" },
} as const;
/** Files of `make install` that only who builds programs needs. */
const DEV_FILES = ["usr/include", "usr/share/man/man3"] as const;
const DEV_LIBRARIES = /\.a$|\/libtmalloc\.so$|\/pkgconfig\//;

export interface DebOptions {
  /** The compiled program. */
  readonly binaryPath: string;
  /** Where the packages go. */
  readonly outPath: string;
  /** Of dpkg-deb: `xz` is small, `gzip` quick. */
  readonly compression: "xz" | "gzip";
  /** Of all files, seconds since 1970. */
  readonly epochSeconds: number;
}

/** @returns Paths of the packages. @throws {Error} When a program that it needs fails. */
export async function buildDebs(options: DebOptions): Promise<readonly string[]> {
  const { debian, triplet } = ARCHITECTURES[Deno.build.arch];
  const stagePath = await Deno.makeTempDir({ prefix: "toom-deb-" });
  try {
    const main = `${stagePath}/toom`;
    const dev = `${stagePath}/toom-dev`;
    await installLibrary(main, `/usr/lib/${triplet}`);
    await moveDevFiles(main, dev, `usr/lib/${triplet}`);
    await installProgram(main, options.binaryPath);
    await installControl(main, {
      Package: "toom",
      Section: "admin",
      Depends: "libc6 (>= 2.34)",
      Description: "out-of-memory killer that works per user\n" +
        " toom watches what each limited user's processes use, page by page, and ends\n" +
        " one of them in the moment in which the user goes over its limit. Nobody\n" +
        " else's is touched. Programs may ask first (tmalloc) and get NULL instead.",
    }, debian);
    await installControl(dev, {
      Package: "toom-dev",
      Section: "libdevel",
      Depends: `toom (= ${VERSION}-${REVISION})`,
      Description: "out-of-memory killer that works per user - library for C programs\n" +
        " Header, static library and manual page of tmalloc, with which a program asks\n" +
        " toom for memory and gets NULL where there is none.",
    }, debian);
    await installScripts(main);
    const overrides = await Deno.readTextFile(`${ROOT}deploy/packages/debian/lintian-overrides`);
    for (const name of ["toom", "toom-dev"]) {
      const own = overrides.split("\n").filter((line) =>
        /^#|^$/.test(line) || line.startsWith(`${name}:`)
      );
      await write(
        `${stagePath}/${name}/usr/share/lintian/overrides/${name}`,
        own.join("\n"),
        0o644,
      );
    }
    await installDocuments(main, "toom");
    await installDocuments(dev, "toom-dev");
    await Deno.mkdir(options.outPath, { recursive: true });
    const paths: string[] = [];
    for (const name of ["toom", "toom-dev"]) {
      const path = `${options.outPath}/${name}_${VERSION}-${REVISION}_${debian}.deb`;
      await pack(`${stagePath}/${name}`, path, options);
      paths.push(path);
    }
    return paths;
  } finally {
    await Deno.remove(stagePath, { recursive: true });
  }
}

async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd: ROOT,
    env,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`${program} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr)}`);
}

async function installLibrary(stage: string, libraryPath: string): Promise<void> {
  await run("make", [
    "-s",
    "-C",
    "tmalloc",
    "install",
    "PREFIX=/usr",
    `LIBDIR=${libraryPath}`,
    `DESTDIR=${stage}`,
  ]);
  for (const name of await filesBelow(`${stage}${libraryPath}`)) {
    if (name.includes(".so.") || name.endsWith("-preload.so")) {
      await run("strip", ["--strip-unneeded", `${stage}${libraryPath}/${name}`]);
      await Deno.chmod(`${stage}${libraryPath}/${name}`, 0o644);
    }
  }
  await run("strip", [`${stage}/usr/bin/toom-exec`]);
}

async function moveDevFiles(main: string, dev: string, libraries: string): Promise<void> {
  const move = async (path: string): Promise<void> => {
    await Deno.mkdir(`${dev}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.rename(`${main}/${path}`, `${dev}/${path}`);
  };
  for (const path of DEV_FILES) await move(path);
  for (const name of await filesBelow(`${main}/${libraries}`)) {
    if (DEV_LIBRARIES.test(`/${name}`)) await move(`${libraries}/${name}`);
  }
  await Deno.remove(`${main}/${libraries}/pkgconfig`);
}

async function installProgram(stage: string, binaryPath: string): Promise<void> {
  const put = async (from: string, to: string, mode: number): Promise<void> => {
    await write(`${stage}/${to}`, await Deno.readFile(from), mode);
  };
  await put(binaryPath, "usr/bin/toom", 0o755);
  const unit = await Deno.readTextFile(`${ROOT}deploy/toom.service`);
  const text = unit.replaceAll("/usr/local/bin/", "/usr/bin/")
    .replace(/^# toom as a system service\.[^[]*/, "# toom as a system service; see toom(8).\n\n");
  await write(`${stage}/usr/lib/systemd/system/toom.service`, text, 0o644);
  const shared = [
    ["deploy/config.jsonc", "etc/toom/config.jsonc"],
    ["deploy/sysusers.d/toom.conf", "usr/lib/sysusers.d/toom.conf"],
    ["deploy/config.schema.json", "usr/share/toom/config.schema.json"],
    ["deploy/completions/toom.bash", "usr/share/bash-completion/completions/toom"],
    ["deploy/completions/_toom", "usr/share/zsh/vendor-completions/_toom"],
    ["deploy/completions/toom.fish", "usr/share/fish/vendor_completions.d/toom.fish"],
  ] as const;
  for (const [from, to] of shared) await put(`${ROOT}${from}`, to, 0o644);
  for await (const { name } of Deno.readDir(`${ROOT}deploy/man`)) {
    await put(`${ROOT}deploy/man/${name}`, `usr/share/man/man${name.at(-1)}/${name}`, 0o644);
  }
  await Deno.mkdir(`${stage}/etc/toom/config.d`);
}

async function installControl(
  stage: string,
  fields: Readonly<Record<string, string>>,
  architecture: string,
): Promise<void> {
  let bytes = 0;
  for (const name of await filesBelow(stage)) bytes += (await Deno.lstat(`${stage}/${name}`)).size;
  const { Package, Description, ...rest } = fields;
  const lines = Object.entries({
    Package,
    Source: "toom",
    Version: `${VERSION}-${REVISION}`,
    Architecture: architecture,
    Maintainer: MAINTAINER,
    "Installed-Size": String(Math.ceil(bytes / 1024)),
    Priority: "optional",
    ...rest,
    Description,
  }).map(([key, value]) => `${key}: ${value}`);
  if (Package === "toom-dev") lines.splice(1, 1, "Source: toom");
  else lines.splice(1, 1);
  await write(`${stage}/DEBIAN/control`, `${lines.join("\n")}\n`, 0o644);
}

async function installScripts(stage: string): Promise<void> {
  await write(`${stage}/DEBIAN/conffiles`, "/etc/toom/config.jsonc\n", 0o644);
  await write(`${stage}/DEBIAN/shlibs`, `libtmalloc 1 toom (>= ${VERSION})\n`, 0o644);
  await write(`${stage}/DEBIAN/triggers`, "activate-noawait ldconfig\n", 0o644);
  for (const name of ["postinst", "prerm", "postrm"]) {
    const text = await Deno.readTextFile(`${ROOT}deploy/packages/debian/${name}`);
    await write(`${stage}/DEBIAN/${name}`, text, 0o755);
  }
}

async function installDocuments(stage: string, name: string): Promise<void> {
  const folder = `${stage}/usr/share/doc/${name}`;
  const license = await Deno.readTextFile(`${ROOT}LICENSE`);
  const [, copyright] = /^(Copyright .*)$/m.exec(license)!;
  const terms = license.slice(license.indexOf("Permission is hereby")).trim()
    .split("\n").map((line) => line === "" ? " ." : ` ${line}`).join("\n");
  await write(
    `${folder}/copyright`,
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n" +
      `Upstream-Name: toom\n\nFiles: *\n${copyright!.replace("Copyright (c)", "Copyright:")}\n` +
      `License: Expat\n${terms}\n`,
    0o644,
  );
  await write(`${folder}/changelog.Debian`, await changelog(), 0o644);
}

/** In Debian's form; what has changed is in CHANGELOG.md. */
async function changelog(): Promise<string> {
  const seconds = Number(await run("git", ["log", "-1", "--format=%ct"]).catch(() => "0"));
  const date = new Date(seconds * 1000).toUTCString().replace("GMT", "+0000");
  return `toom (${VERSION}-${REVISION}) unstable; urgency=medium\n\n` +
    `  * Version ${VERSION}; see the changes of the project.\n\n -- ${MAINTAINER}  ${date}\n`;
}

async function pack(stage: string, path: string, options: DebOptions): Promise<void> {
  const compressed = /usr\/share\/man\/.*\.\d$|\/changelog\.Debian$/;
  for (const name of await filesBelow(stage)) {
    if (compressed.test(name)) await run("gzip", ["-9", "-n", `${stage}/${name}`]);
  }
  const sums: string[] = [];
  for (const name of (await filesBelow(stage)).sort()) {
    const info = await Deno.lstat(`${stage}/${name}`);
    if (name.startsWith("DEBIAN/") || info.isSymlink) continue;
    const [sum] = (await run("md5sum", [`${stage}/${name}`])).split(" ");
    sums.push(`${sum}  ${name}`);
  }
  await write(`${stage}/DEBIAN/md5sums`, `${sums.join("\n")}\n`, 0o644);
  const { epochSeconds, compression } = options;
  await run("find", [stage, "-type", "d", "-exec", "chmod", "755", "{}", "+"]);
  await run("find", [stage, "-exec", "touch", "-h", "-d", `@${epochSeconds}`, "{}", "+"]);
  const level = compression === "gzip" ? ["-z1"] : [];
  await run("dpkg-deb", [
    "--root-owner-group",
    `-Z${compression}`,
    ...level,
    "--build",
    stage,
    path,
  ], {
    SOURCE_DATE_EPOCH: String(epochSeconds),
  });
}

async function write(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
  if (typeof content === "string") await Deno.writeTextFile(path, content);
  else await Deno.writeFile(path, content);
  await Deno.chmod(path, mode);
}

/** Files and links below a folder, by their path from it. */
async function filesBelow(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (!isDirectory) names.push(name);
    else names.push(...(await filesBelow(`${path}/${name}`)).map((one) => `${name}/${one}`));
  }
  return names;
}

/** SOURCE_DATE_EPOCH, else when the commit was made that is packed. */
export async function buildEpochSeconds(): Promise<number> {
  const given = Deno.env.get("SOURCE_DATE_EPOCH");
  return Number(given ?? await run("git", ["log", "-1", "--format=%ct"]));
}

if (import.meta.main) {
  const { binary, out, compression } = parseArgs(Deno.args, {
    string: ["binary", "out", "compression"],
    default: { binary: `${ROOT}dist/toom`, out: `${ROOT}dist`, compression: "xz" },
  });
  if (compression !== "xz" && compression !== "gzip") {
    console.error(`deb: expected the compression xz or gzip, not ${compression}`);
    Deno.exit(2);
  }
  try {
    const epochSeconds = await buildEpochSeconds();
    const options = { binaryPath: binary, outPath: out, compression, epochSeconds } as const;
    for (const path of await buildDebs(options)) console.log(path);
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound;
    console.error(
      isMissing
        ? `deb: ${error.message}; expected the program of deno task compile, make, cc, strip and dpkg-deb`
        : `deb: ${error instanceof Error ? error.message : error}`,
    );
    Deno.exit(1);
  }
}
