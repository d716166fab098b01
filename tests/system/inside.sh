#!/bin/sh
# SPDX-License-Identifier: MIT
# What tests/system/boot runs within the system that it booted: TAP to where the boot script looks for it.
#
#	inside.sh check        the state, services, logins and memory, with HAKMEM on
#	inside.sh measure      the state and memory, whatever malloc is in use
#	inside.sh rescued      the state after hakmem-rescue was the first process
#
# The word stands in /etc/hakmem-test.

# shellcheck source=../tap.sh
. "$(dirname "$0")/tap.sh"

# The system's state; who failed is shown.
is_running() {
	state=$(systemctl is-system-running --wait)
	echo "$state"
	systemctl --failed --no-legend --plain
	[ "$state" = running ] && [ -z "$(systemctl --failed --no-legend --plain)" ]
}

has_it() {
	grep -q hakmem/live "/proc/$1/maps"
}

# service NAME: its main process has it.
service() {
	has_it "$(systemctl show -P MainPID "$1")"
}

# A program that allocates in two threads and has to be on HAKMEM, in a unit with these properties; silent.
unit() {
	printf '%s\n' 'import json, threading' \
		'def work(): json.loads(json.dumps([{str(i): "x" * i} for i in range(500)]))' \
		'threads = [threading.Thread(target=work) for i in range(2)]' \
		'[t.start() for t in threads]; [t.join() for t in threads]; work()' \
		'assert "hakmem/live" in open("/proc/self/maps").read()' > "$work/unit.py"
	run_unit "$@" -- python3 -c "$(cat "$work/unit.py")"
}

run_unit() {
	systemd-run --quiet --wait --pipe --collect "$@" > "$work/unit.said" 2>&1
	unit_status=$?
	cat "$work/unit.said"
	[ $unit_status -eq 0 ] && [ ! -s "$work/unit.said" ]
}

login() {
	ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR 127.0.0.1 'grep -o -m1 hakmem/live /proc/self/maps'
}

check_services() {
	point 'the first process has it' has_it 1
	for name in systemd-journald systemd-logind dbus cron rsyslog ssh; do
		point "$name has it" service "$name"
	done
	point 'systemd-analyze' says 0 'Startup finished' systemd-analyze time
	for i in 1 2 3; do
		point "login number $i through the sandbox of sshd" login
	done
}

check_units() {
	point 'a unit with MemoryDenyWriteExecute' unit -p MemoryDenyWriteExecute=yes
	point 'a unit with SystemCallFilter=@system-service' unit -p SystemCallFilter=@system-service
	point 'a unit with PrivateUsers' unit -p PrivateUsers=yes
	point 'a unit with LimitAS' unit -p LimitAS=200M
	point 'a unit with a little LimitAS' run_unit -p LimitAS=64M -- sh -c 'grep -q hakmem/live /proc/self/maps'
	point 'a unit with LimitNPROC=1' run_unit -p LimitNPROC=1 -- sh -c ':'
	point 'a unit with all of it, and more' unit -p MemoryDenyWriteExecute=yes -p SystemCallFilter=@system-service -p DynamicUser=yes \
		-p ProtectSystem=strict -p ProtectHome=yes -p PrivateTmp=yes -p PrivateDevices=yes -p NoNewPrivileges=yes \
		-p RestrictNamespaces=yes -p LockPersonality=yes -p RestrictRealtime=yes -p SystemCallArchitectures=native \
		-p CapabilityBoundingSet= -p MemoryMax=200M
	point 'a namespace for users can be made' unshare --user true
	point 'a unit without it' run_unit -p InaccessiblePaths=-/etc/ld.so.preload -- sh -c '! grep hakmem /proc/self/maps'
}

# All of it in KiB: what processes have, shared pages divided (pss), their page tables, of pss what is no file's (anon), and
# what the machine has not available any more (used; of interest where the kernel is the system's own).
measure() {
	sleep 10
	sync
	[ ! -w /proc/sys/vm/drop_caches ] || echo 3 > /proc/sys/vm/drop_caches
	sleep 2
	cat /proc/[0-9]*/smaps_rollup 2> /dev/null | awk '/^Pss:/ { pss += $2 } /^Pss_Anon:/ { anon += $2 } /^Rss:/ { n++ }
		END { printf "# memory: processes %d pss %d anon %d ", n, pss, anon }'
	cat /proc/[0-9]*/status 2> /dev/null | awk '/^VmPTE:/ { sum += $2 } END { printf "tables %d ", sum }'
	awk '{ of[$1] = $2 } END { printf "used %d\n", of["MemTotal:"] - of["MemAvailable:"] }' /proc/meminfo
}

main() {
	point 'the system is running, and no unit failed' is_running
	if [ "$1" = check ]; then
		check_services
		check_units
	fi
	if [ "$1" = rescued ]; then
		point 'the file was taken away' test ! -e /etc/ld.so.preload -a -e /etc/ld.so.preload.off
	else
		measure
	fi
	finish
}

out=$(sed -n 's/.*hakmem_result=\([^ ]*\).*/\1/p' /proc/cmdline)
main "$(cat /etc/hakmem-test)" > "${out:-/var/log/hakmem-test}" 2>&1
systemctl --no-block poweroff
