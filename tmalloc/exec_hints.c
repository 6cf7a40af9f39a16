#include "exec_hints.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const uint64_t MIB = UINT64_C(1) << 20, GIB = UINT64_C(1) << 30;

static bool says_any(const char *variable, const char *const *words) {
  const char *text = getenv(variable);
  for (; text != NULL && *words != NULL; words++)
    if (strstr(text, *words) != NULL) return true;
  return false;
}

/* Adds an option to those that stand there. */
static void append(const char *variable, const char *option) {
  const char *before = getenv(variable);
  if (before == NULL || *before == '\0') {
    setenv(variable, option, 1);
    return;
  }
  size_t room = strlen(before) + strlen(option) + 2;
  char *both = malloc(room);
  if (both == NULL) return;
  snprintf(both, room, "%s %s", before, option);
  setenv(variable, both, 1);
  free(both);
}

static void set_number(const char *variable, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, number);
  setenv(variable, text, 0);
}

/* The JVM takes a quarter of MaxRAM for its heap, and -Xmx for more or less. Shares of it that the
 * user has set (MaxRAMPercentage) are meant to be shares of what there is. */
static void hint_java(uint64_t limit) {
  static const char *const words[] = {"-Xmx", "-XX:MaxHeapSize", "-XX:MaxRAM=", NULL};
  char option[40];
  if (says_any("JAVA_TOOL_OPTIONS", words) || says_any("JDK_JAVA_OPTIONS", words) ||
      says_any("_JAVA_OPTIONS", words))
    return;
  snprintf(option, sizeof option, "-XX:MaxRAM=%" PRIu64, limit);
  append("JAVA_TOOL_OPTIONS", option);
}

/* Node takes a quarter of the machine's memory, 4 GiB at most, for old objects. It gets three
 * quarters of the limit if that is less: code, stacks, buffers and young objects come on top. */
static void hint_node(uint64_t limit, uint64_t machine) {
  static const char *const words[] = {"--max-old-space-size", "--max_old_space_size",
                                      "--max-heap-size", NULL};
  uint64_t most = machine / 4 < 4 * GIB ? machine / 4 : 4 * GIB, wanted = limit / 4 * 3;
  char option[48];
  if (wanted >= most || wanted < MIB || says_any("NODE_OPTIONS", words)) return;
  snprintf(option, sizeof option, "--max-old-space-size=%" PRIu64, wanted / MIB);
  append("NODE_OPTIONS", option);
}

/* sort without -S takes 15/16 of it for its buffer. Half, because it is not alone in a pipeline. */
static void hint_resident(uint64_t limit) {
  struct rlimit rss;
  if (getrlimit(RLIMIT_RSS, &rss) != 0 || rss.rlim_cur <= limit / 2) return;
  rss.rlim_cur = limit / 2;
  setrlimit(RLIMIT_RSS, &rss);
}

void exec_give_hints(uint64_t hard_bytes) {
  uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
  if (hard_bytes >= machine) return;
  hint_java(hard_bytes);
  hint_node(hard_bytes, machine);
  set_number("GOMEMLIMIT", hard_bytes / 10 * 9); /* soft: the collector works harder above it */
  set_number("MEM_LIMIT", hard_bytes);           /* what JupyterHub tells its servers */
  hint_resident(hard_bytes);
}
