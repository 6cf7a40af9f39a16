/*
 * A crowd that does next to nothing:
 *
 *     crowd FIRST_UID USERS PROCESSES_OF_EACH PAGES
 *
 * Each process touches so many pages and then one page more or less in each second. Says "ready" when all
 * are there; all of them end when standard input does.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void member(uid_t uid, int pages, int number)
{
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		_exit(1);
	/* A change of user has cleared it. prctl(2) */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	long size = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, (pages + 1) * size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(1);
	for (int at = 0; at < pages; at++)
		memory[at * size] = 1;
	for (int turn = 0;; turn++) {
		/* Not all at one time; one of ten does something at all. */
		struct timespec rest = { 1, number % 100 * 10000000L };
		if (number % 10 != 0)
			pause();
		nanosleep(&rest, NULL);
		if (turn % 2 == 0)
			memory[pages * size] = 1;
		else
			madvise(memory + pages * size, size, MADV_DONTNEED);
	}
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	int first = atoi(argv[1]), users = atoi(argv[2]), each = atoi(argv[3]), pages = atoi(argv[4]);
	for (int number = 0; number < users * each; number++) {
		pid_t pid = fork();
		if (pid < 0) {
			perror("fork");
			return 1;
		}
		if (pid == 0)
			member(first + number % users, pages, number);
	}
	printf("ready\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	kill(0, SIGKILL);
	return 0;
}
