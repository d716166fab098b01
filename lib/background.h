/* background: the thread of HAKMEM_BATCH_BG.  Floor 13.
 *
 * It gives old free memory back while the program sleeps, and has the next SuperSlab ready, mapped and zeroed, while it
 * grows.  Made by the first malloc of the main thread that takes a slow path BACKGROUND_AFTER_MS after the library's start,
 * so that it does not come before the constructors of an ordinary program have ended.  Not by free: the C library frees with
 * locks held that making a thread takes.  Never in a setuid program or a forked child.  All of its
 * signals are blocked.
 * Concurrency: any threads. */
#ifndef HAK_BACKGROUND_H
#define HAK_BACKGROUND_H

#include "cc.h"

HAK_FN void hak_background_start(void);      /* the constructor has run */
HAK_FN void hak_background_poke(void);       /* no heap entered, none of our locks held */
HAK_FN void hak_background_after_fork(void); /* in the child */

#endif
