/* SPDX-License-Identifier: MIT */
/* words: numbers and names as people, JSON and metrics want them. */
#ifndef WORDS_H
#define WORDS_H

#include <stdint.h>

#define WORDS_SIZE 24

/* "12.3M"; the result is the buffer. */
const char *words_bytes(uint64_t bytes, char buffer[WORDS_SIZE]);
/* Of a ratio: "97.5 %", or "-" if there is nothing to divide by. */
const char *words_percent(uint64_t part, uint64_t whole, char buffer[WORDS_SIZE]);
/* The text in quotation marks, with what JSON and OpenMetrics want escaped. */
void words_quote(const char *text);

#endif
