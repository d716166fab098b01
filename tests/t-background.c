/* SPDX-License-Identifier: MIT */
/* HAKMEM_BATCH_BG: a thread, made by the main thread's malloc a while after the start, gives free memory back while the program
 * sleeps.  Not in a forked child; a refusal to make it is no error; its signals are blocked.
 *
 * The program starts itself with the variable set. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <hakmem.h>

#include "resident.h"

#define MIB ((size_t)1 << 20)

enum { many = 40000 };

static void *blocks[many];

static void rest(unsigned ms)
{
	struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) != 0)
		continue;
}

/* Does it come to that in so many tenths of a second?  A busy machine needs a while. */
static bool comes(bool (*is_there)(const struct hakmem_stats *), unsigned tries)
{
	struct hakmem_stats stats;

	do {
		need(hakmem_stats(&stats, sizeof(stats)) == 0);
		if (is_there(&stats))
			return true;
		rest(100);
	} while (tries-- > 0);
	return false;
}

static bool is_clean(const struct hakmem_stats *stats) { return stats->slabs_dirty == 0; }
static bool is_empty(const struct hakmem_stats *stats) { return stats->large_cached_bytes == 0; }
static bool is_ahead(const struct hakmem_stats *stats) { return stats->slabs_free - stats->slabs_dirty >= 31; }

/* The number behind `word` in one of the kernel's files; opendir and stdio would allocate. */
static unsigned long field(const char *path, const char *word, int base)
{
	char text[4096];
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = file >= 0 ? read(file, text, sizeof(text) - 1) : -1;
	const char *at;

	need(got > 0);
	close(file);
	text[got] = '\0';
	at = strstr(text, word);
	need(at != NULL);
	return strtoul(at + strlen(word), NULL, base);
}

/* Of this process. */
static long age_ms(void)
{
	struct timespec now;
	char text[1024], *at;
	int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t got = file >= 0 ? read(file, text, sizeof(text) - 1) : -1;

	need(got > 0);
	close(file);
	text[got] = '\0';
	at = strrchr(text, ')');
	for (unsigned i = 0; i < 20; i++)
		at = strchr(at + 1, ' ');
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000 - atol(at) * (1000 / sysconf(_SC_CLK_TCK));
}

static unsigned threads(void)
{
	return (unsigned)field("/proc/self/status", "\nThreads:", 10);
}

/* The youngest thread blocks all signals that can be: 9 and 19 cannot, 32 and 33 are the C library's. */
static bool is_blocked(void)
{
	char entries[4096], path[64];
	int directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long length = syscall(SYS_getdents64, directory, entries, sizeof(entries));
	const char *name = "";

	for (long at = 0; at < length; at += *(unsigned short *)(void *)(entries + at + 16))
		name = entries + at + 19;
	close(directory);
	snprintf(path, sizeof(path), "/proc/self/task/%s/status", name);
	return (field(path, "\nSigBlk:", 16) & 0x7ffbfeff) == 0x7ffbfeff;
}

/* A slow path. */
static void pass_by(void)
{
	void *p = malloc(3 * MIB);

	hold(p != NULL);
	free(p);
}

static void *pass_by_late(void *nothing)
{
	rest(150);
	pass_by();
	return nothing;
}

static void fill(void)
{
	for (size_t i = 0; i < many; i++) {
		blocks[i] = malloc(1000);
		need(blocks[i] != NULL);
		memset(blocks[i], 1, 1000);
	}
}

static void empty(void)
{
	for (size_t i = 0; i < many; i++)
		free(blocks[i]);
}

/* Asleep, it becomes as small as the budget of dirty memory is not: what is old goes. */
static void see_decay(void)
{
	struct hakmem_stats before;

	fill();
	empty();
	need(hakmem_stats(&before, sizeof(before)) == 0);
	note("dirty slabs: %u", (unsigned)before.slabs_dirty);
	hold(before.slabs_dirty > 0 && comes(is_clean, 200));
}

/* A large block is kept as long as a small one, though nothing like it is in use. */
static void see_large(void)
{
	struct hakmem_stats before;
	char *p = malloc(60 * MIB);

	need(p != NULL);
	free(p);
	need(hakmem_stats(&before, sizeof(before)) == 0);
	note("kept of a large block: %u", (unsigned)before.large_cached_bytes);
	hold(before.large_cached_bytes >= 60 * MIB && comes(is_empty, 200));
}

static int run_with(void)
{
	pthread_t thread;
	int status = -1, saved = 0;
	bool is_there;
	pid_t child;

	pass_by();
	is_there = threads() > 1;
	hold(!is_there || age_ms() > 90); /* too early */
	need(pthread_create(&thread, NULL, pass_by_late, NULL) == 0 && pthread_join(thread, NULL) == 0);
	rest(20);
	hold(is_there || threads() == 1); /* not by another thread */
	errno = EDOM;
	pass_by();
	saved = errno;
	hold(saved == EDOM);
	hold(threads() == 2 && is_blocked());
	pass_by();
	hold(threads() == 2);
	see_decay();
	see_large();
	child = fork();
	need(child >= 0);
	if (child == 0) {
		rest(150);
		pass_by();
		hold(threads() == 1);
		_exit(failures());
	}
	need(waitpid(child, &status, 0) == child);
	hold(status == 0);
	return failures();
}

/* While the program grows there is one SuperSlab more than it has asked for. */
static int run_growing(void)
{
	size_t ahead = 0;

	rest(150);
	pass_by();
	for (size_t i = 0; i < many; i++) {
		blocks[i] = malloc(1000);
		hold(blocks[i] != NULL);
		if (i % 2500 == 0) {
			rest(100);
			ahead += comes(is_ahead, 5);
		}
	}
	note("ready ahead %zu times of 16", ahead);
	hold(ahead >= 6); /* what is left of the last one is enough the other times */
	return failures();
}

/* No memory for its stack, then no thread for it: the program goes on, errno stays. */
static int run_refused(void)
{
	struct rlimit limit = {0, 0};
	void *p = malloc(100);

	rest(150);
	limit.rlim_cur = limit.rlim_max = resident_field(0) + 4 * MIB;
	need(setrlimit(RLIMIT_AS, &limit) == 0);
	limit.rlim_cur = limit.rlim_max = 0;
	need(setrlimit(RLIMIT_NPROC, &limit) == 0 && (getuid() != 0 || setuid(65534) == 0));
	errno = EDOM;
	free(p);
	p = malloc(100000);
	hold(p != NULL && errno == EDOM && threads() == 1);
	free(p);
	hold(errno == EDOM || errno == 0);
	return failures();
}

static int run_without(void)
{
	pass_by();
	rest(150);
	pass_by();
	hold(threads() == 1);
	return failures();
}

static int run_by_name(const char *name)
{
	if (strcmp(name, "without") == 0)
		return run_without();
	return strcmp(name, "with") == 0 ? run_with() : strcmp(name, "growing") == 0 ? run_growing() : run_refused();
}

static int start(const char *self, const char *setting, const char *name)
{
	int status = -1;
	pid_t child = fork();

	need(child >= 0);
	if (child == 0) {
		setenv("HAKMEM_BATCH_BG", setting, 1);
		execl(self, self, name, (char *)NULL);
		_exit(101);
	}
	need(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run_by_name(argv[1]);
	if (is_emulated())
		skip_all("the emulator's own threads count too");
	ok(start(argv[0], "1", "with") == 0, "the thread comes, gives memory back, and is not in a child");
	ok(start(argv[0], "1", "growing") == 0, "it has the next SuperSlab ready");
	ok(start(argv[0], "1", "refused") == 0, "it is done without");
	ok(start(argv[0], "0", "without") == 0, "without the variable there is none");
	return done();
}
