/**
 * The times by which roles wait, ask again and lose patience, in one place because they depend on each
 * other; the relations are asserted below. What concerns one module alone (how often the same thing is
 * told, say) is in that module.
 *
 * @module
 */
import { invariant } from "./invariant.ts";

// ---------------------------------------------------------------------------------------------
// Workers and their watch
// ---------------------------------------------------------------------------------------------

/** A worker shows life at least this often. */
export const HEARTBEAT_MS = 200;
/** How often heartbeats are looked at. */
export const WATCH_TURN_MS = 200;
/** No heartbeat for so long: it hangs. */
export const HANGS_AFTER_MS = 500;
/**
 * Nor for so long, of one whose thread is ready to run: if it is of ordinary priority it may only have
 * had no CPU.
 */
export const STARVES_AFTER_MS = 2000;
/** Nor for so long, of one that waits for a disk: starting over would have to wait for that too. */
export const BLOCKS_AFTER_MS = 5000;
/**
 * Of the time between two steps no more counts as silence: if the supervisor's thread did not run, or
 * the machine did not, the others' silence meanwhile proves nothing.
 */
export const SILENCE_MS_MAX: number = HANGS_AFTER_MS / 2;
/** A thread that has thrown ends within this time, or it is taken for one that hangs. */
export const ENDS_WITHIN_MS = 300;
/** Loading a worker's modules may take a while on a busy machine. */
export const START_MS_MAX = 10_000;
/**
 * All workers together at toom's own start, before which nobody counts on it: a machine that is booting or
 * short of memory takes its time. Below TimeoutStartSec of deploy/toom.service, so that toom says what it waits for.
 */
export const FIRST_START_MS_MAX = 150_000;
/** A worker that dies at once, again and again, is not started more often than this. */
export const RESTART_EVERY_MS = 1000;

// ---------------------------------------------------------------------------------------------
// Sweeps and the watch over the instances
// ---------------------------------------------------------------------------------------------

/** Sweeps that losses ask for are at least so far apart. */
export const SWEEP_WANTED_EVERY_NS = 50e6;
/** While one is wanted, the sweeper looks at least so often whether it may begin, milliseconds. */
export const SWEEP_WANTED_LOOK_MS = 20;
/** While logins come without end, a sweep waits no longer than this for the list of traced tasks. */
export const LIST_WAIT_NS_MAX = 200e6;
/** Who changes its user to run something does so within this time. */
export const EXEC_WITHIN_NS = 50e6;
/** As often as the sweeper wakes up anyway. */
export const GUARD_EVERY_NS = 200e6;
/** Where only logins come from an instance: the kernel's programs record all else. */
export const GUARD_LOGINS_EVERY_NS = 1e9;
/** After pressure somebody has this long to give memory back. */
export const PRESSURE_EVERY_NS = 1e9;

// ---------------------------------------------------------------------------------------------
// Measuring of what is shared
// ---------------------------------------------------------------------------------------------

/** Whom to measure is considered again after this at least, and after this at most. */
export const MEASURE_LOOK_NS_MIN = 5e6;
export const MEASURE_LOOK_NS_MAX = 200e6;
/** Whose credit decides is measured at least so often, as faults of others may copy its pages. */
export const MEASURE_URGENT_EVERY_NS = 2e9;
/** Time for measuring that was not used can be saved up to this. */
export const MEASURE_SAVED_NS_MAX = 500e6;
/** What is not urgent leaves so much for what is. */
export const MEASURE_RESERVE_NS = 250e6;

// ---------------------------------------------------------------------------------------------
// Orders to the killer
// ---------------------------------------------------------------------------------------------

/**
 * The killer is told to arm for a user at most this often, because waking it costs accounting as much
 * as ten events: at ten events for each it would never make up for a delay.
 */
export const ARM_EVERY_NS = 1e6;
/** A user's processes are braked at most this often, and accounting asks for it no more often. */
export const BRAKE_EVERY_NS = 1e6;
/** A user is verified at most this often on accounting's own account. */
export const VERIFY_EVERY_NS = 5e6;

// ---------------------------------------------------------------------------------------------
// Victims
// ---------------------------------------------------------------------------------------------

/**
 * I1: identity is checked after the pidfd was opened, and once more at the kill when the check is
 * older than this; while a user grows, arming keeps it fresh. A change of user in between is known
 * from the kernel's own event, and the process is then no longer in the user's books.
 */
export const CHECK_HOLDS_NS = 50e6;
/** I1: an armed candidate is checked again when its check is older; see candidates.ts. */
export const RECHECK_NS = 10e6;
/** I2: so long does a victim that gives nothing back keep another from being chosen. */
export const PATIENCE_NS = 1e9;
/** Without a signal nobody goes; so often is that told. */
export const DRY_RUN_PATIENCE_NS = 10e9;
/** When a user is over and nobody may be killed, it is looked at again after so long. */
export const NO_VICTIM_RETRY_NS = 100e6;
/** A shortage of the machine that was read longer ago is no reason to kill. */
export const RELIEF_HOLDS_NS = 250e6;
/** So long after something happened accounting has heard of it, if it is not behind. */
export const HEARD_OF_NS = 20e6;
/** A process that could not or must not be killed is not considered again for so long. */
export const LEAVE_OUT_NS = 1e9;

invariant(2 * HEARTBEAT_MS < HANGS_AFTER_MS, "timing: one heartbeat may be late");
invariant(2 * WATCH_TURN_MS < HANGS_AFTER_MS, "timing: a hang is seen before it is twice as long");
invariant(WATCH_TURN_MS <= SILENCE_MS_MAX, "timing: all of a turn may count as silence");
invariant(2 * SILENCE_MS_MAX <= HANGS_AFTER_MS, "timing: a hang takes two looks at least");
invariant(ENDS_WITHIN_MS < HANGS_AFTER_MS, "timing: a thread ends before its successor is missed");
invariant(
  HANGS_AFTER_MS < STARVES_AFTER_MS && STARVES_AFTER_MS < BLOCKS_AFTER_MS &&
    BLOCKS_AFTER_MS < START_MS_MAX,
  "timing: the better the excuse, the more patience",
);
invariant(START_MS_MAX < FIRST_START_MS_MAX, "timing: nobody waits for the first start");
invariant(SWEEP_WANTED_LOOK_MS * 1e6 < SWEEP_WANTED_EVERY_NS, "timing: a wanted sweep is not late");
invariant(SWEEP_WANTED_EVERY_NS < LIST_WAIT_NS_MAX, "timing: a sweep lets several logins through");
invariant(
  MEASURE_LOOK_NS_MIN < MEASURE_LOOK_NS_MAX && MEASURE_LOOK_NS_MAX < MEASURE_URGENT_EVERY_NS,
  "timing: measuring looks more often than it measures",
);
invariant(MEASURE_RESERVE_NS < MEASURE_SAVED_NS_MAX, "timing: there is something to reserve");
invariant(ARM_EVERY_NS < VERIFY_EVERY_NS, "timing: to arm is cheaper than to read /proc");
invariant(
  ARM_EVERY_NS < RECHECK_NS && RECHECK_NS < CHECK_HOLDS_NS,
  "timing: arming keeps checks fresh",
);
invariant(
  HEARD_OF_NS < NO_VICTIM_RETRY_NS,
  "timing: accounting has heard before it is asked again",
);
invariant(
  NO_VICTIM_RETRY_NS < PATIENCE_NS,
  "timing: who can be killed is looked for sooner than given up",
);
invariant(
  LEAVE_OUT_NS <= PATIENCE_NS && PATIENCE_NS < DRY_RUN_PATIENCE_NS,
  "timing: patience with victims",
);
invariant(
  RELIEF_HOLDS_NS < PRESSURE_EVERY_NS,
  "timing: a shortage is read anew before it is acted on again",
);
