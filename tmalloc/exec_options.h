/* The command line of toom-exec, which is that of toom exec. What is declared here and in
 * cli/exec.ts is the same, in the same words: tests/cli/exec_test.ts compares them. */
#ifndef TM_EXEC_OPTIONS_H
#define TM_EXEC_OPTIONS_H

#include <stdbool.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNSUPPORTED = 3 };

struct exec_options {
  const char *tmalloc_socket; /* NULL: not given */
  bool fail;                  /* --fallback=fail */
  const char *preload;        /* NULL: not given */
  bool no_hints;
  char **command; /* the program and its arguments, closed by NULL */
};

/* Reads the words behind the program's name. Prints the help, or what is wrong in one line, and
 * exits where that is all there is to do. */
struct exec_options exec_options_of(char **words);

/* "toom exec: " and the text, on stderr, as one line. */
void exec_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says it, and exits. */
_Noreturn void exec_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
