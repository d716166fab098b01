/* SPDX-License-Identifier: MIT */
/* The room segv: what the handler does with faults at guarded blocks, and that all others reach who would have got them. */
#include "attach.h"
#include "segv.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "capture.h"
#include "heap.h"
#include "tap.h"

static sigjmp_buf back;
static volatile sig_atomic_t calls, with_address;
static char *foreign;

static void plain(int number)
{
	hold(number == SIGSEGV);
	calls++;
	siglongjmp(back, 1);
}

static void informed(int number, siginfo_t *info, void *context)
{
	hold(number == SIGSEGV && context != NULL);
	calls++;
	with_address += info->si_addr != NULL;
	siglongjmp(back, 1);
}

static void begin(const struct sigaction *action)
{
	need(sigaction(SIGSEGV, action, NULL) == 0);
	need(hak_attach_start() && hak_guard_start());
	hak_segv_start();
}

static char *freed_block(void)
{
	char *p = hak_guard_alloc(64, 1);

	need(p != NULL);
	*p = 1;
	hak_guard_free("free", p);
	return p;
}

static void touch(char *p)
{
	if (sigsetjmp(back, 1) == 0)
		*(volatile char *)p = 1;
}

static void goes_on_plain(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = plain });
	touch(foreign);
	hold(calls == 1);
	touch(freed_block());
	hold(calls == 2);
	(void)with;
}

static void goes_on_informed(const void *with)
{
	begin(&(struct sigaction){ .sa_sigaction = informed, .sa_flags = SA_SIGINFO });
	touch(foreign);
	touch(freed_block());
	hold(calls == 2 && with_address == 2);
	(void)with;
}

static void foreign_dies(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = SIG_DFL });
	*(volatile char *)foreign = 1;
	(void)with;
}

static void guarded_dies(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = SIG_DFL });
	*(volatile char *)freed_block() = 1;
	(void)with;
}

static void ignored_dies(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = SIG_IGN });
	*(volatile char *)foreign = 1;
	(void)with;
}

static void sent_dies(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = SIG_DFL });
	kill(getpid(), SIGSEGV);
	(void)with;
}

static void sent_is_ignored(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = SIG_IGN });
	kill(getpid(), SIGSEGV);
	kill(getpid(), SIGSEGV);
	(void)with;
}

/* The program's handler returns, so that the access is tried again and again: one report is enough. */
static void returns_thrice(int number)
{
	if (++calls == 3)
		_exit(number == SIGSEGV ? 0 : 1);
}

static void is_said_once(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = returns_thrice });
	*(volatile char *)freed_block() = 1;
	(void)with;
}

static void *other_stack(void *p)
{
	static char stack[16384];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	need(sigaltstack(&alternate, NULL) == 0);
	*(volatile char *)p = 1;
	return NULL;
}

static void dies_on_other_stack(const void *with)
{
	begin(&(struct sigaction){ .sa_handler = SIG_DFL });
	other_stack(freed_block());
	(void)with;
}

/* ---- points ---- */

static unsigned reports(const char *words)
{
	unsigned n = 0;
#ifdef __s390x__ /* which tells no more than the page */
	const char *report = ": use after free, somewhere in the page of a block of 64 bytes at 0x";
#else
	const char *report = ": use after free, 0 bytes into a block of 64 bytes at 0x";
#endif

	for (const char *at = words; (at = strstr(at, report)) != NULL; at++)
		n++;
	return n;
}

static void point(const char *name, void (*run)(const void *), int signal_number, unsigned said)
{
	struct capture child;
	bool ends;

	capture(&child, run, NULL);
	ends = signal_number ? WIFSIGNALED(child.status) && WTERMSIG(child.status) == signal_number : child.status == 0;
	if (!ok(ends && reports(child.words) == said && (said > 0 || child.words[0] == '\0'), "%s", name))
		note("status 0x%x, words: %s", (unsigned)child.status, child.words);
}

int main(void)
{
	foreign = mmap(NULL, 1 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(foreign != MAP_FAILED);
	point("a handler that was there gets all faults", goes_on_plain, 0, 1);
	point("one that wants to know more, too", goes_on_informed, 0, 1);
	point("other faults end the program, without a word", foreign_dies, SIGSEGV, 0);
	point("a fault at a guarded block, with a report", guarded_dies, SIGSEGV, 1);
	point("what is ignored ends it too", ignored_dies, SIGSEGV, 0);
	point("a signal that was sent ends it", sent_dies, SIGSEGV, 0);
	point("a signal that was sent is ignored if it was", sent_is_ignored, 0, 0);
	point("one report for one fault", is_said_once, 0, 1);
	point("a report on another stack", dies_on_other_stack, SIGSEGV, 1);
	return done();
}
