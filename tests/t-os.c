/* SPDX-License-Identifier: MIT */
/* The room os: what it says of memory is so, and where the kernel does not tell, it says that and nothing faults.  Links: rooms. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "emulator.h"
#include "fails.h"
#include "tap.h"
#include "vdso.h"

static size_t page;
static char *pages; /* the first can be read, the second not */

static void start(void)
{
	page = hak_os_page_size();
	pages = hak_os_map(2 * page);
	need(pages && hak_os_protect_none(pages + page, page));
	memset(pages, 7, page);
}

/* ---- can it be read? ---- */

static void test_look(void)
{
	uint32_t asked_with = 0x5bd1e995; /* what the kernel compares with: it would wait */
	char *gone = hak_os_map(page);

	errno = 77;
	is(hak_os_look(pages), HAK_OS_OK);
	is(hak_os_look(pages + page - 1), HAK_OS_OK);
	is(hak_os_look(pages + page), HAK_OS_REFUSED);
	is(hak_os_look(NULL), HAK_OS_REFUSED);
	is(hak_os_look(&asked_with), HAK_OS_OK);
	need(hak_os_unmap(gone, page));
	is(hak_os_look(gone), HAK_OS_REFUSED);
	is(errno, 77);
}

static void copy(const void *with)
{
	char to[64] = "";

	if (with)
		refuse(HAK_FAULT_FUTEX, *(const int *)with);
	hold(hak_os_look(pages) == (with ? HAK_OS_UNKNOWN : HAK_OS_OK));
	hold(hak_os_copy_unasked(to, pages + page - 32, 64) == (with ? 0 : 32));
	hold(to[0] == (with ? 0 : 7) && to[31] == to[0] && to[32] == 0);
}

/* Sandboxes refuse in one way or the other. */
static const int refusals[] = { ENOSYS, EPERM };

static void test_copies(void)
{
	capture_silent("a copy ends where reading ends", copy, NULL);
	capture_silent("no futex: nothing is copied, nothing faults", copy, &refusals[0]);
	capture_silent("futex is not allowed: the same", copy, &refusals[1]);
}

/* ---- guards ---- */

static void write_there(const void *p) { *(volatile char *)(uintptr_t)p = 1; }

static bool is_closed(char *p)
{
	struct capture child;

	capture(&child, write_there, p);
	return WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV;
}

/* Who is told that there is no guard hands the memory out. */
static void test_guard(const char *name, unsigned refused)
{
	char *p = hak_os_map(page);
	bool is_guard;

	*p = 1;
	if (refused)
		refuse(refused, ENOSYS);
	is_guard = hak_os_guard(p, page);
	fail_none();
	ok(is_closed(p) == is_guard, "%s: %s", name, is_guard ? "it is closed" : "it can be written to");
	if (is_guard)
		ok(hak_os_unguard(p, page) && *p == 0, "%s: open again, and zero", name);
	hak_os_unmap(p, page);
}

/* ---- the rest ---- */

static void test_secret(void)
{
	uint64_t one;

	refuse(HAK_FAULT_FILE, ENOSYS); /* getrandom is older than some kernels */
	one = hak_os_secret();
	ok(one != hak_os_secret(), "without getrandom two numbers are not the same");
	fail_none();
	ok(hak_os_secret() != hak_os_secret(), "nor with it");
}

static uint64_t clock_of_libc(clockid_t clock)
{
	struct timespec t;

	need(clock_gettime(clock, &t) == 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void test_clock(void)
{
	uint64_t before = clock_of_libc(CLOCK_MONOTONIC), now = hak_os_clock();
	uint32_t coarse;

	ok(before <= now && now <= clock_of_libc(CLOCK_MONOTONIC), "the clock is the C library's");
	before = clock_of_libc(CLOCK_REALTIME);
	now = hak_os_time();
	ok(before <= now && now <= clock_of_libc(CLOCK_REALTIME), "so is the time of day");
	before = clock_of_libc(CLOCK_MONOTONIC_COARSE) / 1000000;
	coarse = hak_os_now() - (uint32_t)before;
	ok(coarse <= (uint32_t)(clock_of_libc(CLOCK_MONOTONIC_COARSE) / 1000000 - before), "and the coarse one");
	ok(!hak_vdso_find("hakmem_nonsense"), "what the kernel does not have is not found");
#if defined(__x86_64__) && defined(__LP64__)
	if (getauxval(AT_SYSINFO_EHDR) != 0) {
		refuse(HAK_FAULT_FILE, ENOSYS);
		now = hak_os_clock();
		coarse = hak_os_now();
		fail_none();
		ok(now != 0 && coarse != 0, "none of them needs a system call");
	} else {
		skip("the time without a system call: the kernel's code is hidden");
	}
#endif
}

static void write_interrupted(const void *error)
{
	fail(HAK_FAULT_WRITE, *(const int *)error, 1, 3);
	hak_os_write("one\n", 4);
	hak_os_write("two\n", 4);
}

/* It lasts as long where futex is refused. */
static void rest_for_a_while(const void *with)
{
	uint64_t before = hak_os_clock();

	(void)with;
	refuse(HAK_FAULT_FUTEX, ENOSYS);
	for (int i = 0; i < 10; i++)
		hak_os_rest();
	hold(hak_os_clock() - before >= 10000000);
}

static void test_write(void)
{
	static const int interrupted = EINTR, full = ENOSPC;
	struct capture child;

	capture(&child, write_interrupted, &interrupted);
	is_text(child.words, "one\ntwo\n");
	capture(&child, write_interrupted, &full);
	is_text(child.words, "");
}

static int check_node(void)
{
	unsigned cpu, node = 0;

	need(syscall(SYS_getcpu, &cpu, &node, NULL) == 0);
	return hak_os_node() != node && hak_os_node() != 0; /* 0 where it cannot be told */
}

/* glibc registers rseq, which tells it without a call; without, the vdso does. */
static void node_without_rseq(const void *with)
{
	(void)with;
	emulator_exec_again((char[]){ "node" }, "GLIBC_TUNABLES", "glibc.pthread.rseq=0");
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return check_node();
	start();
	test_look();
	test_copies();
	test_guard("a guard", 0);
	if (is_emulated())
		skip("a guard without futex: the emulator nods at any advice");
	else
		test_guard("a guard without futex", HAK_FAULT_FUTEX);
	test_guard("no guard", HAK_FAULT_ADVISE);
	test_secret();
	test_clock();
	capture_silent("a rest without futex", rest_for_a_while, NULL);
	test_write();
	ok(check_node() == 0, "the node that the kernel names");
	capture_silent("the same without rseq", node_without_rseq, NULL);
	return done();
}
