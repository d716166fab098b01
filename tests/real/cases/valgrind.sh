# shellcheck shell=bash disable=SC2034,SC2317
# valgrind of a preloaded program: plain emulation, memcheck with its own malloc in place of the library's, and memcheck that leaves
# the library's malloc alone (its own bookkeeping must not be reported as an error).
NEEDS='valgrind gcc'
PACKAGES='valgrind gcc libc6-dev libc6-dbg'
EXPECT='program'
SCRIPTS=valgrind
LIMIT=240

prepare() {
    cat > program.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *work(void *argument)
{
	size_t count = *(size_t *)argument, total = 0;
	char **blocks = calloc(count, sizeof *blocks);
	for (size_t i = 0; i < count; i++) {
		size_t size = 1 + i * 37 % 3000 + (i % 100 == 0 ? 300000 : 0);
		blocks[i] = malloc(size);
		memset(blocks[i], (int)i & 255, size);
		if (i % 3 == 0)
			blocks[i / 2] = realloc(blocks[i / 2], size + 100);
	}
	for (size_t i = 0; i < count; i++) {
		total += (unsigned char)blocks[i][0];
		free(blocks[i]);
	}
	free(blocks);
	return (void *)total;
}

int main(int argument_count, char **arguments)
{
	size_t count = (size_t)atol(arguments[1]);
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, work, &count);
	for (int i = 0; i < 3; i++) {
		void *total;
		pthread_join(threads[i], &total);
		printf("%zu\n", (size_t)total);
	}
	if (argument_count > 2) {
		/* Mistakes for memcheck to find, which only its own malloc can see: written past the end, read after free, lost. */
		volatile char *block = malloc(10);
		block[10] = 1;
		free((void *)block);
		printf("%d\n", block[3] * 0);
		block = malloc(4321);
		block = NULL;
	}
	return 0;
}
C
    gcc -g -O1 -pthread -w program.c -o program
}

normalise() {
    sed -E '/^--[0-9]+-- WARNING: unhandled/d; s/==[0-9]+==/==/; s/0x[0-9A-Fa-f]+/0x/g; s/^==( +(at|by) 0x: [a-z_]+) .*/==\1/' |
        grep -vE 'total heap usage|^==  +(at|by) |Command:|rerun with|Rerun with|^== *$'
}

body() {
    valgrind -q --tool=none "$IN/program" "$(amount 1000 20000)"
    valgrind -q --tool=memcheck --leak-check=full --trace-children=no "$IN/program" "$(amount 300 3000)" mistakes
    valgrind -q --tool=memcheck --leak-check=no --undef-value-errors=yes --error-exitcode=9 \
        --soname-synonyms=somalloc=nouserintercepts "$IN/program" "$(amount 300 3000)"
    [ "$SCALE" = quick ] || valgrind --tool=callgrind --callgrind-out-file=callgrind.out "$IN/program" 2000 2> callgrind.txt
}
