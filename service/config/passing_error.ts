import { FormatError } from "../../pipeline/limits/units.ts";

/** Who could be asked does not answer: that says nothing about the configuration. */
export class PassingError extends FormatError {}

/** Somebody is named who is not there: the rest of the configuration is none the worse for it. */
export class AbsentError extends FormatError {}
