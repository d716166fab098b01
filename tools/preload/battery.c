/* SPDX-License-Identifier: MIT */
#include "battery.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "private.h"

enum { BATTERY_SECONDS = 60, NOBODY = 65534, ABSENT = 127 };

enum who { AS_WE_ARE, AS_NOBODY };

/* Each works with memory in its own way; who can do more than start does. */
static const struct program {
	const char *name;
	enum who who; /* a set-user-id program is in secure mode only for who is not root */
	const char *arguments[4];
} programs[] = {
	{"sh", AS_WE_ARE, {"-c", "for i in 1 2 3 4 5 6 7 8 9; do a=$a$i$a; done; : $(echo $a)"}},
	{"bash", AS_WE_ARE, {"-c", "a=({1..9999}); b=${a[*]}; : ${b//1/22}"}},
	{"ls", AS_WE_ARE, {"-l", "/etc"}},
	{"grep", AS_WE_ARE, {"-qE", "^(root|0):.*:0:(0)?", "/etc/passwd"}},
	{"sed", AS_WE_ARE, {"-n", "s/a\\(.*\\)b/\\1/p", "/etc/passwd"}},
	{"sort", AS_WE_ARE, {"/etc/passwd"}},
	{"awk", AS_WE_ARE, {"BEGIN { for (i = 0; i < 20000; i++) a[i] = i \"x\" }"}},
	{"tar", AS_WE_ARE, {"-cf", "/dev/null", "/etc/passwd"}},
	{"perl", AS_WE_ARE, {"-e", "%a = map { $_ => 'x' x $_ } 1..3000; @b = sort keys %a"}},
	{"python3", AS_WE_ARE, {"-c", "import json, re; json.loads(json.dumps([{str(i): 'x' * i} for i in range(2000)]))"}},
	{"dpkg-query", AS_WE_ARE, {"-W"}},
	{"apt-config", AS_WE_ARE, {"dump"}},
	{"rpm", AS_WE_ARE, {"-qa"}},
	{"systemctl", AS_WE_ARE, {"--version"}},
	{"file", AS_WE_ARE, {"/bin/sh"}},
	{"git", AS_WE_ARE, {"--version"}},
	{"sshd", AS_WE_ARE, {"-V"}},
	{"su", AS_NOBODY, {"--version"}},
	{"mount", AS_NOBODY, {"--version"}},
	{"sudo", AS_NOBODY, {"--version"}},
	/* The C library's own file is a program; these are for 32-bit programs. */
	{"/lib/ld-linux.so.2", AS_WE_ARE, {"/lib/i386-linux-gnu/libc.so.6"}},
	{"/lib/ld-linux.so.2", AS_WE_ARE, {"/lib32/libc.so.6"}},
	{"/lib/ld-linux.so.2", AS_WE_ARE, {"/lib/libc.so.6"}},
	{"/lib/ld-linux-armhf.so.3", AS_WE_ARE, {"/lib/arm-linux-gnueabihf/libc.so.6"}},
};

enum { PROGRAMS = sizeof(programs) / sizeof(*programs) };

struct outcome {
	int status;     /* as of waitpid */
	char said[256]; /* the first of what it wrote on standard error */
};

/* ---- one program ---- */

static bool become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

__attribute__((noreturn)) static void become(const struct program *program, const char *preload, int said)
{
	const char *argv[6] = {program->name, program->arguments[0], program->arguments[1], program->arguments[2],
			       program->arguments[3], NULL};
	int null = open("/dev/null", O_RDWR);

	/* In an image without devices the program's output has to go elsewhere. */
	dup2(null >= 0 ? null : said, STDIN_FILENO);
	dup2(null >= 0 ? null : said, STDOUT_FILENO);
	dup2(said, STDERR_FILENO);
	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("LC_ALL", "C", 1);
	if (preload != NULL)
		setenv("LD_PRELOAD", preload, 1);
	if (chdir("/") != 0 || (program->who == AS_NOBODY && !become_nobody()))
		_exit(ABSENT);
	alarm(BATTERY_SECONDS);
	execvp(program->name, (char *const *)(uintptr_t)argv);
	_exit(ABSENT);
}

/* Reads until the program, and whatever it started, has closed its standard error. */
static void listen(int from, char *said, size_t size)
{
	char rest[256];
	size_t used = 0;
	ssize_t now;

	while ((now = read(from, rest, sizeof(rest))) > 0) {
		size_t fits = (size_t)now < size - 1 - used ? (size_t)now : size - 1 - used;

		memcpy(said + used, rest, fits);
		used += fits;
	}
	said[used] = '\0';
}

static bool run(const struct program *program, const char *preload, struct outcome *outcome)
{
	int ends[2];
	pid_t child;

	*outcome = (struct outcome){.status = -1};
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	child = fork();
	if (child == 0)
		become(program, preload, ends[1]);
	close(ends[1]);
	if (child > 0)
		listen(ends[0], outcome->said, sizeof(outcome->said));
	close(ends[0]);
	return child > 0 && waitpid(child, &outcome->status, 0) == child && outcome->status == 0 && outcome->said[0] == '\0';
}

/* ---- all of them ---- */

/* What runs well as things are. */
static int find_usable(bool usable[PROGRAMS])
{
	struct outcome outcome;
	int count = 0;

	for (int i = 0; i < PROGRAMS; i++) {
		usable[i] = run(&programs[i], NULL, &outcome);
		count += usable[i];
	}
	return count;
}

static void complain(const char *name, const struct outcome *outcome)
{
	char first[sizeof(outcome->said)];

	snprintf(first, sizeof(first), "%s", outcome->said);
	first[strcspn(first, "\n")] = '\0';
	if (WIFSIGNALED(outcome->status))
		warnx("%s is killed with HAKMEM preloaded: %s", name, strsignal(WTERMSIG(outcome->status)));
	else if (outcome->status != 0)
		warnx("%s ends with %d with HAKMEM preloaded: %s", name, WEXITSTATUS(outcome->status), first);
	else
		warnx("%s is not silent with HAKMEM preloaded: %s", name, first);
}

static bool run_usable(const bool usable[PROGRAMS], const char *preload)
{
	struct outcome outcome;
	bool all = true;

	for (int i = 0; i < PROGRAMS; i++) {
		if (!usable[i] || run(&programs[i], preload, &outcome))
			continue;
		complain(programs[i].name, &outcome);
		all = false;
	}
	return all;
}

/* A library that nobody loads harms nobody: is it in the program's memory? */
static bool is_loaded(const char *line, const char *preload)
{
	char name[256];
	struct program look = {"grep", AS_WE_ARE, {"-qF", name, "/proc/self/maps"}};
	struct outcome outcome;

	if (access("/proc/self/maps", R_OK) != 0)
		return true;
	/* The part behind $LIB, which the loader replaces. */
	snprintf(name, sizeof(name), "%s", strstr(line, "/hakmem/live/") != NULL ? strstr(line, "/hakmem/live/") : line);
	if (run(&look, preload, &outcome))
		return true;
	warnx("%s is not loaded", line);
	return false;
}

/* ---- in a process of its own, where the real file may be another ---- */

/* The battery's own versions of the file, beside the real one: without HAKMEM and with it. */
#define PLAIN_FILE PRELOAD_FILE ".hakmem-plain"
#define TRIAL_FILE PRELOAD_FILE ".hakmem-trial"

static bool bind_or_complain(const char *file)
{
	bool done = private_bind(file);

	if (!done)
		warn("cannot put another file over " PRELOAD_FILE " in a mount namespace");
	return done;
}

static bool try_both_ways(const char *line)
{
	bool usable[PROGRAMS];
	bool private = private_enter();
	int count;

	if (!private)
		warnx("tried by LD_PRELOAD only: no mount namespace to be had here (%s)", strerror(errno));
	else if (!bind_or_complain(PLAIN_FILE))
		return false;
	count = find_usable(usable);
	if (count == 0) {
		warnx("no program of this system runs silently as it is: nothing can be tested");
		return false;
	}
	if (!run_usable(usable, line) || !is_loaded(line, line))
		return false;
	if (private && (!bind_or_complain(TRIAL_FILE) || !run_usable(usable, NULL) || !is_loaded(line, NULL)))
		return false;
	printf("%d programs run with HAKMEM as without\n", count);
	return true;
}

/* To be mounted over, the file must exist; an empty one is as good as none. */
static bool make_mount_point(bool *made)
{
	int fd = open(PRELOAD_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	*made = fd >= 0;
	if (fd >= 0)
		close(fd);
	else if (errno != EEXIST)
		warn("cannot make %s", PRELOAD_FILE);
	return *made || errno == EEXIST;
}

static bool fork_and_try(const char *line)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		bool all = try_both_ways(line);

		fflush(stdout);
		_exit(all ? 0 : 1);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

bool battery_run(const char *line, const struct text *plain, const struct text *trial)
{
	bool made = false;
	bool all = file_replace(PLAIN_FILE, plain) && file_replace(TRIAL_FILE, trial) && make_mount_point(&made) &&
		   fork_and_try(line);

	if (made)
		unlink(PRELOAD_FILE);
	unlink(PLAIN_FILE);
	unlink(TRIAL_FILE);
	return all;
}
