/**
 * What a user is told who asks for its own. Apart from the rest of the control API, as `toom me` runs
 * within the limit of its user and loads no more than it needs.
 *
 * @module
 */
import { z } from "zod";
import { shapeOf } from "../fields/field.ts";
import { USER_FIELDS } from "../fields/user_fields.ts";
import { KillRecord } from "../history/record_schema.ts";

const count = z.number().int().nonnegative();
const uid = z.number().int().min(0).max(0xffffffff);

export const UserReport = z.object(shapeOf(USER_FIELDS));
export type UserReport = z.infer<typeof UserReport>;

/** What a user is told who asks for its own. */
export const OwnReport = z.object({
  uid,
  pageBytes: count,
  /** null: it has no limit, or was not seen yet. */
  user: UserReport.nullable(),
  /** The newest last. */
  kills: z.array(KillRecord),
});
export type OwnReport = z.infer<typeof OwnReport>;
