/* SPDX-License-Identifier: MIT */
/* image: what an ELF file says of itself, as far as it matters for which malloc a program gets. */
#ifndef IMAGE_H
#define IMAGE_H

#include <limits.h>
#include <stdbool.h>

#define IMAGE_NEEDED 256 /* so many needed libraries are kept */

struct image {
	bool is_64;
	unsigned machine;          /* EM_X86_64 */
	char interpreter[PATH_MAX]; /* the program's loader; "": a static program, or a library */
	bool exports_malloc;       /* other objects get its malloc */
	bool has_malloc;           /* it defines one, exported or not */
	bool has_hakmem;           /* it is HAKMEM, or contains it */
	bool has_asan;             /* the run-time of AddressSanitizer is linked into it */
	char allocator[32];        /* an allocator inside that has names of its own, as "jemalloc"; "": none seen */
	char *needed[IMAGE_NEEDED]; /* DT_NEEDED, in order */
	unsigned needed_count;
};

/* NULL, or why the file cannot be read.  Afterwards image_close, in any case. */
const char *image_read(const char *path, struct image *image);
void image_close(struct image *image);

bool image_needs(const struct image *image, const char *prefix); /* a library whose name begins so */
bool image_is_for_musl(const struct image *program);
bool image_fits(const struct image *library, const struct image *program); /* same class and machine */

#endif
