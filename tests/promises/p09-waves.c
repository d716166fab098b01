/* SPDX-License-Identifier: MIT */
/* Promise 9: in a control group with little memory a program whose sizes come in waves lives: what one wave freed does not stay
 * so that the next is killed.  Needs a control group of its own. */
#include <stdio.h>
#include <sys/stat.h>

#include "promise.h"

static char group[128];

static bool write_to(const char *name, const char *text)
{
	char path[200];
	int file;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	file = open(path, O_WRONLY);
	if (file < 0)
		return false;
	ok = write(file, text, strlen(text)) == (ssize_t)strlen(text);
	close(file);
	return ok;
}

static bool make_group(size_t bytes)
{
	static const char *const places[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };
	char number[32];

	snprintf(number, sizeof(number), "%zu", bytes);
	for (int i = 0; i < 2; i++) {
		snprintf(group, sizeof(group), "%s/hakmem-test-%d", places[i], (int)getpid());
		if (mkdir(group, 0700) != 0)
			continue;
		if (write_to(i == 0 ? "memory.limit_in_bytes" : "memory.max", number))
			return true;
		rmdir(group);
	}
	return false;
}

static void *wave(void *with)
{
	size_t size = *(size_t *)with, n = 40 * MIB / (size < 64 ? 64 : size);
	void **blocks = map_table(n * sizeof(*blocks));

	for (size_t i = 0; i < n; i++) {
		blocks[i] = malloc(size);
		need(blocks[i] != NULL);
		memset(blocks[i], 1, size);
	}
	for (size_t i = 0; i < n; i++)
		free(blocks[(i * 7919) % n]), blocks[(i * 7919) % n] = NULL;
	for (size_t i = 0; i < n; i++)
		free(blocks[i]);
	munmap(blocks, n * sizeof(*blocks));
	return NULL;
}

static void run(size_t waves)
{
	static const size_t sizes[] = { 64, 5000, 130000, 3 * MIB, 1000, 30000, 600000, 200, 9 * MIB };
	char number[32];

	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (!write_to("cgroup.procs", number))
		_exit(77);
	for (size_t i = 0; i < waves; i++) {
		size_t size = sizes[i % 9];
		pthread_t thread;

		if (i % 3 != 2) {
			wave(&size);
			continue;
		}
		need(pthread_create(&thread, NULL, wave, &size) == 0);
		pthread_join(thread, NULL);
	}
}

int main(void)
{
	int status;

	if (!make_group(160 * MIB))
		skip_all("no control group can be made");
	status = in_child(run, short_or_long(27, 500));
	rmdir(group);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip("the control group takes nobody");
	else
		ok(status == 0, "waves of 40 MiB in 160 MiB");
	return done();
}
