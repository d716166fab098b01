/* SPDX-License-Identifier: MIT */
/* Promise 25: mlockall(MCL_FUTURE) locks what is used, not what might be. */
#include "promise.h"

static size_t locked(void)
{
	char text[4096], *at;
	int file = open("/proc/self/status", O_RDONLY);
	ssize_t got = read(file, text, sizeof(text) - 1);

	need(got > 0);
	close(file);
	text[got] = '\0';
	at = strstr(text, "VmLck:");
	need(at != NULL);
	return strtoul(at + 6, NULL, 10) * KIB;
}

/* A small program: 1 MB in small blocks, one thread. */
static void use(size_t bytes, size_t each)
{
	for (size_t sum = 0; sum < bytes; sum += each)
		make(each);
}

static void *thread(void *with)
{
	use(MIB / 4, 200);
	return with;
}

struct way {
	const char *name;
	int flags;
	size_t bytes, each, most;
	bool has_thread; /* whose stack is locked too: 8 MiB */
};

static const struct way ways[] = {
	{ "everything later", MCL_FUTURE, MIB, 100, 5 * MIB, false },
	{ "everything later, a thread", MCL_FUTURE, MIB, 100, 14 * MIB, true },
	{ "everything later, larger blocks", MCL_FUTURE, 4 * MIB, 30000, 9 * MIB, false },
	{ "everything now and later", MCL_CURRENT | MCL_FUTURE, MIB, 100, 16 * MIB, false },
};

static void measure(size_t number)
{
	const struct way *way = &ways[number];
	size_t before;
	pthread_t t;

	if (mlockall(way->flags) != 0)
		_exit(77);
	before = way->flags & MCL_CURRENT ? 0 : locked();
	use(way->bytes, way->each);
	if (way->has_thread) {
		need(pthread_create(&t, NULL, thread, NULL) == 0);
		pthread_join(t, NULL);
	}
	note("%s: %zu KiB locked", way->name, (locked() - before) / KIB);
	hold(locked() - before <= way->most);
}

int main(void)
{
	if (is_emulated())
		skip_all("the emulator's own memory is locked too");
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		int status = in_child(measure, i);

		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			skip("%s: locking is not allowed", ways[i].name);
		else
			ok(status == 0, "%s", ways[i].name);
	}
	return done();
}
