/* SPDX-License-Identifier: MIT */
/* pprof: a heap profile in the format of pprof (profile.proto, compressed by gzip), which Pyroscope and Parca take too. */
#ifndef PPROF_H
#define PPROF_H

#include "gather.h"

/* alloc_objects, alloc_space, inuse_objects, inuse_space by stack, with mappings, functions and lines.  False: errno. */
bool pprof_write(const struct gather *gather, const char *path);

#endif
