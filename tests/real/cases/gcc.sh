# shellcheck shell=bash disable=SC2034,SC2317
# gcc and g++ on large generated files: object files must be identical, the linked programs must run.
NEEDS='gcc g++ as ld'
PACKAGES='gcc g++ binutils libc6-dev'
EXPECT='cc1 cc1plus *as *ld* collect2 *gcc-* *g++-*'
LIMIT=120

prepare() {
    awk -v n="$([ "$SCALE" = quick ] && echo 60 || echo 400)" 'BEGIN {
        print "#include <stdio.h>\n#include <string.h>\n#include <stdlib.h>\nstruct s { int a[16]; double d; struct s *next; };"
        for (i = 0; i < n; i++) {
            printf "static int f%d(struct s *p, int x) {\n int i, r = %d; char text[64];\n", i, i
            printf " for (i = 0; i < x %% 50; i++) { r += p->a[(i + x) & 15] * %d; p->d += r / (i + 1.5); if (r & %d) r ^= x << (i & 7); }\n", i + 3, i % 31 + 1
            printf " switch (x %% 9) {"
            for (k = 0; k < 9; k++) printf " case %d: r = r * %d + (int)p->d; %s", k, k * i + 1, k % 3 ? "break;" : ""
            printf " }\n snprintf(text, sizeof text, \"%%d-%d\", r); return r + (int)strlen(text)%s;\n}\n", i, i ? " + (x > 3 ? f" i - 1 "(p, x / 2) : 0)" : ""
        }
        print "static int (*const table[])(struct s *, int) = {"
        for (i = 0; i < n; i++) printf "f%d,\n", i
        print "};\nint main(void) { struct s s = { { 1, 2, 3 }, 0, 0 }; unsigned r = 0, i;"
        print "for (i = 0; i < sizeof table / sizeof *table; i++) { s.d = 0; r = r * 31 + (unsigned)table[i](&s, 7) % 1000; } printf(\"%u\\n\", r); return 0; }"
    }' > big.c
    awk -v n="$([ "$SCALE" = quick ] && echo 1 || echo 8)" 'BEGIN {
        regex = n > 2
        print "#include <algorithm>\n#include <iostream>\n#include <map>\n#include <memory>\n#include <sstream>\n#include <string>\n#include <unordered_map>\n#include <vector>\n#include <functional>"
        if (regex) print "#include <regex>"
        print "template <int N> struct fib { static constexpr long value = fib<N - 1>::value + fib<N - 2>::value; };"
        print "template <> struct fib<0> { static constexpr long value = 0; }; template <> struct fib<1> { static constexpr long value = 1; };"
        print "template <typename T, int N> struct shape { std::vector<T> v; std::map<std::string, std::shared_ptr<shape<T, N - 1>>> m; long count() const { long c = (long)v.size(); for (auto &x : m) c += x.second->count(); return c; } };"
        print "template <typename T> struct shape<T, 0> { std::vector<T> v; long count() const { return (long)v.size(); } };"
        for (i = 0; i < n; i++) {
            printf "struct key%d { int x; bool operator<(const key%d &o) const { return x < o.x; } };\n", i, i
            printf "static long g%d(int n) { std::map<key%d, std::vector<std::string>> m; std::unordered_map<std::string, std::function<int(int)>> h;\n", i, i
            printf " for (int i = 0; i < n; i++) { m[key%d{i * 7 %% 13}].push_back(std::to_string(i)); h[std::to_string(i)] = [i](int y) { return i + y + %d; }; }\n", i, i
            printf " std::vector<long> r; for (auto &p : m) { std::sort(p.second.begin(), p.second.end()); r.push_back((long)p.second.size()); }\n"
            printf " std::stable_sort(r.begin(), r.end(), std::greater<long>()); shape<long, %d> s; s.v = r; long c = s.count() + fib<%d>::value; for (auto &p : h) c += p.second(1); return c; }\n", i % 12 + 1, i + 10
        }
        print "int main() { long c = 0; std::ostringstream o;"
        for (i = 0; i < n; i++) printf "c += g%d(%d);\n", i, i + 20
        if (regex) print "std::regex e(\"(a+)(b|c)*\"); c += std::regex_match(\"aabcb\", e);"
        print "o << c; std::cout << o.str() << std::endl; return 0; }"
    }' > big.cc
}

body() {
    gcc -O2 -g -Wall -c "$IN/big.c" -o c.o
    g++ -std=c++17 -O"$(amount 1 2)" -g -c "$IN/big.cc" -o cc.o
    gcc c.o -o c
    g++ cc.o -o cc
    sum_of c.o cc.o
    if [ "$SCALE" = all ]; then
        gcc -O1 -flto=2 -g "$IN/big.c" -o lto
        ./lto
    fi
    ./c
    ./cc
}
