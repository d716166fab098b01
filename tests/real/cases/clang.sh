# shellcheck shell=bash disable=SC2034,SC2317
# clang on a generated file: object files must be identical.
NEEDS=clang
EXPECT='clang*'
PACKAGES=clang

prepare() {
    awk -v n="$([ "$SCALE" = quick ] && echo 60 || echo 500)" 'BEGIN {
        print "#include <stdio.h>\n#include <string.h>"
        for (i = 0; i < n; i++) {
            printf "int f%d(const char *s, double *d, int n) { int r = %d; for (int i = 0; i < n; i++) { d[i] = d[i] * %d.5 + r; r += s[i] == 97 + %d ? (int)d[i] : i; }\n", i, i, i, i % 26
            printf " switch (r & 7) { case 0: return r; case 1: return r * %d; case 5: puts(s); return %d; default: return (int)strlen(s) + r; } }\n", i, i
        }
    }' > big.c
}

body() {
    clang -O2 -g -c "$IN/big.c" -o c.o
    clang -x c++ -O1 -S "$IN/big.c" -o c.s
    sum_of c.o c.s
}
