/* SPDX-License-Identifier: MIT */
/* The room tunables: every row's default, bounds and bad values; the environment, privileges, the program's
 * own changes before and after start.  Settings are read once in a process, so each case runs in a child. */
#include "tunables.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "capture.h"
#include "fails.h"
#include "os.h"
#include "tap.h"

static unsigned find(const char *name)
{
	unsigned i = hak_tunables_find(name);

	need(i < HAK_TUNABLE_COUNT);
	return i;
}

static void read_one(const char *entry)
{
	char copy[200];
	char *environment[] = {(char[]){"HOME=/"}, copy, (char[]){"HAKMEMORY=1"}, NULL};
	struct hak_text text;

	hak_text_open(&text, copy, sizeof(copy));
	hak_text_string(&text, entry);
	hak_tunables_read(environment, false);
}

/* ---- the table ---- */

/* A change of a promise to users is a change here too. */
static const struct promise {
	const char *name;
	size_t preset, min, max;
	enum hak_tunable_type type;
	enum hak_tunable_stability stability;
} promises[] = {
#define PROMISE(name, type, preset, max, stability)                                              \
	{                                                                                        \
		"HAKMEM_" #name, (preset), 0, (max), HAK_TUNABLE_##type, HAK_TUNABLE_##stability \
	}
	PROMISE(SS_PREFAULT, ENUM, 3, 3, LIVE),
	PROMISE(THP, ENUM, HAK_DEFAULT_THP, 2, LIVE),
	PROMISE(SS_LRU_SIZE, INT, 64, 65536, LIVE),
	PROMISE(NUMA, BOOL, 1, 1, LIVE),
	PROMISE(SS_PREWARM, INT, 0, 1024, START),
	PROMISE(WARM_POOL_STATS, BOOL, 0, 1, LIVE),
	PROMISE(FRONT_STATS, BOOL, 0, 1, LIVE),
	PROMISE(FC_CAP, INT, 0, 2048, START),
	PROMISE(FC_REFILL, INT, 0, 1024, START),
	PROMISE(TINY_REFILL_COUNT, INT, 0, 1024, START),
	PROMISE(TINY_FRONT_DIRECT, BOOL, 0, 1, START),
	PROMISE(SECURE, ENUM, 0, 3, START),
	PROMISE(TINY_USE_SUPERSLAB, BOOL, 1, 1, START),
	PROMISE(DISABLE, BOOL, 0, 1, START),
	PROMISE(ACE_ENABLED, BOOL, 1, 1, LIVE),
	PROMISE(SS_LRU_DEBUG, BOOL, 0, 1, LIVE),
	PROMISE(SS_PREWARM_DEBUG, BOOL, 0, 1, START),
	PROMISE(DIRTY_MIN, SIZE, (size_t)3 << 20, SIZE_MAX, LIVE),
	PROMISE(DIRTY_PERCENT, INT, 12, 1000, LIVE),
	PROMISE(DECAY_MS, INT, 1000, 86400000, LIVE),
	PROMISE(BATCH_BG, BOOL, 0, 1, START),
	PROMISE(BIG_CACHE, SIZE, (size_t)256 << 20, SIZE_MAX, LIVE),
	PROMISE(ELO_THRESHOLD, SIZE, 0, PTRDIFF_MAX, LIVE),
	PROMISE(LIMIT, SIZE, 0, PTRDIFF_MAX, LIVE),
	PROMISE(LIMIT_HARD, SIZE, 0, PTRDIFF_MAX, LIVE),
	PROMISE(LIMIT_CGROUP, BOOL, 0, 1, START),
	PROMISE(GUARD_SAMPLE, INT, 0, 1000000000, START),
	PROMISE(GUARD_PAGES, INT, 255, 65535, START),
	PROMISE(STATS, BOOL, 0, 1, LIVE),
	PROMISE(VERBOSE, BOOL, 0, 1, LIVE),
#undef PROMISE
};

static void check_promise(const struct promise *p)
{
	unsigned i = hak_tunables_find(p->name);

	if (!ok(i < HAK_TUNABLE_COUNT, "%s exists", p->name))
		return;
	ok(hak_tunables_value(i) == p->preset, "%s starts at its default", p->name);
	hold(hak_tunables_default(i) == p->preset);
	hold(hak_tunables_min(i) == p->min);
	hold(hak_tunables_max(i) == p->max);
	hold(hak_tunables_type(i) == p->type);
	hold(hak_tunables_stability(i) == p->stability);
}

static void test_promises(void)
{
	for (size_t n = 0; n < HAK_COUNT_OF(promises); n++)
		check_promise(&promises[n]);
}

static bool is_clean(const char *words)
{
	return words[0] > ' ' && !strpbrk(words, "\n\t\"\\");
}

static void test_rows(void)
{
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++) {
		const char *name = hak_tunables_name(i), *summary = hak_tunables_summary(i);

		hold(strncmp(name, "HAKMEM_", 7) == 0);
		hold(hak_tunables_find(name) == i);
		hold(hak_tunables_source(i) == HAK_SOURCE_DEFAULT);
		hold(hak_tunables_refused(i) == NULL);
		hold(is_clean(summary) && summary[strlen(summary) - 1] != '.' && strlen(summary) <= 80);
		hold(hak_tunables_type(i) == HAK_TUNABLE_BOOL || is_clean(hak_tunables_unit(i)));
	}
	ok(hak_tunables_unknown(0) == NULL, "each row is well formed");
}

static void test_names(void)
{
	is(hak_tunables_find("fc_cap"), HAK_TUNABLE_ID_fc_cap);
	is(hak_tunables_find("HAKMEM_FC_CAP"), HAK_TUNABLE_ID_fc_cap);
	is(hak_tunables_find("stats"), HAK_TUNABLE_ID_stats);
	is(hak_tunables_find("fc_ca"), HAK_TUNABLE_COUNT);
	is(hak_tunables_find("fc_capx"), HAK_TUNABLE_COUNT);
	is(hak_tunables_find("FC_CAP"), HAK_TUNABLE_COUNT);
	is(hak_tunables_find("HAKMEM_"), HAK_TUNABLE_COUNT);
	is(hak_tunables_find("x"), HAK_TUNABLE_COUNT);
	is(hak_tunables_find(""), HAK_TUNABLE_COUNT);
}

/* ---- values ---- */

static void check_bounds(const void *with)
{
	unsigned i = *(const unsigned *)with;
	size_t max = hak_tunables_max(i), min = hak_tunables_min(i);

	hold(hak_tunables_set_value(i, max) == 0 && hak_tunables_value(i) == max);
	hold(hak_tunables_set_value(i, min) == 0 && hak_tunables_value(i) == min);
	hold(hak_tunables_source(i) == HAK_SOURCE_API);
	hold(max == SIZE_MAX || hak_tunables_set_value(i, max + 1) == ERANGE);
	hold(max == SIZE_MAX || hak_tunables_set_value(i, SIZE_MAX) == ERANGE);
	hold(min == 0 || hak_tunables_set_value(i, min - 1) == ERANGE);
	hold(hak_tunables_value(i) == min);
}

/* What print writes is read back as the same. */
static void check_print(const void *with)
{
	unsigned i = *(const unsigned *)with;
	size_t values[] = {hak_tunables_min(i), hak_tunables_default(i), hak_tunables_max(i)};

	for (size_t n = 0; n < HAK_COUNT_OF(values); n++) {
		char buffer[64];
		struct hak_text text;

		hak_text_open(&text, buffer, sizeof(buffer));
		hak_tunables_print(i, values[n], &text);
		hold(hak_tunables_set(i, buffer) == 0);
		hold(hak_tunables_value(i) == values[n]);
	}
}

static void check_bad_values(const void *with)
{
	static const char *const bad[] = {
		"",  " ",   "x",   "-1", "+1",  "0x1",        "1x", "1 ",  " 1",           "1.5",
		"K", "1KK", "1Ki", "1T", "1\n", "true false", "|",  "0|1", "off|populate",
	};
	static const char *const huge[] = {"18446744073709551616", "99999999999999999999999999999999"};
	unsigned i = *(const unsigned *)with;

	for (size_t n = 0; n < HAK_COUNT_OF(bad); n++)
		if (!hold(hak_tunables_set(i, bad[n]) == EINVAL))
			note("'%s'", bad[n]);
	for (size_t n = 0; n < HAK_COUNT_OF(huge); n++)
		hold(hak_tunables_set(i, huge[n]) == ERANGE);
	hold(hak_tunables_value(i) == hak_tunables_default(i));
	hold(hak_tunables_source(i) == HAK_SOURCE_DEFAULT);
}

static const struct {
	const char *what;
	void (*run)(const void *);
} row_checks[] = {
	{"bounds", check_bounds},
	{"print", check_print},
	{"bad values", check_bad_values},
};

static void test_values(void)
{
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++) {
		char name[100];
		struct hak_text text;

		for (size_t n = 0; n < HAK_COUNT_OF(row_checks); n++) {
			hak_text_open(&text, name, sizeof(name));
			hak_text_format(&text, "%s: %s", hak_tunables_name(i), row_checks[n].what);
			capture_silent(name, row_checks[n].run, &i);
		}
	}
}

static void check_words(const void *with)
{
	static const struct {
		const char *name, *text;
		size_t value;
	} good[] = {
		{"stats", "1", 1},
		{"stats", "off", 0},
		{"stats", "on", 1},
		{"stats", "no", 0},
		{"stats", "yes", 1},
		{"stats", "false", 0},
		{"stats", "true", 1},
		{"stats", "0", 0},
		{"stats", "01", 1},
		{"ss_prefault", "touch", 2},
		{"ss_prefault", "off", 0},
		{"ss_prefault", "populate", 1},
		{"ss_prefault", "2", 2},
		{"decay_ms", "0", 0},
		{"decay_ms", "900000", 900000},
		{"fc_cap", "2048", 2048},
		{"fc_cap", "0007", 7},
		{"big_cache", "1", 1},
		{"big_cache", "3k", 3072},
		{"big_cache", "3K", 3072},
		{"big_cache", "5m", 5 << 20},
		{"big_cache", "5M", 5 << 20},
		{"big_cache", "1g", 1 << 30},
		{"big_cache", "1G", 1 << 30},
		{"big_cache", "0G", 0},
	};

	(void)with;
	for (size_t n = 0; n < HAK_COUNT_OF(good); n++) {
		unsigned i = find(good[n].name);

		if (!hold(hak_tunables_set(i, good[n].text) == 0 && hak_tunables_value(i) == good[n].value))
			note("%s=%s", good[n].name, good[n].text);
	}
}

static void check_suffix_overflow(const void *with)
{
	unsigned i = find("big_cache");

	(void)with;
	hold(hak_tunables_set(i, "18014398509481984K") == ERANGE);
	hold(hak_tunables_set(i, "17592186044416M") == ERANGE);
	hold(hak_tunables_set(i, "17179869184G") == ERANGE);
	hold(hak_tunables_value(i) == (size_t)256 << 20);
	if (sizeof(size_t) == 8)
		hold(hak_tunables_set(i, "17179869183G") == 0);
	hold(hak_tunables_set(find("fc_cap"), "1K") == EINVAL); /* not a size */
}

/* ---- the environment ---- */

static void check_environment(const void *with)
{
	char *environment[] = {(char[]){"PATH=/bin"},
			       (char[]){"HAKMEM_FC_CAP=100"},
			       (char[]){"HAKMEM_DIRTY_MIN=1G"},
			       (char[]){"HAKMEM_SS_PREFAULT=touch"},
			       (char[]){"HAKMEM_FC_CAP=200"}, /* the first counts */
			       (char[]){"HAKMEM_STATS="},     /* not set */
			       (char[]){"HAKMEM_SS_PREWARM"}, /* not an entry at all */
			       (char[]){"HAKMEM_TINY_USE_SUPERSLAB=0"},
			       NULL};

	(void)with;
	errno = 1234;
	hak_tunables_read(environment, false);
	hold(errno == 1234);
	hold(hak_setting(fc_cap) == 100 && hak_settings.fc_cap == 100);
	hold(hak_setting(dirty_min) == HAK_MIB(1024));
	hold(hak_setting(ss_prefault) == 2);
	hold(!hak_setting(tiny_use_superslab));
	hold(!hak_setting(stats) && hak_tunables_source(find("stats")) == HAK_SOURCE_DEFAULT);
	hold(hak_tunables_source(find("fc_cap")) == HAK_SOURCE_ENVIRONMENT);
	hold(hak_tunables_source(find("dirty_min")) == HAK_SOURCE_ENVIRONMENT);
	hold(hak_tunables_refused(find("stats")) == NULL);
	hold(hak_tunables_unknown(0) == NULL);
	hak_tunables_seal();
	hold(hak_setting(fc_cap) == 100);
}

static void check_each_by_environment(const void *with)
{
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++) {
		char entry[100];
		struct hak_text text;
		size_t min = hak_tunables_min(i), max = hak_tunables_max(i);

		hak_text_open(&text, entry, sizeof(entry));
		hak_text_format(&text, "%s=", hak_tunables_name(i));
		hak_tunables_print(i, hak_tunables_default(i) == min ? max : min, &text);
		if (hak_tunables_find("verbose") != i)
			read_one(entry);
	}
	hak_tunables_seal();
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++)
		hold(i == find("verbose") || hak_tunables_value(i) != hak_tunables_default(i));
	(void)with;
}

static void check_secure(const void *with)
{
	char *environment[] = {(char[]){"HAKMEM_FC_CAP=100"}, (char[]){"HAKMEM_STATS=1"},
			       (char[]){"HAKMEM_BIG_CACHE=bad"}, (char[]){"HAKMEM_VERBOSE=1"}, NULL};

	(void)with;
	hak_tunables_read(environment, true);
	hak_tunables_seal();
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++) {
		hold(hak_tunables_value(i) == hak_tunables_default(i));
		hold(hak_tunables_source(i) == HAK_SOURCE_DEFAULT);
		hold(hak_tunables_refused(i) == NULL);
	}
}

static void check_no_environment(const void *with)
{
	char *nothing[] = {NULL};

	(void)with;
	hak_tunables_read(NULL, false);
	hak_tunables_read(nothing, false);
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++)
		hold(hak_tunables_value(i) == hak_tunables_default(i));
}

static void check_refused(const void *with)
{
	static const char long_value[] = "HAKMEM_SS_LRU_SIZE=1234567890123456789012345678901234567890\x1b[2J";

	(void)with;
	read_one("HAKMEM_FC_CAP=2049");
	read_one("HAKMEM_FC_CAP=7"); /* the first counts, though refused */
	read_one("HAKMEM_DECAY_MS=\x1b]0;x");
	read_one(long_value);
	hold(hak_setting(fc_cap) == 0 && hak_setting(decay_ms) == 1000 && hak_setting(ss_lru_size) == 64);
	hold(hak_tunables_source(find("fc_cap")) == HAK_SOURCE_DEFAULT);
	hold(strcmp(hak_tunables_refused(find("fc_cap")), "2049") == 0);
	hold(strcmp(hak_tunables_refused(find("decay_ms")), "?]0;x") == 0);
	hold(strcmp(hak_tunables_refused(find("ss_lru_size")), "123456789012345678901234567890123456...") == 0);
}

static void check_unknown(const void *with)
{
	(void)with;
	read_one("HAKMEM_FC_CAPS=1");
	read_one("HAKMEM_=1");
	read_one("HAKMEM_fc_cap=1");
	read_one("HAKMEM_A=1");
	read_one("HAKMEM_B=1");
	hold(strcmp(hak_tunables_unknown(0), "HAKMEM_FC_CAPS") == 0);
	hold(strcmp(hak_tunables_unknown(1), "HAKMEM_") == 0);
	hold(strcmp(hak_tunables_unknown(2), "HAKMEM_fc_cap") == 0);
	hold(hak_tunables_unknown(3) != NULL && hak_tunables_unknown(4) == NULL);
	hold(hak_setting(fc_cap) == 0);
}

static void read_verbosely(const void *with)
{
	char *environment[] = {(char[]){"HAKMEM_FC_CAP=many"},
			       (char[]){"HAKMEM_SS_PREFAULT=4"},
			       (char[]){"HAKMEM_BIG_CACHE=1T"},
			       (char[]){"HAKMEM_STATS=maybe"},
			       (char[]){"HAKMEM_NOISE=1"},
			       (char[]){"HAKMEM_VERBOSE=1"},
			       NULL};

	(void)with;
	hak_tunables_read(environment, false);
}

static void test_words(void)
{
	struct capture child;

	capture(&child, read_verbosely, NULL);
	is_text(child.words,
		"hakmem: HAKMEM_SS_PREFAULT=4 is refused: it is not one of off|populate|touch|auto; it stays auto\n"
		"hakmem: HAKMEM_FC_CAP=many is refused: it is not a number from 0 to 2048; it stays 0\n"
		"hakmem: HAKMEM_BIG_CACHE=1T is refused: it is not a size such as 65536, 64K, 4M or 1G; "
		"it stays 256M\n"
		"hakmem: HAKMEM_STATS=maybe is refused: it is not 0 or 1; it stays 0\n"
		"hakmem: HAKMEM_NOISE: there is no such setting\n");
	is(child.status, 0);
}

/* ---- the program's own changes ---- */

static void check_sealed(const void *with)
{
	(void)with;
	hold(hak_tunables_set(find("fc_cap"), "9") == 0 && hak_setting(fc_cap) == 9);
	read_one("HAKMEM_FC_CAP=10"); /* the program's word wins */
	hold(hak_setting(fc_cap) == 9);
	hak_tunables_seal();
	hold(hak_tunables_set(find("fc_cap"), "11") == EPERM);
	hold(hak_tunables_set_value(find("fc_cap"), 11) == EPERM);
	hold(hak_tunables_set(find("fc_cap"), "4000") == ERANGE);
	hold(hak_setting(fc_cap) == 9);
	hold(hak_tunables_set(find("decay_ms"), "5") == 0 && hak_setting(decay_ms) == 5);
	hold(hak_tunables_set_value(find("dirty_min"), 4096) == 0 && hak_setting(dirty_min) == 4096);
	hold(hak_tunables_source(find("decay_ms")) == HAK_SOURCE_API);
	hold(hak_tunables_set(HAK_TUNABLE_COUNT, "1") == ENOENT);
	hold(hak_tunables_set_value(UINT_MAX, 1) == ENOENT);
}

/* The environment wins over a file, and the program over both. */
static void check_ranks(const void *with)
{
	(void)with;
	hold(hak_tunables_set_by_file(find("fc_cap"), "9") == 0 && hak_setting(fc_cap) == 9);
	hold(hak_tunables_source(find("fc_cap")) == HAK_SOURCE_FILE);
	hold(hak_tunables_set_by_file(find("fc_cap"), "10") == 0 && hak_setting(fc_cap) == 10);
	hold(hak_tunables_set_by_file(find("fc_cap"), "many") == EINVAL && hak_setting(fc_cap) == 10);
	hold(hak_tunables_set_by_file(HAK_TUNABLE_COUNT, "1") == ENOENT);
	read_one("HAKMEM_FC_CAP=x");
	hold(hak_setting(fc_cap) == 10 && hak_tunables_source(find("fc_cap")) == HAK_SOURCE_FILE);
	hold(hak_tunables_set_by_file(find("fc_refill"), "3") == 0);
	read_one("HAKMEM_FC_REFILL=4");
	read_one("HAKMEM_FC_REFILL=5");
	hold(hak_setting(fc_refill) == 4 && hak_tunables_source(find("fc_refill")) == HAK_SOURCE_ENVIRONMENT);
	hold(hak_tunables_set(find("fc_cap"), "7") == 0);
	hold(hak_tunables_set_by_file(find("fc_cap"), "8") == 0 && hak_setting(fc_cap) == 7);
	hold(hak_tunables_set_by_file(find("fc_cap"), "x") == EINVAL);
	read_one("HAKMEM_CONF=/etc/other.conf");
	hold(hak_tunables_unknown(0) == NULL);
	read_one("HAKMEM_CON=1");
	hold(hak_tunables_unknown(0) != NULL);
}

/* They cannot be made writable: refused, and as they were; what may change at any time needs nothing. */
static void check_protected(const void *with)
{
	(void)with;
	fail(HAK_FAULT_PROTECT, ENOMEM, 1, 1);
	hold(hak_tunables_set(find("fc_cap"), "7") == EPERM && hak_setting(fc_cap) == 0);
	hold(hak_tunables_source(find("fc_cap")) == HAK_SOURCE_DEFAULT);
	hold(hak_tunables_set(find("fc_cap"), "7") == 0 && hak_setting(fc_cap) == 7);
	fail(HAK_FAULT_PROTECT, ENOMEM, 1, 1);
	hold(hak_tunables_set(find("stats"), "1") == 0 && hak_setting(stats));
}

static void write_settings(const void *with)
{
	(void)with;
	read_one("HAKMEM_FC_CAP=10");
	hak_tunables_seal();
	hak_settings.fc_cap = 5;
}

static void test_read_only(void)
{
	struct capture child;

	if (sysconf(_SC_PAGESIZE) != 4096) {
		skip("the settings share a page here");
		return;
	}
	capture(&child, write_settings, NULL);
	ok(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV, "read-only after start");
}

int main(void)
{
	test_promises();
	is(HAK_COUNT_OF(promises), HAK_TUNABLE_COUNT);
	test_rows();
	test_names();
	test_values();
	capture_silent("words and suffixes", check_words, NULL);
	capture_silent("a suffix too large", check_suffix_overflow, NULL);
	capture_silent("the environment", check_environment, NULL);
	capture_silent("each row by the environment", check_each_by_environment, NULL);
	capture_silent("a process with raised privileges", check_secure, NULL);
	capture_silent("no environment", check_no_environment, NULL);
	capture_silent("refused values are remembered", check_refused, NULL);
	capture_silent("unknown names are remembered", check_unknown, NULL);
	test_words();
	capture_silent("changes before and after start", check_sealed, NULL);
	capture_silent("file, environment, program", check_ranks, NULL);
	capture_silent("pages that stay read-only", check_protected, NULL);
	test_read_only();
	return done();
}
