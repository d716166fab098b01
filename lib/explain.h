/* explain: the journal in words.  Floor 13.
 *
 * Concurrency: any threads; a decision that is being written is left out. */
#ifndef HAK_EXPLAIN_H
#define HAK_EXPLAIN_H

#include "say.h"

HAK_FN void hak_explain_text(struct hak_text *out); /* the last decisions, oldest first, one a line */
HAK_FN void hak_explain_json(struct hak_text *out); /* the same, as the elements of an array */

#endif
