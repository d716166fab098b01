#!/bin/sh
# Each setting has a man page; each page lints, and says the name, the default and the bounds of its row.
set -u
srcdir=${srcdir:-.}
root=${top_srcdir:-$srcdir}
[ -f "$root/lib/tunables.def" ] || root=$(dirname "$0")/..
table=$root/lib/tunables.def
pages=$(mktemp -d) || exit 99
trap 'rm -rf "$pages"' EXIT
points=0

point() { # STATUS NAME
	points=$((points + 1))
	if [ "$1" -eq 0 ]; then echo "ok $points - $2"; else echo "not ok $points - $2"; fi
}

has() { # PAGE WORDS
	grep -qF -e "$2" "$pages/$1.7"
}

lint() { # PAGE; its warnings become remarks
	words=$(mandoc -Tlint -Wwarning "$pages/$1.7" 2>&1)
	status=$?
	[ $status -eq 0 ] || echo "$words" | sed 's/^/# /'
	return $status
}

check_lint() { # PAGE
	if command -v mandoc >/dev/null; then
		lint "$1"
		point $? "$1 lints"
	else
		points=$((points + 1))
		echo "ok $points # SKIP no mandoc"
	fi
}

"$root/tools/options-man" "$table" "$pages"
point $? "the pages are made"

settings=$(sed -n 's/^HAK_TUNABLE([a-z_]*, "\(HAKMEM_[A-Z0-9_]*\)".*/\1/p' "$table")
rows=$(grep -c '^HAK_TUNABLE(' "$table")
[ "$(echo "$settings" | wc -l)" -eq "$rows" ]
point $? "each of the $rows rows names a variable"

for setting in $settings; do
	summary=$(grep -A1 -F "\"$setting\"" "$table" | sed -n '2s/^[	 ]*"\(.*\)",$/\1/p')
	preset=$(sed -n "s/^HAK_TUNABLE([a-z_]*, \"$setting\", [A-Z]*, \([^,]*\),.*/\1/p" "$table" |
		sed 's/HAK_\([KM]\)IB(\([0-9]*\))/\2\1/; s/^HAK_DEFAULT_THP$/auto (1)/')
	has "$setting" ".Nm $setting" && has "$setting" ".Nd $summary" && [ -n "$summary" ]
	point $? "$setting has a page with its summary"
	grep -A1 '^\.It Default' "$pages/$setting.7" | grep -qwF -e "$preset"
	point $? "$setting has its default, $preset"
	has hakmem-options ".It Ev $setting " && has hakmem-options ".Xr $setting 7"
	point $? "$setting is in the list"
	check_lint "$setting"
done
check_lint hakmem-options

"$root/tools/options-man" --names "$table" | sort >"$pages/names"
(cd "$pages" && ls ./*.7) | sed 's,^\./,,' | sort | cmp -s - "$pages/names"
point $? "--names names the pages"

sed 's/, START,$/,/' "$table" >"$pages/broken.def"
! "$root/tools/options-man" "$pages/broken.def" "$pages" 2>"$pages/words" && grep -q 'columns' "$pages/words"
point $? "a row without a column is refused"

sed '$s/")$//' "$table" >"$pages/broken.def"
! "$root/tools/options-man" "$pages/broken.def" "$pages" 2>/dev/null
point $? "a row without an end is refused"
echo "1..$points"
