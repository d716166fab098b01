/* say: the only words out, and the one way to die.  Floor 2.
 *
 * Words are put together in a buffer of the caller's by struct hak_text and leave in one write(2) to standard
 * error.  Nothing here allocates, takes a lock, calls stdio or changes errno.
 * S1  start <= at < end, and *at is NUL: the text is a C string at every moment.
 * S2  What does not fit is dropped and counted in lost, so a second try knows the size it needs. */
#ifndef HAK_SAY_H
#define HAK_SAY_H

#include "cc.h"

struct hak_text {
	char *at;    /* the NUL, where the next byte goes */
	char *end;   /* one past the buffer */
	char *start;
	size_t lost; /* bytes that found no place */
};

HAK_FN void hak_text_open(struct hak_text *text, char *buffer, size_t size); /* size >= 1 */
HAK_HOT size_t hak_text_length(const struct hak_text *text) { return (size_t)(text->at - text->start); }

HAK_FN void hak_text_bytes(struct hak_text *text, const char *bytes, size_t length);
HAK_FN void hak_text_string(struct hak_text *text, const char *string);
HAK_FN void hak_text_decimal(struct hak_text *text, uint64_t value);
HAK_FN void hak_text_hex(struct hak_text *text, uint64_t value); /* with 0x before it */
HAK_FN void hak_text_fixed(struct hak_text *text, uint64_t value, unsigned decimals); /* 1234, 2 -> 12.34 */
HAK_FN void hak_text_size(struct hak_text *text, size_t size); /* 4194304 -> 4M, 4194305 -> 4194305 */
HAK_FN void hak_text_json(struct hak_text *text, const char *string); /* quoted and escaped, ASCII only */

/* A part of printf, so that the compiler checks the arguments: %s %c %u %d %x %p %% with the lengths l, ll
 * and z, a width, and before it - (left) or 0 (zeros, of %u and %x). */
HAK_FN void hak_text_format(struct hak_text *text, const char *format, ...) HAK_PRINTF(2, 3);

/* The nth of strings that stand one behind another, each with its NUL. */
HAK_FN const char *hak_text_nth(const char *strings, unsigned n);

#define HAK_SAY_LINE 512 /* the longest line */

/* "hakmem: ", the words, and a newline, to standard error. */
HAK_FN HAK_COLD void hak_say_line(const char *format, ...) HAK_PRINTF(1, 2);
HAK_FN HAK_COLD void hak_say_text(const struct hak_text *text); /* as it is */

/* One row of messages.def each. */
enum hak_fatal {
#define HAK_MESSAGE(id, text) HAK_FATAL_##id,
#include "messages.def"
#undef HAK_MESSAGE
	HAK_FATAL_COUNT
};

/* What hak_say_fatal says. */
HAK_FN HAK_COLD void hak_say_misuse(enum hak_fatal what, const char *entry, const void *pointer, size_t number);

/* hak_say_fatal(HAK_FATAL_DOUBLE_FREE, "free", p, 64) says
 *     hakmem: free(0x7f12a4000040): double free of a block of 64 bytes
 * and aborts.  entry: the name of the function that the program called. */
HAK_FN HAK_NORETURN HAK_COLD void hak_say_fatal(enum hak_fatal what, const char *entry, const void *pointer,
                                                size_t number);

#endif
