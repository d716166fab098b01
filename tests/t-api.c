/* SPDX-License-Identifier: MIT */
/* hakmem.h: version, settings, statistics and trim, as a program sees them.
 *
 * t-api text|json prints the statistics and nothing else. */
#include <hakmem.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "blocks.h"
#include "tap.h"

static char text[1 << 16];

static struct hakmem_stats stats_now(void)
{
	struct hakmem_stats stats;

	need(hakmem_stats(&stats, sizeof(stats)) == 0);
	return stats;
}

/* ---- version ---- */

static void check_version(void)
{
	is_text(hakmem_version(), HAKMEM_VERSION);
	is(HAKMEM_VERSION_NUMBER / 1000000, HAKMEM_VERSION_MAJOR);
	is(HAKMEM_VERSION_NUMBER / 1000 % 1000, HAKMEM_VERSION_MINOR);
	is(HAKMEM_VERSION_NUMBER % 1000, HAKMEM_VERSION_PATCH);
#ifdef PACKAGE_VERSION
	is_text(HAKMEM_VERSION, PACKAGE_VERSION);
#else
	skip("the header agrees with configure");
#endif
}

/* ---- settings ---- */

/* Each setting can be read under its name, and what is read can be set again. */
static void check_one_option(const struct hakmem_option *option)
{
	char value[HAKMEM_VALUE_SIZE];

	hold(option->struct_size == sizeof(*option));
	hold(strncmp(option->name, "HAKMEM_", 7) == 0);
	hold(option->summary[0] != '\0');
	hold(option->minimum <= option->value && option->value <= option->maximum);
	hold(hakmem_option_get(option->name, value, sizeof(value)) == 0);
	hold(hakmem_option_set(option->name, value) == (option->is_live ? 0 : EPERM));
}

static void check_list(void)
{
	struct hakmem_option option;
	unsigned n = 0;

	while (hakmem_option_list(n, &option, sizeof(option)) == 0) {
		check_one_option(&option);
		n++;
	}
	ok(n >= 17, "%u settings are listed", n);
	is(hakmem_option_list(n, &option, sizeof(option)), ENOENT);
	is(hakmem_option_list(0, &option, 3), EINVAL);
	is(hakmem_option_list(0, NULL, sizeof(option)), EINVAL);
}

static struct hakmem_option option_of(const char *name)
{
	struct hakmem_option option = {0};

	for (unsigned i = 0; hakmem_option_list(i, &option, sizeof(option)) == 0; i++)
		if (strcmp(option.name, name) == 0)
			return option;
	ok(false, "%s is listed", name);
	return option;
}

static void check_set(void)
{
	char value[HAKMEM_VALUE_SIZE];

	is(hakmem_option_set("HAKMEM_DIRTY_MIN", "24M"), 0);
	is(hakmem_option_get("dirty_min", value, sizeof(value)), 0);
	is_text(value, "24M");
	is(option_of("HAKMEM_DIRTY_MIN").value, 24 << 20);
	is(option_of("HAKMEM_DIRTY_MIN").source, HAKMEM_SOURCE_PROGRAM);
	is(option_of("HAKMEM_DIRTY_MIN").type, HAKMEM_OPTION_SIZE);
	is(option_of("HAKMEM_DIRTY_MIN").default_value, 3 << 20);
	is(option_of("HAKMEM_FC_CAP").source, HAKMEM_SOURCE_DEFAULT);
	is(option_of("HAKMEM_FC_CAP").is_live, 0);
	is(option_of("HAKMEM_SS_PREFAULT").type, HAKMEM_OPTION_ENUM);
	is_text(option_of("HAKMEM_SS_PREFAULT").unit, "off|populate|touch|auto");
	is(hakmem_option_set("ss_prefault", "touch"), 0);
	is(hakmem_option_get("ss_prefault", value, sizeof(value)), 0);
	is_text(value, "touch");
	is(hakmem_option_set("ss_prefault", "off"), 0);
	is(hakmem_option_set("dirty_min", "4M"), 0);
}

static void check_bad_options(void)
{
	char value[4] = "old";

	errno = 77;
	is(hakmem_option_set("HAKMEM_NO_SUCH", "1"), ENOENT);
	is(hakmem_option_set("", "1"), ENOENT);
	is(hakmem_option_set(NULL, "1"), ENOENT);
	is(hakmem_option_set("decay_ms", NULL), EINVAL);
	is(hakmem_option_set("decay_ms", "soon"), EINVAL);
	is(hakmem_option_set("decay_ms", "99999999"), ERANGE);
	is(hakmem_option_set("fc_cap", "8"), EPERM);
	is(hakmem_option_get("decay_ms", value, sizeof(value)), ERANGE);
	is_text(value, "old");
	is(hakmem_option_get("decay_ms", NULL, 0), ERANGE);
	is(hakmem_option_get("no_such", value, sizeof(value)), ENOENT);
	is(hakmem_option_get(NULL, value, sizeof(value)), ENOENT);
	is(hakmem_option_get("verbose", value, 2), 0);
	is_text(value, "0");
	is(errno, 77);
}

/* ---- statistics ---- */

static void check_amounts(void)
{
	struct hakmem_stats before = stats_now(), after;

	take(2000);
	after = stats_now();
	is(after.live_blocks - before.live_blocks, MANY);
	is(after.live_bytes - before.live_bytes, MANY * 2048);
	is(after.small_bytes - before.small_bytes, MANY * 2048);
	give();
	after = stats_now();
	is(after.live_blocks, before.live_blocks);
	is(after.live_bytes, before.live_bytes);
	take(100000);
	after = stats_now();
	is(after.mid_blocks - before.mid_blocks, MANY);
	is(after.mid_bytes - before.mid_bytes, MANY * (128 << 10));
	ok(after.mapped_bytes >= after.live_bytes, "what lives is mapped");
	give();
	is(stats_now().live_bytes, before.live_bytes);
}

static void check_classes(void)
{
	struct hakmem_stats all = stats_now();
	struct hakmem_class_stats one;
	uint64_t blocks_sum = 0, bytes = 0, carved = 0, last = 0;
	unsigned n = 0;

	for (; hakmem_stats_class(n, &one, sizeof(one)) == 0; n++) {
		hold(one.struct_size == sizeof(one));
		hold(one.block_size > last && one.block_size % 16 == 0);
		hold(one.group == 8 ? one.block_size > 1024 : one.group < 8 && one.block_size <= 16u << one.group);
		last = one.block_size;
		blocks_sum += one.live_blocks;
		bytes += one.live_blocks * one.block_size;
		carved += one.carved;
	}
	ok(n == 44 && last == 65536, "44 classes, to 64 KiB");
	is(blocks_sum, all.small_blocks);
	is(bytes, all.small_bytes);
	is(carved, all.carved);
	is(hakmem_stats_class(n, &one, sizeof(one)), ENOENT);
	is(hakmem_stats_class(0, &one, 1), EINVAL);
}

/* A program that is older or newer than the library. */
static void check_structures(void)
{
	struct {
		struct hakmem_stats stats;
		uint64_t newer[2];
	} large;
	struct {
		size_t struct_size;
		uint64_t live_blocks;
		uint64_t untouched;
	} small = {0, 0, 99};

	memset(&large, 0xff, sizeof(large));
	is(hakmem_stats((struct hakmem_stats *)(void *)&large, sizeof(large)), 0);
	is(large.stats.struct_size, sizeof(struct hakmem_stats));
	is(large.newer[0] | large.newer[1], 0);
	is(hakmem_stats((struct hakmem_stats *)(void *)&small, offsetof(struct hakmem_stats, live_bytes)), 0);
	is(small.struct_size, offsetof(struct hakmem_stats, live_bytes));
	is(small.live_blocks, large.stats.live_blocks);
	is(small.untouched, 99);
	is(hakmem_stats(NULL, sizeof(large)), EINVAL);
	is(hakmem_stats((struct hakmem_stats *)(void *)&small, 0), EINVAL);
}

enum { MOST_AGES = 64 };

/* The ages of decisions in it may get a digit more from one call to the next. */
static bool is_about(size_t length, size_t before)
{
	return length >= before && length <= before + MOST_AGES;
}

static void check_print(enum hakmem_format format, const char *start)
{
	size_t length = hakmem_stats_print(format, NULL, 0), whole;
	char cut[20] = "", last = 'x';

	ok(length > 1000 && length + MOST_AGES < sizeof(text), "it needs %zu bytes", length);
	whole = hakmem_stats_print(format, text, sizeof(text));
	ok(is_about(whole, length), "as much as was said");
	is(strlen(text), whole);
	ok(strncmp(text, start, strlen(start)) == 0, "it starts with %s", start);
	is(text[whole - 1], '\n');
	ok(is_about(hakmem_stats_print(format, cut, sizeof(cut) - 1), whole), "the whole length, if it is cut");
	ok(strlen(cut) == sizeof(cut) - 2 && strncmp(cut, text, sizeof(cut) - 2) == 0, "it can be cut");
	ok(is_about(hakmem_stats_print(format, &last, 1), whole), "also to nothing");
	is(last, '\0');
}

/* ---- trim ---- */

static void check_trim(void)
{
	struct hakmem_stats now;
	void *many[64];
	size_t trimmed;

	take(3000);
	for (int i = 0; i < 64; i++)
		many[i] = malloc(1000000);
	give();
	for (int i = 0; i < 64; i++)
		free(many[i]);
	trimmed = hakmem_trim();
	ok(trimmed > 0, "%zu bytes go back", trimmed);
	is(stats_now().trim_bytes, 0);
	is(hakmem_trim(), 0);
	now = stats_now();
	ok(now.superslabs <= now.slabs_used, "no SuperSlab stays mapped for nothing: %zu, %zu slabs used", (size_t)now.superslabs,
	   (size_t)now.slabs_used);
}

static int print(const char *format)
{
	size_t length =
		hakmem_stats_print(*format == 'j' ? HAKMEM_FORMAT_JSON : HAKMEM_FORMAT_TEXT, text, sizeof(text));

	return write(STDOUT_FILENO, text, length) != (ssize_t)length;
}

int main(int count, char **words)
{
	HAK_ABI(free)(HAK_ABI(malloc)(1)); /* whatever the C library does before us */
	if (count > 1)
		return print(words[1]);
	check_version();
	check_list();
	check_set();
	check_bad_options();
	check_amounts();
	check_classes();
	check_structures();
	check_print(HAKMEM_FORMAT_TEXT, "HAKMEM " HAKMEM_VERSION);
	check_print(HAKMEM_FORMAT_JSON, "{\"version\":\"" HAKMEM_VERSION "\"");
	is(hakmem_stats_print((enum hakmem_format)7, text, sizeof(text)), 0);
	check_trim();
	return done();
}
