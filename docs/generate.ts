/**
 * Writes the documents that are made from code: `deno task docs`.
 *
 * @module
 */
import { recordsDocument } from "../pipeline/messages/records_table.ts";

await Deno.writeTextFile(new URL("./records.md", import.meta.url), recordsDocument());
