/* SPDX-License-Identifier: MIT */
/* Helpers of the benchmark programs: clock, random numbers, arguments, figures about the process.
 *
 * Nothing in this file calls malloc, not even by way of stdio: what a program reports belongs to the measured code alone.
 * Every report is one line of key=value words, so that people and bench/compare read the same text. */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Two lines: some processors fetch lines in pairs. */
#define BENCH_ALIGNED __attribute__((aligned(128)))

extern char **environ;

/* ---- words out ---- */

static inline void bench_write(int file, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t sent = write(file, text, size);

		if (sent < 0 && errno != EINTR)
			_exit(2);
		text += sent > 0 ? sent : 0;
		size -= sent > 0 ? (size_t)sent : 0;
	}
}

/* dprintf would do, but older C libraries malloc its buffer. */
__attribute__((format(printf, 2, 0))) static inline void bench_vprint(int file, const char *format, va_list list)
{
	char text[1024];
	int length = vsnprintf(text, sizeof text, format, list);

	bench_write(file, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1);
}

__attribute__((format(printf, 1, 2))) static inline void bench_print(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	bench_vprint(1, format, list);
	va_end(list);
}

__attribute__((format(printf, 1, 2), noreturn, cold, unused)) static void bench_die(const char *format, ...)
{
	va_list list;

	bench_write(2, program_invocation_short_name, strlen(program_invocation_short_name));
	bench_write(2, ": ", 2);
	va_start(list, format);
	bench_vprint(2, format, list);
	va_end(list);
	bench_write(2, "\n", 1);
	exit(2);
}

/* ---- arguments ---- */

/* Takes NAME out of the arguments; says whether it was there. */
static inline bool bench_flag(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], name) != 0)
			continue;
		memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
		--*argc;
		return true;
	}
	return false;
}

/* Takes NAME and the word behind it out of the arguments; NULL if it was not there. */
static inline char *bench_option(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], name) != 0)
			continue;
		if (i + 1 == *argc)
			bench_die("%s needs a value", name);
		char *value = argv[i + 1];
		memmove(argv + i, argv + i + 2, (size_t)(*argc - i - 1) * sizeof *argv);
		*argc -= 2;
		return value;
	}
	return NULL;
}

/* To be called when the known options are taken out: what is left are LEAST..MOST words. */
static inline void bench_usage(int argc, char **argv, int least, int most, const char *usage)
{
	if (bench_flag(&argc, argv, "--help")) {
		bench_print("usage: %s %s\n", program_invocation_short_name, usage);
		exit(0);
	}
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--", 2) == 0)
			bench_die("unknown option %s (usage: %s)", argv[i], usage);
	if (argc - 1 < least || argc - 1 > most)
		bench_die("%s arguments (usage: %s)", argc - 1 < least ? "too few" : "too many", usage);
}

static inline uint64_t bench_number(const char *name, const char *text, uint64_t least, uint64_t most)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < least || value > most)
		bench_die("%s must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'", name, least, most, text);
	return value;
}

/* Argument INDEX, or FALLBACK when the command line is shorter. */
static inline uint64_t bench_argument(int argc, char **argv, int index, const char *name, uint64_t fallback,
				      uint64_t least, uint64_t most)
{
	return index < argc ? bench_number(name, argv[index], least, most) : fallback;
}

/* ---- time ---- */

static inline uint64_t bench_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline double bench_seconds(void)
{
	return (double)bench_nanoseconds() / 1e9;
}

/* A stretch of time: the clock's, and the processors' time of all threads. On a busy machine the second one is the steadier. */
struct bench_span {
	double wall, cpu;
};

static inline struct bench_span bench_span_begin(void)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return (struct bench_span){bench_seconds(), (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9};
}

static inline struct bench_span bench_span_end(struct bench_span begin)
{
	struct bench_span now = bench_span_begin();

	return (struct bench_span){now.wall - begin.wall, now.cpu - begin.cpu};
}

static inline void bench_sleep(double seconds)
{
	time_t whole = (time_t)seconds;
	struct timespec rest = {whole, (long)((seconds - (double)whole) * 1e9)};

	while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
		;
}

/* ---- random numbers: xorshift64, some three instructions a number, the same everywhere for the same seed ---- */

static inline uint64_t bench_seed(uint64_t seed)
{
	/* One round of splitmix64, so that neighbouring seeds differ in all bits; zero would stay zero for ever. */
	uint64_t x = seed + 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (x ^ (x >> 31)) | 1;
}

static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

/* Two independent choices from one number, without a division: upper half and lower half. */
static inline size_t bench_pick_high(uint64_t random, size_t count)
{
	return (size_t)(((random >> 32) * count) >> 32);
}

static inline size_t bench_pick_low(uint64_t random, size_t count)
{
	return (size_t)(((random & 0xffffffffu) * count) >> 32);
}

/* ---- memory ---- */

/* Zeroed memory for the benchmark's own tables, which must not come from the allocator under test. Resident at once, so that
 * its faults do not fall into the measured time; the kernel counts them all the same. */
static inline void *bench_map(size_t count, size_t size)
{
	void *memory;

	if (count > SIZE_MAX / size)
		bench_die("too large a table");
	memory = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		bench_die("no memory for a table of %zu MB", count * size >> 20);
	return memory;
}

/* Writes both ends of a fresh block, as a program would. */
static inline char *bench_write_ends(char *block, size_t size, uint64_t value)
{
	if (__builtin_expect(block == NULL, 0))
		bench_die("malloc of %zu bytes failed: %s", size, strerror(errno));
	block[0] = (char)value;
	block[size - 1] = (char)value;
	return block;
}

static inline char *bench_block(size_t size, uint64_t value)
{
	return bench_write_ends(malloc(size), size, value);
}

static inline size_t bench_read_file(const char *path, char *buffer, size_t size)
{
	size_t used = 0;
	ssize_t got = 0;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file >= 0) {
		while (used < size - 1 && (got = read(file, buffer + used, size - 1 - used)) > 0)
			used += (size_t)got;
		close(file);
	}
	buffer[used] = '\0';
	return used;
}

/* The kilobytes behind "KEY:" at the start of a line of PATH, -1 if there is none. */
static inline long bench_proc_kb(const char *path, const char *key)
{
	char text[8192];
	size_t length = strlen(key);

	bench_read_file(path, text, sizeof text);
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			return strtol(line + length + 1, NULL, 10);
	}
	return -1;
}

/* Resident now. smaps_rollup is exact; the counter behind VmRSS may be off by some dozen pages per processor. */
static inline long bench_rss_kb(void)
{
	long exact = bench_proc_kb("/proc/self/smaps_rollup", "Rss");

	return exact >= 0 ? exact : bench_proc_kb("/proc/self/status", "VmRSS");
}

/* Not ru_maxrss: that one also remembers the program that called exec, if it was larger. */
static inline long bench_peak_kb(void)
{
	return bench_proc_kb("/proc/self/status", "VmHWM");
}

static inline long bench_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* ---- threads and processes ---- */

/* A detached thread if ID is NULL, else one to be joined. */
static inline void bench_start_thread(pthread_t *id, void *(*body)(void *), void *argument)
{
	pthread_t unused;
	int error = pthread_create(id != NULL ? id : &unused, NULL, body, argument);

	if (error != 0)
		bench_die("cannot start a thread: %s", strerror(error));
	if (id == NULL)
		pthread_detach(unused);
}

/* Runs this program again with other arguments; nothing of the parent's heap is inherited. */
static inline pid_t bench_spawn_self(char *const *argv, char *const *environment)
{
	pid_t child;
	int error = posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environment);

	if (error != 0)
		bench_die("cannot run myself again: %s", strerror(error));
	return child;
}

/* Waits for CHILD and dies, naming WHAT, unless it ended well. */
static inline void bench_wait(pid_t child, const char *what)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			bench_die("lost the process of %s", what);
	if (WIFSIGNALED(status))
		bench_die("%s died of signal %d", what, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		bench_die("%s ended with status %d", what, WEXITSTATUS(status));
}

#endif
