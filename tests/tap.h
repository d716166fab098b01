/* SPDX-License-Identifier: MIT */
/* tap: what a test program says, in the Test Anything Protocol.
 *
 * Nothing here allocates, locks, buffers or changes errno: a line is put together on the stack and leaves by one
 * write(2).  So a test may speak while the allocator under test is broken, out of memory, in a forked child or in a
 * signal handler, and from any thread.
 *
 *	int main(void)
 *	{
 *		ok(hak_class_of(1) == 0);             a point named by its expression
 *		ok(p != NULL, "size %zu", size);      a point with a name of its own
 *		is(stats.live, 3);                    integers; shows both when they differ
 *		is_text(word, "yes");                 strings
 *		for (size_t i = 0; i < size; i++)
 *			hold(p[i] == 0);              in loops: a point only if it fails
 *		return done();                        the plan, and the exit status
 *	}
 *
 * A format knows %s %c %d %u %x %p and %%, the integers with the lengths hh h l ll z j t, without width or precision.
 * Of a forked child nobody sees the count: let it call hold() and end with _exit(failures()). */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ok(expression) or ok(expression, "format", ...): a point.  Returns whether it holds, as the next three do. */
#define ok(expression, ...) tap_ok((expression), TAP_HERE(#expression), " " __VA_ARGS__)

/* Two integers are equal. */
#define is(got, expected) tap_is((intmax_t)(got), (intmax_t)(expected), TAP_HERE(#got " is " #expected))

/* Two strings are equal, or both NULL. */
#define is_text(got, expected) tap_is_text((got), (expected), TAP_HERE(#got " is " #expected))

/* As ok(), but it makes no point while it holds. */
#define hold(expression) ((expression) ? true : tap_ok(false, TAP_HERE(#expression), " "))

/* The test itself cannot go on: something that it needs has failed. */
#define need(expression) ((expression) ? (void)0 : tap_bail_out(TAP_HERE(#expression)))

/* skip("format", ...): a point that cannot be tried here. */
#define skip(...) tap_skip(__VA_ARGS__)

/* skip_all("format", ...): nothing of this program can be tried here.  Before the first point; does not return. */
#define skip_all(...) tap_skip_all(__VA_ARGS__)

/* note("format", ...): a remark for the log. */
#define note(...) tap_note(__VA_ARGS__)

/* Prints the plan; main returns its value. */
#define done() tap_done()

/* How many points have failed, at most 100: an exit status. */
#define failures() tap_failures()

/* ---- the rest is not for tests ---- */

#define TAP_FORMAT(f, a) __attribute__((format(printf, f, a)))
#define TAP_HERE(text) ((struct tap_place){__FILE__, (text), __LINE__})

struct tap_place {
	const char *file;
	const char *text;
	int line;
};

struct tap_line {
	size_t used;
	char text[500];
};

static unsigned tap_points, tap_failed; /* by atomic adds: several threads may make points */

/* ---- a line ---- */

static inline void tap_put_char(struct tap_line *line, char c)
{
	if (line->used < sizeof line->text - 1)
		line->text[line->used++] = c == '\n' ? ' ' : c;
}

static inline void tap_put(struct tap_line *line, const char *text)
{
	for (const char *c = text != NULL ? text : "(null)"; *c != '\0'; c++)
		tap_put_char(line, *c);
}

static inline void tap_put_number(struct tap_line *line, uintmax_t value, unsigned base)
{
	char digits[3 * sizeof value];
	size_t at = sizeof digits;

	do
		digits[--at] = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	while (at < sizeof digits)
		tap_put_char(line, digits[at++]);
}

static inline void tap_put_signed(struct tap_line *line, intmax_t value)
{
	if (value < 0)
		tap_put_char(line, '-');
	tap_put_number(line, value < 0 ? 0 - (uintmax_t)value : (uintmax_t)value, 10);
}

static inline void tap_send(struct tap_line *line)
{
	int error = errno;

	line->text[line->used++] = '\n';
	for (size_t sent = 0; sent < line->used;) {
		ssize_t now = write(STDOUT_FILENO, line->text + sent, line->used - sent);

		if (now > 0)
			sent += (size_t)now;
		else if (errno != EINTR)
			break;
	}
	errno = error;
}

/* ---- formats ---- */

/* A va_list is an array on some machines and cannot be passed by address there; inside a structure it can. */
struct tap_list {
	va_list list;
};

/* Moves past the length; returns the size of the integer, which is that of int or of intmax_t on every machine. */
static inline size_t tap_integer_size(const char **format)
{
	size_t size = sizeof(int);

	for (;; ++*format) {
		switch (**format) {
		case 'h':
			break;
		case 'l':
			size = (*format)[-1] == 'l' ? sizeof(long long)
						    : sizeof(long); /* before the first: % or a digit */
			break;
		case 'z':
		case 't':
			size = sizeof(size_t);
			break;
		case 'j':
			size = sizeof(intmax_t);
			break;
		default:
			return size;
		}
	}
}

static inline void tap_put_argument(struct tap_line *line, const char **format, struct tap_list *from)
{
	bool narrow = tap_integer_size(format) == sizeof(int);

	switch (**format) {
	case 's':
		tap_put(line, va_arg(from->list, const char *));
		break;
	case 'p':
		tap_put(line, "0x");
		tap_put_number(line, (uintptr_t)va_arg(from->list, void *), 16);
		break;
	case 'c':
		tap_put_char(line, (char)va_arg(from->list, int));
		break;
	case 'd':
		tap_put_signed(line, narrow ? va_arg(from->list, int) : va_arg(from->list, intmax_t));
		break;
	case 'u':
		tap_put_number(line, narrow ? va_arg(from->list, unsigned) : va_arg(from->list, uintmax_t), 10);
		break;
	case 'x':
		tap_put_number(line, narrow ? va_arg(from->list, unsigned) : va_arg(from->list, uintmax_t), 16);
		break;
	default: /* %%, or a mistake that the compiler has reported */
		tap_put_char(line, **format);
		break;
	}
}

static inline void tap_put_format(struct tap_line *line, const char *format, struct tap_list *from)
{
	for (; *format != '\0'; format++) {
		if (*format != '%' || format[1] == '\0') {
			tap_put_char(line, *format);
			continue;
		}
		format++;
		tap_put_argument(line, &format, from);
	}
}

static inline void tap_say(const char *start, const char *format, struct tap_list *from)
{
	struct tap_line line = {0};

	tap_put(&line, start);
	tap_put_format(&line, format, from);
	tap_send(&line);
}

/* ---- what the macros call ---- */

TAP_FORMAT(1, 2) static inline void tap_note(const char *format, ...)
{
	struct tap_list from;

	va_start(from.list, format);
	tap_say("# ", format, &from);
	va_end(from.list);
}

/* The format starts with a blank; when that is all, the text of the expression is the name. */
TAP_FORMAT(3, 4) static inline bool tap_ok(bool holds, struct tap_place at, const char *format, ...)
{
	struct tap_line line = {0};
	struct tap_list from;

	tap_put(&line, holds ? "ok -" : "not ok -");
	va_start(from.list, format);
	tap_put_format(&line, format, &from);
	va_end(from.list);
	if (format[1] == '\0')
		tap_put(&line, at.text);
	tap_send(&line);
	__atomic_fetch_add(&tap_points, 1, __ATOMIC_RELAXED);
	if (holds)
		return true;
	__atomic_fetch_add(&tap_failed, 1, __ATOMIC_RELAXED);
	tap_note("%s:%d: %s", at.file, at.line, at.text);
	return false;
}

static inline bool tap_is(intmax_t got, intmax_t expected, struct tap_place at)
{
	if (tap_ok(got == expected, at, " "))
		return true;
	tap_note("got %jd (0x%jx), expected %jd (0x%jx)", got, (uintmax_t)got, expected, (uintmax_t)expected);
	return false;
}

static inline bool tap_is_text(const char *got, const char *expected, struct tap_place at)
{
	bool equal = got == NULL || expected == NULL ? got == expected : strcmp(got, expected) == 0;

	if (tap_ok(equal, at, " "))
		return true;
	tap_note("got      '%s'", got != NULL ? got : "(null)");
	tap_note("expected '%s'", expected != NULL ? expected : "(null)");
	return false;
}

TAP_FORMAT(1, 2) static inline void tap_skip(const char *format, ...)
{
	struct tap_list from;

	va_start(from.list, format);
	tap_say("ok # SKIP ", format, &from);
	va_end(from.list);
	__atomic_fetch_add(&tap_points, 1, __ATOMIC_RELAXED);
}

TAP_FORMAT(1, 2) __attribute__((noreturn)) static inline void tap_skip_all(const char *format, ...)
{
	struct tap_list from;

	va_start(from.list, format);
	tap_say("1..0 # SKIP ", format, &from);
	va_end(from.list);
	_exit(0);
}

__attribute__((noreturn)) static inline void tap_bail_out(struct tap_place at)
{
	struct tap_line line = {0};
	int error = errno;

	tap_put(&line, "Bail out! ");
	tap_put(&line, at.file);
	tap_put_char(&line, ':');
	tap_put_signed(&line, at.line);
	tap_put(&line, ": ");
	tap_put(&line, at.text);
	tap_put(&line, " (errno ");
	tap_put_signed(&line, error);
	tap_put_char(&line, ')');
	tap_send(&line);
	_exit(99);
}

static inline int tap_failures(void)
{
	unsigned failed = __atomic_load_n(&tap_failed, __ATOMIC_RELAXED);

	return failed < 100 ? (int)failed : 100;
}

static inline int tap_done(void)
{
	struct tap_line line = {0};

	tap_put(&line, "1..");
	tap_put_number(&line, __atomic_load_n(&tap_points, __ATOMIC_RELAXED), 10);
	tap_send(&line);
	return tap_failures() != 0;
}

#endif
