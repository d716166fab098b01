/* SPDX-License-Identifier: MIT */
/* The text of /etc/ld.so.preload is edited without a loss: what others wrote stays, byte by byte. */
#include "../tools/preload/entries.c"

#include "tap.h"

#define OURS "/usr/$LIB/hakmem/live/1.0-0123456789abcdef/libhakmem-preload.so"

static struct text text_of(const char *from)
{
	struct text text = {strdup(from), strlen(from)};

	need(text.bytes != NULL);
	return text;
}

static void removes(const char *from, const char *expected)
{
	struct text text = text_of(from);

	entries_remove(&text);
	is_text(text.bytes, expected);
	hold(text.length == strlen(expected));
	free(text.bytes);
}

static void adds(const char *from, const char *expected)
{
	struct text text = text_of(from);

	entries_remove(&text);
	need(entries_add(&text, OURS));
	is_text(text.bytes, expected);
	hold(text.length == strlen(expected));
	free(text.bytes);
}

static void check_removal(void)
{
	removes("", "");
	removes("\n", "\n");
	removes(OURS "\n", "");
	removes(OURS, "");
	removes(OURS " \n", "");
	removes(OURS "\t\n", "");
	removes("  " OURS "\n", "");
	removes(OURS "\n/lib/a.so\n", "/lib/a.so\n");
	removes("/lib/a.so\n" OURS "\n/lib/b.so\n", "/lib/a.so\n/lib/b.so\n");
	removes("/lib/a.so\n" OURS "\n", "/lib/a.so\n");
	removes("/lib/a.so\n" OURS, "/lib/a.so\n");
	removes("/lib/a.so " OURS " /lib/b.so\n", "/lib/a.so /lib/b.so\n");
	removes("/lib/a.so:" OURS ":/lib/b.so", "/lib/a.so:/lib/b.so");
	removes(OURS ":/lib/b.so\n", "/lib/b.so\n");
	removes("/lib/a.so:" OURS "\n", "/lib/a.so\n");
	removes("/lib/a.so\t" OURS " # why\n", "/lib/a.so\t# why\n");
	removes(OURS " # why\n", "# why\n");
	removes(OURS "#why\n", "#why\n");
	removes(OURS "\n" OURS "\n\n" OURS " " OURS, "\n");
}

static void check_what_is_ours(void)
{
	removes("/usr/lib/libhakmem.so.1\n", "");
	removes("libhakmem.so\n", "");
	removes("${LIB}/hakmem/live/1/libhakmem-preload.so\n", "");
	removes("/lib/libhakme.so\n/lib/libhakmem.so.d/a.so\n", "/lib/libhakme.so\n/lib/libhakmem.so.d/a.so\n");
	removes("# " OURS "\n", "# " OURS "\n");
	removes("/lib/a.so # " OURS "\n" OURS "\n", "/lib/a.so # " OURS "\n");
	removes("/opt/xlibhakmem.so\n", "/opt/xlibhakmem.so\n");
}

static void check_addition(void)
{
	adds("", OURS "\n");
	adds(OURS, OURS "\n");
	adds("/lib/a.so", "/lib/a.so\n" OURS "\n");
	adds("/lib/a.so\n", "/lib/a.so\n" OURS "\n");
	adds("# why", "# why\n" OURS "\n");
	adds(OURS "\n/lib/a.so \t:\n\n", "/lib/a.so \t:\n\n" OURS "\n");
	adds("/usr/lib/libhakmem.so.1\n", OURS "\n");
}

static void check_names(void)
{
	struct text text = text_of(" a:b\t#c d\n\ne");
	struct entry entry;
	char names[16] = "";
	size_t at = 0;

	while (entries_next(&text, &at, &entry))
		strncat(names, entry.name, entry.length);
	is_text(names, "abe");
	free(text.bytes);
}

static void check_blank(void)
{
	static const char *const blank[] = {"", "\n", " \t:\n"};
	struct text text = text_of("#\n");

	ok(!entries_is_blank(&text), "a comment is worth a file");
	free(text.bytes);
	for (int i = 0; i < 3; i++) {
		text = text_of(blank[i]);
		ok(entries_is_blank(&text));
		free(text.bytes);
	}
}

int main(void)
{
	check_removal();
	check_what_is_ours();
	check_addition();
	check_names();
	check_blank();
	return done();
}
