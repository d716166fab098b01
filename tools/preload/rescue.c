/* SPDX-License-Identifier: MIT */
/* hakmem-rescue: takes /etc/ld.so.preload away, whatever is in it, when no other program runs.  Linked statically.
 *
 * With init=/usr/sbin/hakmem-rescue on the kernel's command line it is the first process: it makes the root file system
 * writable for a moment, and then becomes the real init. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "private.h"

#define OFF_FILE PRELOAD_FILE ".off"

/* True also if there was nothing to take away. */
static bool take_away(void)
{
	if (access(PRELOAD_FILE, F_OK) != 0 && errno == ENOENT) {
		warnx("there is no " PRELOAD_FILE);
		return true;
	}
	if (rename(PRELOAD_FILE, OFF_FILE) != 0) {
		warn("cannot rename " PRELOAD_FILE);
		return false;
	}
	sync();
	warnx(PRELOAD_FILE " is now " OFF_FILE);
	return true;
}

/* Standard error of the first process may be closed. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	while (fd >= 0 && fd < STDERR_FILENO)
		fd = dup(fd);
}

/* File checks at boot want a root file system that is read-only if it was. */
static void take_away_at_boot(void)
{
	struct statvfs root;
	bool was_read_only = statvfs("/", &root) == 0 && (root.f_flag & ST_RDONLY) != 0;

	if (was_read_only && mount(NULL, "/", NULL, MS_REMOUNT, NULL) != 0)
		warn("cannot make / writable");
	if (!take_away()) {
		/* A file system that cannot be written to: hide the file until the next boot. */
		if (private_bind("/dev/null"))
			warnx(PRELOAD_FILE " is hidden until the next boot");
		else
			warn("cannot hide it either");
	}
	if (was_read_only && mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0)
		warn("cannot make / read-only again");
}

static int become_init(char **argv)
{
	static char programs[][32] = {"/sbin/init", "/usr/lib/systemd/systemd", "/etc/init", "/bin/sh"};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		argv[0] = programs[i];
		execv(programs[i], argv);
		warn("%s", programs[i]);
	}
	return 1;
}

int main(int argc, char **argv)
{
	if (getpid() == 1) {
		open_console();
		take_away_at_boot();
		return become_init(argv);
	}
	if (argc == 2 && strncmp(argv[1], "--root=", 7) == 0 && argv[1][7] != '\0') {
		if (chroot(argv[1] + 7) != 0 || chdir("/") != 0)
			err(1, "%s", argv[1] + 7);
	} else if (argc != 1) {
		fputs("usage: hakmem-rescue [--root=DIR]\nsee hakmem-preload(8)\n", stderr);
		return 1;
	}
	return take_away() ? 0 : 1;
}
