/* The library that toom-exec loads: where it is, and a path to it that ld.so takes. */
#ifndef TM_EXEC_LIBRARY_H
#define TM_EXEC_LIBRARY_H

/* Finds the library, `given` or in its places, and returns a path that can stand in LD_PRELOAD.
 * Exits with a line when there is none. */
const char *exec_library_path(const char *given);

#endif
