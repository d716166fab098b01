# shellcheck shell=bash disable=SC2034,SC2317
# Everyday tools, each only where it is installed: openssl, gpg, jq, bc, vim, curl, rsync, dpkg-deb, make, ssh-keygen, file, m4, xmllint.
NEEDS='openssl'
PACKAGES='openssl bc jq make m4 file'
EXPECT='openssl'
LIMIT=60

prepare() {
    awk -v n="$([ "$SCALE" = quick ] && echo 5000 || echo 40000)" 'BEGIN { printf "["; for (i = 0; i < n; i++) printf "%s{\"id\":%d,\"name\":\"n%d\",\"list\":[%d,%d,{\"x\":\"%x\"}]}", i ? "," : "", i, i * 7919 % 10007, i, i * 3, i * i; print "]" }' > data.json
    # shellcheck disable=SC2016 # for make
    { echo 'all:' && for i in {1..300}; do printf 'all: t%d\nt%d: $(foreach x,1 2 3 4 5 6 7 8,$(subst 1,%d,$(x)))\n\t@echo $@ $^\n' "$i" "$i" "$i"; done && echo '1 2 3 4 5 6 7 8:'; } > makefile.in
    cat > numbers.m4 <<'M4'
define(`count', `ifelse($1, 0, , `$1 count(decr($1))')')dnl
count(2000)
M4
    seq 1 300 | sed 's/$/:/' >> makefile.in
}

have() {
    command -v "$1" > /dev/null
}

body() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=test -days 10 2> /dev/null
    openssl verify -CAfile cert.pem cert.pem
    openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -S 0011223344556677 -in "$IN/data.json" -out data.enc
    openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x -S 0011223344556677 -in data.enc | cmp - "$IN/data.json"
    openssl dgst -sha3-256 -r data.enc
    if have jq; then
        jq -c '[.[] | select(.id % 7 == 0) | {(.name): (.list | map(tostring) | join("-"))}] | add | to_entries | sort_by(.key) | .[0:20]' "$IN/data.json"
        jq 'group_by(.name) | map({k: .[0].name, n: length, s: (map(.id) | add)})' "$IN/data.json" | sha256sum
    fi
    if have bc; then echo "scale=$(amount 300 1500); 4*a(1); 2^$(amount 2000 20000)" | bc -l | sha256sum; fi
    if have make; then make -s -j2 -f "$IN/makefile.in" 2> make.err | sort | sha256sum; fi
    if have m4; then m4 -L 5000 "$IN/numbers.m4" | sha256sum; fi
    if have vim; then vim -es -u NONE -i NONE -c '%s/\(name\)":"n\(\d*\)/\2\1/g' -c '%!cat' -c 'w! vim.out' -c 'q!' "$IN/data.json" && sum_of vim.out; fi
    if have gpg; then
        mkdir -m 700 gnupg
        gpg --homedir gnupg --batch --quiet --no-autostart --pinentry-mode loopback --passphrase x -c -o data.gpg "$IN/data.json" 2> gpg.err || true
    fi
    if have dpkg-deb; then
        mkdir -p pkg/DEBIAN pkg/usr/share/x
        cp "$IN/data.json" pkg/usr/share/x/
        printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' > pkg/DEBIAN/control
        SOURCE_DATE_EPOCH=0 dpkg-deb --root-owner-group --build pkg x.deb
        dpkg-deb -x x.deb unpacked
        sum_of unpacked/usr/share/x/data.json
    fi
    if have curl; then curl -s "file://$IN/data.json" | cmp - "$IN/data.json"; fi
    if have rsync; then rsync -a "$IN/" synced/ && cmp synced/data.json "$IN/data.json"; fi
    if have ssh-keygen; then ssh-keygen -q -t ed25519 -N '' -C test -f ssh && ssh-keygen -l -f ssh.pub | cut -d ' ' -f 1,3-; fi
    if have file; then file -b "$IN/data.json" x.deb cert.pem 2>&1 | head -n 5; fi
    if have xmllint; then echo '<a><b c="d">e</b></a>' | xmllint --format -; fi
}
