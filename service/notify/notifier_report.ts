/** How one of those who are told keeps up, for `toom status`. */
export interface NotifierReport {
  readonly name: string;
  /** Run, or wait to be told, at this moment. */
  readonly waiting: number;
  readonly done: number;
  readonly failed: number;
  /** Of these that were not done: their time was over. */
  readonly late: number;
  /** Left out: there were too many. */
  readonly left: number;
}
