# shellcheck shell=sh
# shellcheck disable=SC2154 # of tap.sh: work, passed, failed, skipped
# SPDX-License-Identifier: MIT
# root: a Debian of its own in a directory, for the system tests; to be sourced.  Sets $root; needs to be root.
#
#	make_root PACKAGE,...     makes it, with these packages
#	in_root COMMAND...        runs a command there
#	as_user COMMAND...        runs it there as a user without privileges
#	silent COMMAND...         for use with point: succeeds, and writes nothing on standard error
#	fails_with STATUS COMMAND...
#	install_in_root PACKAGE...

# Mounts are seen by this script alone, and go with it.
own_mounts() {
	[ -n "${HAKMEM_OWN_MOUNTS:-}" ] && return
	[ "$(id -u)" -eq 0 ] || skip_all 'it needs root'
	HAKMEM_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
}

# The release that this machine is, or the stable one.
debian_suite() {
	suite=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME:-}")
	echo "${SUITE:-${suite:-bookworm}}"
}

# What is mounted must be gone before the directory is removed, or what lies behind it would be removed too.
remove_root() {
	umount -R "$root" 2> /dev/null
	rm -rf --one-file-system "$work"
}

# Devices of its own, not the machine's.
make_devices() {
	mount -t tmpfs -o mode=755 tmpfs "$root/dev" && mkdir "$root/dev/pts" "$root/dev/shm" || return
	for device in null:3 zero:5 full:7 random:8 urandom:9; do
		mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}" || return
	done
	mknod -m 666 "$root/dev/tty" c 5 0 && ln -s pts/ptmx "$root/dev/ptmx" && ln -s /proc/self/fd "$root/dev/fd" &&
		mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts" && mount -t tmpfs tmpfs "$root/dev/shm"
}

# hakmem-preload makes a mount namespace for its test, which the kernel refuses where / is no mount point.
make_root() {
	root=$work/root
	trap remove_root EXIT
	mmdebstrap --quiet --variant=minbase --include="$1" "$(debian_suite)" "$root" 2> "$work/mmdebstrap" ||
		{ cat "$work/mmdebstrap" && return 1; }
	mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && make_devices &&
		mount -t tmpfs tmpfs "$root/run" || return
	in_root sh -c 'printf "#!/bin/sh\nexit 101\n" > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d'
	in_root useradd -m user && in_root apt-get -qq update
}

# Nothing is mounted in it any more: it can be booted, or packed.
close_root() {
	umount -R "$root/dev" "$root/proc" "$root/run"
}

in_root() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

as_user() {
	in_root setpriv --reuid=user --regid=user --clear-groups env HOME=/home/user "$@"
}

install_in_root() {
	in_root apt-get -qq install -y --no-install-recommends --allow-downgrades "$@"
}

silent() {
	"$@" > "$work/stdout" 2> "$work/stderr"
	silent_status=$?
	cat "$work/stderr"
	[ $silent_status -eq 0 ] && [ ! -s "$work/stderr" ]
}

fails_with() {
	wanted_status=$1
	shift
	"$@"
	[ $? -eq "$wanted_status" ]
}

# The last line is what tools/quickstart counts.
finish_with_tally() {
	finish || status=1
	echo "$passed passed, $failed failed, $skipped skipped"
	exit "${status:-0}"
}

# ---- processes that start all the time ----

# A program that starts others until the file `stop` is there, and counts those that fail or are not silent.
start_loop() {
	rm -f "$root/tmp/stop"
	printf '%s\n' '#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	static char *empty[] = {NULL};
	char *arguments[] = {"/bin/ls", "/etc/passwd", NULL};
	int least = atoi(argv[1]), runs = 0, bad = 0, status, said = open("/tmp/loop.said", O_RDWR | O_CREAT | O_TRUNC, 0644);
	posix_spawn_file_actions_t actions;
	struct stat about;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, said, 2);
	for (; runs < least || access("/tmp/stop", F_OK) != 0; runs++)
		bad += posix_spawn(&child, arguments[0], &actions, NULL, arguments, empty) != 0 ||
		       waitpid(child, &status, 0) != child || status != 0;
	printf("%d started, %d failed, %ld bytes of complaint\n", runs, bad, fstat(said, &about) == 0 ? (long)about.st_size : -1L);
	return bad != 0 || about.st_size != 0;
}' > "$work/loop.c"
	[ -x "$root/tmp/loop" ] || cc -static -o "$root/tmp/loop" "$work/loop.c" || return
	in_root /tmp/loop "${1:-1000}" > "$work/loop" 2>&1 &
	loop=$!
}

# For use with point: none of the processes failed.
end_loop() {
	touch "$root/tmp/stop"
	wait "$loop"
	loop_status=$?
	cat "$work/loop" "$root/tmp/loop.said"
	echo "# $(cat "$work/loop")" >&3
	return $loop_status
}
exec 3>&1
