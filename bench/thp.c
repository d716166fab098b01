/* SPDX-License-Identifier: MIT */
/* What huge pages cost small processes: resident memory of three programs where the kernel gives huge pages never, where they
 * are asked for, and always.
 *
 * For its children alone a process can refuse huge pages (prctl). To get them always, the setting of the whole machine is
 * changed while a program runs, where that is allowed, and put back by a guard process, whatever happens to this one. */
#include "bench.h"
#include <sys/file.h>
#include <sys/prctl.h>

#define USAGE "[WORK]   (hello, threads, larson)"
#define SETTING "/sys/kernel/mm/transparent_hugepage/enabled"

/* Linux 6.18: the exception of PR_SET_THP_DISABLE for what has asked. */
#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED (1 << 1)
#endif

enum mode { never, madvised, always, mode_count };
static const char *const mode_names[mode_count] = {"never", "madvise", "always"};

enum { idle_threads = 100, blocks_per_thread = 50 };

/* ---- the work, in a child ---- */

static void hello(void)
{
	bench_block(64, 1);
	bench_sleep(0.05);
}

static atomic_int ready;

static void *wait_for_ever(void *argument)
{
	uint64_t random = bench_seed((uint64_t)(uintptr_t)argument);

	for (size_t i = 0; i < blocks_per_thread; i++)
		bench_block(16 + bench_pick_low(bench_random(&random), 1025), 1);
	atomic_fetch_add(&ready, 1);
	for (;;)
		pause();
	return NULL;
}

static void threads(void)
{
	pthread_attr_t attributes;

	/* Kernels before 6.7 put huge pages into larger stacks, which no allocator can help. */
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	pthread_setattr_default_np(&attributes);
	for (size_t i = 0; i < idle_threads; i++)
		bench_start_thread(NULL, wait_for_ever, (void *)i);
	while (atomic_load(&ready) < idle_threads)
		bench_sleep(0.01);
	bench_sleep(0.1);
}

/* The program of that name beside this one. */
static void larson(void)
{
	char path[4096];
	char *argv[] = {(char[]){"larson"}, (char[]){"1"},    (char[]){"8"},
			(char[]){"1000"},   (char[]){"5000"}, (char[]){"100"},
			(char[]){"4141"},   (char[]){"4"},    NULL};
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof "larson");

	if (length < 0)
		bench_die("cannot find myself: %s", strerror(errno));
	path[length] = '\0';
	strcpy(strrchr(path, '/') + 1, argv[0]);
	close(1);
	open("/dev/null", O_WRONLY);
	execv(path, argv);
	bench_die("cannot run %s: %s", path, strerror(errno));
}

/* The median of some lives: how much of the libraries is mapped differs by 100 KB from one to the next. */
static const struct work {
	const char *name;
	void (*run)(void);
	size_t lives;
} works[] = {{"hello", hello, 5}, {"threads", threads, 3}, {"larson", larson, 3}};

enum { work_count = sizeof works / sizeof works[0], most_lives = 5 };

static const struct work *find_work(const char *name)
{
	for (size_t i = 0; i < work_count; i++)
		if (strcmp(works[i].name, name) == 0)
			return &works[i];
	bench_die("there is no work '%s' (usage: %s)", name, USAGE);
}

/* ---- the kernel's setting ---- */

static int setting_file = -1; /* locked: who else measures has to wait */
static enum mode machine;     /* what the machine is set to */
static pid_t guard = -1;
static int guard_pipe[2];

static void read_machine(void)
{
	char text[256], marked[32];

	setting_file = open(SETTING, O_RDONLY | O_CLOEXEC);
	if (setting_file < 0)
		bench_die("no huge pages here: %s: %s", SETTING, strerror(errno));
	flock(setting_file, LOCK_EX);
	bench_read_file(SETTING, text, sizeof text);
	for (machine = never; machine < mode_count; machine++) {
		snprintf(marked, sizeof marked, "[%s]", mode_names[machine]);
		if (strstr(text, marked) != NULL)
			return;
	}
	bench_die("cannot understand %s: %s", SETTING, text);
}

static bool write_machine(enum mode mode)
{
	int file = open(SETTING, O_WRONLY | O_CLOEXEC);
	bool written = file >= 0 && write(file, mode_names[mode], strlen(mode_names[mode])) > 0;

	if (file >= 0)
		close(file);
	return written;
}

/* The guard waits for the end of the pipe, which also comes when this process is killed. In a session of its own it does not
 * get the signals of a terminal or of compare. */
static bool change_machine(enum mode mode)
{
	if (access(SETTING, W_OK) != 0 || pipe2(guard_pipe, O_CLOEXEC) != 0)
		return false;
	guard = fork();
	if (guard == 0) {
		char end;

		setsid();
		close(guard_pipe[1]);
		while (read(guard_pipe[0], &end, 1) < 0 && errno == EINTR)
			;
		_exit(write_machine(machine) ? 0 : 1);
	}
	close(guard_pipe[0]);
	return guard > 0 && write_machine(mode);
}

/* Ours alone where the kernel can do that; children inherit it. */
static bool enter(enum mode mode)
{
	if (mode == never && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0)
		return true;
	if (mode == madvised && machine == always &&
	    prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) == 0)
		return true;
	return mode == machine || change_machine(mode);
}

static void leave(void)
{
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	if (guard < 0)
		return;
	close(guard_pipe[1]);
	bench_wait(guard, "the guard of " SETTING);
	guard = -1;
}

/* ---- the parent ---- */

/* The most that was resident at a time. What is read is exact, unlike VmHWM. */
static long watch(pid_t child, const char *name)
{
	char path[64];
	long most = 0;
	int status;

	snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)child);
	while (waitpid(child, &status, WNOHANG) == 0) {
		long now = bench_proc_kb(path, "Rss");

		most = now > most ? now : most;
		bench_sleep(0.005);
	}
	if (status != 0)
		bench_die("%s failed (wait status %d)", name, status);
	return most;
}

static int compare_sizes(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* 0 where the mode cannot be had. */
static long measure_in(enum mode mode, const struct work *work)
{
	char name[16];
	char *argv[] = {program_invocation_name, (char[]){"--child"}, name, NULL};
	long seen[most_lives] = {0};
	bool entered = enter(mode);

	snprintf(name, sizeof name, "%s", work->name);
	for (size_t i = 0; entered && i < work->lives; i++)
		seen[i] = watch(bench_spawn_self(argv, environ), name);
	leave();
	qsort(seen, work->lives, sizeof *seen, compare_sizes);
	return seen[work->lives / 2];
}

static void measure(const struct work *work)
{
	long resident[mode_count];

	bench_print("thp work=%s", work->name);
	for (enum mode mode = never; mode < mode_count; mode++) {
		resident[mode] = measure_in(mode, work);
		if (resident[mode] > 0)
			bench_print(" %s_kb=%ld", mode_names[mode], resident[mode]);
	}
	if (resident[never] > 0 && resident[always] > 0)
		bench_print(" always_to_never=%.3f", (double)resident[always] / (double)resident[never]);
	bench_print("\n");
	for (enum mode mode = never; mode < mode_count; mode++)
		if (resident[mode] == 0)
			bench_print("thp: %s is left out, as %s cannot be changed\n", mode_names[mode], SETTING);
}

int main(int argc, char **argv)
{
	const char *child_work = bench_option(&argc, argv, "--child");

	bench_usage(argc, argv, 0, 1, USAGE);
	if (child_work != NULL) {
		find_work(child_work)->run();
		return 0;
	}
	const struct work *only = argc > 1 ? find_work(argv[1]) : NULL;
	read_machine();
	for (size_t i = 0; i < work_count; i++)
		if (only == NULL || only == &works[i])
			measure(&works[i]);
	return 0;
}
