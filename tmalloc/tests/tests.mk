# Tests: each test_*.c is a program; test_programs.sh runs real ones under the preloaded
# library.

T = $(B)/tests
TESTS = test_api test_lease test_threads test_fork test_loss test_ranges

$(T)/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CFLAGS) -DTEST_DAEMON='"$(T)/test-daemon"' -c $< -o $@

$(T)/test-daemon: $(T)/daemon.o
	$(CC) $(CFLAGS) -o $@ $^

$(T)/test_%: $(T)/test_%.o $(T)/testing.o $(B)/static/ranges.o $(B)/libtmalloc.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LINK)

$(T)/bench: $(T)/bench.o $(T)/testing.o $(B)/libtmalloc.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LINK)

.PRECIOUS: $(T)/%.o
.PHONY: check-programs

check-programs: $(TESTS:%=$(T)/%) $(T)/test-daemon
	@set -e; for test in $(TESTS); do echo "$$test"; $(RUNNER) $(T)/$$test; done

check: check-programs all $(T)/maps $(T)/glibc $(T)/storm
	sh tests/test_programs.sh $(B)
	sh tests/test_exec.sh $(B)

$(T)/maps $(T)/storm: $(T)/%: $(T)/%.o
	$(CC) $(CFLAGS) -o $@ $^ $(LINK)

$(T)/glibc: tests/test_glibc.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -Wno-alloc-size-larger-than -Wno-use-after-free -Wno-free-nonheap-object \
	  $(CFLAGS) -fno-builtin -o $@ $< $(LINK)

check-sanitize:
	TEST_UNDER_TOOL=1 $(MAKE) check-programs B=$(B)/asan \
	  CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
	TEST_UNDER_TOOL=1 $(MAKE) check-programs B=$(B)/tsan CFLAGS="-O1 -g -fsanitize=thread"

check-valgrind: $(TESTS:%=$(T)/%) $(T)/test-daemon
	TEST_UNDER_TOOL=1 $(MAKE) check-programs \
	  RUNNER="valgrind -q --error-exitcode=9 --leak-check=full --trace-children=no"

bench: $(T)/bench $(T)/test-daemon
	$(T)/bench
