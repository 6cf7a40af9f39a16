/*
 * refuse_bpf FILE PROGRAM [ARGUMENT...]: runs a program whose bpf(2) calls fail as FILE says.
 *
 * While FILE holds "COMMAND ERRNO", calls with that command (BPF_* of linux/bpf.h) fail with that error
 * number. Others, and all while there is no such file, go to the kernel. seccomp_unotify(2)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(125);
}

/* Sends a descriptor, or receives one when fd is -1. unix(7), SCM_RIGHTS */
static int pass(int socket, int fd)
{
	char byte = 0;
	struct iovec data = { &byte, 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;

	if (fd >= 0) {
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
		if (sendmsg(socket, &message, 0) != 1)
			fail("sendmsg");
		return fd;
	}
	if (recvmsg(socket, &message, 0) != 1 || (header = CMSG_FIRSTHDR(&message)) == NULL)
		exit(0);
	memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

/* The error number for a command; 0: none. */
static int refusal(const char *path, int command)
{
	int refused, error, isRefused;
	FILE *file = fopen(path, "r");

	if (file == NULL)
		return 0;
	isRefused = fscanf(file, "%d %d", &refused, &error) == 2 && refused == command;
	fclose(file);
	return isRefused ? error : 0;
}

/* Answers until nobody is left who could call. */
static void answer(int listener, const char *path)
{
	for (;;) {
		struct pollfd ready = { .fd = listener, .events = POLLIN };
		struct seccomp_notif call = { 0 };
		struct seccomp_notif_resp reply = { 0 };

		if (poll(&ready, 1, -1) < 0 && errno == EINTR)
			continue;
		if ((ready.revents & POLLIN) == 0)
			exit(0);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
			continue;
		reply.id = call.id;
		reply.error = -refusal(path, (int)call.data.args[0]);
		if (reply.error == 0)
			reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
	}
}

int main(int argc, char **argv)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(steps) / sizeof(*steps), steps };
	int sockets[2], listener;

	if (argc < 3) {
		fprintf(stderr, "refuse_bpf FILE PROGRAM [ARGUMENT...]\n");
		return 125;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
		fail("socketpair");
	switch (fork()) {
	case -1:
		fail("fork");
	case 0:
		close(sockets[1]);
		/* What reads the output of the program must see its end. */
		close(1);
		close(2);
		setsid();
		answer(pass(sockets[0], -1), argv[1]);
	}
	close(sockets[0]);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("prctl");
	listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
				&filter);
	if (listener < 0)
		fail("seccomp");
	pass(sockets[1], listener);
	close(listener);
	close(sockets[1]);
	execvp(argv[2], argv + 2);
	fail(argv[2]);
}
