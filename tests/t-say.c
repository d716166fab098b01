/* SPDX-License-Identifier: MIT */
/* The room say: how texts are put together, what a line looks like, and each way to die, to the letter. */
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "capture.h"
#include "tap.h"

static char buffer[256];
static struct hak_text text;

static struct hak_text *fresh(void)
{
	memset(buffer, '!', sizeof(buffer));
	hak_text_open(&text, buffer, sizeof(buffer));
	return &text;
}

/* A point: this is what has been written since fresh(). */
#define reads(expected) \
	(is_text(buffer, (expected)), hold(text.lost == 0), hold(hak_text_length(&text) == strlen(buffer)))

static void test_numbers(void)
{
	hak_text_decimal(fresh(), 0);
	reads("0");
	hak_text_decimal(fresh(), UINT64_MAX);
	reads("18446744073709551615");
	hak_text_hex(fresh(), 0);
	reads("0x0");
	hak_text_hex(fresh(), UINT64_C(0x7f12a4000040));
	reads("0x7f12a4000040");
	hak_text_hex(fresh(), UINT64_MAX);
	reads("0xffffffffffffffff");
}

static void test_fixed(void)
{
	hak_text_fixed(fresh(), 1234, 2);
	reads("12.34");
	hak_text_fixed(fresh(), 5, 3);
	reads("0.005");
	hak_text_fixed(fresh(), 1000, 3);
	reads("1.000");
	hak_text_fixed(fresh(), 7, 0);
	reads("7");
	hak_text_fixed(fresh(), UINT64_MAX, 9);
	reads("18446744073.709551615");
}

static void test_sizes(void)
{
	hak_text_size(fresh(), 0);
	reads("0");
	hak_text_size(fresh(), 1023);
	reads("1023");
	hak_text_size(fresh(), 1024);
	reads("1K");
	hak_text_size(fresh(), (size_t)4 << 20);
	reads("4M");
	hak_text_size(fresh(), ((size_t)4 << 20) + 1);
	reads("4194305");
	hak_text_size(fresh(), (size_t)3 << 30);
	reads("3G");
	hak_text_size(fresh(), 1536 * 1024);
	reads("1536K");
}

static void test_json(void)
{
	hak_text_json(fresh(), "plain");
	reads("\"plain\"");
	hak_text_json(fresh(), "a\"b\\c");
	reads("\"a\\\"b\\\\c\"");
	hak_text_json(fresh(), "\n\x7f\xff");
	reads("\"\\u000a\\u007f\\u00ff\"");
	hak_text_json(fresh(), "");
	reads("\"\"");
}

static const char *volatile no_string; /* volatile: the compiler would warn of it */

static void test_formats(void)
{
	hak_text_format(fresh(), "%s=%u, %zu and %d%%", "name", 7u, (size_t)12345, -3);
	reads("name=7, 12345 and -3%");
	hak_text_format(fresh(), "%lu %llu %ld %lld", ULONG_MAX, ULLONG_MAX, LONG_MIN, LLONG_MIN);
	hold(strcmp(buffer + strlen(buffer) - 20, "-9223372036854775808") == 0);
	hold(text.lost == 0);
	hak_text_format(fresh(), "%u %d %d", UINT_MAX, INT_MIN, INT_MAX);
	reads("4294967295 -2147483648 2147483647");
	hak_text_format(fresh(), "%x %04x %p %p", 0xbeefu, 10u, (void *)0x1234, (void *)0);
	reads("beef 000a 0x1234 0x0");
	hak_text_format(fresh(), "[%6u|%-6u|%6s|%-6s|%2s|%c]", 42u, 42u, "ab", "ab", "long", 'x');
	reads("[    42|42    |    ab|ab    |long|x]");
	hak_text_format(fresh(), "[%8zu|%-8lu|%3d|%12p]", (size_t)9, 8ul, -1, (void *)0x10);
	reads("[       9|8       | -1|        0x10]");
	hak_text_format(fresh(), "%s", no_string);
	reads("(null)");
	hak_text_format(fresh(), "nothing");
	reads("nothing");
}

static void test_cut(void)
{
	char guarded[10] = "=========";
	struct hak_text cut;

	hak_text_open(&cut, guarded, 6);
	hak_text_string(&cut, "abc");
	hold(cut.lost == 0);
	hak_text_decimal(&cut, 1234567);
	is_text(guarded, "abc12");
	is(cut.lost, 5);
	hak_text_string(&cut, "more");
	is(cut.lost, 9);
	is(hak_text_length(&cut), 5);
	is(guarded[6], '=');

	hak_text_open(&cut, guarded, 1);
	hak_text_format(&cut, "%s %5u", "x", 1u);
	is(cut.lost, 7);
	is_text(guarded, "");
}

static void say_a_line(const void *with)
{
	errno = 1234;
	hak_say_line("%s has %zu blocks", (const char *)with, (size_t)12);
	hold(errno == 1234);
}

static void say_a_long_line(const void *with)
{
	(void)with;
	hak_say_line("%2000s", "end");
	hak_say_line("next");
}

static void say_a_text(const void *with)
{
	char words[64];
	struct hak_text two;

	(void)with;
	hak_text_open(&two, words, sizeof(words));
	hak_text_string(&two, "one\ntwo\n");
	hak_say_text(&two);
}

static void test_lines(void)
{
	struct capture child;

	capture(&child, say_a_line, "slab");
	is_text(child.words, "hakmem: slab has 12 blocks\n");
	is(child.status, 0);
	capture(&child, say_a_long_line, NULL);
	is(strcspn(child.words, "\n"), HAK_SAY_LINE - 1);
	is_text(child.words + HAK_SAY_LINE, "hakmem: next\n");
	capture(&child, say_a_text, NULL);
	is_text(child.words, "one\ntwo\n");
}

struct death {
	enum hak_fatal what;
	const char *entry;
	const char *words;
};

static const struct death deaths[] = {
	{HAK_FATAL_DOUBLE_FREE, "free", "double free of a block of 64 bytes"},
	{HAK_FATAL_INTERIOR, "free", "the pointer leads into a block of 64 bytes, not to its start"},
	{HAK_FATAL_FREED, "realloc", "the block of 64 bytes is free"},
	{HAK_FATAL_NO_BLOCK, "cfree", "the pointer leads into memory that is not handed out"},
	{HAK_FATAL_NOT_OURS, "operator delete", "no allocator gave out this pointer"},
	{HAK_FATAL_SIZE_MISMATCH, "free_sized", "the size is wrong: the block has 64 bytes"},
	{HAK_FATAL_ALIGN_MISMATCH, "free_aligned_sized",
	 "the alignment is wrong: the block is not aligned to 64 bytes"},
	{HAK_FATAL_OVERFLOW, "free", "the program wrote behind the end of the block of 64 bytes"},
	{HAK_FATAL_UNDERFLOW, "free", "the program wrote before the start of the block of 64 bytes"},
	{HAK_FATAL_WRITTEN, "malloc", "the program wrote to the block of 64 bytes after it was freed"},
	{HAK_FATAL_CORRUPT, "malloc_usable_size", "the allocator's own memory is damaged (check 64)"},
	{HAK_FATAL_NO_MEMORY, "operator new", "no memory for 64 bytes, and no C++ library to throw std::bad_alloc"},
};

static void die(const void *with)
{
	const struct death *death = with;

	hak_say_fatal(death->what, death->entry, (const void *)0x7f1200, 64);
}

static void test_nth(void)
{
	static const char strings[] = "one\0\0three";

	is_text(hak_text_nth(strings, 0), "one");
	is_text(hak_text_nth(strings, 1), "");
	is_text(hak_text_nth(strings, 2), "three");
}

static void test_deaths(void)
{
	is(HAK_COUNT_OF(deaths), HAK_FATAL_COUNT);
	for (size_t i = 0; i < HAK_COUNT_OF(deaths); i++) {
		struct capture child;
		char line[HAK_SAY_LINE];
		struct hak_text expected;

		hak_text_open(&expected, line, sizeof(line));
		hak_text_format(&expected, "hakmem: %s(0x7f1200): %s\n", deaths[i].entry, deaths[i].words);
		capture(&child, die, &deaths[i]);
		is_text(child.words, line);
		hold((size_t)deaths[i].what == i); /* none is missing */
		hold(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT);
	}
}

int main(void)
{
	test_numbers();
	test_fixed();
	test_sizes();
	test_json();
	test_formats();
	test_cut();
	test_lines();
	test_nth();
	test_deaths();
	return done();
}
