# shellcheck shell=bash disable=SC2034,SC2317
# xz and zstd on two threads, gzip and bzip2: there and back.
NEEDS='xz zstd gzip bzip2'
PACKAGES='xz-utils zstd gzip bzip2'
EXPECT='xz zstd gzip bzip2'
LIMIT=120

prepare() {
    awk -v n="$([ "$SCALE" = quick ] && echo 30000 || echo 300000)" \
        'BEGIN { for (i = 0; i < n; i++) printf "%d %x %s\n", i * 7919 % 65521, i * 104729, substr("the quick brown fox jumps over the lazy dog", i % 40) }' > text
}

body() {
    xz -T2 -6 --block-size=2MiB -k -c "$IN/text" > text.xz
    xz -T2 -dc text.xz | cmp - "$IN/text"
    zstd -q -T2 -"$(amount 3 15)" -c "$IN/text" > text.zst
    zstd -q -dc text.zst | cmp - "$IN/text"
    zstd -q -T2 --long=27 -5 -c "$IN/text" | zstd -q -d --long=27 -c | cmp - "$IN/text"
    gzip -9 -n -c "$IN/text" > text.gz
    gzip -dc text.gz | cmp - "$IN/text"
    bzip2 -9 -c "$IN/text" > text.bz2
    bzip2 -dc text.bz2 | cmp - "$IN/text"
    sum_of text.xz text.gz text.bz2 text.zst
    xz -t text.xz
}
