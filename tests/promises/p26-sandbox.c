/* SPDX-License-Identifier: MIT */
/* Promises 15, 26: in a sandbox that allows mmap, munmap, mremap, madvise, brk and futex, and kills for, or refuses, the rest,
 * malloc lives: whether the filter came before its first call or after.  Also where even madvise or mremap is refused. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "promise.h"

#if defined(__x86_64__) && defined(__LP64__) /* the calls of OpenSSH's list, and mmap, have other numbers elsewhere */

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000u
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)
#define WHAT_THE_TEST_NEEDS ALLOW(SYS_exit_group), ALLOW(SYS_write)

static void filter_by(struct sock_filter *program, unsigned short length)
{
	struct sock_fprog filter = { length, program };

	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}
#define filter(...)                                                                  \
	do {                                                                         \
		struct sock_filter program[] = { LOAD(nr), __VA_ARGS__ };            \
		filter_by(program, sizeof(program) / sizeof(*program));              \
	} while (0)

#define SIX ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_mremap), ALLOW(SYS_madvise), ALLOW(SYS_brk), ALLOW(SYS_futex)

static void kill_all_but_six(void) { filter(SIX, WHAT_THE_TEST_NEEDS, ANSWER(SECCOMP_RET_KILL_PROCESS)); }
static void refuse_all_but_six(void) { filter(SIX, WHAT_THE_TEST_NEEDS, ANSWER(SECCOMP_RET_ERRNO | EPERM)); }
static void say_missing(void) { filter(SIX, WHAT_THE_TEST_NEEDS, ANSWER(SECCOMP_RET_ERRNO | ENOSYS)); }

/* Refused among the six: memory comes and goes by mmap and munmap only. */
static void refuse_advice(void)
{
	filter(REFUSE(SYS_madvise), REFUSE(SYS_mremap), SIX, WHAT_THE_TEST_NEEDS, ANSWER(SECCOMP_RET_KILL_PROCESS));
}
static void refuse_unmapping(void)
{
	filter(REFUSE(SYS_munmap), SIX, WHAT_THE_TEST_NEEDS, ANSWER(SECCOMP_RET_KILL_PROCESS));
}

/* OpenSSH 9.2, sandbox-seccomp-filter.c: what memory needs; mmap without PROT_EXEC. */
static void as_openssh(void)
{
	filter(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5), LOAD(args[2]),
	       BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)(PROT_READ | PROT_WRITE)),
	       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), ANSWER(SECCOMP_RET_ALLOW), ANSWER(SECCOMP_RET_KILL_PROCESS),
	       ALLOW(SYS_brk), ALLOW(SYS_clock_gettime), ALLOW(SYS_close), ALLOW(SYS_exit), ALLOW(SYS_exit_group),
	       ALLOW(SYS_futex), ALLOW(SYS_getpgid), ALLOW(SYS_getpid), ALLOW(SYS_getrandom), ALLOW(SYS_gettid),
	       ALLOW(SYS_gettimeofday), ALLOW(SYS_getuid), ALLOW(SYS_madvise), ALLOW(SYS_mremap), ALLOW(SYS_munmap),
	       ALLOW(SYS_nanosleep), ALLOW(SYS_poll), ALLOW(SYS_pselect6), ALLOW(SYS_read), ALLOW(SYS_rt_sigprocmask),
	       ALLOW(SYS_select), ALLOW(SYS_shutdown), ALLOW(SYS_time), ALLOW(SYS_write), ALLOW(SYS_writev),
	       REFUSE(SYS_open), REFUSE(SYS_openat), REFUSE(SYS_newfstatat),
	       ANSWER(SECCOMP_RET_KILL_PROCESS));
}

/* file 5.44, seccomp.c: what memory needs, without mprotect. */
static void as_file(void)
{
	filter(ALLOW(SYS_brk), ALLOW(SYS_close), ALLOW(SYS_exit_group), ALLOW(SYS_fcntl), ALLOW(SYS_fstat), ALLOW(SYS_futex),
	       ALLOW(SYS_getdents64), ALLOW(SYS_getrandom), ALLOW(SYS_lseek), ALLOW(SYS_madvise), ALLOW(SYS_mmap),
	       ALLOW(SYS_mprotect), ALLOW(SYS_mremap), ALLOW(SYS_munmap), ALLOW(SYS_openat), ALLOW(SYS_read),
	       ALLOW(SYS_rt_sigaction), ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_write), ANSWER(SECCOMP_RET_KILL_PROCESS));
}

/* All that malloc does: all sizes, growth, purging, large blocks, trimming, failure. */
static void use_malloc(void)
{
	static unsigned char *blocks[3000];
	uint64_t seed = 3;

	for (int i = 0; i < 60000; i++) {
		size_t r = next_random(&seed);
		size_t place = r % 3000, size = r % 500 == 0 ? 2 * MIB + r % (6 * MIB) : r % 50 == 0 ? r % (300 * KIB) : r % 3000;

		if (r % 3 == 0)
			blocks[place] = realloc(blocks[place], size + 1);
		else {
			free(blocks[place]);
			blocks[place] = r % 3 == 1 ? malloc(size + 1) : calloc(1, size + 1);
		}
		if (!hold(blocks[place] != NULL))
			return;
		blocks[place][size] = 1;
	}
	for (int i = 0; i < 3000; i++)
		free(blocks[i]);
	malloc_trim(0);
	hold(malloc(SIZE_MAX / 4) == NULL);
	free(aligned_alloc(8 * MIB, MIB));
}

struct way {
	const char *name;
	void (*sandbox)(void);
	bool is_late; /* after the first call of malloc */
};

static const struct way ways[] = {
	{ "killed for all but the six", kill_all_but_six, true },
	{ "refused all but the six", refuse_all_but_six, true },
	{ "told that all but the six are missing", say_missing, true },
	{ "OpenSSH's list", as_openssh, true },
	{ "file's list", as_file, true },
	{ "OpenSSH's list, before the first call", as_openssh, false },
	{ "file's list, before the first call", as_file, false },
	{ "refused before the first call", refuse_all_but_six, false },
	{ "without madvise and mremap", refuse_advice, true },
	{ "without munmap", refuse_unmapping, true },
};

static void live(size_t number)
{
	if (ways[number].is_late)
		free(malloc(100));
	alarm(0);
	ways[number].sandbox();
	use_malloc();
}

int main(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		int status = in_child(live, i);

		ok(status == 0, "%s", ways[i].name);
		if (status != 0)
			note("status 0x%x", (unsigned)status);
	}
	return done();
}

#else
int main(void) { skip_all("the filters are for x86-64"); }
#endif
