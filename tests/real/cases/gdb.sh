# shellcheck shell=bash disable=SC2034,SC2317
# gdb, itself preloaded, debugs a preloaded program: breakpoints, calls of malloc and free in the program, threads, a core of it.
NEEDS='gdb gcc'
PACKAGES='gdb gcc libc6-dev'
EXPECT='gdb program'
LIMIT=60

prepare() {
    cat > program.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node { int value; struct node *next; };

int answer = 42;

static struct node *push(struct node *list, int value)
{
	struct node *node = malloc(sizeof *node);
	node->value = value;
	node->next = list;
	return node;
}

static void *work(void *argument)
{
	for (int i = 0; i < 1000; i++)
		free(malloc((size_t)i));
	return argument;
}

int main(void)
{
	struct node *list = NULL;
	pthread_t thread;
	for (int i = 0; i < 10; i++)
		list = push(list, i * i);
	pthread_create(&thread, NULL, work, NULL);
	pthread_join(thread, NULL);
	printf("%d\n", list->value);
	abort();
}
C
    gcc -g -O0 -pthread program.c -o program
    cat > script.gdb <<'GDB'
set confirm off
set pagination off
set debuginfod enabled off
set startup-with-shell off
set print thread-events off
break push if value == 25
run
print value
print *list
finish
print *push(list, 77)
set $block = (void *)malloc(1000)
print $block != 0
call (void)free($block)
watch list->value
next
delete
break work
continue
backtrace
finish
continue
backtrace
info signals SIGABRT
generate-core-file core.program
kill
python
import json
print(len(json.dumps([str(i) * 10 for i in range(10000)])))
end
quit
GDB
}

normalise() {
    grep -vE 'libthread_db|^\[New|^\[Switching|^\[Inferior|warning:.*(auto-load|source)|^Downloading|^\[Thread' |
        sed -E 's/0x[0-9a-f]+/0x/g; s/Thread 0x \(LWP [0-9]+\)/Thread/g; s/process [0-9]+/process/g; s/LWP [0-9]+/LWP/g'
}

body() {
    gdb -q -nx -batch -x "$IN/script.gdb" "$IN/program"
    gdb -q -nx -batch -ex 'print answer' "$IN/program" core.program | tail -n 1
}
