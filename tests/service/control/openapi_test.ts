/** The OpenAPI document, compared with the routes, with what is answered, and with its copy in docs/. */
import { assert, assertEquals } from "@std/assert";
import type { z } from "zod";
import { main } from "../../../cli/main.ts";
import { ROUTER } from "../../../service/control/handlers.ts";
import { openApiDocument, OPERATIONS } from "../../../service/control/openapi.ts";
import { withControl } from "../../_support/fake_control.ts";

const ROOT = new URL("../../../", import.meta.url);

Deno.test("docs/openapi.json is what toom api prints", async () => {
  const lines: string[] = [];
  const code = await main(["api"], { out: (line) => void lines.push(line), err: () => {} });
  const copy = await Deno.readTextFile(new URL("docs/openapi.json", ROOT));
  assertEquals([code, `${lines.join("\n")}\n`], [0, copy], "run deno task docs");
  assertEquals(JSON.parse(copy), JSON.parse(JSON.stringify(openApiDocument())));
});

Deno.test("each route is in the document, and no other", () => {
  const routes = ROUTER.list().flatMap(({ path, methods }) =>
    methods.map((method) => `${method} ${path.replace(/:\w+(\(\.\*\))?/g, "{}")}`)
  );
  const told = OPERATIONS.map(({ method, path }) =>
    `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, "{}")}`
  );
  assertEquals(told.toSorted(), routes.toSorted());
});

/** Every value of a key, wherever it stands. */
function* valuesOf(node: unknown, key: string): Generator<unknown> {
  if (typeof node !== "object" || node === null) return;
  for (const [name, value] of Object.entries(node)) {
    if (name === key) yield value;
    yield* valuesOf(value, key);
  }
}

Deno.test("the document refers to nothing that it does not have, and names each operation once", () => {
  const document = openApiDocument();
  const { schemas } = document["components"] as { schemas: Record<string, unknown> };
  const refs = [...valuesOf(document, "$ref")];
  assert(refs.length > 20);
  for (const ref of refs) {
    assert(Object.hasOwn(schemas, String(ref).replace("#/components/schemas/", "")), String(ref));
  }
  const ids = [...valuesOf(document["paths"], "operationId")];
  assertEquals(new Set(ids).size, ids.length);
  assertEquals([...valuesOf(document, "$schema")], []);
});

Deno.test("what is answered is what the document says", async () => {
  await withControl(async ({ socketPath, backend }) => {
    backend.rules.set({ uidFirst: 60001, uidLast: 60001, hardPages: 16384, softPages: 14745 });
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });
    let asked = 0;
    for (const { method, path, answer } of OPERATIONS) {
      if (method !== "get" || path.includes("{id}")) continue;
      const url = `http://localhost${path.replace(/\{(uid|target)\}/, "60001")}`;
      const response = await fetch(url, { client });
      assertEquals(response.status, 200, path);
      asked++;
      if (typeof answer === "string") {
        assertEquals(response.headers.get("content-type")!.split(";")[0], answer);
        await response.body!.cancel();
        continue;
      }
      const result = (answer as z.ZodType).safeParse(await response.json());
      assert(result.success, `${path}: ${result.error?.message}`);
    }
    assert(asked > 8);
    const lost = await fetch("http://localhost/v1/kills/none", { client });
    assertEquals([lost.status, (await lost.json()).error], [
      404,
      'no kill "none" among the last ones',
    ]);
    const nobody = await fetch("http://localhost/v1/users/1-2", { client });
    assertEquals([nobody.status, (await nobody.json()).error], [
      400,
      'expected one uid, not "1-2"',
    ]);
  });
});
