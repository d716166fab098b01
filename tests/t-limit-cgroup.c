/* SPDX-License-Identifier: MIT */
/* HAKMEM_LIMIT_CGROUP: HAKMEM_LIMIT comes from the control group, of version 2 or 1, and nothing that its files say is believed
 * unless it is a number.
 *
 * In a namespace of its own for mounts the program puts files of its own in the place of those of the kernel, and starts
 * itself. */
#include <fcntl.h>
#include <hakmem.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

#define GROUPS "/sys/fs/cgroup"
#define MINE "/proc/self/cgroup"
#define FAKE GROUPS "/fake" /* bound to MINE */

static bool put_file(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);

	close(file);
	return ok;
}

/* Also where only a namespace of users lets one mount. */
static bool enter_namespace(void)
{
	return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("none", GROUPS, "tmpfs", 0, NULL) == 0;
}

static void put_group_file(const char *group, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), GROUPS "%s", group);
	for (char *at = path + strlen(GROUPS) + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		mkdir(path, 0755);
		*at = '/';
	}
	mkdir(path, 0755);
	snprintf(path, sizeof(path), GROUPS "%s/%s", group, name);
	need(text == NULL || put_file(path, text));
}

struct place {
	const char *name;  /* of the case */
	const char *lines; /* of /proc/self/cgroup */
	const char *group; /* below /sys/fs/cgroup */
	const char *file, *text;
	const char *file2, *text2;
	const char *limit;   /* HAKMEM_LIMIT in the environment */
	const char *expected;
};

static const struct place places[] = {
	{ "memory.high", "0::/a/b\n", "/a/b", "memory.high", "5000000\n", "memory.max", "8000000\n", NULL, "5000000" },
	{ "nine tenths of memory.max", "0::/a\n", "/a", "memory.high", "max\n", "memory.max", "8000000\n", NULL, "7200000" },
	{ "memory.max alone", "0::/a\n", "/a", "memory.max", "1G\n", "memory.max", "8000000", NULL, "7200000" },
	{ "no limits", "0::/a\n", "/a", "memory.high", "max\n", "memory.max", "max\n", NULL, "0" },
	{ "the root of a container", "0::/\n", "", "memory.max", "8000000\n", NULL, NULL, NULL, "7200000" },
	{ "version 1", "5:cpu:/c\n4:memory:/m\n0::/\n", "/memory/m", "memory.limit_in_bytes", "8000000\n", NULL, NULL, NULL,
	  "7200000" },
	{ "version 1 without a limit", "4:memory:/\n", "/memory", "memory.limit_in_bytes", "9223372036854771712\n", NULL, NULL,
	  NULL, "0" },
	{ "no number", "0::/a\n", "/a", "memory.high", "5000000 or so\n", "memory.max", "0x100\n", NULL, "0" },
	{ "an empty file", "0::/a\n", "/a", "memory.high", "", "memory.max", "8000000\n", NULL, "7200000" },
	{ "a number too large", "0::/a\n", "/a", "memory.high", "99999999999999999999\n", NULL, NULL, NULL, "0" },
	{ "no such group", "0::/nowhere\n", "/a", "memory.high", "5000000\n", NULL, NULL, NULL, "0" },
	{ "no group", "", "", "memory.high", "5000000\n", NULL, NULL, NULL, "0" },
	{ "HAKMEM_LIMIT wins", "0::/a\n", "/a", "memory.high", "5000000\n", NULL, NULL, "3M", "3M" },
};

static int run_in(const struct place *place, const char *self, const char *is_asked)
{
	if (!enter_namespace() || !put_file(FAKE, place->lines) || mount(FAKE, MINE, NULL, MS_BIND, NULL) != 0)
		return 77;
	put_group_file(place->group, place->file, place->text);
	if (place->file2 != NULL)
		put_group_file(place->group, place->file2, place->text2);
	if (place->limit != NULL)
		setenv("HAKMEM_LIMIT", place->limit, 1);
	setenv("HAKMEM_LIMIT_CGROUP", is_asked, 1);
	execl(self, self, place->expected, (char *)NULL);
	return 77;
}

static int start(const struct place *place, const char *self, const char *is_asked)
{
	int status = -1;
	pid_t child = fork();

	need(child >= 0);
	if (child == 0)
		_exit(run_in(place, self, is_asked));
	need(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const char *expected)
{
	char value[HAKMEM_VALUE_SIZE];

	need(hakmem_option_get("HAKMEM_LIMIT", value, sizeof(value)) == 0);
	if (strcmp(value, expected) == 0)
		return 0;
	note("HAKMEM_LIMIT is %s, not %s", value, expected);
	return 1;
}

/* A path longer than what is read, and a file longer than that: no limit, and nothing else. */
static void test_long(const char *self)
{
	static char lines[20000] = "0::/";
	struct place place = { .lines = lines, .group = "/a", .file = "memory.high", .text = "5000000", .expected = "0" };

	memset(lines + 4, 'a', 2000);
	is(start(&place, self, "1"), 0);
	memset(lines + 4, 'a', sizeof(lines) - 5);
	is(start(&place, self, "1"), 0);
}

int main(int argc, char **argv)
{
	struct place unasked = places[0];

	if (argc > 1)
		return run(argv[1]);
	unasked.expected = "0";
	if (start(&unasked, argv[0], "0") == 77)
		skip_all("no file can be mounted over another here");
	is(start(&unasked, argv[0], "0"), 0);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		ok(start(&places[i], argv[0], "1") == 0, "%s", places[i].name);
	test_long(argv[0]);
	return done();
}
