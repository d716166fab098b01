# shellcheck shell=bash disable=SC2034,SC2317
# cmake and ninja (else make): configure, build and test a small project.
NEEDS='cmake ctest gcc'
PACKAGES='cmake ninja-build make gcc libc6-dev'
EXPECT='cmake ctest cc1'
LIMIT=120

prepare() {
    local i
    cat > CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.10)
project(sample C)
enable_testing()
set(names)
foreach(i RANGE 1 COUNT)
    list(APPEND names "part${i}")
    string(SHA256 h "text ${i} ${names}")
    string(REGEX REPLACE "([0-9])([a-f])" "<\\2\\1>" h "${h}")
    add_library(part${i} STATIC part${i}.c)
    add_executable(prog${i} main.c)
    target_compile_definitions(prog${i} PRIVATE CALL=part${i} TEXT="${h}")
    target_link_libraries(prog${i} part${i})
    add_test(NAME test${i} COMMAND prog${i})
    message(STATUS "${i} ${h}")
endforeach()
CMAKE
    sed -i "s/COUNT/$([ "$SCALE" = quick ] && echo 3 || echo 20)/" CMakeLists.txt
    for i in {1..20}; do echo "int part$i(int x) { return x * $i; }" > "part$i.c"; done
    cat > main.c <<'C'
#include <stdio.h>
int CALL(int x);
int main(void) { printf("%d %s\n", CALL(3), TEXT); return 0; }
C
}

normalise() {
    sed -E 's/ *[0-9.]+ sec//; s/\([0-9.]+s\)//'
}

body() {
    local generator='Unix Makefiles'
    if command -v ninja > /dev/null; then generator=Ninja; fi
    cmake -G "$generator" -S "$IN" -B out
    cmake --build out -- -j2 > build.txt
    (cd out && ctest -j2 --output-on-failure | sed -nE 's/.*(Test +#.*)/\1/p' | sort)
    find out -name 'prog*' -type f -perm -u+x -exec {} \; | sort
}
