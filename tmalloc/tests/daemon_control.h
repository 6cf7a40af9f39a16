/* What tests tell the test daemon and see of it, in a file that both have mapped. */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

enum daemon_mode {
  MODE_GRANT,   /* if and only if it fits */
  MODE_REFUSE,  /* reserve, wait and fork */
  MODE_SILENT,  /* reads and never answers */
  MODE_GARBAGE, /* answers with something else */
  MODE_CLOSE,   /* closes at each message */
};

enum { CONTROL_TYPES = 8, CONTROL_PROCESSES = 256 };

struct control_process {
  _Atomic(int32_t) pid; /* 0: free */
  _Atomic(uint64_t) level, declared, claim, resident;
  _Atomic(uint64_t) shared; /* of the level: with its parent */
};

struct control {
  _Atomic(uint64_t) limit; /* UINT64_MAX: none */
  _Atomic(int) mode;
  _Atomic(int) ignores_resident;
  _Atomic(uint64_t) messages[CONTROL_TYPES]; /* by type */
  _Atomic(uint64_t) refused, connections, committed_most;
  struct control_process processes[CONTROL_PROCESSES];
};

#endif
