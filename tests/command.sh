#!/bin/sh
# SPDX-License-Identifier: MIT
# The command hakmem: what its subcommands say, and their exit status.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"
# shellcheck source=processes.sh
. "$srcdir/tests/processes.sh"

# preloaded COMMAND...: as LD_PRELOAD makes it.
preloaded() {
	LD_PRELOAD=$library "$@"
}

run() {
	"$hakmem" run --library "$library" "$@"
}

# ---- the command line ----

subcommands=$("$hakmem" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p')
point 'there are subcommands' test -n "$subcommands"
for name in $subcommands; do
	point "$name --help" says 0 "usage: hakmem $name " "$hakmem" "$name" --help
	point "$name has a usage error" says 2 "unknown option '--no-such'" "$hakmem" "$name" --no-such
done
point '--version' says 0 "hakmem $(sed -n 's/^.define HAKMEM_VERSION_MAJOR //p' "$srcdir/include/hakmem.h")." "$hakmem" --version
point 'no subcommand' says 2 'a command is missing' "$hakmem"
point 'an unknown subcommand' says 2 "there is no command 'fly'" "$hakmem" fly
point 'help' says 0 'usage: hakmem COMMAND' "$hakmem" help
point 'help of a subcommand' says 0 'usage: hakmem stat ' "$hakmem" help stat
point 'help of an unknown subcommand' says 2 "there is no command 'fly'" "$hakmem" help fly
point 'help of two' says 2 "'set' is too much" "$hakmem" help stat set
point 'output that cannot be written' says 1 'cannot write' sh -c "'$hakmem' options > /dev/full"

# ---- run ----

# shellcheck disable=SC2016 # for the inner shell
point 'run preloads and sets' says 0 "$(readlink -f "$library") 64 1" run fc_cap=64 HAKMEM_VERBOSE=1 -- \
	sh -c 'echo $LD_PRELOAD $HAKMEM_FC_CAP $HAKMEM_VERBOSE'
# shellcheck disable=SC2016
point 'run comes before other preloads' says 0 'libhakmem.so' env LD_PRELOAD=libm.so.6 "$hakmem" run --library "$library" \
	sh -c 'echo ${LD_PRELOAD%:libm.so.6}'
point 'run needs no --' says 0 'a=b' run fc_cap=1 echo a=b
point 'run: a program whose name has a =' says 127 'x=y: ' run -- x=y
point 'run --stat' says 0 'peak resident memory' run --stat true
point 'run --stat has the statistics' says 0 'live_blocks' run --stat true
point 'run --stat passes the status on' says 7 'seconds elapsed' run --stat sh -c 'exit 7'
# shellcheck disable=SC2016
point 'run --stat tells a signal' says 143 'Terminated' run --stat sh -c 'kill $$'
point 'run: exit status of the program' says 3 'out' run sh -c 'echo out; exit 3'
point 'run: no such program' says 127 'no-such-program: No such file' run no-such-program
point 'run: cannot be run' says 126 'Permission denied' run /dev/null
point 'run: a bad value' says 2 'it must be a number from 0 to 2048' run fc_cap=x true
point 'run: a bad word' says 2 'it must be one of off|populate|touch' run ss_prefault=x true
point 'run: no such setting' says 2 "there is no setting 'nothing'" run nothing=1 true
point 'run: no program' says 2 'a program is missing' run fc_cap=1
point 'run: no value' says 2 'a value is missing' "$hakmem" run --library
point 'run: no library' says 1 'No such file' "$hakmem" run --library "$work/none.so" true

# ---- hakmem.conf ----

mkdir "$work/etc" "$work/etc/hakmem.conf.d"
conf=$work/etc/hakmem.conf
program=$(readlink -f "$(command -v sleep)")
cat > "$conf" << END
fc_cap=64
nonsense
fc_refill=many
[exe=$program]
mode=pass
decay_ms=999999999999
END
echo 'big_cache=1M' > "$work/etc/hakmem.conf.d/10-more.conf"

with_conf() {
	HAKMEM_CONF=$conf "$@"
}

# option NAME VALUE PLACE OPTION...
option() {
	option_name=$1 option_value=$2 option_place=$3
	shift 3
	"$hakmem" options "$@" > "$work/options" 2> /dev/null
	grep "^$option_name " "$work/options"
	grep -qE "^$option_name +$option_value +$option_place +$option_name\(7\)$" "$work/options"
}

point 'options: a default' option HAKMEM_FC_CAP 0 default
point 'options: the environment' env HAKMEM_FC_CAP=5 sh -c "'$hakmem' options | grep -E '^HAKMEM_FC_CAP +5 +environment '"
point 'options: a file' with_conf option HAKMEM_FC_CAP 64 "$conf:1"
point 'options: the directory' with_conf option HAKMEM_BIG_CACHE 1M "$conf.d/10-more.conf:1"
point 'options: the environment wins' env HAKMEM_CONF="$conf" HAKMEM_FC_CAP=5 sh -c \
	"'$hakmem' options | grep -E '^HAKMEM_FC_CAP +5 +environment '"
point 'options: another program' with_conf option HAKMEM_DISABLE 0 default
point 'options: this program' with_conf option HAKMEM_DISABLE 1 "$conf:5" --exe "$program"
point 'options NAME' says 0 'The oldest go first' "$hakmem" options big_cache
point 'options NAME, unknown' says 2 "there is no setting 'big'" "$hakmem" options big
point 'options: refused' env HAKMEM_FC_CAP=x HAKMEM_X=1 sh -c "! '$hakmem' options > '$work/out' 2> '$work/err' &&
	grep -q 'HAKMEM_FC_CAP=x: ' '$work/err' && grep -q 'HAKMEM_X: there is no such setting' '$work/err'"
settings=$(sed -n 's/^HAK_TUNABLE([a-z_]*, "\(HAKMEM_[A-Z0-9_]*\)".*/\1/p' "$srcdir/lib/tunables.def")
for name in $settings; do
	point "options $name" says 0 "Manual:   $name(7)" "$hakmem" options "$name"
done

point 'check names a bad line' with_conf says 1 "$conf:2: it is neither" "$hakmem" check
point 'check names a bad value' with_conf says 1 "$conf:3: HAKMEM_FC_REFILL=many is no value" "$hakmem" check
point 'check names it in a section of others' with_conf says 1 "$conf:6: HAKMEM_DECAY_MS=999999999999 is out of bounds" "$hakmem" check
point 'check --conf' says 1 "$conf:2: " "$hakmem" check --conf="$conf"
echo 'fc_cap=64' > "$work/etc/good.conf"
point 'check --conf, in order' says 0 'is in order' "$hakmem" check --conf="$work/etc/good.conf"
point 'check --conf, no file' says 1 'No such file' "$hakmem" check --conf="$work/none"

# The library agrees with the command on what is in force.
agrees() {
	with_conf preloaded env HAKMEM_VERBOSE=1 true > "$work/verbose" 2>&1
	cat "$work/verbose"
	grep -q "$conf: lines that are ignored: 2" "$work/verbose"
}
point 'the library ignores as many lines' agrees

# ---- check ----

point 'in effect here' says 0 'in effect: preloaded by LD_PRELOAD' preloaded "$hakmem" check
point 'in effect in a program' says 0 'in effect: ' preloaded "$hakmem" check -- sleep
point 'in effect by run' says 0 'in effect: ' run -- "$hakmem" check
point 'not preloaded' says 1 'neither LD_PRELOAD nor /etc/ld.so.preload' "$hakmem" check
point 'pass-through by the environment' says 1 'HAKMEM_DISABLE in its environment' env HAKMEM_DISABLE=1 LD_PRELOAD="$library" \
	"$hakmem" check -- sleep
point 'pass-through by the file' with_conf says 1 "not in effect: $conf:5 says to leave the program" preloaded "$hakmem" check -- sleep
point 'no such library' says 1 'No such file' env LD_PRELOAD="$work/libhakmem.so" "$hakmem" check -- sleep
point 'no such program' says 1 'no-such-program: No such file' "$hakmem" check -- no-such-program
point 'no such process' says 1 'there is no such process' "$hakmem" check 999999999
point 'no process id' says 2 'is no process id' "$hakmem" check sleep
printf '#!/bin/sh\n' > "$work/script"
chmod +x "$work/script"
point 'a script is its interpreter' says 0 "script     $work/script" preloaded "$hakmem" check -- "$work/script"

LD_PRELOAD=$library sleep 100 &
with=$!
sleep 100 &
without=$!
eventually has_become $with sleep && eventually has_become $without sleep
point 'a process that has it' says 0 'in effect: ' "$hakmem" check $with
point 'a process without' says 1 'not in effect: ' "$hakmem" check $without
kill $with $without

# compiles NAME FLAGS...: $work/NAME.c
compiles() {
	name=$1
	shift
	# shellcheck disable=SC2086 # the compiler may have options
	$CC -o "$work/$name" "$work/$name.c" "$@" 2> "$work/errors"
}

echo 'int main(void) { return 0; }' | tee "$work/static.c" "$work/asan.c" "$work/linked.c" "$work/secure.c" > "$work/plain.c"
cat > "$work/own.c" << 'END'
#include <stddef.h>
static char memory[1 << 20];
static size_t used;
void *malloc(size_t size) { void *p = memory + used; used += (size + 15) & ~(size_t)15; return p; }
void free(void *p) { (void)p; }
int main(void) { free(malloc(5)); return 0; }
END
sed '/main/d' "$work/own.c" > "$work/other.so.c"

if compiles static -static; then
	point 'a static program' says 1 'the program is static' preloaded "$hakmem" check -- "$work/static"
else
	skip 'a static program' 'none can be linked here'
fi
compiles own && point 'a malloc of its own' says 1 'defines malloc itself' preloaded "$hakmem" check -- "$work/own"
if compiles asan -fsanitize=address; then
	point 'AddressSanitizer' says 1 'AddressSanitizer' preloaded "$hakmem" check -- "$work/asan"
else
	skip 'AddressSanitizer' 'it cannot be linked here'
fi
if compiles other.so -shared -fPIC; then
	point 'another allocator first' says 1 'other.so (LD_PRELOAD) comes before it' env LD_PRELOAD="$work/other.so:$library" \
		"$hakmem" check -- sleep
	point 'another allocator behind' says 0 'in effect: ' env LD_PRELOAD="$library:$work/other.so" "$hakmem" check -- sleep
	point 'another allocator only' says 1 'other.so is preloaded, and HAKMEM is not' env LD_PRELOAD="$work/other.so" \
		"$hakmem" check -- sleep
fi
compiles linked -Wl,--no-as-needed "$library" && point 'linked with the library' says 0 'linked with libhakmem' \
	"$hakmem" check -- "$work/linked"
if compiles secure && chown 65534 "$work/secure" 2> /dev/null && chmod u+s "$work/secure"; then
	point 'a set-user-id program' says 1 'more rights than its caller' preloaded "$hakmem" check -- "$work/secure"
else
	skip 'a set-user-id program' 'not root'
fi
if echo | as --32 -o "$work/stub.o" - 2> /dev/null && ld -m elf_i386 -shared -o "$work/libhakmem.so.32" "$work/stub.o" 2> /dev/null; then
	point 'a library of the wrong class' says 1 'wrong ELF class' env LD_PRELOAD="$work/libhakmem.so.32" "$hakmem" check -- sleep
else
	skip 'a library of the wrong class' 'none can be made here'
fi
if command -v musl-gcc > /dev/null && musl-gcc -o "$work/musl" "$work/plain.c" 2> /dev/null; then
	point 'a musl program' says 1 'the program uses musl' preloaded "$hakmem" check -- "$work/musl"
else
	skip 'a musl program' 'there is no musl-gcc'
fi

# What the library has carved for a program: nothing, if that is left to the C library.
carves() {
	HAKMEM_CONF=$work/pass.conf HAKMEM_STATS=1 LD_PRELOAD=$library "$1" > "$work/stats" 2>&1
	grep -E '^ *[0-9]+  carved ' "$work/stats" > "$work/carved" || return 99
	not grep '^ *0 ' "$work/carved"
}

carves_nothing() {
	carves "$1"
	[ $? -eq 1 ]
}

cat > "$work/plain.c" << 'END'
#include <stdlib.h>
int main(int argc, char **argv) { char *p = malloc((size_t)argc * 100); free(p); return p == NULL || argv == NULL; }
END
compiles plain -fno-builtin && cp "$work/plain" "$work/passed"
printf '[exe=%s]\nmode=pass\n' "$(readlink -f "$work/passed")" > "$work/pass.conf"
point 'the library passes where the file says so' carves_nothing "$work/passed"
point 'and nowhere else' carves "$work/plain"

# ---- files of the machine, in a mount namespace of our own ----

# on_machine COMMAND: with an /etc of its own, in which only these files differ.
on_machine() {
	unshare -m sh -c 'mount -t tmpfs none /mnt && cp -a /etc/. /mnt/ && cp "$1"/machine/* /mnt/ && mount --bind /mnt /etc &&
		shift && exec "$@"' sh "$work" "$@"
}

mkdir "$work/machine"
readlink -f "$library" > "$work/machine/ld.so.preload"
printf 'fc_cap=33\n[exe=*/sleep]\nmode=pass\n' > "$work/machine/hakmem.conf"
if on_machine true > "$work/said" 2>&1; then
	unset HAKMEM_CONF
	point '/etc/ld.so.preload' says 0 'in effect: preloaded by /etc/ld.so.preload' on_machine "$hakmem" check
	point '/etc/hakmem.conf' says 1 'not in effect: /etc/hakmem.conf:3' on_machine "$hakmem" check -- sleep
	point '/etc/hakmem.conf in options' on_machine sh -c "'$hakmem' options | grep -E '^HAKMEM_FC_CAP +33 +/etc/hakmem.conf:1 '"
	if [ -u "$work/secure" ] && cat > "$work/secure.c" << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/auxv.h>
int main(void)
{
	int (*get)(const char *, char *, size_t) = (int (*)(const char *, char *, size_t))dlsym(RTLD_DEFAULT, "hakmem_option_get");
	char value[32];
	if (get == NULL || get("fc_cap", value, sizeof value) != 0)
		return 1;
	printf("secure %lu fc_cap %s\n", getauxval(AT_SECURE), value);
	return 0;
}
END
	then
		compiles secure -ldl && chown 65534 "$work/secure" && chmod u+s "$work/secure" && chmod a+rx "$work"
		point 'set-user-id: the file counts, the environment does not' says 0 'secure 1 fc_cap 33' \
			on_machine env HAKMEM_FC_CAP=44 HAKMEM_CONF=/none "$work/secure"
		point 'the same program without: the environment wins' says 0 'secure 0 fc_cap 44' \
			on_machine sh -c "cp '$work/secure' /mnt/plain && chmod u-s /mnt/plain && HAKMEM_FC_CAP=44 /mnt/plain"
	fi
else
	skip 'files of the machine' 'no mount namespace can be made here'
fi
finish
