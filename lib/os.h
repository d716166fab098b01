/* os: memory, waiting, clocks and other system calls; those about files are in file.  Floor 1.
 *
 * No function here changes errno; results come back as values.  Sizes are bytes, a multiple of the page size
 * where a range is meant.  Each call can be made to fail: fault. */
#ifndef HAK_OS_H
#define HAK_OS_H

#include "cc.h"
#include "fault.h"

enum hak_os_result { HAK_OS_OK, HAK_OS_TAKEN, HAK_OS_REFUSED, HAK_OS_UNKNOWN }; /* UNKNOWN: and always will be */

#ifdef HAK_ROOMS
/* Test hook: the node of the calling thread, plus 1; 0: as it is. */
extern HAK_TLS uint32_t hak_os_fake_node;
#endif

/* The header of the file that holds us, and what lies behind it: the linker's.  NULL where it does not know the name. */
extern const char hak_os_file[] __asm__("__ehdr_start") HAK_WEAK __attribute__((visibility("hidden")));

HAK_FN size_t hak_os_page_size(void);
HAK_FN uintptr_t hak_os_program(void); /* where it begins */
HAK_FN bool hak_os_is_secure(void); /* AT_SECURE: the environment is an attacker's */
HAK_FN uint64_t hak_os_random(void); /* for places, not for secrets; one thread at a time */
HAK_FN uint64_t hak_os_secret(void); /* from the kernel, nobody can guess it; at start only */
HAK_FN uint32_t hak_os_node(void); /* of memory, that the thread runs on; 0 where that cannot be told without a system call */
HAK_FN uint32_t hak_os_now(void); /* milliseconds, coarse, wraps after 49 days */
HAK_FN uint64_t hak_os_clock(void); /* nanoseconds since some moment */
HAK_FN uint64_t hak_os_time(void);  /* nanoseconds since 1970 */
HAK_FN uint32_t hak_os_pid(void);
HAK_FN uint32_t hak_os_parent(void);

HAK_FN void *hak_os_map(size_t size);                             /* anywhere; NULL if refused */
HAK_FN void *hak_os_map_wiped(size_t size);                       /* zero in a forked child, Linux 4.14; NULL: refused */
HAK_FN enum hak_os_result hak_os_map_at(void *at, size_t size);   /* there and nowhere else; replaces nothing */
HAK_FN bool hak_os_unmap(void *at, size_t size);
HAK_FN bool hak_os_purge(void *at, size_t size);                  /* contents become zero, memory goes back */
HAK_FN enum hak_os_result hak_os_populate(void *at, size_t size); /* makes all pages present; Linux 5.14 */
HAK_FN bool hak_os_advise_huge(void *at, size_t size, bool huge);    /* or never; false: the kernel knows neither */
HAK_FN bool hak_os_move(void *at, size_t old_size, void *to, size_t size); /* `to` is replaced; if it fails, perhaps unmapped */
HAK_FN bool hak_os_guard(void *at, size_t size);                  /* every touch is a fault, and no mapping more; Linux 6.13 */
HAK_FN bool hak_os_unguard(void *at, size_t size);                /* its contents are zero */
HAK_FN bool hak_os_protect_read(void *at, size_t size);
HAK_FN bool hak_os_protect_write(void *at, size_t size);
HAK_FN bool hak_os_protect_none(void *at, size_t size);

/* futex, private: false if nobody woke the caller for so long */
HAK_FN bool hak_os_wait(void *word, uint32_t value, uint32_t milliseconds);
/* Can p be read?  REFUSED: no.  By futex too: no fault, no call that a sandbox does not know; UNKNOWN: it refused that one. */
HAK_FN enum hak_os_result hak_os_look(const void *p);
HAK_FN uint32_t hak_os_thread_unasked(void);   /* the thread's number, without a call; 0: not known */
HAK_FN bool hak_os_is_main_thread(void);
HAK_FN uint32_t hak_os_thread(void); /* the kernel's number */
/* Copies from where there may be no memory: bytes, fewer than asked for, 0 if the kernel does not do it. */
HAK_FN size_t hak_os_copy(void *to, const void *from, size_t size);
HAK_FN size_t hak_os_copy_unasked(void *to, const void *from, size_t size); /* by futex */
HAK_FN void hak_os_rest(void); /* a millisecond, by futex: sandboxes know it */
HAK_FN void hak_os_wake_one(void *word);

HAK_FN void hak_os_write(const char *text, size_t length); /* to standard error, all of it or as much as goes */
HAK_FN HAK_NORETURN void hak_os_abort(void);

#endif
