/**
 * The one table of foreign functions: what toom calls in libc, and how.
 *
 * Rules of the types:
 *  - a result that the kernel keeps below 2^31 is `i32`, even where C says `ssize_t` or `long`
 *    (the low half of the register holds it), so that no call makes a BigInt;
 *  - a parameter that C declares `size_t`, `nfds_t` or `unsigned long` is `usize`: as `u32` its upper
 *    half would be whatever the register held (measured: a negative `i32` fills it with ones). Hot
 *    callers pass a BigInt made beforehand, see `sizeT` in fd.ts: it takes the runtime's fast path,
 *    where a plain number costs 110 ns more;
 *  - the variadic `syscall` has one alias for each system call that older libcs do not wrap. The
 *    kernel looks at the low 32 bits of `int` arguments only, so `i32` is right for them.
 *
 * Pointers never leave this folder: memory is passed as `buffer`.
 *
 * @module
 */

/** What is the same on x86-64 and arm64: all calls added since Linux 5.1. */
const SYSCALLS_COMMON = {
  pidfdSendSignal: 424,
  pidfdOpen: 434,
  processMrelease: 448,
} as const;

/** Numbers of the system calls that go through `syscall(2)`: arch/x86/entry/syscalls/syscall_64.tbl. */
const SYSCALLS_X86_64 = {
  ...SYSCALLS_COMMON,
  bpf: 321,
  gettid: 186,
  getdents64: 217,
  kcmp: 312,
  prlimit64: 302,
  schedSetscheduler: 144,
  mlock2: 325,
} as const;

/** include/uapi/asm-generic/unistd.h */
const SYSCALLS_AARCH64 = {
  ...SYSCALLS_COMMON,
  bpf: 280,
  gettid: 178,
  getdents64: 61,
  kcmp: 272,
  prlimit64: 261,
  schedSetscheduler: 119,
  mlock2: 284,
} as const;

/** Numbers of this machine's system calls. */
export const Syscall: Readonly<Record<keyof typeof SYSCALLS_X86_64, number>> =
  Deno.build.arch === "aarch64" ? SYSCALLS_AARCH64 : SYSCALLS_X86_64;

/** Foreign functions by the name that toom calls them. */
export const SYMBOLS = {
  /** `int *__errno_location(void)`, errno(3) */
  __errno_location: { parameters: [], result: "pointer" },

  // Files.

  /** `int open(const char *path, int flags, mode_t mode)`, open(2) */
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  /** `int close(int fd)`, close(2) */
  close: { parameters: ["i32"], result: "i32" },
  /** `ssize_t read(int fd, void *buffer, size_t count)`, read(2) */
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  /** `ssize_t pread(int fd, void *buffer, size_t count, off_t offset)`, pread(2) */
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  /** The same on a thread of Deno's pool, for files that take long. */
  pread_async: {
    name: "pread",
    parameters: ["i32", "buffer", "usize", "i64"],
    result: "i32",
    nonblocking: true,
  },
  /** `ssize_t write(int fd, const void *buffer, size_t count)`, write(2) */
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  /** `int ioctl(int fd, unsigned long request, void *argument)`, ioctl(2) */
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  /** `int fcntl(int fd, int command, int argument)`, fcntl(2) */
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int ftruncate(int fd, off_t bytes)`, truncate(2) */
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  /** `void *mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)`, mmap(2) */
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  /** `int memfd_create(const char *name, unsigned flags)`, memfd_create(2) */
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  /** `int flock(int fd, int operation)`, flock(2) */
  flock: { parameters: ["i32", "i32"], result: "i32" },
  /** `int poll(struct pollfd *fds, nfds_t count, int timeout_ms)`, poll(2) */
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  /** The same on a thread of Deno's pool. */
  poll_async: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  /** `int eventfd(unsigned initial, int flags)`, eventfd(2) */
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  /** `ssize_t getdents64(int fd, void *buffer, size_t count)`, getdents64(2) */
  getdents64: { name: "syscall", parameters: ["i32", "i32", "buffer", "usize"], result: "i32" },
  /**
   * `int mount(const char *source, const char *target, const char *type, unsigned long flags,
   * const void *data)`, mount(2)
   */
  mount: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },

  // Time and the machine.

  /** `int clock_gettime(clockid_t clock, struct timespec *now)`, clock_gettime(2) */
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  /** `long sysconf(int name)`, sysconf(3) */
  sysconf: { parameters: ["i32"], result: "i32" },

  // Processes.

  /** `pid_t getpid(void)`, getpid(2) */
  getpid: { parameters: [], result: "i32" },
  /** `pid_t gettid(void)`, gettid(2); glibc has it since 2.30 only */
  gettid: { name: "syscall", parameters: ["i32"], result: "i32" },
  /** `int kill(pid_t pid, int signal)`, kill(2) */
  kill: { parameters: ["i32", "i32"], result: "i32" },
  /** `int pidfd_open(pid_t pid, unsigned flags)`, pidfd_open(2) */
  pidfd_open: { name: "syscall", parameters: ["i32", "i32", "u32"], result: "i32" },
  /** `int pidfd_send_signal(int fd, int signal, siginfo_t *info, unsigned flags)`, pidfd_send_signal(2) */
  pidfd_send_signal: {
    name: "syscall",
    parameters: ["i32", "i32", "i32", "pointer", "u32"],
    result: "i32",
  },
  /** `int process_mrelease(int fd, unsigned flags)`, process_mrelease(2) */
  process_mrelease: { name: "syscall", parameters: ["i32", "i32", "u32"], result: "i32" },
  /** The same on a thread of Deno's pool: resolves to 0 or -1, and errno is not to be had. */
  process_mrelease_async: {
    name: "syscall",
    parameters: ["i32", "i32", "u32"],
    result: "i32",
    nonblocking: true,
  },
  /** `int kcmp(pid_t a, pid_t b, int type, unsigned long i, unsigned long j)`, kcmp(2) */
  kcmp: {
    name: "syscall",
    parameters: ["i32", "i32", "i32", "i32", "usize", "usize"],
    result: "i32",
  },
  /** `int prctl(int option, const char *name, 0, 0, 0)`, prctl(2): the options that take a string */
  prctl: { parameters: ["i32", "buffer", "usize", "usize", "usize"], result: "i32" },
  /**
   * `int mlock2(const void *address, size_t bytes, unsigned flags)` of memory that is known by its
   * number, mlock(2). There is no mlockall here, see self_protection.ts.
   */
  mlock2: { name: "syscall", parameters: ["i32", "usize", "usize", "u32"], result: "i32" },
  /** The same of a buffer. */
  mlock2_buffer: { name: "syscall", parameters: ["i32", "buffer", "usize", "u32"], result: "i32" },
  /**
   * `int sched_setscheduler(pid_t tid, int policy, const struct sched_param *p)`,
   * sched_setscheduler(2); musl's own wrapper only fails with ENOSYS
   */
  sched_setscheduler: {
    name: "syscall",
    parameters: ["i32", "i32", "i32", "buffer"],
    result: "i32",
  },
  /** `int sched_getaffinity(pid_t tid, size_t size, cpu_set_t *mask)`, sched_setaffinity(2) */
  sched_getaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  /** `int sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *mask)`, sched_setaffinity(2) */
  sched_setaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  /** `int munmap(void *addr, size_t length)`, munmap(2) */
  munmap: { parameters: ["usize", "usize"], result: "i32" },
  /** `int madvise(void *addr, size_t length, int advice)`, madvise(2) */
  madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
  /** `int mallopt(int param, int value)`, mallopt(3); glibc only */
  mallopt: { parameters: ["i32", "i32"], result: "i32", optional: true },
  /** `int malloc_trim(size_t pad)`, malloc_trim(3); glibc only */
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },
  /** `int setpriority(int which, id_t who, int nice)`, setpriority(2) */
  setpriority: { parameters: ["i32", "u32", "i32"], result: "i32" },

  /** `void (*signal(int signal, void (*handler)(int)))(int)`, signal(2) */
  signal: { parameters: ["i32", "pointer"], result: "pointer" },
  /** `int setrlimit(int resource, const struct rlimit *limit)`, getrlimit(2) */
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  /**
   * `int prlimit(pid_t pid, int resource, const struct rlimit64 *limit, struct rlimit64 *old)`,
   * getrlimit(2)
   */
  prlimit64: {
    name: "syscall",
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /**
   * `int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
   * const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])`, posix_spawn(3);
   * gives the error number itself
   */
  posix_spawn: {
    parameters: ["buffer", "buffer", "buffer", "pointer", "buffer", "buffer"],
    result: "i32",
  },
  /** `int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)` */
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  /** `int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int from, int to)` */
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  /** `int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)` */
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  /** `pid_t waitpid(pid_t pid, int *status, int options)`, wait(2) */
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `int execve(const char *path, char *const argv[], char *const envp[])`, execve(2) */
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },

  /** `int bpf(int command, union bpf_attr *attributes, unsigned bytes)`, bpf(2) */
  bpf: { name: "syscall", parameters: ["i32", "i32", "buffer", "u32"], result: "i32" },

  // Becoming somebody else, for all threads of the process: libc tells each of them.

  /** `int setgroups(size_t count, const gid_t *groups)`, setgroups(2) */
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
  /** `int setgid(gid_t gid)`, setgid(2) */
  setgid: { parameters: ["u32"], result: "i32" },
  /** `int setuid(uid_t uid)`, setuid(2) */
  setuid: { parameters: ["u32"], result: "i32" },

  // Sockets.

  /** `int socket(int domain, int type, int protocol)`, socket(2) */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `int socketpair(int domain, int type, int protocol, int fds[2])`, socketpair(2) */
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  /** `int bind(int fd, const struct sockaddr *address, socklen_t bytes)`, bind(2) */
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int listen(int fd, int backlog)`, listen(2) */
  listen: { parameters: ["i32", "i32"], result: "i32" },
  /** `int connect(int fd, const struct sockaddr *address, socklen_t bytes)`, connect(2) */
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int accept4(int fd, struct sockaddr *from, socklen_t *bytes, int flags)`, accept(2) */
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  /** `int setsockopt(int fd, int level, int option, const void *value, socklen_t bytes)`, getsockopt(2) */
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  /** `int getsockopt(int fd, int level, int option, void *value, socklen_t *bytes)`, getsockopt(2) */
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  /** `ssize_t recvmsg(int fd, struct msghdr *message, int flags)`, recv(2) */
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** `int epoll_create1(int flags)`, epoll_create(2) */
  epoll_create1: { parameters: ["i32"], result: "i32" },
  /** `int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)`, epoll_ctl(2) */
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  /** `int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)`, epoll_wait(2) */
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  /** `ssize_t send(int fd, const void *buffer, size_t bytes, int flags)`, send(2) */
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  /**
   * `ssize_t recvfrom(int fd, void *buffer, size_t bytes, int flags, struct sockaddr *from,
   * socklen_t *from_bytes)`, recv(2)
   */
  recvfrom: {
    parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"],
    result: "i32",
  },

  // Users. Both return the error number itself, and leave errno alone.

  /**
   * `int getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t bytes,
   * struct passwd **result)`, getpwnam_r(3)
   */
  getpwnam_r: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  /** The same on another thread: a directory may take its time. Its buffers must stay until then. */
  getpwnam_r_async: {
    name: "getpwnam_r",
    parameters: ["buffer", "buffer", "buffer", "usize", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  /** `int getpwuid_r(uid_t uid, ...)`, as above; getpwuid_r(3) */
  getpwuid_r: { parameters: ["u32", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  /** The same on a thread of Deno's pool: a directory may take its time. */
  getpwuid_r_async: {
    name: "getpwuid_r",
    parameters: ["u32", "buffer", "buffer", "usize", "buffer"],
    result: "i32",
    nonblocking: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;
