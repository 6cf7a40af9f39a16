/**
 * Checks receipts that come from a file or over a socket. Apart from the receipts, as the daemon makes them
 * and needs no check.
 *
 * @module
 */
import { z } from "zod";
import { shapeOf } from "../fields/field.ts";
import { KILL_FIELDS, WEIGHED_FIELDS } from "../fields/kill_fields.ts";

export const KillRecord = z.object({
  ...shapeOf(KILL_FIELDS),
  /** Beside the victim: those that were weighed, best first, then those that were left out. */
  others: z.array(z.object(shapeOf(WEIGHED_FIELDS))),
});
