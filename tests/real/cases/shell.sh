# shellcheck shell=bash disable=SC2034,SC2317
# bash, coreutils, grep, sed, awk, find and tar on large input.
NEEDS='bash sort tar find grep sed awk'
PACKAGES='bash coreutils tar findutils grep sed mawk'
EXPECT='bash sort tar find grep sed *awk* sha256sum join'
LIMIT=120

prepare() {
    local i
    awk -v n="$([ "$SCALE" = quick ] && echo 60000 || echo 400000)" \
        'BEGIN { s = 42; for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647; printf "%d,%x,%s\n", s % 1000003, s, substr("abcdefghijklmnopqrstuvwxyz0123456789", s % 30 + 1, s % 23 + 1) } }' > lines
    mkdir tree
    for i in {1..40}; do
        mkdir -p "tree/d$((i % 7))/e$((i % 3))/f$i"
        split -n "l/$i/40" lines > "tree/d$((i % 7))/e$((i % 3))/f$i/data"
        ln "tree/d$((i % 7))/e$((i % 3))/f$i/data" "tree/d$((i % 7))/link$i"
    done
}

in_bash() {
    local -A seen=()
    local i line list=() text='' count=$1
    while IFS=, read -r i _ line; do
        seen[${line:0:5}]+=$i
        list+=("$line")
    done < <(head -n "$count" "$IN/lines")
    for i in "${!list[@]}"; do
        text+=${list[i]//a/<A>}
        [ $((i % 3)) -ne 0 ] || unset "list[$i]"
    done
    printf '%s\n' "${#seen[@]} ${#list[@]} ${#text}" "$(printf '%s\n' "${!seen[@]}" | sort | sha256sum)"
    for ((i = 0; i < count / 100; i++)); do text=$(printf %s "${list[i * 3 + 1]}"); done
    printf '%s\n' "$text"
}

body() {
    in_bash "$(amount 3000 15000)"
    sort -S 8M --parallel=2 "$IN/lines" | sha256sum
    sort -S 200M --parallel=2 -t, -k3,3 -k1,1n "$IN/lines" | sha256sum
    sort -u -t, -k3,3 "$IN/lines" | cut -d, -f3 > words
    sum_of words
    join -t, -1 1 -2 1 <(head -n 20000 "$IN/lines" | sort -t, -k1,1) <(tail -n 20000 "$IN/lines" | sort -t, -k1,1) | sha256sum
    grep -cE '^[0-9]+,[a-f0-9]*7f,(abc|xyz)' "$IN/lines" || true
    grep -P '(?<=,)[k-m]{2,}\w+$' "$IN/lines" | sha256sum
    sed -E 's/([0-9]+),([^,]*),(.*)/\3 \2 \1/; s/a(.)/\1a/g' "$IN/lines" | sha256sum
    awk -F, '{ n[$3] += $1; t = t substr($3, 1, 1) } END { for (k in n) print k, n[k]; print length(t) }' "$IN/lines" | sort | sha256sum
    tac "$IN/lines" | shuf --random-source="$IN/lines" | sha256sum
    tr '[:lower:]' '[:upper:]' < "$IN/lines" | fold -w 77 | fmt -w 60 | wc
    tar -C "$IN" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf tree.tar tree
    tar -xf tree.tar
    diff -r "$IN/tree" tree
    sum_of tree.tar
    find tree -type f -links 2 -size +1k -printf '%P %s\n' | sort
    find tree -name data -print0 | sort -z | xargs -0 -n 3 -P 1 sha256sum | sha256sum
    # shellcheck disable=SC2012 # ls is under test
    ls -lR tree | awk 'NF > 8 { print $1, $5, $9 }' | sort | sha256sum
    cp -a tree copy
    du -s --apparent-size copy | cut -f 1
    split -n 10 "$IN/lines" part.
    cat part.* | cmp - "$IN/lines"
    factor 1000000016000000063 340282366920938463463374607431768211456
    # shellcheck disable=SC2003 # expr is under test
    expr 99999999999999999999 '*' 99999999999999999999
}
