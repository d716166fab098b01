/* SPDX-License-Identifier: MIT */
/* resident: which part of a process's memory is present, and whose it is.
 *
 * The kernel tells how much of each mapping is present (smaps), and which pages (pagemap).  A mapping may hold several
 * parts; then its pages tell them apart.  The sum is that of smaps in any case: pages that were read but never written
 * lie in pagemap, but are the kernel's one page of zeros; all parts of such a mapping are scaled down. */
#ifndef RESIDENT_H
#define RESIDENT_H

#include "census.h"
#include "slots.h"

/* Fills in memory, sum, rss, swapped, huge and by_pages. */
void resident_take(struct census *census, const struct slots *slots);

#endif
