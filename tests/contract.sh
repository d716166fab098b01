#!/bin/sh
# SPDX-License-Identifier: MIT
# What a process that calls malloc once pays for the library, over the same without: docs/design.md, "Addresses".
# Measured by bench/startup; the least of several runs, as memory depends on what the machine has in its cache.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${READELF:=readelf}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
startup=$builddir/bench/startup
[ -f "$library" ] || skip_all 'no shared library was built'
[ -x "$startup" ] || skip_all 'bench/startup was not built'
[ -z "$RUNNER" ] || skip_all 'not under an emulator'

for _ in 1 2 3 4 5 6 7; do
	"$startup" --preload "$library" 1 || skip_all 'bench/startup does not run here'
done > "$work/runs"

# costs NAME MOST: each run starts the program without the library and then with it.
costs() {
	awk -v name="$1" -v most="$2" '
		{
			value = "missing"
			for (i = 1; i <= NF; i++)
				if (split($i, part, "=") == 2 && part[1] == name)
					value = part[2]
		}
		/preload=none/ { without = value; next }
		value == "missing" || without == "missing" { exit }
		least == "" || value - without < least { least = value - without }
		END {
			print name ": " least " more"
			exit least == "" || least > most
		}' "$work/runs"
}

# calls NAME: none of these system calls
makes_no() {
	not grep -E "^[0-9]+ +($1)\(" "$work/trace"
}

opens_nothing() {
	not grep -E 'open(at)?\(.*"/(proc|sys)/' "$work/trace"
}

# Behind the loader's work: one look for the file of settings, and nothing else of the file system.
looks_for_one_file() {
	last=$(grep -nE 'set_(tid_address|robust_list)\(' "$work/trace" | tail -n 1 | cut -d: -f1)
	sed "1,${last}d" "$work/trace" > "$work/after"
	grep -q 'getrandom\|mmap' "$work/after" || return
	grep -E '(open(at)?|read|stat|access|readlink(at)?|getdents64)\(|_stat\(|faccessat' "$work/after" > "$work/files"
	cat "$work/files"
	[ "$(grep -c . "$work/files")" -eq 1 ] && grep 'openat(AT_FDCWD, "/etc/hakmem.conf", .*ENOENT' "$work/files"
}

prints_nothing() {
	LD_PRELOAD=$library "$startup" --child > "$work/printed" 2>&1 && [ ! -s "$work/printed" ]
}

# Most of it are pages of the library itself.
case " $CFLAGS " in
*' -O0 '*) skip 'at most 300 KiB of memory' 'that is of optimized code' ;;
*) point 'at most 300 KiB of memory' costs rss_kb 300 ;;
esac
point 'at most 36 KiB of it are no file and no other process has them' costs anon_kb 36
point 'at most 6 mappings' costs mappings 6
# Three are the allocator's, the others the dynamic linker's: 5 of glibc's, 11 of musl's.
if $READELF -d "$library" | grep -q '(NEEDED).*\[libc\.so\.6\]'; then calls=8; else calls=14; fi
# With 32 bits the kernel chooses the place, out of which a SuperSlab is cut, whole, so that huge pages are refused.
advice='madvise|'
if $READELF -h "$library" | grep -q 'Class:.*ELF32'; then calls=$((calls + 3)) advice=; fi
if grep -q syscalls= "$work/runs"; then
	point "at most $calls system calls, with the dynamic linker's" costs syscalls $calls
else
	skip "at most $calls system calls" 'tracing is not allowed'
fi
point 'nothing is printed' prints_nothing
if strace -f -o "$work/trace" -E LD_PRELOAD="$library" "$startup" --child > "$work/strace" 2>&1; then
	point 'no thread is made' makes_no 'clone|clone3|fork|vfork'
	point 'nothing is opened under /proc or /sys' opens_nothing
	if [ -e /etc/hakmem.conf ]; then
		skip 'one look for the file of settings' 'this machine has one'
	else
		point 'one look for the file of settings' looks_for_one_file
	fi
	point 'no call beyond those of the design' makes_no \
		"${advice}socket|connect|ioctl|sched_[a-z]+|prctl|sysinfo|uname|mlock[a-z0-9]*|memfd_create|userfaultfd"
else
	skip 'what is called' 'strace does not run here'
fi
finish
