#include "exec_options.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOCKET_PATH_MOST = 107, LINE_MOST = 4096, PLAIN_MOST = 60, QUOTED_MOST = 80 };

static const char HELP[] =
    "Run a program whose malloc asks toom first: where there is no memory it gets NULL, and is not "
    "killed.\n"
    "\n"
    "Usage: toom exec [OPTION]... [--] COMMAND...\n"
    "\n"
    "  COMMAND  The program and its arguments\n"
    "\n"
    "Options:\n"
    "  --tmalloc-socket PATH   Unix socket on which toom answers (default: TMALLOC_SOCKET,\n"
    "                          /run/toom/tmalloc.sock)\n"
    "  --fallback malloc|fail  Where it cannot ask: run without asking; or be refused all memory, and not\n"
    "                          be started if it never will (default: malloc)\n"
    "  --preload FILE          The library to load (default: libtmalloc-preload.so beside toom-exec, or\n"
    "                          in the system's folders)\n"
    "  --no-hints              Do not tell runtimes the user's limit in their own variables\n"
    "  --help                  Show this help\n"
    "\n"
    "Programs started by the program ask too. Statically linked and setuid programs, and those that\n"
    "were built with a sanitizer, are out of reach: they run as always, and toom says so. Unless they\n"
    "are set already, JAVA_TOOL_OPTIONS, NODE_OPTIONS, GOMEMLIMIT, MEM_LIMIT and ulimit -m say how\n"
    "much the user may have. toom-exec is the same command as a program of its own, which needs little\n"
    "memory and address space (ulimit -v).";

static void say(const char *format, va_list values) {
  char line[LINE_MOST] = "toom exec: ";
  size_t start = strlen(line);
  vsnprintf(line + start, sizeof line - start, format, values);
  fprintf(stderr, "%s\n", line);
}

void exec_say(const char *format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
}

void exec_die(int code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
  exit(code);
}

/* A text that nobody has checked: in quotes, on one line, as JSON has it. */
static const char *quote(const char *text) {
  static char shown[QUOTED_MOST * 6 + 16];
  char *to = shown;
  *to++ = '"';
  for (int i = 0; text[i] != '\0'; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (i == QUOTED_MOST) {
      to += sprintf(to, "…");
      break;
    }
    const char *short_form = byte == '\0' ? NULL : strchr("\"\"\\\\\bb\ff\nn\rr\tt", byte);
    if (byte == '"' || byte == '\\')
      to += sprintf(to, "\\%c", byte);
    else if (byte < ' ' && short_form != NULL)
      to += sprintf(to, "\\%c", short_form[1]);
    else if (byte < ' ' || byte == 127)
      to += sprintf(to, "\\u%04x", byte);
    else
      *to++ = (char)byte;
  }
  strcpy(to, "\"");
  return shown;
}

static const char *plain_or_quoted(const char *word) {
  size_t length = strlen(word);
  bool is_plain = length > 0 && length <= PLAIN_MOST;
  for (size_t i = 0; i < length && is_plain; i++)
    is_plain = isalnum((unsigned char)word[i]) || strchr("_.-", word[i]) != NULL;
  return is_plain ? word : quote(word);
}

struct option {
  const char *dashed; /* with its dashes */
  const char *value;  /* how the help calls it; NULL: takes none */
  const char *given;
};

/* The first thing that is wrong; --help is looked for behind it, too. */
static char problem[LINE_MOST];

static void complain(const char *format, ...) {
  if (problem[0] != '\0') return;
  va_list values;
  va_start(values, format);
  vsnprintf(problem, sizeof problem, format, values);
  va_end(values);
}

static _Noreturn void usage_error(const char *text) {
  exec_die(EXIT_USAGE, "%s (see toom exec --help)", text);
}

/* How many words more than one it took. */
static int take_option(struct option *options, size_t count, const char *word, const char *next) {
  const char *equals = strchr(word, '=');
  size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
  struct option *option = NULL;
  for (size_t i = 0; i < count; i++)
    if (strlen(options[i].dashed) == length && strncmp(options[i].dashed, word, length) == 0)
      option = &options[i];
  if (option == NULL) {
    char dashed[LINE_MOST / 2];
    snprintf(dashed, sizeof dashed, "%.*s", (int)length, word);
    complain("unknown option %s", plain_or_quoted(dashed));
    return 0;
  }
  if (option->given != NULL) complain("%s is given twice", option->dashed);
  if (option->value == NULL) {
    if (equals != NULL) complain("%s takes no value, not %s", option->dashed, quote(equals + 1));
    option->given = "";
    return 0;
  }
  bool is_missing = equals == NULL && (next == NULL || (*next == '-' && next[1] != '\0'));
  option->given = equals != NULL ? equals + 1 : is_missing ? "" : next;
  if (*option->given == '\0')
    complain("%s needs a value: %s %s", option->dashed, option->dashed, option->value);
  return equals == NULL && !is_missing ? 1 : 0;
}

static void check_values(const struct option *socket, const struct option *fallback) {
  char text[LINE_MOST];
  if (socket->given != NULL && strlen(socket->given) > SOCKET_PATH_MOST) {
    snprintf(text, sizeof text, "%s: expected a path of at most %d bytes for a socket",
             socket->dashed, SOCKET_PATH_MOST);
    usage_error(text);
  }
  if (fallback->given != NULL && strcmp(fallback->given, "malloc") != 0 &&
      strcmp(fallback->given, "fail") != 0) {
    snprintf(text, sizeof text, "%s: expected malloc, fail, not %s", fallback->dashed,
             quote(fallback->given));
    usage_error(text);
  }
}

struct exec_options exec_options_of(char **words) {
  enum { SOCKET, FALLBACK, PRELOAD, NO_HINTS, OPTIONS };
  struct option options[OPTIONS] = {
      [SOCKET] = {.dashed = "--tmalloc-socket", .value = "PATH"},
      [FALLBACK] = {.dashed = "--fallback", .value = "malloc|fail"},
      [PRELOAD] = {.dashed = "--preload", .value = "FILE"},
      [NO_HINTS] = {.dashed = "--no-hints"},
  };
  for (; *words != NULL; words++) {
    if (strcmp(*words, "--") == 0) {
      words++;
      break;
    }
    if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0) {
      puts(HELP);
      exit(0);
    }
    if (**words != '-' || strcmp(*words, "-") == 0) break;
    words += take_option(options, OPTIONS, *words, words[1]);
  }
  if (problem[0] != '\0') usage_error(problem);
  check_values(&options[SOCKET], &options[FALLBACK]);
  if (*words == NULL) usage_error("no command given");
  return (struct exec_options){
      .tmalloc_socket = options[SOCKET].given,
      .fail = options[FALLBACK].given != NULL && strcmp(options[FALLBACK].given, "fail") == 0,
      .preload = options[PRELOAD].given,
      .no_hints = options[NO_HINTS].given != NULL,
      .command = words,
  };
}
