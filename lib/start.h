/* start: constructor, fork, thread exit.  Floor 19. */
#ifndef HAK_START_H
#define HAK_START_H

#include "cc.h"

HAK_FN void hak_start(void); /* the constructor's work; a second call does nothing */

#endif
