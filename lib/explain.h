/* explain: the journal in words.  Floor 13.
 *
 * Concurrency: any threads; a decision that is being written is left out. */
#ifndef HAK_EXPLAIN_H
#define HAK_EXPLAIN_H

#include "say.h"

/* now: hak_os_now(), or another time that ages are told from */
HAK_FN void hak_explain_text(struct hak_text *out, uint32_t now); /* the last decisions, oldest first, one a line */
HAK_FN void hak_explain_json(struct hak_text *out, uint32_t now); /* the same, as the elements of an array */

#endif
