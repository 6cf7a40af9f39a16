#include "elf.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_NONE };
#endif
enum { PARTS_MOST = 40, ENTRIES_MOST = 96, NAME_MOST = 64, LINE_MOST = 256 };

static bool read_at(int fd, uint64_t offset, void *into, size_t bytes) {
  return pread(fd, into, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* As much of a text as the file has there, closed by a zero. */
static void read_text(int fd, uint64_t offset, char *text, size_t room) {
  ssize_t length = pread(fd, text, room - 1, (off_t)offset);
  text[length < 0 ? 0 : length] = '\0';
}

#define ASAN "was built with AddressSanitizer"
#define HWASAN "was built with HWAddressSanitizer"
#define TSAN "was built with ThreadSanitizer"
#define LSAN "was built with LeakSanitizer"
#define MSAN "was built with MemorySanitizer"

/* Their runtimes bring a malloc of their own. UBSan does not. */
static const struct {
  const char *library, *symbol, *words;
} SANITIZERS[] = {
    {"libasan.so", "__asan_init", ASAN},         {"libclang_rt.asan", "__asan_init", ASAN},
    {"libhwasan.so", "__hwasan_init", HWASAN},   {"libclang_rt.hwasan", "__hwasan_init", HWASAN},
    {"libtsan.so", "__tsan_init", TSAN},         {"libclang_rt.tsan", "__tsan_init", TSAN},
    {"liblsan.so", "__lsan_init", LSAN},         {"libclang_rt.lsan", "__lsan_init", LSAN},
    {"libclang_rt.msan", "__msan_init", MSAN},
};
enum { SANITIZERS_COUNT = sizeof SANITIZERS / sizeof *SANITIZERS };

static const char *sanitizer_of_library(const char *name) {
  for (int i = 0; i < SANITIZERS_COUNT; i++)
    if (strncmp(name, SANITIZERS[i].library, strlen(SANITIZERS[i].library)) == 0)
      return SANITIZERS[i].words;
  return NULL;
}

struct parts {
  Elf64_Phdr list[PARTS_MOST];
  unsigned count;
};

static bool read_parts(int fd, const Elf64_Ehdr *head, struct parts *parts) {
  parts->count = head->e_phnum < PARTS_MOST ? head->e_phnum : PARTS_MOST;
  return read_at(fd, head->e_phoff, parts->list, parts->count * sizeof *parts->list);
}

/* Where in the file the loader finds an address. 0: nowhere. */
static uint64_t offset_of(const struct parts *parts, uint64_t address) {
  for (unsigned i = 0; i < parts->count; i++) {
    const Elf64_Phdr *part = &parts->list[i];
    if (part->p_type == PT_LOAD && address >= part->p_vaddr &&
        address - part->p_vaddr < part->p_filesz)
      return part->p_offset + (address - part->p_vaddr);
  }
  return 0;
}

/* The sanitizer among the libraries that it needs, which stand first in practice. */
static const char *sanitizer_needed(int fd, const struct parts *parts, const Elf64_Phdr *dynamic) {
  Elf64_Dyn entries[ENTRIES_MOST];
  uint64_t names = 0, count = dynamic->p_filesz / sizeof *entries;
  if (count > ENTRIES_MOST) count = ENTRIES_MOST;
  if (!read_at(fd, dynamic->p_offset, entries, count * sizeof *entries)) return NULL;
  for (uint64_t i = 0; i < count; i++)
    if (entries[i].d_tag == DT_STRTAB) names = offset_of(parts, entries[i].d_un.d_ptr);
  for (uint64_t i = 0; i < count && names != 0 && entries[i].d_tag != DT_NULL; i++) {
    char name[NAME_MOST];
    if (entries[i].d_tag != DT_NEEDED) continue;
    read_text(fd, names + entries[i].d_un.d_val, name, sizeof name);
    const char *words = sanitizer_of_library(name);
    if (words != NULL) return words;
  }
  return NULL;
}

static bool is_musl(int fd, const Elf64_Phdr *interpreter) {
  char loader[LINE_MOST];
  read_text(fd, interpreter->p_offset, loader, sizeof loader);
  return strstr(loader, "ld-musl") != NULL;
}

struct tm_elf tm_elf_look(int fd) {
  struct tm_elf found = {.linkage = TM_LINK_OTHER};
  Elf64_Ehdr head;
  struct parts parts;
  if (!read_at(fd, 0, &head, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
    return found;
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
      head.e_machine != MACHINE || head.e_phentsize != sizeof *parts.list)
    return (struct tm_elf){.linkage = TM_LINK_FOREIGN,
                           .obstacle = "is a program for another kind of machine"};
  if (!read_parts(fd, &head, &parts)) return found;
  found.linkage = TM_LINK_STATIC;
  found.is_library = head.e_type == ET_DYN;
  for (unsigned i = 0; i < parts.count; i++) {
    const Elf64_Phdr *part = &parts.list[i];
    if (part->p_type == PT_INTERP)
      found.linkage = is_musl(fd, part) ? TM_LINK_MUSL : TM_LINK_DYNAMIC;
    if (part->p_type == PT_DYNAMIC) found.obstacle = sanitizer_needed(fd, &parts, part);
  }
  if (found.linkage == TM_LINK_MUSL) found.obstacle = "is linked against musl";
  return found;
}

/* A name between two zeros in a table of names. */
static bool has_name(const char *table, size_t bytes, const char *name) {
  size_t length = strlen(name) + 1;
  for (const char *at = table; (at = memmem(at, bytes - (size_t)(at - table), name, length)) != NULL;
       at++)
    if (at > table && at[-1] == '\0') return true;
  return false;
}

static const char *sanitizer_in_names(const char *file, size_t bytes) {
  const Elf64_Ehdr *head = (const Elf64_Ehdr *)file;
  for (unsigned i = 0; i < head->e_shnum; i++) {
    uint64_t at = head->e_shoff + i * sizeof(Elf64_Shdr);
    Elf64_Shdr section;
    if (at >= bytes || bytes - at < sizeof section) return NULL;
    memcpy(&section, file + at, sizeof section);
    bool is_inside = section.sh_offset < bytes && section.sh_size <= bytes - section.sh_offset;
    if (section.sh_type != SHT_STRTAB || !is_inside) continue;
    for (int k = 0; k < SANITIZERS_COUNT; k++)
      if (has_name(file + section.sh_offset, section.sh_size, SANITIZERS[k].symbol))
        return SANITIZERS[k].words;
  }
  return NULL;
}

struct tm_elf tm_elf_look_closely(int fd) {
  struct tm_elf found = tm_elf_look(fd);
  struct stat status;
  bool is_of_interest = found.linkage >= TM_LINK_STATIC && found.obstacle == NULL;
  if (!is_of_interest || fstat(fd, &status) != 0) return found;
  size_t bytes = (size_t)status.st_size;
  const char *file = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) return found;
  found.obstacle = sanitizer_in_names(file, bytes);
  munmap((void *)file, bytes);
  return found;
}

bool tm_script_interpreter(int fd, char *path, size_t room) {
  char line[LINE_MOST];
  read_text(fd, 0, line, sizeof line);
  if (line[0] != '#' || line[1] != '!') return false;
  const char *start = line + 2 + strspn(line + 2, " \t");
  size_t length = strcspn(start, " \t\r\n");
  if (length == 0 || length >= room) return false;
  memcpy(path, start, length);
  path[length] = '\0';
  return true;
}
