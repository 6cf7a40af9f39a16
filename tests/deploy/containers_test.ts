/** Containerfile and DaemonSet: by linters and types of others, and against what toom has. */
import { assert, assertEquals } from "@std/assert";
import { parse, parseAll } from "@std/yaml";
import { RUN_COMMAND } from "../../cli/run_command.ts";
import { COMMAND_LIST, wordsOf } from "../../docs/command_list.ts";
import { CONTROL_SOCKET_DEFAULT } from "../../service/config/defaults.ts";
import { checkTexts } from "../_support/config.ts";
import { needing } from "../_support/real_kernel.ts";
import { missingTool, ROOT, runTool, useTool } from "../_support/tools.ts";

const CONTAINERFILE = `${ROOT}deploy/container/Containerfile`;
const MANIFEST = `${ROOT}deploy/kubernetes/toom.yaml`;
const YAML_RULES = "{extends: default, rules: {line-length: {max: 120}}}";
const NPM_SECONDS_MAX = "60";
const noYamllint = missingTool("yamllint");

interface Container {
  readonly args: readonly string[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly [probe: string]: unknown;
}

interface Manifest {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly template: {
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly [Container];
        readonly volumes: readonly {
          readonly name: string;
          readonly hostPath?: { path: string };
        }[];
      };
    };
  };
}

async function manifests(): Promise<readonly Manifest[]> {
  return parseAll(await Deno.readTextFile(MANIFEST)) as readonly Manifest[];
}

async function manifestOf(kind: string): Promise<Manifest> {
  return (await manifests()).find((one) => one.kind === kind)!;
}

/** Runs a module that needs packages of npm which this project does not. */
async function runModule(
  command: "run" | "check",
  text: string,
): Promise<{ code: number; text: string }> {
  const dir = await Deno.makeTempDir({ prefix: "toom-npm-" });
  try {
    await Deno.writeTextFile(`${dir}/main.ts`, text);
    const args = [command, ...(command === "run" ? ["-A"] : []), "--no-lock", "--no-config"];
    return await runTool("timeout", [NPM_SECONDS_MAX, Deno.execPath(), ...args, `${dir}/main.ts`]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function hasPackage(name: string): Promise<boolean> {
  const { code } = await runModule("run", `import "npm:${name}";`);
  return code === 0;
}

const hasDockerfileUtils = await hasPackage("dockerfile-utils@0.16.3");
const hasTypes = hasDockerfileUtils && (await runModule(
      "check",
      `import type {} from "npm:kubernetes-types@1.30.0/apps/v1.d.ts";`,
    )).code === 0;

Deno.test({
  ...needing(hasDockerfileUtils, "npm", "a linter has nothing to say of the Containerfile"),
  async fn(): Promise<void> {
    const lint = async (text: string): Promise<string> => {
      const { code, text: said } = await runModule(
        "run",
        `import { validate } from "npm:dockerfile-utils@0.16.3";
         console.log(JSON.stringify(validate(${
          JSON.stringify(text)
        }).map(({ message }) => message)));`,
      );
      assertEquals(code, 0, said);
      return said.split("\n").find((line) => line.startsWith("["))!;
    };
    const text = await Deno.readTextFile(CONTAINERFILE);
    assertEquals(await lint(text), "[]");
    assert((await lint(`${text}CMD ["again"]\n`)).includes("CMD"));
  },
});

Deno.test("the Containerfile starts what the package installs", async () => {
  const text = await Deno.readTextFile(CONTAINERFILE);
  const [, entry] = /^ENTRYPOINT (.*)$/m.exec(text)!;
  const [, command] = /^CMD (.*)$/m.exec(text)!;
  assertEquals(JSON.parse(entry!), ["/usr/bin/toom"]);
  assert(COMMAND_LIST.some((one) => wordsOf(one).join(" ") === JSON.parse(command!).join(" ")));
  assert(/^COPY dist\/toom_\*\.deb /m.test(text), "deno task deb makes it there");
});

Deno.test({
  ...needing(noYamllint === undefined, "yamllint", "yamllint has nothing to say"),
  async fn(): Promise<void> {
    const folders = ["deploy/kubernetes", "deploy/ansible"];
    assertEquals(await useTool("yamllint", ["-s", "-d", YAML_RULES, ...folders]), "");
  },
});

Deno.test({
  ...needing(hasTypes, "npm", "the manifests are what Kubernetes has types for"),
  async fn(): Promise<void> {
    const types: Record<string, string> = {
      Namespace: "v1.d.ts",
      ConfigMap: "v1.d.ts",
      DaemonSet: "apps/v1.d.ts",
    };
    const check = async (changed: (text: string) => string): Promise<string> => {
      const parts = (await manifests()).map((one, index) =>
        `import type { ${one.kind} as T${index} } from "npm:kubernetes-types@1.30.0/${
          types[one.kind]
        }";\n` +
        `export const m${index}: T${index} = ${JSON.stringify(one)};\n`
      );
      return (await runModule("check", changed(parts.join("")))).text;
    };
    assertEquals(/TS\d+/.exec(await check((text) => text)), null);
    const wrong = await check((text) => text.replace('"hostPID"', '"hostPit"'));
    assert(wrong.includes("hostPit"), wrong);
  },
});

Deno.test("the ConfigMap's configuration loads, and serves what Prometheus is told", async () => {
  const { data } = await manifestOf("ConfigMap");
  assertEquals(Object.keys(data!), ["config.jsonc"]);
  const { lines, config } = await checkTexts(data!["config.jsonc"]!);
  assertEquals(lines, []);
  const metrics = config!.settings.find(({ path }) => path === "metrics");
  assert(metrics !== undefined);
  const { annotations } = (await manifestOf("DaemonSet")).spec!.template.metadata;
  assert(data!["config.jsonc"]!.includes(`:${annotations["prometheus.io/port"]}"`));
});

Deno.test("the DaemonSet's command, probes and mounts are of this toom", async () => {
  const { spec } = (await manifestOf("DaemonSet")).spec!.template;
  const [container] = spec.containers;
  const [command, ...options] = container.args;
  assertEquals(command, "run");
  for (const option of options.filter((one) => one.startsWith("--"))) {
    assert(RUN_COMMAND.options.some(({ name }) => `--${name}` === option), option);
  }
  for (const name of ["startupProbe", "readinessProbe", "livenessProbe"]) {
    const probe = container[name] as { exec: { command: readonly string[] } };
    assertEquals(probe.exec.command, ["toom", "status", "--json"], name);
  }
  const paths = container.volumeMounts.map(({ mountPath }) => mountPath);
  assert(paths.includes(CONTROL_SOCKET_DEFAULT.replace(/\/[^/]*$/, "")));
  for (const { name } of container.volumeMounts) {
    assert(spec.volumes.some((volume) => volume.name === name), name);
  }
});

Deno.test("the container's README mounts what the DaemonSet mounts", async () => {
  const text = await Deno.readTextFile(`${ROOT}deploy/container/README.md`);
  const { spec } = (await manifestOf("DaemonSet")).spec!.template;
  for (const { hostPath } of spec.volumes) {
    if (hostPath !== undefined) {
      assert(text.includes(`-v ${hostPath.path}:${hostPath.path}`), hostPath.path);
    }
  }
});

Deno.test("what the role of Ansible configures loads", async () => {
  const role = `${ROOT}deploy/ansible`;
  const defaults = parse(await Deno.readTextFile(`${role}/roles/toom/defaults/main.yml`)) as {
    readonly toom_config: unknown;
  };
  const [play] = parse(await Deno.readTextFile(`${role}/site.yml`)) as readonly [
    { readonly roles: readonly [{ readonly vars: { readonly toom_config: unknown } }] },
  ];
  for (const config of [defaults.toom_config, play.roles[0].vars.toom_config]) {
    assertEquals((await checkTexts(JSON.stringify(config))).lines, []);
  }
});

const noAnsible = missingTool("ansible-lint", "ansible-playbook");
Deno.test({
  ...needing(
    noAnsible === undefined,
    "ansible-lint",
    "ansible-lint has nothing to say of the role",
  ),
  async fn(): Promise<void> {
    const cwd = `${ROOT}deploy/ansible`;
    const home = await Deno.makeTempDir({ prefix: "toom-ansible-" });
    try {
      const env = { HOME: home, ANSIBLE_LOCAL_TEMP: `${home}/tmp` };
      await useTool("ansible-lint", ["--offline", "-q", "--strict"], { cwd, env });
      await useTool("ansible-playbook", ["-i", "localhost,", "--syntax-check", "site.yml"], {
        cwd,
        env,
      });
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
});
