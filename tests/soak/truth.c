/* An independent witness of a run of toom: what limited users truly hold, and whether each kill in
 * toom's log was right. It shares no code and no reading of /proc with toom.
 *
 *     truth LOG FIRST_UID LAST_UID HARD_BYTES RATE_BYTES GOOD_LAST_UID
 *
 * Users FIRST to LAST have each a limit of HARD bytes; those up to GOOD_LAST never hold more than
 * 95 % of it, so that no kill of theirs can be right. RATE is the most that a user grows by in a
 * second: what may have come between two samples. Ends when its input does, and then prints a report
 * as one line of JSON.
 *
 * What a user holds is the sum over its processes of Pss_Anon + Pss_Shmem + SwapPss - LazyFree
 * (Documentation/filesystems/proc.rst, smaps_rollup). It is read for users that may be near their
 * limit by /proc/PID/statm, which is cheap and never too low while a process has its memory. One that
 * ends loses sight of its mm before the kernel has freed it (do_exit, kernel/exit.c: exit_mm, then
 * EXIT_ZOMBIE): until it is a zombie, a kill may be right for what it was last seen to hold.
 *
 * Longer than 450 lines, because the witness is a program of one file, built by one call of the
 * compiler. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  BURST = 256 << 10, /* STEP of churn_worker.c: what a process takes without a pause */
  USERS_MAX = 64,
  PROCESSES_MAX = 8192,
  HISTORY = 512, /* samples of a user */
  PER_SAMPLE = 96, /* processes of a user in one sample */
  FINDINGS_MAX = 50,
  EPISODES_MAX = 65536,
  KILLS_MAX = 65536,
  LONGEST_TOLD = 8,
  INTERVAL_US = 4000,
  UID_EVERY_MS = 50, /* a process may change its user */
  NEW_MS = 1000,     /* and a new one does so at once: it is looked at each time */
  BEFORE_KILL_MS = 120, /* from the signal to its line in the log, at most */
  DYING_MS_MAX = 3000,
  WHOLE_US_MAX = 20000, /* a sample that took longer is of no one moment */
};

struct process {
  int pid;
  unsigned long long start; /* ticks since boot: which process of that number */
  int uid; /* real; -1 not of interest */
  int statm_fd;
  int64_t uid_read_ms;
  int64_t first_seen_ms, seen_ms;
  /* What it was last seen to hold: see struct part, and the bound of both; -1 not known. */
  int64_t own, most, bound;
  bool has_shared_mm;
  int mm_pid; /* process whose part its mm was counted as, when it was looked at last; 0: its own */
  int64_t killed_ms; /* by the log; 0: not */
};

struct part {
  int pid;
  int64_t own;  /* proportional set size */
  int64_t most; /* what it would hold if nobody shared it any more */
};

struct sample {
  int64_t began_us, ended_us;
  int64_t held;
  int64_t leaving; /* what those that end may hold beside that: others may have it by now */
  int parts;
  bool is_exact; /* read process by process; else `held` is only known to be far from the limit */
  struct part part[PER_SAMPLE];
};

struct user {
  int newest; /* index of the newest sample; -1 none */
  int samples;
  struct sample history[HISTORY];
  int64_t over_since_us; /* 0: not over */
  int64_t over_peak;
};

struct finding {
  char kind[24];
  int uid, pid;
  int64_t at_ms, held, slack, log_usage_pages;
  char trigger[16];
};

/* A time for which a user was over its limit in each sample. */
struct episode {
  int uid;
  int64_t at_us, lasts_us, peak;
  /* Kills of its user in it, and from its beginning to the last of them; without any, its whole time. */
  int kills;
  int64_t until_kill_us;
  bool is_measured; /* one of them was for what no event tells: copies after a fork, shares */
};

/* A line of the log. */
struct kill {
  int uid;
  int64_t at_us;
  bool is_measured;
};

static int first_uid, last_uid, good_last_uid;
enum { PAGE_BYTES = 4096 };
static int64_t hard, rate;
static struct process processes[PROCESSES_MAX];
static int process_count;
static struct user users[USERS_MAX];
static struct finding findings[FINDINGS_MAX];
static int finding_count;
static int kills, wrong, needless, undecided, unseen, by_pressure, foreign;
static int64_t samples, longest_over_us, longest_over_peak, gap_most_us, sample_sum_us;
static int longest_over_uid = -1;
static struct episode episodes[EPISODES_MAX];
static int episode_count, episodes_left_out;
static struct kill told[KILLS_MAX];
static int told_count;
static int64_t good_most;

static int64_t clock_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now); /* as the log */
  return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static ssize_t read_file(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = 0, got;
  while ((size_t)length < size - 1 && (got = read(fd, text + length, size - 1 - (size_t)length)) > 0)
    length += got;
  close(fd);
  text[length] = '\0';
  return length;
}

static int64_t kib_of(const char *text, const char *key) {
  const char *found = strstr(text, key);
  return found == NULL ? 0 : strtoll(found + strlen(key), NULL, 10) * 1024;
}

/* Real uid; -1 when the process is gone. */
static int real_uid(int pid) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  if (read_file(path, text, sizeof text) <= 0) return -1;
  const char *line = strstr(text, "\nUid:\t");
  return line == NULL ? -1 : atoi(line + 6);
}

static unsigned long long start_of(int pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  if (read_file(path, text, sizeof text) <= 0) return 0;
  char *at = strrchr(text, ')'); /* the name may hold anything */
  if (at == NULL) return 0;
  at++;
  for (int field = 3; field < 22 && at != NULL; field++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at, NULL, 10);
}

/* Whether a process without an mm may hold its memory still: it is there, and no zombie yet. */
static bool is_leaving(int pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  if (read_file(path, text, sizeof text) <= 0) return false;
  const char *at = strrchr(text, ')');
  return at != NULL && at[1] == ' ' && at[2] != 'Z' && at[2] != 'X';
}

static bool is_of_interest(int uid) { return uid >= first_uid && uid <= last_uid; }

static struct process *process_of(int pid) {
  for (int i = 0; i < process_count; i++)
    if (processes[i].pid == pid) return &processes[i];
  return NULL;
}

static void drop(struct process *process) {
  if (process->statm_fd >= 0) close(process->statm_fd);
  *process = processes[--process_count];
}

static int by_pid[1 << 22]; /* index + 1 in `processes` */

static void index_processes(void) {
  for (int i = 0; i < process_count; i++) by_pid[processes[i].pid & ((1 << 22) - 1)] = i + 1;
}

static struct process newcomer(int pid, unsigned long long start, int64_t now_ms) {
  return (struct process){.pid = pid, .start = start, .uid = -1, .statm_fd = -1,
                          .first_seen_ms = now_ms, .own = -1, .most = -1};
}

/* Finds who has come and gone. */
static void look_around(DIR *proc, int64_t now_ms) {
  rewinddir(proc);
  for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    int pid = atoi(entry->d_name), at = by_pid[pid & ((1 << 22) - 1)];
    struct process *process =
        at > 0 && at <= process_count && processes[at - 1].pid == pid ? &processes[at - 1] : NULL;
    if (process == NULL) {
      if (process_count == PROCESSES_MAX) continue;
      process = &processes[process_count];
      *process = newcomer(pid, start_of(pid), now_ms);
      by_pid[pid & ((1 << 22) - 1)] = ++process_count;
    }
    bool is_new = now_ms - process->first_seen_ms < NEW_MS && !is_of_interest(process->uid);
    if (is_new || now_ms - process->uid_read_ms >= UID_EVERY_MS) {
      unsigned long long start = start_of(pid);
      if (start != process->start) { /* another process of this number */
        if (process->statm_fd >= 0) close(process->statm_fd);
        *process = newcomer(pid, start, now_ms);
      }
      process->uid = real_uid(pid);
      process->uid_read_ms = now_ms;
      if (is_of_interest(process->uid) && process->statm_fd < 0) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/statm", pid);
        process->statm_fd = open(path, O_RDONLY | O_CLOEXEC);
      }
    }
    process->seen_ms = now_ms;
  }
  for (int i = 0; i < process_count;) {
    /* A killed one is remembered for a while: its number is in later lines. */
    bool is_gone = processes[i].seen_ms != now_ms;
    if (is_gone && processes[i].statm_fd >= 0) {
      close(processes[i].statm_fd);
      processes[i].statm_fd = -1;
      processes[i].bound = 0;
    }
    if (is_gone && now_ms - processes[i].seen_ms > 2000)
      drop(&processes[i]);
    else
      i++;
  }
  index_processes();
}

/* At least what it holds; 0 when it is gone. */
static int64_t at_most(struct process *process) {
  char text[128];
  ssize_t length = process->statm_fd < 0 ? -1 : pread(process->statm_fd, text, sizeof text - 1, 0);
  const char *resident = NULL;
  if (length > 0) {
    text[length] = '\0';
    resident = strchr(text, ' ');
  }
  int64_t bytes = resident == NULL ? 0 : strtoll(resident, NULL, 10) * PAGE_BYTES;
  if (bytes > 0)
    process->bound = bytes;
  else if (process->bound > 0 && (process->has_shared_mm || !is_leaving(process->pid)))
    process->bound = 0;
  return process->bound;
}

static bool read_part(int pid, struct part *part) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  if (read_file(path, text, sizeof text) <= 0) return false;
  int64_t lazy = kib_of(text, "\nLazyFree:");
  part->pid = pid;
  part->own = kib_of(text, "\nPss_Anon:") + kib_of(text, "\nPss_Shmem:") +
              kib_of(text, "\nSwapPss:") - lazy;
  /* There is no line for shmem that is not proportional: all but the anonymous, then. */
  int64_t anonymous = kib_of(text, "\nAnonymous:");
  bool has_shmem = kib_of(text, "\nPss_Shmem:") > 0;
  part->most = (has_shmem ? kib_of(text, "\nRss:") : anonymous) + kib_of(text, "\nSwap:") - lazy;
  if (part->own < 0) part->own = 0;
  return true;
}

/* Whether two processes run on one mm, after clone(CLONE_VM) or vfork: then it counts once. kcmp(2) */
static bool share_mm(int a, int b) {
  enum { KCMP_VM = 1 };
  return syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0) == 0;
}

/* Whether a member shares its mm with one before it. */
static bool shares_with_earlier(const int *members, int at) {
  struct process *process = &processes[members[at]];
  process->mm_pid = 0;
  for (int i = 0; i < at; i++) {
    struct process *other = &processes[members[i]];
    if (!share_mm(other->pid, process->pid)) continue;
    other->has_shared_mm = process->has_shared_mm = true;
    process->mm_pid = other->pid;
    return true;
  }
  return false;
}

static void end_over(int index, int64_t now_us) {
  struct user *user = &users[index];
  if (user->over_since_us == 0) return;
  if (episode_count == EPISODES_MAX)
    episodes_left_out++;
  else
    episodes[episode_count++] =
        (struct episode){.uid = first_uid + index,
                         .at_us = user->over_since_us,
                         .lasts_us = now_us - user->over_since_us,
                         .peak = user->over_peak};
  user->over_since_us = 0;
}

static void note_over(int index, const struct sample *sample) {
  struct user *user = &users[index];
  if (sample->ended_us - sample->began_us > WHOLE_US_MAX) return;
  if (sample->is_exact && sample->held > hard) {
    if (user->over_since_us == 0) user->over_since_us = sample->began_us, user->over_peak = 0;
    if (sample->held - hard > user->over_peak) user->over_peak = sample->held - hard;
    int64_t lasts = sample->ended_us - user->over_since_us;
    if (lasts > longest_over_us) {
      longest_over_us = lasts;
      longest_over_uid = first_uid + index;
      longest_over_peak = user->over_peak;
    }
  } else
    end_over(index, sample->began_us);
}

static void take_samples(void) {
  static int members[USERS_MAX][PER_SAMPLE];
  static int counts[USERS_MAX];
  static int64_t bounds[USERS_MAX];
  memset(counts, 0, sizeof counts);
  memset(bounds, 0, sizeof bounds);
  for (int i = 0; i < process_count; i++) {
    if (!is_of_interest(processes[i].uid)) continue;
    int index = processes[i].uid - first_uid;
    int64_t bytes = at_most(&processes[i]);
    if (bytes == 0) continue;
    bounds[index] += bytes;
    if (counts[index] < PER_SAMPLE) members[index][counts[index]++] = i;
  }
  for (int index = 0; index <= last_uid - first_uid; index++) {
    struct user *user = &users[index];
    int next = (user->newest + 1) % HISTORY;
    struct sample *sample = &user->history[next];
    sample->began_us = clock_us();
    sample->held = bounds[index];
    sample->parts = 0;
    sample->leaving = 0;
    sample->is_exact = bounds[index] > hard - hard / 5;
    if (sample->is_exact) {
      sample->held = 0;
      /* Before any is read: a child of vfork may execute its program meanwhile. */
      bool is_counted[PER_SAMPLE];
      for (int i = 0; i < counts[index]; i++)
        is_counted[i] = shares_with_earlier(members[index], i);
      for (int i = 0; i < counts[index]; i++) {
        struct process *process = &processes[members[index][i]];
        struct part *part = &sample->part[sample->parts];
        if (read_part(process->pid, part)) {
          if (is_counted[i]) continue;
          process->own = part->own;
          process->most = part->most;
          sample->held += part->own;
        } else {
          if (process->has_shared_mm || !is_leaving(process->pid)) continue;
          part->pid = process->pid;
          part->own = process->own < 0 ? process->bound : process->own;
          part->most = process->most < 0 ? process->bound : process->most;
          sample->leaving += part->own;
        }
        sample->parts++;
      }
    }
    sample->ended_us = clock_us();
    if (user->samples > 0) {
      int64_t gap = sample->ended_us - user->history[user->newest].ended_us;
      if (gap > gap_most_us) gap_most_us = gap;
    }
    bool is_whole = sample->ended_us - sample->began_us <= WHOLE_US_MAX;
    if (first_uid + index <= good_last_uid && sample->is_exact && is_whole &&
        sample->held > good_most)
      good_most = sample->held;
    user->newest = next;
    user->samples++;
    note_over(index, sample);
  }
}

static void find(const char *kind, int uid, int pid, int64_t at_us, int64_t held, int64_t slack,
                 int64_t usage, const char *trigger) {
  if (finding_count == FINDINGS_MAX) return;
  struct finding *finding = &findings[finding_count++];
  *finding = (struct finding){.uid = uid, .pid = pid, .at_ms = at_us / 1000, .held = held,
                              .slack = slack, .log_usage_pages = usage};
  snprintf(finding->kind, sizeof finding->kind, "%s", kind);
  snprintf(finding->trigger, sizeof finding->trigger, "%s", trigger);
}

static bool is_dying(int pid, int64_t at_us) {
  const struct process *process = process_of(pid);
  return process != NULL && process->killed_ms != 0 &&
         at_us / 1000 - process->killed_ms < DYING_MS_MAX;
}

/* Judges a kill by the samples around it. */
static void judge(int uid, int pid, int64_t at_us, int64_t usage, const char *trigger) {
  kills++;
  if (told_count < KILLS_MAX)
    told[told_count++] = (struct kill){uid, at_us, strcmp(trigger, "last-defense") == 0};
  struct process *victim = process_of(pid);
  if (victim == NULL) unseen++;
  if (victim != NULL && victim->uid >= 0 && victim->uid != uid) {
    /* It may have changed its user since it was looked at, if it was a newcomer. */
    if (is_of_interest(victim->uid) || victim->uid == 0) {
      foreign++;
      find("another-users", uid, pid, at_us, 0, 0, usage, trigger);
      victim->killed_ms = at_us / 1000;
      return;
    }
  }
  if (!is_of_interest(uid)) {
    wrong++;
    find("no-limit", uid, pid, at_us, 0, 0, usage, trigger);
    return;
  }
  /* Programs in the kernel kill who is over; the kernel's word of a shortage, who need not be. */
  if (strcmp(trigger, "kernel") == 0 && usage * PAGE_BYTES <= hard) {
    by_pressure++;
    return;
  }
  if (uid <= good_last_uid) {
    wrong++;
    find("well-behaved", uid, pid, at_us, 0, 0, usage, trigger);
  }
  const struct user *user = &users[uid - first_uid];
  int64_t most = -1, rest_most = -1, slack = 0;
  int looked = user->samples < HISTORY ? user->samples : HISTORY;
  for (int back = 0; back < looked; back++) {
    const struct sample *sample = &user->history[(user->newest - back + HISTORY) % HISTORY];
    if (sample->began_us > at_us) continue;
    bool is_before = sample->ended_us < at_us - BEFORE_KILL_MS * 1000;
    /* What may have come between this sample and the one after it. */
    const struct sample *later = &user->history[(user->newest - back + 1 + HISTORY) % HISTORY];
    int64_t until = back == 0 ? at_us : later->ended_us;
    /* And a step of each process, which is taken at once (churn_worker.c). */
    int64_t grown = (until - sample->began_us) * rate / 1000000 + sample->parts * BURST;
    int64_t rest = 0;
    for (int i = 0; i < sample->parts; i++) {
      /* What the victim runs on too is not freed by the end of others. */
      bool is_victims = victim != NULL && victim->mm_pid == sample->part[i].pid;
      if (is_victims || !is_dying(sample->part[i].pid, at_us)) rest += sample->part[i].most;
    }
    if (!sample->is_exact) rest = sample->held;
    int64_t held = sample->held + sample->leaving + grown;
    if (held > most) most = held, slack = grown;
    if (rest + grown > rest_most) rest_most = rest + grown;
    if (is_before) break;
  }
  bool is_second = false;
  for (int i = 0; i < process_count; i++)
    if (processes[i].uid == uid && processes[i].pid != pid && is_dying(processes[i].pid, at_us) &&
        processes[i].seen_ms * 1000 >= at_us - BEFORE_KILL_MS * 1000)
      is_second = true;
  if (most < 0 || slack > hard / 4)
    undecided++;
  else if (most <= hard && uid > good_last_uid) {
    wrong++;
    find("not-over", uid, pid, at_us, most, slack, usage, trigger);
  } else if (is_second && rest_most <= hard) {
    needless++;
    find("needless-second", uid, pid, at_us, rest_most, slack, usage, trigger);
  }
  if (victim != NULL) victim->killed_ms = at_us / 1000;
}

static int64_t number(const char *line, const char *key) {
  const char *found = strstr(line, key);
  return found == NULL ? -1 : strtoll(found + strlen(key), NULL, 10);
}

/* "ts":"2026-11-27T06:39:37.522Z" */
static int64_t time_of(const char *line) {
  struct tm time = {0};
  const char *found = strstr(line, "\"ts\":\"");
  const char *rest = found == NULL ? NULL : strptime(found + 6, "%Y-%m-%dT%H:%M:%S", &time);
  if (rest == NULL) return clock_us();
  return (int64_t)timegm(&time) * 1000000 + (*rest == '.' ? atoi(rest + 1) * 1000 : 0) + 1000;
}

static void read_log(int fd) {
  static char text[1 << 16];
  static size_t length;
  ssize_t got;
  while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) {
    length += (size_t)got;
    text[length] = '\0';
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      *end = '\0';
      if (strstr(line, "\"event\":\"kill\"") == NULL) continue;
      char trigger[16] = "";
      const char *found = strstr(line, "\"trigger\":\"");
      if (found != NULL) sscanf(found + 11, "%15[^\"]", trigger);
      judge((int)number(line, "\"uid\":"), (int)number(line, "\"pid\":"), time_of(line),
            number(line, "\"usagePages\":"), trigger);
    }
    length -= (size_t)(line - text);
    memmove(text, line, length);
    if (length >= sizeof text - 1) length = 0; /* no line of toom is that long */
  }
}

static int by_number(const void *a, const void *b) {
  int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
  return one < other ? -1 : one > other;
}

static int by_length(const void *a, const void *b) {
  return by_number(&((const struct episode *)a)->lasts_us, &((const struct episode *)b)->lasts_us);
}

/* Which kills were within an episode. One that was sent just before it counts: its victim goes. */
static void match_kills(struct episode *episode) {
  episode->until_kill_us = episode->lasts_us;
  for (int i = 0; i < told_count; i++) {
    int64_t after = told[i].at_us - episode->at_us;
    if (told[i].uid != episode->uid || after > episode->lasts_us || after < -BEFORE_KILL_MS * 1000)
      continue;
    if (after < 0) after = 0;
    episode->is_measured |= told[i].is_measured;
    if (episode->kills++ == 0 || after > episode->until_kill_us) episode->until_kill_us = after;
  }
}

/* Of kills, by rising times: who was never seen above its limit before one was so for no time. */
static double part_ms(const int64_t *times_us, int count, int of_kills, double part) {
  int all = of_kills > count ? of_kills : count;
  int at = count - 1 - (int)((1 - part) * all);
  return at < 0 ? 0.0 : (double)times_us[at] / 1e3;
}

static void report_times(const char *name, int64_t *times_us, int count, int of_kills) {
  qsort(times_us, (size_t)count, sizeof times_us[0], by_number);
  printf("\"%s\":{\"kills\":%d,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f},", name,
         of_kills, part_ms(times_us, count, of_kills, 0.5), part_ms(times_us, count, of_kills, 0.9),
         part_ms(times_us, count, of_kills, 0.99), part_ms(times_us, count, of_kills, 0.999));
}

static void report_over(void) {
  static int64_t times_us[EPISODES_MAX];
  for (int index = 0; index <= last_uid - first_uid; index++) end_over(index, clock_us());
  for (int i = 0; i < episode_count; i++) match_kills(&episodes[i]);
  printf("\"overEpisodes\":%d,\"overLeftOut\":%d,", episode_count, episodes_left_out);
  int measured = 0;
  for (int i = 0; i < told_count; i++) measured += told[i].is_measured;
  for (int i = 0; i < episode_count; i++) times_us[i] = episodes[i].lasts_us;
  report_times("overMs", times_us, episode_count, kills);
  for (int is_measured = 0; is_measured <= 1; is_measured++) {
    int count = 0;
    for (int i = 0; i < episode_count; i++)
      if (episodes[i].is_measured == is_measured) times_us[count++] = episodes[i].until_kill_us;
    if (is_measured)
      report_times("untilMeasuredKillMs", times_us, count, measured);
    else
      report_times("untilKillMs", times_us, count, kills - measured);
  }
  qsort(episodes, (size_t)episode_count, sizeof episodes[0], by_length);
  printf("\"longestOver\":[");
  for (int i = episode_count - 1; i >= 0 && i >= episode_count - LONGEST_TOLD; i--) {
    const struct episode *one = &episodes[i];
    printf("%s{\"uid\":%d,\"atMs\":%" PRId64 ",\"lastsMs\":%.1f,\"untilKillMs\":%.1f,"
           "\"kills\":%d,\"isMeasured\":%s,\"peakBytes\":%" PRId64 "}",
           i == episode_count - 1 ? "" : ",", one->uid, one->at_us / 1000,
           (double)one->lasts_us / 1e3, (double)one->until_kill_us / 1e3, one->kills,
           one->is_measured ? "true" : "false", one->peak);
  }
  printf("],");
}

static void report(void) {
  printf("{");
  report_over();
  printf("\"kills\":%d,\"wrong\":%d,\"foreign\":%d,\"needlessSecond\":%d,\"undecided\":%d,"
         "\"unseenVictims\":%d,\"byPressure\":%d,\"longestOverMs\":%.1f,\"longestOverUid\":%d,"
         "\"longestOverPeakBytes\":%" PRId64 ",\"samples\":%" PRId64
         ",\"goodMostBytes\":%" PRId64 ",\"sampleMeanMs\":%.2f,\"gapMostMs\":%.1f,\"findings\":[",
         kills, wrong, foreign, needless, undecided, unseen, by_pressure,
         (double)longest_over_us / 1e3, longest_over_uid, longest_over_peak, samples, good_most,
         samples == 0 ? 0.0 : (double)sample_sum_us / (double)samples / 1e3,
         (double)gap_most_us / 1e3);
  for (int i = 0; i < finding_count; i++) {
    const struct finding *one = &findings[i];
    printf("%s{\"kind\":\"%s\",\"uid\":%d,\"pid\":%d,\"atMs\":%" PRId64 ",\"heldBytes\":%" PRId64
           ",\"slackBytes\":%" PRId64 ",\"loggedUsagePages\":%" PRId64 ",\"trigger\":\"%s\"}",
           i == 0 ? "" : ",", one->kind, one->uid, one->pid, one->at_ms, one->held, one->slack,
           one->log_usage_pages, one->trigger);
  }
  printf("]}\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: truth LOG FIRST_UID LAST_UID HARD_BYTES RATE_BYTES GOOD_LAST_UID\n");
    return 2;
  }
  first_uid = atoi(argv[2]);
  last_uid = atoi(argv[3]);
  hard = strtoll(argv[4], NULL, 10);
  rate = strtoll(argv[5], NULL, 10);
  good_last_uid = atoi(argv[6]);
  int log_fd = open(argv[1], O_RDONLY | O_CLOEXEC);
  DIR *proc = opendir("/proc");
  if (log_fd < 0 || proc == NULL || last_uid - first_uid >= USERS_MAX || hard <= 0) {
    fprintf(stderr, "truth: cannot watch %s\n", argv[1]);
    return 2;
  }
  struct rlimit files; /* one for each process that is watched */
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  for (int i = 0; i < USERS_MAX; i++) users[i].newest = -1;
  /* Before ordinary tasks, behind toom. */
  sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  char byte;
  for (;;) {
    int64_t began = clock_us();
    look_around(proc, began / 1000);
    take_samples();
    read_log(log_fd);
    samples++;
    int64_t took = clock_us() - began;
    sample_sum_us += took;
    int left_ms = (int)((INTERVAL_US - took) / 1000);
    if (poll(&input, 1, left_ms > 1 ? left_ms : 1) > 0 && read(STDIN_FILENO, &byte, 1) <= 0) break;
  }
  usleep(300000); /* lines that are under way */
  read_log(log_fd);
  report();
  return 0;
}
