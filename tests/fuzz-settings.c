/* SPDX-License-Identifier: MIT */
/* Any environment and any hakmem.conf: the parsers take it or leave it, and each value stays within its bounds. */
#include "fuzz.h"

#include "conf.h"
#include "tunables.h"

/* Any but the one that makes the parser talk. */
static unsigned pick_setting(struct fuzz_input *input)
{
	unsigned i = fuzz_byte(input) % HAK_TUNABLE_COUNT;

	return i != HAK_TUNABLE_ID_verbose ? i : 0;
}

/* No entry ends early. */
static char put_byte(struct fuzz_input *input)
{
	unsigned byte = fuzz_byte(input);

	return byte != 0 ? (char)byte : '0';
}

/* Entries as a shell would make them, of words that the parser knows and of bytes that it does not. */
static void put_entry(char *text, size_t room, struct fuzz_input *input)
{
	static const char *const values[] = {"0",  "1",  "2",   "4096", "64K", "1M",
					     "2G", "on", "off", "yes",  "no",  "populate"};
	const char *name = hak_tunables_name(pick_setting(input));
	unsigned kind = fuzz_byte(input);
	size_t used = 0;

	for (; *name != '\0' && used < room / 2; name++)
		text[used++] = (kind & 7) == 0 && fuzz_byte(input) < 16 ? put_byte(input) : *name;
	text[used++] = '=';
	if (kind & 8)
		for (const char *c = values[fuzz_byte(input) % (sizeof values / sizeof *values)]; *c != '\0'; c++)
			text[used++] = *c;
	for (unsigned left = kind >> 4; left > 0 && used < room - 1; left--)
		text[used++] = put_byte(input);
	text[used] = '\0';
}

static void check_bounds(void)
{
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++) {
		size_t value = hak_tunables_value(i);

		hold(value >= hak_tunables_min(i));
		hold(value <= hak_tunables_max(i));
	}
}

/* A value that is refused changes nothing. */
static void check_set(unsigned i, const char *value)
{
	size_t before = hak_tunables_value(i);

	if (hak_tunables_set(i, value) != 0)
		hold(hak_tunables_value(i) == before);
}

static void fuzz_environment(struct fuzz_input *input)
{
	char text[8][128], *environment[9] = {NULL};
	unsigned count = 0;

	while (count < 8 && !fuzz_is_empty(input)) {
		put_entry(text[count], sizeof text[count], input);
		environment[count] = text[count];
		count++;
	}
	hak_tunables_read(environment, false);
	check_bounds();
	for (unsigned i = 0; i < count; i++)
		check_set(pick_setting(input), strchr(text[i], '=') + 1);
	check_bounds();
}

/* ---- hakmem.conf ---- */

/* A word of the language, a setting's name, or a byte. */
static void put_word(char *text, size_t *used, size_t room, struct fuzz_input *input)
{
	static const char *const words[] = {"=",        "\n",       "[",      "]",     "exe=",    "/*",   "/usr/bin/a", "*a",
					    "[all]\n", "mode=pass", "profile=", "small", "hardened", "# ", "\r\n",       " "};
	unsigned which = fuzz_byte(input);
	const char *word = words[which % (sizeof words / sizeof *words)];

	if (which >= 160) {
		text[(*used)++] = (char)fuzz_byte(input); /* a NUL too */
		return;
	}
	if (which >= 96)
		word = hak_tunables_name(pick_setting(input));
	for (; *word != '\0' && *used < room; word++)
		text[(*used)++] = *word;
}

/* Each step is a setting or a complaint; the lines are counted upward; the end is an end. */
static void walk(struct hak_conf *conf)
{
	struct hak_conf_line line;
	unsigned last = 0;

	while (hak_conf_next(conf, &line)) {
		hold(line.number >= last);
		last = line.number;
		hold(line.error != NULL || (line.setting < HAK_TUNABLE_COUNT && line.value != NULL));
		if (line.error == NULL && line.applies && line.setting != HAK_TUNABLE_ID_verbose)
			hak_tunables_set_by_file(line.setting, line.value);
	}
	hold(!hak_conf_next(conf, &line));
}

static void fuzz_file_text(struct fuzz_input *input)
{
	static struct hak_conf_program program = {.path = "/usr/bin/a", .is_known = true};
	static char text[2048 + 1];
	struct hak_conf conf;
	size_t used = 0;

	while (used < sizeof text - 1 && !fuzz_is_empty(input))
		put_word(text, &used, sizeof text - 1, input);
	hold(hak_conf_finish(text, used));
	hak_conf_open(&conf, text, &program);
	walk(&conf);
	check_bounds();
}

static void fuzz_one(struct fuzz_input *input)
{
	if (fuzz_byte(input) & 1)
		fuzz_environment(input);
	else
		fuzz_file_text(input);
}
