#!/bin/sh
# SPDX-License-Identifier: MIT
# hakmem.h and what is written about it: every number of lib/stats.def is in the header, the man pages and JSON; JSON
# and XML parse; each function has a page that lints, and the examples of the pages compile.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${CXX:=c++}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

header=$srcdir/include/hakmem.h
pages=$srcdir/man/man3

# rows KIND...: "id unit" of each row of these kinds.
rows() {
	for kind; do
		sed -n "s/^HAK_$kind(\([a-z_]*\), \"\([A-Za-z]*\)\", .*/\1 \2/p" "$srcdir/lib/stats.def"
	done
}

# The members of struct NAME in the header.
members() {
	sed -n "/^struct $1 {/,/^};/p" "$header" | sed -n 's/^	uint64_t \(.*\);.*/\1/p' | tr -d ' ' | tr ',' '\n'
}

# page_has PAGE KIND...: the page explains the rows and names their units.
page_has() {
	page=$pages/$1
	shift
	rows "$@" | while read -r id unit; do
		grep -qx ".It Va $id Pq $unit" "$page" || { echo "$id ($unit)" && false; } || exit 1
	done
}

# header_has STRUCT KIND...: the members are the rows, and nothing else but what stands in $more.
header_has() {
	structure=$1
	shift
	{ rows "$@" | cut -d' ' -f1 && printf '%s' "$more"; } | sort > "$work/rows"
	members "$structure" | sort | diff "$work/rows" -
}

functions() {
	sed -n "/^typedef/d; s/^[a-z].*[ *]\(hakmem_[a-z_]*\)(.*/\1/p" "$header"
}

page_is_good() {
	grep -q "^\.Fn $1\|^\.Fo $1" "$pages/$1.3" && grep -qx "\.It Xr $1 3" "$pages/hakmem.3"
}

# The program under EXAMPLES of a page.
example() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$1" | sed -n '/^\.Bd/,/^\.Ed/p' | sed '/^\.[BE]d/d; s/\\e/\\/g'
}

example_compiles() {
	example "$1" > "$work/example.c"
	grep -q main "$work/example.c" && $CC -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$srcdir/include" \
		-fsyntax-only "$work/example.c"
}

# header_compiles COMPILER STANDARD SUFFIX
header_compiles() {
	echo '#include <hakmem.h>' > "$work/program.$3"
	$1 -std="$2" -pedantic -Wall -Wextra -Werror -I"$srcdir/include" -fsyntax-only "$work/program.$3"
}

parses_json() {
	$RUNNER "$builddir/tests/t-api" json > "$work/json" || return
	rows FIGURE BIN_COUNTER HEAP_COUNTER PROCESS_COUNTER | cut -d' ' -f1 > "$work/all"
	rows CLASS_FIGURE BIN_COUNTER | cut -d' ' -f1 > "$work/each"
	python3 - "$work" << 'END'
import json, sys
work = sys.argv[1]
stats = json.load(open(work + "/json"))
names = open(work + "/all").read().split()
each = open(work + "/each").read().split()
assert list(stats) == ["version"] + names + ["groups", "classes", "last_decisions"], list(stats)
assert all(type(stats[n]) is int and stats[n] >= 0 for n in names)
assert [g["group"] for g in stats["groups"]] == ["C%d" % i for i in range(8)] + ["more"]
assert stats["classes"][0]["size"] == 16 and stats["classes"][-1]["size"] == 65536
for part in stats["groups"] + stats["classes"]:
    assert list(part)[1:] == each, part
parts = ["number", "age_ms", "by", "what", "size", "before", "after", "unit", "cost_before", "cost_after"]
for d in stats["last_decisions"]:
    assert list(d) == parts and d["by"] in ["ACE", "ELO"] and 0 < d["number"] <= stats["decisions"], d
for n in ["carved", "put", "slab_blocks", "cached_blocks"]:
    assert sum(g[n] for g in stats["groups"]) == stats[n] == sum(c[n] for c in stats["classes"]), n
END
}

parses_xml() {
	$RUNNER "$builddir/tests/t-malloc-info" xml > "$work/xml" || return
	python3 - "$work" << 'END'
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1] + "/xml").getroot()
assert root.tag == "malloc" and root.get("version") == "1"
assert [e.tag for e in root] == ["heap", "total", "total", "total", "system", "aspace", "hakmem"]
total = {e.get("type"): e for e in root.findall("total")}
figure = {e.get("name"): int(e.get("value")) for e in root.iter("figure")}
system = int(root.find("system").get("size"))
free = int(total["fast"].get("size")) + int(total["rest"].get("size"))
assert system == free + figure["small_bytes"] + figure["mid_bytes"]
for size in root.iter("size"):
    assert int(size.get("total")) == int(size.get("count")) * int(size.get("to"))
END
}

more=
point 'struct hakmem_stats has the rows of stats.def' header_has hakmem_stats FIGURE BIN_COUNTER HEAP_COUNTER PROCESS_COUNTER
more='block_size
group
'
point 'struct hakmem_class_stats has them' header_has hakmem_class_stats CLASS_FIGURE BIN_COUNTER
point 'hakmem_stats(3) explains them' page_has hakmem_stats.3 FIGURE BIN_COUNTER HEAP_COUNTER PROCESS_COUNTER
point 'hakmem_stats_class(3) explains them' page_has hakmem_stats_class.3 CLASS_FIGURE BIN_COUNTER
for name in $(functions); do
	point "$name has a page" page_is_good "$name"
done
for page in "$pages"/*.3; do
	name=${page##*/}
	if command -v mandoc > /dev/null; then
		point "$name lints" mandoc -Tlint -Wwarning "$page"
	else
		skip "$name lints" 'there is no mandoc'
	fi
	point "the example of $name compiles" example_compiles "$page"
done
point 'the header is C99' header_compiles "$CC" c99 c
if command -v "${CXX%% *}" > /dev/null; then
	point 'the header is C++11' header_compiles "$CXX" c++11 cc
else
	skip 'the header is C++11' 'there is no C++ compiler'
fi
if ! command -v python3 > /dev/null; then
	skip 'JSON and XML parse' 'there is no python3'
else
	point 'JSON parses and adds up' parses_json
	point 'XML parses and adds up' parses_xml
fi
finish
