/* background: the thread of HAKMEM_BATCH_BG.  Floor 13.
 *
 * It gives old free memory back while the program sleeps, and has the next SuperSlab ready, mapped and zeroed, while it
 * grows.  Made by the first slow path that is taken BACKGROUND_AFTER_MS after the library's start, so that it never comes
 * before the constructors of an ordinary program have ended; never in a setuid program or a forked child.  All of its
 * signals are blocked.
 * Concurrency: any threads. */
#ifndef HAK_BACKGROUND_H
#define HAK_BACKGROUND_H

#include "cc.h"

HAK_FN void hak_background_start(void);      /* the constructor has run */
HAK_FN void hak_background_poke(void);       /* a safe point: no heap entered, no lock held */
HAK_FN void hak_background_after_fork(void); /* in the child */

#endif
