/**
 * Writes the documents that are made from code: `deno task docs`.
 *
 * @module
 */
import { recordsDocument } from "../pipeline/messages/records_table.ts";
import { openApiDocument } from "../service/control/openapi.ts";
import { configDocuments } from "./config_documents.ts";
import { fieldsDocument } from "../service/fields/document.ts";
import { completionFiles } from "./completions.ts";
import { manualPages } from "./manual_pages.ts";
import { structureDocument } from "./structure.ts";

const root = new URL("../", import.meta.url);
await Deno.writeTextFile(new URL("./records.md", import.meta.url), recordsDocument());
await Deno.writeTextFile(new URL("./fields.md", import.meta.url), fieldsDocument());
await Deno.writeTextFile(new URL("./structure.md", import.meta.url), structureDocument(root));
for (const folder of ["deploy/man/", "deploy/completions/"]) {
  await Deno.mkdir(new URL(folder, root), { recursive: true });
}
const openApi = { "docs/openapi.json": `${JSON.stringify(openApiDocument(), null, 2)}\n` };
const files = { ...openApi, ...configDocuments(), ...manualPages(), ...completionFiles() };
for (const [path, text] of Object.entries(files)) {
  await Deno.writeTextFile(new URL(path, root), text);
}
