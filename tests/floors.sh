#!/bin/sh
# SPDX-License-Identifier: MIT
# The floors of lib/ are held, and tools/check-rooms would notice a breach.

: "${srcdir:=$(dirname "$0")/..}" "${AWK:=awk}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"

house=$work/lib

passes() {
	$AWK -f "$srcdir/tools/check-rooms" "$1/FLOORS"
}

# A house in order, built anew for each case.
build_house() {
	rm -rf "$house"
	mkdir "$house"
	printf '%s\n' '# rooms' '0 word a word' '0 other another' '1 cellar below' '2 attic above' > "$house/FLOORS"
	echo '#include <stddef.h>' > "$house/word.h"
	echo '#include "word.h"' > "$house/other.h"
	echo '#include "word.h"' > "$house/cellar.h"
	echo '#include "cellar.h"' > "$house/cellar.c"
	echo '#include "cellar.h"' > "$house/attic.h"
	printf '%s\n' '#include "attic.h"' '#include "word.h"' > "$house/attic.c"
	printf '%s\n' '#include "cellar.c"' '#include "attic.c"' > "$house/one.c"
}

complains() {
	not passes "$house" 2> "$work/complaint" || return
	cat "$work/complaint"
	grep -qF "$1" "$work/complaint"
}

# breach COMPLAINT FILE LINE: a line too many in a file is noticed.
breach() {
	build_house
	echo "$3" >> "$house/$2"
	point "noticed: $1" complains "$1"
}

point 'lib/ is in order' passes "$srcdir/lib"
build_house
point 'a house in order passes' passes "$house"
breach 'cellar.c:2: cellar (floor 1) includes attic.h (floor 2)' cellar.c '#include "attic.h"'
breach 'word.h:2: word (floor 0) includes other.h (floor 0)' word.h '# include "other.h"'
breach 'attic.h:2: attic (floor 2) includes kitchen.h, which is no room' attic.h '#include "kitchen.h"'
breach 'attic.c:3: attic (floor 2) includes cellar.c' attic.c '#include "cellar.c"'
breach 'shed.c: not a room of FLOORS' shed.c '/* a shed */'
breach 'FLOORS:6: word stands there twice' FLOORS '2 word again'
breach 'room stairs has no stairs.h' FLOORS '3 stairs between'
breach 'one.c:3: includes attic.c where nothing is due' one.c '#include "attic.c"'
build_house
echo '#include "cellar.c"' > "$house/one.c"
point 'noticed: a room left out of one.c' complains 'does not include attic.c'
finish
