/**
 * A text that becomes a value: how zod reads what people write.
 *
 * @module
 */
import { z } from "zod";
import { FormatError } from "../../pipeline/limits/units.ts";

/**
 * A zod schema for a text.
 *
 * @param read Makes the value; throws {@link FormatError} when it cannot.
 * @param schema Of the text before it is read.
 */
export function readAs<Value>(
  read: (text: string) => Value,
  schema: z.ZodType<string, string> = z.string(),
): z.ZodType<Value, string> {
  return schema.transform((text, context): Value => {
    try {
      return read(text);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      context.addIssue({ code: "custom", message: error.message });
      return z.NEVER;
    }
  });
}
