/* SPDX-License-Identifier: MIT */
/* hakmem set: changes settings of a running process. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "process.h"
#include "settings.h"
#include "tunables.h"

#define SET_ROW 256u /* bytes; of a library of any version */
#define SET_ROWS 1024u

static const struct option_help set_help[] = {
	{ "PID", "this process" },
	{ "SETTING=VALUE", "the settings that can change at any time; 'hakmem options' names all" },
	{ NULL, NULL },
};

/* A row of the process's own table. */
struct set_row {
	unsigned index;
	unsigned type, stability, field;
	uint64_t min, max;
};

static void take_row(struct set_row *row, const struct view *view, const char *bytes)
{
	row->type = (unsigned char)bytes[NUMBER(view, setting_type)];
	row->stability = (unsigned char)bytes[NUMBER(view, setting_stability)];
	row->field = view_take_u16(bytes + NUMBER(view, setting_field));
	row->min = view_take_word(view, bytes + NUMBER(view, setting_min));
	row->max = view_take_word(view, bytes + NUMBER(view, setting_max));
}

static bool has_good_rows(const struct view *view)
{
	uint32_t size = NUMBER(view, setting_row);

	return size <= SET_ROW && NUMBER(view, setting_count) <= SET_ROWS &&
	       view_fits(view, HAK_VIEW_NUMBER_setting_type, 1, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_setting_stability, 1, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_setting_field, 2, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_setting_name, 2, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_setting_min, view->word, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_setting_max, view->word, size);
}

/* The row of that name in the library of the process. */
static bool find_row(struct set_row *row, const struct view *view, const char *name)
{
	char bytes[SET_ROW], found[64] = "";

	for (row->index = 0; has_good_rows(view) && row->index < NUMBER(view, setting_count); row->index++) {
		uint64_t at = PLACE(view, setting_rows) + (uint64_t)row->index * NUMBER(view, setting_row);

		if (!remote_read(view->remote, at, bytes, NUMBER(view, setting_row)))
			break;
		at = PLACE(view, setting_words) + view_take_u16(bytes + NUMBER(view, setting_name));
		if (remote_read_some(view->remote, at, found, sizeof(found) - 1) <= strlen(name) ||
		    strcmp(found, name) != 0)
			continue;
		take_row(row, view, bytes);
		return true;
	}
	return false;
}

/* As the library itself stores it: a bool, an unsigned, or a word. */
static bool write_value(const struct view *view, const struct set_row *row, size_t value)
{
	uint64_t at = PLACE(view, setting_live) + row->field;
	uint8_t source = (uint8_t)NUMBER(view, source_outside), flag = value != 0;
	uint32_t number = (uint32_t)value;
	uint64_t whole = value;
	bool ok;

	if (row->type == HAK_TUNABLE_BOOL)
		ok = remote_write(view->remote, at, &flag, sizeof(flag));
	else if (row->type == HAK_TUNABLE_SIZE && view->word == 8)
		ok = remote_write(view->remote, at, &whole, sizeof(whole));
	else
		ok = remote_write(view->remote, at, &number, sizeof(number));
	return ok && remote_write(view->remote, PLACE(view, setting_sources) + row->index, &source, 1);
}

static const char *set_one(const struct view *view, unsigned i, size_t value)
{
	struct set_row row;

	if (view_lacks(view, "setting_ source_"))
		return "the settings of its library cannot be changed: it is of another version than this hakmem";
	if (!find_row(&row, view, hak_tunables_name(i)) || row.type != (unsigned)hak_tunables_type(i))
		return "its library does not have that setting";
	if (row.stability != NUMBER(view, setting_is_live))
		return "that setting is fixed since the start of the process";
	if (value < row.min || value > row.max)
		return "the value is out of the bounds of its library";
	return write_value(view, &row, value) ? NULL : remote_refused(view->remote);
}

/* NAME=VALUE; its value is put into our own table, as the library would do it. */
static int parse_setting(char *word, unsigned *i)
{
	char *value = strchr(word, '=');

	if (!value)
		return complain_of_usage("set: '%s' is no SETTING=VALUE", word);
	*value = '\0';
	*i = hak_tunables_find(word);
	if (*i == HAK_TUNABLE_COUNT)
		return complain_of_setting(word);
	if (hak_tunables_stability(*i) != HAK_TUNABLE_LIVE)
		return complain_of_usage("set: %s is fixed once a process has started", hak_tunables_name(*i));
	return hak_tunables_set(*i, value + 1) == 0 ? STATUS_OK : complain_of_value(*i, value + 1);
}

int command_set(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	struct process process;
	const char *error;
	unsigned setting[HAK_TUNABLE_COUNT], count = 0;
	pid_t pid;
	int option, status;

	opterr = 0;
	if ((option = getopt_long(argc, argv, "+:h", options, NULL)) != -1)
		return option == 'h' ? print_help("set", set_help) : complain_of_option("set", option, argv);
	if (argc < optind + 2)
		return complain_of_usage("set: a process id and SETTING=VALUE are wanted");
	pid = remote_pid(argv[optind]);
	if (pid == 0)
		return complain_of_usage("set: '%s' is no process id", argv[optind]);
	for (int i = optind + 1; i < argc && count < HAK_TUNABLE_COUNT; i++)
		if ((status = parse_setting(argv[i], &setting[count++])) != STATUS_OK)
			return status;
	error = process_open(&process, pid, false);
	for (unsigned i = 0; i < count && !error; i++)
		error = set_one(&process.view, setting[i], hak_tunables_value(setting[i]));
	process_close(&process);
	return error ? process_complain(pid, error) : STATUS_OK;
}
