/* sample: an unbiased sample of the allocations of a starved process, for `hakmem profile` and `hakmem leaks`.  Floor 12.
 *
 * Points are strewn over the bytes that are asked for, as a Poisson process: from one to the next it is an exponentially
 * distributed number of bytes, `distance` on average, and each heap counts down by itself.  A request that has a point in
 * it is sampled, thus one of `size` bytes with the probability 1 - exp(-size / distance), and stands for so many more of its
 * like; the reader does that division.  With a distance of 1 each request is sampled.
 *
 * A sample is a slot of a ring: what was allocated, and the top of the stack as it was, with the registers that an unwinder
 * starts from.  Nothing is unwound here: the reader does it, outside, over the copy.  A table tells which sampled blocks
 * the program still holds.  Both are mapped by the first sample, and go back when hits do.
 *
 * From outside `distance` is written, then HAK_STARVE_PROFILE is set; `alive` is changed every few seconds: a reader that was
 * killed is noticed by that.  The copy is made by process_vm_readv of the own process, which cannot fault, however the
 * stack was made.  That, getpid and gettid are system calls that a filter (seccomp) may end the process for.  So they are made
 * only while the reader says that there is none, by `unfiltered`; else a futex tells which pages can be read.
 *
 * Q1  A slot belongs to the number (from 0) of a sample, modulo the number of slots.  Its `number` is 1 more than that once
 *     it is whole, 0 while it is written.  A reader that comes late, by a whole ring, has lost samples; a writer that was put
 *     off for a whole ring may spoil another's slot, so readers check what they follow.
 * Q2  An address is in the table from its sample on until its free: it is put in before the program gets the block, and
 *     taken out before anybody else can get it.  It stands in one of two rows of eight; where there is no room it is not
 *     there, and the sample says so.
 * Concurrency: any threads, signal handlers too; no lock. */
#ifndef HAK_SAMPLE_H
#define HAK_SAMPLE_H

#include "heap.h"

#define HAK_SAMPLE_DISTANCE ((size_t)512 << 10) /* of who does not say: those who are attached to a probe */
#define HAK_SAMPLE_SLOTS 512u
#define HAK_SAMPLE_STACK 16384u /* bytes that are copied at most */
#define HAK_SAMPLE_ROWS 8192u
#define HAK_SAMPLE_ROW 8u
#define HAK_SAMPLE_ORPHAN_MS 10000u /* `alive` has not changed for that long: nobody is there */

struct hak_sample {
	_Atomic uint64_t number;   /* Q1 */
	uint64_t address, size;    /* as asked for */
	uint64_t distance;         /* on average, when it was strewn */
	uint64_t pc, sp, fp;       /* of a frame of ours that has saved all other registers */
	uint32_t time;             /* hak_os_now() */
	uint32_t thread;
	uint32_t stack_bytes;      /* copied, from sp upward */
	uint32_t is_listed;        /* in the table */
	unsigned char stack[HAK_SAMPLE_STACK];
};

struct hak_sample_live {
	_Atomic uintptr_t address; /* 0: none */
	_Atomic uint32_t number;   /* the low half of that of its sample */
};

struct hak_sample_tables {
	_Atomic uint64_t count;    /* samples ever begun */
	struct hak_sample_live live[HAK_SAMPLE_ROWS][HAK_SAMPLE_ROW];
	struct hak_sample slots[HAK_SAMPLE_SLOTS];
};

struct hak_sample_control {
	_Atomic size_t distance;   /* from outside; 0: no sampling */
	_Atomic uint32_t alive;    /* from outside */
	_Atomic uint32_t unfiltered; /* from outside: any system call may be made */
	_Atomic uint32_t seen, seen_at; /* `alive`, and hak_os_now() when it changed */
	_Atomic(struct hak_sample_tables *) tables;
};

HAK_VAR struct hak_sample_control hak_sample;

HAK_HOT bool hak_sample_is_on(void) { return hak_load(&hak_sample.distance, relaxed) != 0; }

HAK_FN void hak_sample_alloc(void *p, size_t size); /* is about to be handed out */
HAK_FN void hak_sample_free(const void *p);         /* is about to become free */
HAK_FN bool hak_sample_is_left(void); /* is there what hak_sample_end gives back? */
HAK_FN void hak_sample_begin(void);                 /* somebody is attached to otel_memory's probes */
HAK_FN void hak_sample_end(void);                   /* hits are back: what the tables held goes back to the kernel */
HAK_FN void hak_sample_after_fork(void);

#endif
