/* SPDX-License-Identifier: MIT */
/* measure: what a program costs under the C library's malloc, and what with another malloc preloaded.
 *
 *	measure LIBRARY PROGRAM [ARG...]
 *
 * The two take turns, ROUNDS each, and the round with the least time counts; then each runs once more, slowly, to have
 * its system calls counted.  Children of the program are measured with it.  Its output is shown once, of the first run
 * with the library.  The exit status is 0 when every run ended with status 0, else that of the last that did not. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { rounds = 3 };

struct cost {
	double seconds, processor_seconds;
	long peak_kb, faults;
	long calls; /* -1: cannot be counted here */
};

static int worst_status;

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
	fprintf(stderr, "measure: %s: %s\n", what, why);
	exit(125);
}

/* ---- one run ---- */

/* In the child; does not return.  LIBRARY is NULL for the C library. */
__attribute__((noreturn)) static void become(char **program, const char *library, bool is_shown)
{
	int nothing = open("/dev/null", O_RDWR);

	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || (!is_shown && dup2(nothing, STDOUT_FILENO) < 0))
		die("/dev/null", strerror(errno));
	if ((library != NULL ? setenv("LD_PRELOAD", library, 1) : unsetenv("LD_PRELOAD")) != 0)
		die("LD_PRELOAD", strerror(errno));
	execvp(program[0], program);
	fprintf(stderr, "measure: cannot run %s: %s\n", program[0], strerror(errno));
	_exit(127);
}

static void note_status(const char *library, int status)
{
	static bool is_told[2];
	int value = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

	if (value == 0)
		return;
	worst_status = value;
	if (is_told[library != NULL])
		return;
	is_told[library != NULL] = true;
	fprintf(stderr, "measure: with %s the program ended with %s %d\n", library != NULL ? library : "the C library",
		WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : value);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static struct cost run(char **program, const char *library, bool is_shown)
{
	struct rusage used;
	double start = now();
	int status;
	pid_t child = fork();

	if (child == 0)
		become(program, library, is_shown);
	if (child < 0 || wait4(child, &status, 0, &used) != child)
		die("fork", strerror(errno));
	note_status(library, status);
	return (struct cost){.seconds = now() - start,
			     .processor_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime),
			     .peak_kb = used.ru_maxrss,
			     .faults = used.ru_minflt + used.ru_majflt};
}

/* ---- system calls ---- */

static bool is_entry(pid_t task)
{
	struct __ptrace_syscall_info info = {0};

	return ptrace(PTRACE_GET_SYSCALL_INFO, task, (void *)sizeof info, &info) > 0 &&
	       info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* The signal to be passed on to a stopped task: none for a stop that only we see, nor for the first of a new task. */
static int signal_to_pass(int status)
{
	int signal = WSTOPSIG(status);

	return status >> 16 != 0 || signal == (SIGTRAP | 0x80) || signal == SIGTRAP || signal == SIGSTOP ? 0 : signal;
}

/* Follows CHILD and all that it starts, until CHILD has ended. */
static long follow(pid_t child, const char *library)
{
	long calls = 0;
	int status;
	pid_t task;

	while ((task = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			calls += WSTOPSIG(status) == (SIGTRAP | 0x80) && is_entry(task);
			ptrace(PTRACE_SYSCALL, task, NULL, (void *)(intptr_t)signal_to_pass(status));
		} else if (task == child) {
			note_status(library, status);
			break;
		}
	}
	return calls;
}

static long count_calls(char **program, const char *library)
{
	const uintptr_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
				  PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(126);
		raise(SIGSTOP);
		become(program, library, false);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		die("fork", strerror(errno));
	if (!WIFSTOPPED(status))
		return -1;
	ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options);
	ptrace(PTRACE_SYSCALL, child, NULL, NULL);
	return follow(child, library);
}

/* ---- the table ---- */

static void print_row(const char *what, double base, double other, int digits)
{
	printf("  %-18s", what);
	if (base < 0 || other < 0) {
		printf("%12s%12s\n", "-", "-");
		return;
	}
	printf("%12.*f%12.*f", digits, base, digits, other);
	if (base > 0)
		printf("%9.2fx", other / base);
	printf("\n");
}

static void print_table(const struct cost *base, const struct cost *other)
{
	printf("  %-18s%12s%12s%10s\n", "", "C library", "HAKMEM", "ratio");
	print_row("seconds", base->seconds, other->seconds, 2);
	print_row("processor seconds", base->processor_seconds, other->processor_seconds, 2);
	print_row("peak RSS, MB", (double)base->peak_kb / 1024, (double)other->peak_kb / 1024, 1);
	print_row("page faults", (double)base->faults, (double)other->faults, 0);
	print_row("system calls", (double)base->calls, (double)other->calls, 0);
}

static void keep_best(struct cost *best, struct cost cost)
{
	if (best->seconds == 0 || cost.seconds < best->seconds)
		*best = cost;
}

int main(int argc, char **argv)
{
	struct cost base = {0}, other = {0};

	if (argc < 3) {
		fprintf(stderr, "usage: measure LIBRARY PROGRAM [ARG...]\n");
		return 2;
	}
	if (access(argv[1], R_OK) != 0)
		die(argv[1], strerror(errno));
	for (int round = 0; round < rounds; round++) {
		keep_best(&base, run(argv + 2, NULL, false));
		keep_best(&other, run(argv + 2, argv[1], round == 0));
	}
	base.calls = count_calls(argv + 2, NULL);
	other.calls = count_calls(argv + 2, argv[1]);
	print_table(&base, &other);
	return worst_status;
}
