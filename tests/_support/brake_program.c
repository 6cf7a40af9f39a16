/* Programs that the brake comes down on, or not. Linked statically: nothing of libc can be replaced.
 *
 *     checks CHUNK_KIB       takes and touches chunks until it is refused one
 *     beforehand MIB         maps all at once, and touches it when it is told to
 *     hostile CHUNK_KIB      as checks, but raises its limit to the hard one whenever it is refused
 *     small                  takes, touches and gives back a little, for ever; says so when it is refused
 *     forks N CHUNK_KIB      as checks, and makes N children before and after, which live on
 *
 * Each says "here" first. "refused TOTAL_KIB" says what it had when it was refused; it then waits for
 * a line on stdin, gives all back, says "freed", and waits for the end of stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CHUNKS_MAX 1000000
/* What becomes of children is tried, not who is faster: from soft to hard it takes 0.2 s. */
#define FORKS_REST_US 2000
static void *chunks[CHUNKS_MAX];
static long count;

static void say(const char *word, long number) {
    char line[64];
    int length = number < 0 ? snprintf(line, sizeof line, "%s\n", word)
                            : snprintf(line, sizeof line, "%s %ld\n", word, number);
    if (write(1, line, length) != length) _exit(3);
}

static void wait_for_line(void) {
    char byte;
    ssize_t got;
    while ((got = read(0, &byte, 1)) == 1 && byte != '\n') continue;
    if (got != 1) _exit(0);
}

static void rest(long us) {
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

/* One more, touched. Whether there was one. */
static int take(size_t bytes) {
    char *chunk = count < CHUNKS_MAX ? mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                     : MAP_FAILED;
    if (chunk == MAP_FAILED) return 0;
    for (size_t at = 0; at < bytes; at += 4096) chunk[at] = 1;
    chunks[count++] = chunk;
    return 1;
}

static void give_all_back(size_t bytes) {
    while (count > 0) munmap(chunks[--count], bytes);
}

static void fork_sleepers(int number) {
    for (int i = 0; i < number; i++) {
        if (fork() != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_DFL);
        close(0);
        for (;;) pause();
    }
}

static void small(void) {
    for (;;) {
        char *block = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) say("refused", 16);
        else {
            memset(block, 1, 16384);
            munmap(block, 16384);
        }
        rest(2000);
        if (getppid() == 1) _exit(0);
    }
}

static void beforehand(size_t bytes) {
    char *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        say("refused", 0);
        wait_for_line();
        return;
    }
    say("mapped", -1);
    wait_for_line();
    for (size_t at = 0; at < bytes; at += 4096) all[at] = 1;
    say("touched", -1);
    wait_for_line();
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    long number = argc > 2 ? atol(argv[2]) : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    say("here", -1);
    if (strcmp(mode, "small") == 0) small();
    if (strcmp(mode, "beforehand") == 0) {
        beforehand((size_t)number << 20);
        return 0;
    }
    int is_hostile = strcmp(mode, "hostile") == 0;
    int forks = strcmp(mode, "forks") == 0 ? (int)number : 0;
    size_t bytes = (size_t)(forks > 0 ? atol(argv[3]) : number) << 10;
    if (bytes == 0) return 2;
    wait_for_line();
    for (int refusals = 0;;) {
        if (take(bytes)) {
            /* As a program that computes something. */
            if (forks > 0) rest(FORKS_REST_US);
            else if (bytes >= 65536) rest(100);
            continue;
        }
        say("refused", (long)(count * (bytes >> 10)));
        if (!is_hostile || refusals++ > 1000) break;
        struct rlimit limit;
        getrlimit(RLIMIT_DATA, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_DATA, &limit);
    }
    fork_sleepers(forks);
    if (forks > 0) say("forked", forks);
    wait_for_line();
    give_all_back(bytes);
    say("freed", -1);
    wait_for_line();
    return 0;
}
