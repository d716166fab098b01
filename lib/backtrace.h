/* backtrace: which calls led here, without an unwinder.  Floor 5.
 *
 * Unwinders allocate, take the loader's lock, or need frame pointers, which few programs have.  So a trace is what a stack
 * holds: words that may be return addresses, newest first.  When it is said, those that do not lie behind a call instruction in
 * an executable mapping fall away.  What is left is the calls that led there, with some that had ended before among them.
 * Nothing here allocates or takes a lock; any thread, also in a signal handler. */
#ifndef HAK_BACKTRACE_H
#define HAK_BACKTRACE_H

#include "cc.h"

#define HAK_BACKTRACE_WORDS 48u

struct hak_backtrace {
	uintptr_t word[HAK_BACKTRACE_WORDS]; /* 0 behind the last */
	bool is_interrupted;             /* the first is where the thread was, not a return address */
};

HAK_FN void hak_backtrace_start(void);                  /* once, by the constructor */
HAK_FN void hak_backtrace_take(struct hak_backtrace *trace); /* of the caller */
/* From this stack pointer on.  code: where the thread was interrupted, or 0. */
HAK_FN void hak_backtrace_take_at(struct hak_backtrace *trace, uintptr_t stack, uintptr_t code);
/* One line for each call, as hakmem: #0 0x55d0c0001234 /usr/bin/program+0x1234; reads /proc/self/maps. */
HAK_FN HAK_COLD void hak_backtrace_say(const struct hak_backtrace *trace);

#endif
