/* SPDX-License-Identifier: MIT */
/* What an allocator costs a program that hardly uses it: this program run again and again, each time with one malloc.
 *
 * With --preload LIB first without any preload, then with LIB; otherwise once, in the environment as it is. */
#include "bench.h"
#include <signal.h>
#include <sys/ptrace.h>

#define USAGE "[--preload LIB] [EXECS]"

static char *volatile one_block;

/* ---- the child ---- */

static void allocate_once(void)
{
	one_block = bench_block(64, 1);
}

static int count_mappings(void)
{
	static char text[1 << 18];
	size_t length = bench_read_file("/proc/self/maps", text, sizeof text);
	int lines = 0;

	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	return lines;
}

/* Ends the line that the parent began. Faults first: the other figures cost some. */
static void report_child(void)
{
	allocate_once();
	long faults = bench_faults();
	long rss = bench_rss_kb();
	long private_kb = bench_proc_kb("/proc/self/smaps_rollup", "Anonymous");
	long virtual_kb = bench_proc_kb("/proc/self/status", "VmSize");
	int mappings = count_mappings();

	bench_print(" rss_kb=%ld anon_kb=%ld vsz_kb=%ld mappings=%d faults=%ld\n", rss, private_kb, virtual_kb,
		    mappings, faults);
}

/* ---- the parent ---- */

/* The environment with LD_PRELOAD=LIBRARY only, or without any when LIBRARY is NULL. */
static char **environment_with(const char *library)
{
	static char setting[4096];
	size_t count = 0, used = 0;

	while (environ[count] != NULL)
		count++;
	char **made = bench_map(count + 2, sizeof *made);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0)
			made[used++] = environ[i];
	if (library != NULL) {
		snprintf(setting, sizeof setting, "LD_PRELOAD=%s", library);
		made[used++] = setting;
	}
	return made;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median, since now and then the machine does something else. */
static double microseconds_per_exec(char **environment, size_t execs)
{
	char *argv[] = {program_invocation_name, (char[]){"--child"}, NULL};
	double *taken = bench_map(execs, sizeof *taken);

	for (size_t i = 0; i < execs; i++) {
		double start = bench_seconds();

		bench_wait(bench_spawn_self(argv, environment), "the child");
		taken[i] = (bench_seconds() - start) * 1e6;
	}
	qsort(taken, execs, sizeof *taken, compare_doubles);
	return taken[execs / 2];
}

static pid_t start_traced(char **environment)
{
	char *argv[] = {program_invocation_name, (char[]){"--child"}, NULL};
	pid_t child = fork();

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
			execve("/proc/self/exe", argv, environment);
		_exit(126);
	}
	return child;
}

/* From exec to exit, -1 where tracing is not allowed. Each call stops twice, exit_group once. */
static long count_system_calls(char **environment)
{
	pid_t child = start_traced(environment);
	long stops = 0, pass = 0;
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return -1;
	ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	while (ptrace(PTRACE_SYSCALL, child, NULL, (void *)pass) == 0 && waitpid(child, &status, 0) == child &&
	       WIFSTOPPED(status)) {
		bool at_call = WSTOPSIG(status) == (SIGTRAP | 0x80);

		stops += at_call;
		pass = at_call || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
	}
	return (stops + 1) / 2;
}

static void measure(const char *name, char **environment, size_t execs)
{
	char *argv[] = {program_invocation_name, (char[]){"--report"}, NULL};
	double cost = microseconds_per_exec(environment, execs);
	long calls = count_system_calls(environment);

	bench_print("startup preload=%s us_per_exec=%.1f", name, cost);
	if (calls >= 0)
		bench_print(" syscalls=%ld", calls);
	bench_wait(bench_spawn_self(argv, environment), "the reporting child");
}

int main(int argc, char **argv)
{
	if (bench_flag(&argc, argv, "--child")) {
		allocate_once();
		return 0;
	}
	if (bench_flag(&argc, argv, "--report")) {
		report_child();
		return 0;
	}
	const char *library = bench_option(&argc, argv, "--preload");
	bench_usage(argc, argv, 0, 1, USAGE);
	size_t execs = (size_t)bench_argument(argc, argv, 1, "EXECS", 300, 1, 1000000);

	if (library == NULL) {
		const char *present = getenv("LD_PRELOAD");

		measure(present != NULL && *present != '\0' ? present : "none", environ, execs);
		return 0;
	}
	/* The dynamic linker would only warn and go on without it. */
	if (access(library, R_OK) != 0)
		bench_die("cannot read %s: %s", library, strerror(errno));
	measure("none", environment_with(NULL), execs);
	measure(library, environment_with(library), execs);
	return 0;
}
