/* SPDX-License-Identifier: MIT */
/* hakmem-preload: puts a whole machine on HAKMEM by /etc/ld.so.preload, and off it again.  Linked statically, so it works
 * when nothing else does. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "battery.h"
#include "elf.h"
#include "entries.h"
#include "live.h"
#include "machine.h"
#include "private.h"

/* What status ends with; scripts depend on it.  Anything else that fails ends with 1. */
enum { STATUS_ON = 0, STATUS_BROKEN = 2, STATUS_OFF = 3 };

static void usage(FILE *to)
{
	fputs("usage: hakmem-preload [--root=DIR] enable|disable|status|test|refresh|rollback\n"
	      "       hakmem-preload exec-without PROGRAM [ARG...]\n"
	      "see hakmem-preload(8)\n",
	      to);
}

/* ---- the file ---- */

static void add_or_die(struct text *text, const char *line)
{
	if (!entries_add(text, line))
		err(1, NULL);
}

static void read_or_die(struct text *text)
{
	if (!file_read(PRELOAD_FILE, text))
		exit(1);
	/* So that nobody has to think of the file that is missing. */
	if (text->bytes == NULL && (text->bytes = calloc(1, 1)) == NULL)
		err(1, NULL);
	if (memchr(text->bytes, '\0', text->length) != NULL)
		errx(1, PRELOAD_FILE " is no text, and is left alone");
}

/* Where SELinux is in use the file has a label of its own. */
static void restore_label(void)
{
	static const char *const programs[] = {"/usr/sbin/restorecon", "/sbin/restorecon"};

	for (int i = 0; i < 2; i++) {
		pid_t child;

		if (access(programs[i], X_OK) != 0)
			continue;
		child = fork();
		if (child == 0) {
			execl(programs[i], "restorecon", PRELOAD_FILE, (char *)NULL);
			_exit(1);
		}
		if (child > 0)
			waitpid(child, NULL, 0);
		return;
	}
}

static bool write_entries(const struct text *text)
{
	if (!entries_is_blank(text)) {
		if (!file_replace(PRELOAD_FILE, text))
			return false;
		restore_label();
		return true;
	}
	if (unlink(PRELOAD_FILE) != 0 && errno != ENOENT) {
		warn("cannot remove " PRELOAD_FILE);
		return false;
	}
	return file_sync_parent(PRELOAD_FILE);
}

/* Our first entry. */
static bool find_ours(const struct text *text, struct entry *entry)
{
	size_t at = 0;

	while (entries_next(text, &at, entry)) {
		if (entries_is_ours(entry))
			return true;
	}
	return false;
}

/* Two allocators crash when one exports functions that the other lacks. */
static bool is_only_allocator(const struct machine *machine, const struct text *text)
{
	struct entry entry;
	size_t at = 0;
	bool only = true;

	while (only && entries_next(text, &at, &entry)) {
		char path[PATH_MAX];
		struct text file;

		if (entries_is_ours(&entry) || !machine_expand(machine, &entry, path) || !file_read(path, &file))
			continue;
		only = file.bytes == NULL || !elf_defines(&file, "malloc");
		if (!only)
			warnx(PRELOAD_FILE " names another allocator, %s: take it out first", path);
		free(file.bytes);
	}
	return only;
}

/* ---- commands ---- */

/* What the file becomes with this copy; plain is what it is without HAKMEM. */
static void compose(const struct live *live, struct text *plain, struct text *trial, char line[LIVE_LINE])
{
	live_line(live, line);
	read_or_die(plain);
	read_or_die(trial);
	entries_remove(plain);
	entries_remove(trial);
	add_or_die(trial, line);
}

/* Tests the copy, and only then writes it into the file if that is asked for. */
static int try_copy(const struct machine *machine, const struct live *live, bool promote)
{
	struct text plain, trial;
	char line[LIVE_LINE];

	compose(live, &plain, &trial, line);
	if (!is_only_allocator(machine, &plain) || !battery_run(line, &plain, &trial))
		return 1;
	return promote && !write_entries(&trial) ? 1 : 0;
}

/* The copy in use; false if there is none, or an entry by hand. */
static bool find_current(struct live *current)
{
	struct text text;
	struct entry entry;
	bool found;

	read_or_die(&text);
	found = find_ours(&text, &entry) && live_of_entry(&entry, current);
	free(text.bytes);
	return found;
}

static int stage_and_try(bool promote)
{
	struct machine machine;
	struct live live, current;
	bool is_on = find_current(&current);
	int status;

	if (!machine_find(&machine) || !live_stage(&machine, &live))
		return 1;
	status = try_copy(&machine, &live, promote);
	if (status == 0 && promote)
		live_prune(&live, is_on && strcmp(current.name, live.name) != 0 ? &current : NULL);
	else if (!is_on)
		live_prune(NULL, NULL);
	return status;
}

static int command_test(void)
{
	return stage_and_try(false);
}

static int command_enable(void)
{
	if (stage_and_try(true) != 0) {
		warnx("nothing was changed");
		return 1;
	}
	puts("HAKMEM is on for every program that starts from now on.\n"
	     "If the system does not boot: add init=" HAK_SBINDIR "/hakmem-rescue to the kernel's command line.");
	return 0;
}

static int command_disable(void)
{
	struct text text;
	struct entry entry;

	read_or_die(&text);
	if (find_ours(&text, &entry)) {
		entries_remove(&text);
		if (!write_entries(&text))
			return 1;
		/* A program that read the file a moment ago still has to open the copy. */
		sleep(1);
	}
	live_prune(NULL, NULL);
	return 0;
}

static int command_refresh(void)
{
	struct machine machine;
	struct live current, wanted;
	struct text text;
	struct entry entry;

	read_or_die(&text);
	if (!find_ours(&text, &entry))
		return 0;
	if (machine_find(&machine) && live_of_library(&machine, &wanted) && live_of_entry(&entry, &current) &&
	    strcmp(wanted.name, current.name) == 0 && live_fault(&machine, &current) == NULL)
		return 0;
	if (stage_and_try(true) == 0)
		return 0;
	warnx("the installed version is not taken into use; " PRELOAD_FILE " stays as it is");
	return 1;
}

static int command_rollback(void)
{
	struct machine machine;
	struct live current, other;
	int status;

	if (!find_current(&current))
		errx(1, "HAKMEM is not on");
	if (!machine_find(&machine))
		return 1;
	if (!live_find_other(&machine, &current, &other))
		errx(1, "there is no copy from before");
	if (live_fault(&machine, &other) != NULL)
		errx(1, "%s: %s", other.name, live_fault(&machine, &other));
	status = try_copy(&machine, &other, true);
	if (status == 0)
		printf("%s is in use again\n", other.name);
	return status;
}

/* ---- status ---- */

static const char *find_fault(const struct entry *entry, struct live *live)
{
	struct machine machine;
	struct live wanted;
	const char *fault;

	if (!live_of_entry(entry, live))
		return "the entry was not written by hakmem-preload, and names a file that packages replace";
	if (!machine_find(&machine))
		return "it is not installed";
	fault = live_fault(&machine, live);
	if (fault != NULL)
		return fault;
	if (live_of_library(&machine, &wanted) && strcmp(wanted.name, live->name) != 0)
		return "another version is installed than the one in use; see refresh";
	return NULL;
}

static int command_status(void)
{
	struct text text;
	struct entry entry;
	struct live live = {""};
	const char *fault;

	read_or_die(&text);
	if (!find_ours(&text, &entry)) {
		puts("off");
		return STATUS_OFF;
	}
	/* A restrictive mode would leave it on for root alone. */
	fault = file_is_public(PRELOAD_FILE) ? find_fault(&entry, &live) : PRELOAD_FILE " cannot be read by everybody";
	if (fault != NULL) {
		printf("broken: %s\n", fault);
		return STATUS_BROKEN;
	}
	printf("on: %s\n", live.name);
	return STATUS_ON;
}

/* ---- exec-without ---- */

/* As env(1) and its like: what they cannot do ends with 125, so that it is told from what the program ends with. */
enum { NOT_HIDDEN = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

static int command_exec_without(char **arguments)
{
	if (arguments[0] == NULL) {
		usage(stderr);
		return NOT_HIDDEN;
	}
	if (access(PRELOAD_FILE, F_OK) == 0) {
		if (!(geteuid() == 0 ? private_enter() : private_enter_as_user()))
			err(NOT_HIDDEN, "no mount namespace to be had");
		if (!private_bind("/dev/null"))
			err(NOT_HIDDEN, "cannot hide " PRELOAD_FILE);
	}
	execvp(arguments[0], arguments);
	err(errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "%s", arguments[0]);
}

/* ---- the command line ---- */

static const struct command {
	const char *name;
	int (*run)(void);
	bool changes;
} commands[] = {
	{"enable", command_enable, true},   {"disable", command_disable, true},   {"status", command_status, false},
	{"test", command_test, true},       {"refresh", command_refresh, true},   {"rollback", command_rollback, true},
};

/* Below DIR from here on.  It is made a mount point, seen by us alone, so that the battery can mount over a file. */
static void enter_root(const char *directory)
{
	if (private_enter() && mount(directory, directory, NULL, MS_BIND | MS_REC, NULL) != 0)
		err(1, "%s", directory);
	if (chroot(directory) != 0 || chdir("/") != 0)
		err(1, "%s", directory);
}

/* One at a time: the scripts of a package may meet an administrator. */
static void lock_or_die(void)
{
	int fd = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) != 0)
		err(1, "/etc");
}

static int run_command(const struct command *command, const char *root)
{
	if (command->changes && geteuid() != 0)
		errx(1, "only root can do this");
	if (root != NULL)
		enter_root(root);
	if (command->changes)
		lock_or_die();
	return command->run();
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	const char *name = NULL;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--root=", 7) == 0 && argv[i][7] != '\0') {
			root = argv[i] + 7;
		} else if (strcmp(argv[i], "--version") == 0) {
			puts("hakmem-preload " PACKAGE_VERSION);
			return 0;
		} else if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return 0;
		} else if (name == NULL && root == NULL && strcmp(argv[i], "exec-without") == 0) {
			return command_exec_without(argv + i + 1);
		} else if (name == NULL && argv[i][0] != '-') {
			name = argv[i];
		} else {
			usage(stderr);
			return 1;
		}
	}
	for (size_t i = 0; name != NULL && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(name, commands[i].name) == 0)
			return run_command(&commands[i], root);
	}
	usage(stderr);
	return 1;
}
