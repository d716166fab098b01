#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual is whole and true: every variable, function, subcommand, option and profile is in it, every page lints, and
# every example runs.  (tests/options-man.sh looks at the pages that are made from the table, tests/stats.sh at figures.)

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libhakmem.so
made=$builddir/man/made
[ -d "$made" ] || skip_all 'the pages are not made yet'
can_run=$([ -z "$RUNNER" ] && [ -f "$library" ] && echo yes)

# What the examples call: the command, told which library.
mkdir "$work/bin"
cat > "$work/bin/hakmem" << END
#!/bin/sh
case \$1 in
run | record | replay) command=\$1 && shift && exec '$builddir/hakmem' \$command --library '$library' "\$@" ;;
*) exec '$builddir/hakmem' "\$@" ;;
esac
END
chmod +x "$work/bin/hakmem"

page_of() {
	find "$srcdir/man" "$made" -name "$1" | head -n 1
}

has_page() {
	[ -n "$(page_of "$1")" ] || { echo "there is no $1" && false; }
}

# The page says its own name, and the section that it is in.
has_head() {
	head_name=${1##*/} head_section=${1##*.}
	head_name=${head_name%.*}
	grep -qi "^\.Dt $head_name $head_section$" "$1" && grep -q "^\.Nm .*$head_name" "$1"
}

lints() {
	mandoc -Tlint -Wwarning "$1"
}

# Every page that a page names is there, but for those of other projects.
names_pages() {
	sed -n 's/^\.\(It \)\{0,1\}Xr \([^ ]*\) \([0-9]\).*/\2.\3/p' "$1" | grep -i hakmem | sort -u > "$work/named"
	while read -r named; do
		has_page "$named" || return
	done < "$work/named"
}

# ---- what has to be there ----

variables=$(grep -rhow 'HAKMEM_[A-Z][A-Z0-9_]*' "$srcdir/lib/tunables.def" "$srcdir/lib/tunables.h" | sort -u |
	grep -vE '^HAKMEM_(X|VERSION)$')
for name in $variables; do
	point "$name has a page" has_page "$name.7"
done
functions=$(sed -n '/^typedef/!s/^[a-z].*[ *]\(hakmem_[a-z_]*\)(.*/\1/p' "$srcdir/include/hakmem.h")
for name in $functions; do
	point "$name has a page" has_page "$name.3"
done

# A page for each subcommand, which has its options, and how it is called.
has_option() {
	grep -q "^\.It Fl Fl $2" "$1" && sed -n '/^\.Sh SYNOPSIS/,/^\.Sh D/p' "$1" | grep -q "Fl Fl $2\( \|\$\)"
}

if [ -x "$builddir/hakmem" ] && [ -z "$RUNNER" ]; then
	subcommands=$("$builddir/hakmem" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p')
	point 'there are subcommands' test -n "$subcommands"
	for name in $subcommands; do
		page=$srcdir/man/man1/hakmem-$name.1
		point "hakmem $name has a page" has_page "hakmem-$name.1"
		point "hakmem(1) points to it" grep -qx "\.It Xr hakmem-$name 1" "$srcdir/man/man1/hakmem.1"
		point "hakmem help $name points to it" sh -c "'$builddir/hakmem' help $name | grep -F 'hakmem-$name(1)'"
		for option in $("$builddir/hakmem" "$name" --help | sed -n 's/^  \(-[a-z], \)\{0,1\}--\([a-z][a-z]*\).*/\2/p'); do
			[ "$option" = help ] || point "hakmem $name --$option is in the page" has_option "$page" "$option"
		done
	done
else
	skip 'subcommands' 'the command was not built'
fi

# The administrator's tool has one page, in which each of its commands has an entry.
if [ -x "$builddir/tools/hakmem-preload" ] && [ -z "$RUNNER" ]; then
	words=$("$builddir/tools/hakmem-preload" --help | grep -o '[a-z][a-z-]*|[a-z|]*\|exec-without' | tr '|' ' ')
	point 'hakmem-preload has commands' test -n "$words"
	for name in $words; do
		point "hakmem-preload $name is in its page" grep -q "^\.It Cm $name" "$srcdir/man/man8/hakmem-preload.8"
	done
else
	skip "hakmem-preload's commands" 'it was not built'
fi

conf_page=$srcdir/man/man5/hakmem.conf.5
sed -n 's/^HAK_PROFILE(\([a-z]*\), .*/\1/p' "$srcdir/lib/profiles.def" > "$work/profiles"
while read -r name; do
	settings=$(sed -n "/^HAK_PROFILE($name, /{n;s/^[	 ]*\"\(.*\)\")/\1/p;}" "$srcdir/lib/profiles.def")
	point "profile $name is in the page" grep -qxF ".Li $settings" "$conf_page"
done < "$work/profiles"

# ---- pages ----

pages=$(find "$srcdir"/man/man? "$made" -name '*.[1-8]' | sort)
for page in $pages; do
	name=${page##*/}
	point "$name has a head" has_head "$page"
	point "$name names pages that are there" names_pages "$page"
	if command -v mandoc > /dev/null; then
		point "$name lints" lints "$page"
	else
		skip "$name lints" 'there is no mandoc'
	fi
done

# ---- examples ----

# Lines of shell: ".Dl $ command".
shell_examples_run() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$1" | sed -n 's/^\.Dl \$ //p' > "$work/lines"
	[ -s "$work/lines" ] || return
	while read -r line; do
		echo "\$ $line"
		(cd "$work" && PATH=$work/bin:$PATH HAKMEM_CONF='' sh -c "$line" < /dev/null) || return
	done < "$work/lines"
}

# A line that the page gives for hakmem.conf.
conf_line_is_good() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$1" | sed -n 's/^\.Dl \([a-z].*\)/\1/p' > "$work/line.conf"
	grep -q = "$work/line.conf" && "$builddir/hakmem" check --conf="$work/line.conf"
}

# The text between .Bd and .Ed under EXAMPLES.
literal() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$1" | sed -n '/^\.Bd/,/^\.Ed/p' | sed '/^\.[BE]d/d; s/\\e/\\/g'
}

program_runs() {
	literal "$1" > "$work/example.c"
	$CC -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$srcdir/include" -o "$work/example" "$work/example.c" \
		-Wl,--no-as-needed "$library" "-Wl,-rpath,${library%/*}" && "$work/example" > "$work/out"
}

conf_example_is_good() {
	literal "$1" > "$work/example.conf"
	grep -q = "$work/example.conf" && "$builddir/hakmem" check --conf="$work/example.conf"
}

if [ "$can_run" = yes ]; then
	for page in "$srcdir"/man/man3/*.3; do
		point "the program of ${page##*/} runs" program_runs "$page"
	done
else
	skip 'the programs of the pages' 'no shared library for this machine was built'
fi
if [ "$can_run" = yes ] && [ -x "$builddir/hakmem" ]; then
	for page in "$srcdir"/man/man1/*.1 "$srcdir"/man/man7/*.7 "$made"/HAKMEM_*.7; do
		point "the examples of ${page##*/} run" shell_examples_run "$page"
	done
	for page in "$made"/HAKMEM_*.7; do
		point "${page##*/} shows a good line for hakmem.conf" conf_line_is_good "$page"
	done
	point 'the example of hakmem.conf(5) is in order' conf_example_is_good "$conf_page"
	point 'the file that is installed is in order' "$builddir/hakmem" check --conf="$srcdir/tools/hakmem/hakmem.conf"
	sed 's/^#\([a-z[]\)/\1/' "$srcdir/tools/hakmem/hakmem.conf" > "$work/all.conf"
	point 'so are the lines that it offers' "$builddir/hakmem" check --conf="$work/all.conf"
else
	skip 'the examples of the pages' 'the command or the library was not built'
fi

# ---- completion ----

# completes EXPECTED WORD...: the last word is completed.
completes() {
	completes_expected=$1
	shift
	PATH=$work/bin:$PATH bash -c '
		. "$1" && shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_hakmem
		printf "%s\n" "${COMPREPLY[@]}"' bash "$srcdir/tools/completion/hakmem" "$@" > "$work/completed"
	cat "$work/completed"
	grep -qxF -e "$completes_expected" "$work/completed"
}

if [ -x "$builddir/hakmem" ] && [ -z "$RUNNER" ] && command -v bash > /dev/null; then
	point 'bash completes a subcommand' completes options hakmem op
	point 'bash completes a subcommand to be explained' completes options hakmem help op
	point 'bash completes an option' completes --stat hakmem run --st
	point 'bash completes an option that is short too' completes --output hakmem record --ou
	point 'bash completes a setting' completes fc_cap= hakmem run fc_c
	point 'bash completes the name of a setting' completes big_cache hakmem options big
	point 'bash completes all processes' completes all hakmem stat a
	point 'bash completes a core file' completes /etc/passwd hakmem stat --core /etc/passw
	point 'bash completes a picture' completes /etc/passwd hakmem profile --flame /etc/passw
	point 'bash completes a trace' completes /etc/passwd hakmem replay /etc/passw
	point 'bash completes what is touched' completes pages hakmem replay --touch pa
	point 'bash completes a setting to change' completes decay_ms= hakmem set 1 deca
	point 'bash completes a program' completes ls hakmem run -- ls
	point 'bash completes a file' completes /etc/passwd hakmem run -- ls /etc/passw
else
	skip 'bash completes' 'there is no bash, or no command'
fi
if command -v zsh > /dev/null; then
	point 'the completion of zsh is no syntax error' zsh -n "$srcdir/tools/completion/_hakmem"
else
	skip 'the completion of zsh' 'there is no zsh'
fi
finish
