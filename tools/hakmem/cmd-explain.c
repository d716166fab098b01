/* SPDX-License-Identifier: MIT */
/* hakmem explain: what ACE and ELO of a running process decided lately, and why. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "class.h"
#include "explain.h"
#include "journal.h"
#include "os.h"
#include "process.h"

#define EXPLAIN_TEXT ((size_t)256 << 10)

static const struct option_help explain_help[] = {
	{ "--json", "print a JSON list" },
	PROCESS_CORE_HELP,
	{ "PID", "this process" },
	{ NULL, NULL },
};

/* Entries that do not fit their seal are left out by who reads them; one of a kind that only a newer library knows is
 * left out here. */
static void drop_unknown(struct hak_journal *journal)
{
	struct hak_decision decision;

	for (unsigned i = 0; i < HAK_JOURNAL_LENGTH; i++) {
		memcpy(&decision, journal->entries[i].words, sizeof(decision));
		if (decision.kind >= HAK_DECISION_COUNT)
			memset(&journal->entries[i], 0, sizeof(journal->entries[i]));
	}
}

/* The process's journal takes the place of our own, and the library's code reads it. */
static const char *load_journal(const struct view *view)
{
	if (view_lacks(view, "journal") || NUMBER(view, journal_entry) != sizeof(struct hak_journal_entry) ||
	    NUMBER(view, journal_length) != HAK_JOURNAL_LENGTH ||
	    NUMBER(view, journal_count) != offsetof(struct hak_journal, count))
		return "the journal of its library cannot be read: it is of another version than this hakmem";
	if (!remote_read(view->remote, PLACE(view, journal), &hak_journal, sizeof(hak_journal)))
		return remote_refused(view->remote);
	if (hak_journal_count() == UINT32_MAX)
		return "its journal is damaged";
	drop_unknown(&hak_journal);
	return NULL;
}

/* When a core file was written is not known: ages are those before the last decision. */
static uint32_t time_of_last(void)
{
	struct hak_decision last;

	return hak_journal_read(hak_journal_count(), &last) ? last.time : 0;
}

static void print_journal(bool is_json, uint32_t now)
{
	char *buffer = malloc(EXPLAIN_TEXT);
	struct hak_text text;

	if (!buffer)
		return;
	hak_text_open(&text, buffer, EXPLAIN_TEXT);
	if (is_json)
		hak_explain_json(&text, now);
	else
		hak_explain_text(&text, now);
	printf(is_json ? "[%s]\n" : "%s", buffer);
	free(buffer);
}

int command_explain(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 PROCESS_CORE_OPTIONS,
						 { NULL, 0, NULL, 0 } };
	struct core_files files = { NULL, NULL, NULL };
	struct process process;
	const char *error;
	bool is_json = false, is_core;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("explain", explain_help);
		if (option == 'j')
			is_json = true;
		else if (!process_take_option(&files, option, optarg))
			return complain_of_option("explain", option, argv);
	}
	status = process_open_one(&process, "explain", &files, argc - optind, argv + optind, false);
	if (status != STATUS_OK)
		return status;
	is_core = process.remote.core != NULL;
	error = load_journal(&process.view);
	if (error)
		status = process_complain_of(&process, error);
	else
		print_journal(is_json, is_core ? time_of_last() : hak_os_now());
	process_close(&process);
	return status;
}
