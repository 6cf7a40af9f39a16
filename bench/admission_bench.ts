/**
 * An answer of the coordinator without its socket: how it grows with the user's processes, which
 * are all looked at, and with claims.
 *
 * @module
 */
import { AdmissionRun } from "./support/admission_run.ts";

const REQUESTS = 2000;

for (const claims of [false, true]) {
  for (const clients of [1, 10, 100, 1000]) {
    const run = new AdmissionRun({ clients, claims });
    Deno.bench({
      name: `${clients} processes, ${REQUESTS} requests`,
      group: claims ? "admission, with claims" : "admission",
      baseline: clients === 1,
      fn: () => run.pass(REQUESTS),
    });
  }
}
