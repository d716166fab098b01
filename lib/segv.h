/* segv: the handler of faults at guarded blocks.  Floor 12.
 *
 * A fault there becomes a sentence and two traces, and then goes on to the handler that was there before, or to the default
 * action; so do, without a word, all others.  Async-signal-safe. */
#ifndef HAK_SEGV_H
#define HAK_SEGV_H

#include "guard.h"

HAK_FN void hak_segv_start(void); /* once, by the constructor */

#endif
