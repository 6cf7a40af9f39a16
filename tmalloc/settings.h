/* What the environment says, read once. */
#ifndef TM_SETTINGS_H
#define TM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tm_settings {
  char socket[108];        /* TMALLOC_SOCKET */
  bool fail;               /* TMALLOC_FALLBACK=fail: without a coordinator there is no memory */
  bool fork_is_strict;     /* TMALLOC_FORK=strict: no child without room for a whole copy */
  bool allowance_is_given; /* TMALLOC_ALLOWANCE is set */
  bool is_told;            /* TMALLOC_TOLD: it was said already that nobody answers */
  uint64_t allowance;      /* bytes that are asked for and never handed out */
};

/* The settings, or NULL while the process is too young to have an environment. */
const struct tm_settings *tm_settings(void);

/* The allowance under a limit of `hard_bytes`. */
uint64_t tm_allowance(const struct tm_settings *settings, uint64_t hard_bytes);

#endif
