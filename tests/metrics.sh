#!/bin/sh
# SPDX-License-Identifier: MIT
# Metrics: node_exporter can read them, the dashboard shows those that there are, and the units are in order.

: "${srcdir:=$(dirname "$0")/..}" "${builddir:=$PWD}" "${CC:=cc}" "${RUNNER:=}"
# shellcheck source=tap.sh
. "$srcdir/tests/tap.sh"
# shellcheck source=processes.sh
. "$srcdir/tests/processes.sh"

begin first sh -c 'echo ready; sleep 100; :'
first=$child
begin second sh -c 'echo ready; sleep 100; :'
second=$child
metrics=$work/hakmem.prom
point 'they are written' "$hakmem" stat --openmetrics --output "$metrics" "$first" "$second"
point 'there are both processes' sh -c "[ \$(grep -c '^hakmem_live_bytes{' '$metrics') -eq 2 ]"
point 'others may read them' sh -c "[ \$(stat -c %a '$metrics') = 644 ]"
point 'nothing else is left there' sh -c "[ \$(find '$work' -name 'hakmem.prom*' | wc -l) -eq 1 ]"
cp "$metrics" "$work/old"
point 'a process that is gone' says 1 'there is no such process' "$hakmem" stat --openmetrics --output "$metrics" 999999999
point 'the old file stays' cmp "$work/old" "$metrics"
point 'nothing is left of the new one' sh -c "[ \$(find '$work' -name 'hakmem.prom*' | wc -l) -eq 1 ]"
point 'all of them' "$hakmem" stat --openmetrics --output "$metrics" all
point 'no such directory' says 1 'No such file or directory' "$hakmem" stat --output "$work/none/hakmem.prom" all
point 'not with --watch' says 2 '--watch has no --output' "$hakmem" stat --watch --output "$metrics" all
if command -v promtool > /dev/null; then
	point 'promtool finds nothing wrong' sh -c "promtool check metrics < '$metrics' > '$work/tool' 2>&1 && ! grep . '$work/tool'"
else
	skip 'promtool finds nothing wrong' 'it is not here'
fi
for child in $(ps -o pid= --ppid "$first" --ppid "$second" 2> /dev/null); do kill "$child"; done
end "$first"
end "$second"

dashboard=$srcdir/tools/metrics/hakmem-grafana.json
grep -o 'hakmem_[a-z_]*[{]' "$dashboard" | tr -d '{' | sort -u > "$work/shown"
sed -n 's/^# TYPE \(hakmem_[a-z_]*\) .*/\1/p' "$metrics" | sort -u > "$work/there"
point 'the dashboard shows metrics' test -s "$work/shown"
point 'all of them are there' sh -c "[ -z \"\$(comm -23 '$work/shown' '$work/there')\" ]"
if command -v python3 > /dev/null; then
	point 'the dashboard is JSON' python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["panels"]' "$dashboard"
	python3 -c 'import json, sys; print(*[t["expr"] for p in json.load(open(sys.argv[1]))["panels"] for t in p["targets"]], sep="\n")' "$dashboard" > "$work/queries"
	sed -i 's/\$instance/.*/g; s/\$name/.*/g' "$work/queries"
fi
if command -v promtool > /dev/null && [ -s "$work/queries" ]; then
	awk 'BEGIN { print "groups:\n- name: hakmem\n  rules:" } { gsub(/'"'"'/, "&&"); print "  - record: hakmem:query" NR "\n    expr: '"'"'" $0 "'"'"'" }' "$work/queries" > "$work/rules.yml"
	point 'its queries are in order' promtool check rules "$work/rules.yml"
else
	skip 'its queries are in order' 'there is no promtool'
fi
part_names=$(sed -n 's/^hakmem_present_bytes{.*part="\([a-z_]*\)".*/\1/p' "$metrics" | sort -u | tr '\n' ' ')
for part in slabs mid dirty purged large large_kept tables library; do
	point "the dashboard's part $part is there" sh -c "case ' $part_names' in *' $part '*) ;; *) exit 1 ;; esac"
done

if command -v systemd-analyze > /dev/null; then
	mkdir "$work/units"
	sed "s|@bindir@/hakmem|$hakmem|" "$srcdir/tools/metrics/hakmem-metrics.service.in" > "$work/units/hakmem-metrics.service"
	cp "$srcdir/tools/metrics/hakmem-metrics.timer" "$work/units"
	point 'systemd finds nothing wrong' sh -c "systemd-analyze verify --man=no '$work/units/hakmem-metrics.service' '$work/units/hakmem-metrics.timer' > '$work/verified' 2>&1
		grep 'hakmem-metrics' '$work/verified' && cat '$work/verified' && exit 1; true"
	point 'what the unit runs' sh -c "HAKMEM_METRICS=$work/unit.prom; export HAKMEM_METRICS; \$(sed -n 's/^ExecStart=//p' '$work/units/hakmem-metrics.service' | sed \"s|\\\${HAKMEM_METRICS}|$work/unit.prom|\") && grep -q '^# EOF' '$work/unit.prom'"
else
	skip 'systemd finds nothing wrong' 'there is no systemd-analyze'
fi
finish
