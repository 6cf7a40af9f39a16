/**
 * Writes the documents that are made from code: `deno task docs`.
 *
 * @module
 */
import { recordsDocument } from "../pipeline/messages/records_table.ts";
import { structureDocument } from "./structure.ts";

const root = new URL("../", import.meta.url);
await Deno.writeTextFile(new URL("./records.md", import.meta.url), recordsDocument());
await Deno.writeTextFile(new URL("./structure.md", import.meta.url), structureDocument(root));
