#include "segv.h"

#include <signal.h>
#include <ucontext.h>

#include "os.h"
#include "say.h"

static struct sigaction segv_before;

/* Where each machine keeps what the processor was at. */
#if defined(__x86_64__)
#define SEGV_CODE(c) (c)->gregs[REG_RIP]
#define SEGV_STACK(c) (c)->gregs[REG_RSP]
#define SEGV_WRITE(c) ((c)->gregs[REG_ERR] & 2)
#elif !defined(__GLIBC__) /* others may name them otherwise */
#define SEGV_CODE(c) 0
#define SEGV_STACK(c) 0
#elif defined(__i386__)
#define SEGV_CODE(c) (c)->gregs[REG_EIP]
#define SEGV_STACK(c) (c)->gregs[REG_UESP]
#define SEGV_WRITE(c) ((c)->gregs[REG_ERR] & 2)
#elif defined(__aarch64__)
#define SEGV_CODE(c) (c)->pc
#define SEGV_STACK(c) (c)->sp
#elif defined(__arm__)
#define SEGV_CODE(c) (c)->arm_pc
#define SEGV_STACK(c) (c)->arm_sp
#elif defined(__riscv)
#define SEGV_CODE(c) (c)->__gregs[REG_PC]
#define SEGV_STACK(c) (c)->__gregs[REG_SP]
#elif defined(__powerpc64__)
#define SEGV_CODE(c) (c)->gp_regs[32]
#define SEGV_STACK(c) (c)->gp_regs[1]
#elif defined(__s390x__)
#define SEGV_CODE(c) (c)->psw.addr
#define SEGV_STACK(c) (c)->gregs[15]
#else
#define SEGV_CODE(c) 0
#define SEGV_STACK(c) 0
#endif

/* The size of what the address of a fault is known to be in: the processor tells only the page, or the byte. */
#if defined(__s390x__)
#define SEGV_GRAIN 4096u
#else
#define SEGV_GRAIN 1u
#endif

struct segv_context {
	uintptr_t code, stack; /* 0: not known */
	const char *access;
};

static struct segv_context segv_context(const ucontext_t *c)
{
	const mcontext_t *m = &c->uc_mcontext;
	const char *access = "access";

#ifdef SEGV_WRITE
	access = SEGV_WRITE(m) ? "write" : "read";
#endif
	(void)m;
	return (struct segv_context){ (uintptr_t)SEGV_CODE(m), (uintptr_t)SEGV_STACK(m), access };
}

static bool segv_is_in_grain(const char *p, const char *byte) { return ((uintptr_t)p ^ (uintptr_t)byte) / SEGV_GRAIN == 0; }

/* "use after free, 4 bytes into", "overflow, 1 byte behind" .. a block; or "use after free, somewhere in the page of". */
static void segv_say(const char *access, const char *p, const struct hak_guard_block *block, bool is_free)
{
	const char *end = block->start + block->size, *kind = is_free ? "use after free" : "overflow", *where = "into";
	size_t distance = (size_t)(p - block->start);

	if (SEGV_GRAIN > 1 && is_free && segv_is_in_grain(p, block->start)) {
		where = "in the page of";
	} else if (p < block->start) {
		kind = is_free ? kind : "underflow";
		where = "before";
		distance = (size_t)(block->start - p);
	} else if (p >= end) {
		where = "behind";
		distance = (size_t)(p - end);
	}
	if (SEGV_GRAIN > 1) {
		hak_say_line("%s at %p: %s, somewhere %s a block of %zu bytes at %p", access, (const void *)p, kind, where,
		             block->size, (void *)block->start);
		return;
	}
	hak_say_line("%s at %p: %s, %zu %s %s a block of %zu bytes at %p", access, (const void *)p, kind, distance,
	             distance == 1 ? "byte" : "bytes", where, block->size, (void *)block->start);
}

static void segv_report(const char *p, const void *context)
{
	struct segv_context at = segv_context(context);
	enum hak_guard_state state;
	const struct hak_guard_block *block = hak_guard_find(p, &state);
	struct hak_backtrace trace;

	if (!block) {
		hak_say_line("%s at %p: between the pages of guarded blocks", at.access, (const void *)p);
		return;
	}
	segv_say(at.access, p, block, state != HAK_GUARD_USED);
	hak_say_line("  it was done by thread %u:", hak_os_thread_unasked());
	hak_backtrace_take_at(&trace, at.stack ? at.stack : (uintptr_t)&trace, at.code);
	hak_backtrace_say(&trace);
	hak_guard_say_traces(block);
}

/* The default action: the access is done again when the handler returns, and faults again, now without us.  What kill(2) has
 * sent does not come again by itself. */
static void segv_default(int number, bool is_sent)
{
	sigaction(number, &segv_before, NULL);
	if (is_sent)
		raise(number);
}

static void segv_pass_on(int number, siginfo_t *info, void *context)
{
	bool is_sent = info->si_code <= 0;

	if (segv_before.sa_flags & SA_SIGINFO)
		segv_before.sa_sigaction(number, info, context);
	else if (segv_before.sa_handler == SIG_DFL || (segv_before.sa_handler == SIG_IGN && !is_sent))
		segv_default(number, is_sent);
	else if (segv_before.sa_handler != SIG_IGN)
		segv_before.sa_handler(number);
}

static void segv_handle(int number, siginfo_t *info, void *context)
{
	static _Atomic uintptr_t said; /* once, if the program's own handler returns and the access is tried again */
	uintptr_t p = (uintptr_t)info->si_addr;

	if (info->si_code > 0 && hak_guard_is_inside(info->si_addr) && hak_swap(&said, p, relaxed) != p)
		segv_report(info->si_addr, context);
	segv_pass_on(number, info, context);
}

HAK_FN void hak_segv_start(void)
{
	struct sigaction action = { .sa_sigaction = segv_handle, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (sigaction(SIGSEGV, NULL, &segv_before) != 0)
		return;
	action.sa_mask = segv_before.sa_mask;
	action.sa_flags |= segv_before.sa_flags & (SA_NODEFER | SA_RESTART);
	sigaction(SIGSEGV, &action, NULL);
}
