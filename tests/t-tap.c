/* SPDX-License-Identifier: MIT */
/* The harness itself: what tap.h prints, and what it counts. */
#include "tap.h"

static char said[4096];

/* Runs what speaks with its output in SAID and the counters as they were; returns how many points failed. */
static unsigned hear(void (*speak)(void))
{
	unsigned points = tap_points, failed = tap_failed;
	int ends[2], out = dup(STDOUT_FILENO);

	need(out >= 0 && pipe(ends) == 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
	close(ends[1]);
	speak();
	need(dup2(out, STDOUT_FILENO) >= 0);
	close(out);
	ssize_t got = read(ends[0], said, sizeof said - 1);
	close(ends[0]);
	said[got > 0 ? got : 0] = '\0';
	failed = tap_failed - failed;
	tap_failed -= failed;
	tap_points = points;
	return failed;
}

static void speak_well(void)
{
	int one = 1;

	ok(one == 1);
	ok(true, "named %s, %d%%, %c", "so", -7, 'x');
	is(one, 1L);
	is_text("a", "a");
	hold(one == 1);
	skip("too %s", "late");
	note("%u %x %lu %zu %jd %p", 1u, 0xabu, 4294967295ul, (size_t)2, INTMAX_MIN, (void *)0x10);
}

static void speak_ill(void)
{
	int error = 0;

	is(error, -1);
	is_text(NULL, "b");
	errno = ENOMEM;
	hold(error == 1);
	error = errno;
	hold(error == ENOMEM);
	ok(false, "two\nlines");
}

static void speak_long(void)
{
	char text[2000];

	memset(text, 'y', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	note("%s", text);
}

static const char good_words[] = "ok - one == 1\n"
				 "ok - named so, -7%, x\n"
				 "ok - one is 1L\n"
				 "ok - \"a\" is \"a\"\n"
				 "ok # SKIP too late\n"
				 "# 1 ab 4294967295 2 -9223372036854775808 0x10\n";

static bool has(const char *text)
{
	return strstr(said, text) != NULL;
}

int main(void)
{
	is(hear(speak_well), 0);
	is_text(said, good_words);
	is(hear(speak_ill), 4);
	ok(has("not ok - error is -1\n"));
	ok(has("# got 0 (0x0), expected -1 (0xffffffffffffffff)\n"));
	ok(has("# got      '(null)'\n# expected 'b'\n"));
	ok(has("not ok - error == 1\n"));
	ok(!has("ENOMEM"), "errno is left alone");
	ok(has("not ok - two lines\n"));
	is(hear(speak_long), 0);
	ok(strlen(said) <= 500 && has("yyy\n"), "a long line is cut, not lost");
	return done();
}
