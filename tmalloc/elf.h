/* How a program is linked: what a library can be put before. elf(5) Reads files by pread alone and
 * allocates nothing, so that a child of vfork may look, too. */
#ifndef TM_ELF_H
#define TM_ELF_H

#include <stdbool.h>
#include <stddef.h>

enum tm_linkage {
  TM_LINK_OTHER,   /* no ELF file, such as a script; or one that cannot be read */
  TM_LINK_FOREIGN, /* for another machine, or of 32 bits */
  TM_LINK_STATIC,  /* without a dynamic loader */
  TM_LINK_MUSL,    /* with one that is not glibc's */
  TM_LINK_DYNAMIC, /* as usual */
};

struct tm_elf {
  enum tm_linkage linkage;
  bool is_library; /* may be loaded: ET_DYN for this machine */
  /* Why it does not run with a malloc that was put before its own, as "was built with
   * AddressSanitizer"; NULL: it does. */
  const char *obstacle;
};

/* Looks at an open file. */
struct tm_elf tm_elf_look(int fd);

/* As tm_elf_look, and looks for a sanitizer that is linked statically, by the symbols, as far as the
 * program was not stripped. */
struct tm_elf tm_elf_look_closely(int fd);

/* The interpreter in the first line of a script, "#!/bin/sh" as "/bin/sh". False when the file is
 * none, or the path does not fit. */
bool tm_script_interpreter(int fd, char *path, size_t room);

#endif
