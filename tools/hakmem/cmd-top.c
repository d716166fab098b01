/* SPDX-License-Identifier: MIT */
/* hakmem top: all processes on HAKMEM, again and again. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAK_CURSES
#include <curses.h>
#endif

#include "census.h"
#include "command.h"
#include "process.h"
#include "words.h"

#define TOP_LINE 256

static const struct option_help top_help[] = {
	{ "--batch", "print text instead of using the terminal; once, if --count is not given" },
	{ "--count N", "end after N times" },
	{ "--interval SECONDS", "look again after so long, 2 if not given" },
	{ "--sort COLUMN", "by pid, name, rss, hakmem, live, cached, free or heaps; rss if not given" },
	{ NULL, NULL },
};

enum top_column { TOP_PID, TOP_NAME, TOP_RSS, TOP_HAKMEM, TOP_LIVE, TOP_CACHED, TOP_FREE, TOP_HEAPS, TOP_COLUMNS };

/* Their names, and the keys that sort by them. */
static const char *const top_names[TOP_COLUMNS] = { "pid", "name", "rss", "hakmem", "live", "cached", "free", "heaps" };

struct top_row {
	uint64_t value[TOP_COLUMNS]; /* not of TOP_NAME */
	char name[32];
};

struct top {
	struct top_row *rows;
	size_t count, denied;
	enum top_column sort;
	double interval;
	long times; /* 0: for ever */
};

/* ---- rows ---- */

static bool take_row(struct top_row *row, pid_t pid)
{
	struct process process;
	struct census census;
	bool ok = false;

	if (!process_open(&process, pid, true)) {
		ok = census_take(&census, &process.view) == NULL;
		row->value[TOP_PID] = (uint64_t)pid;
		row->value[TOP_RSS] = census.sum;
		row->value[TOP_HAKMEM] = 0;
		for (unsigned part = 0; part < PART_FIRST_OTHER; part++)
			row->value[TOP_HAKMEM] += census.memory[part].present;
		row->value[TOP_LIVE] = census.live_bytes;
		row->value[TOP_CACHED] = census.cached_bytes + census.parcel_bytes;
		row->value[TOP_FREE] = census.memory[PART_DIRTY].present + census.memory[PART_KEPT].present;
		row->value[TOP_HEAPS] = census.heaps_live;
		snprintf(row->name, sizeof(row->name), "%.31s", process.remote.name);
		census_close(&census);
	}
	process_close(&process);
	return ok;
}

static enum top_column compare_by;

/* The most first; names and process ids upward. */
static int compare_rows(const void *one, const void *other)
{
	const struct top_row *a = one, *b = other;
	uint64_t x = a->value[compare_by], y = b->value[compare_by];

	if (compare_by == TOP_NAME)
		return strcmp(a->name, b->name);
	if (x == y)
		return a->value[TOP_PID] < b->value[TOP_PID] ? -1 : 1;
	return (x < y) == (compare_by != TOP_PID) ? 1 : -1;
}

static void sort_rows(struct top *top)
{
	compare_by = top->sort;
	if (top->count > 1)
		qsort(top->rows, top->count, sizeof(*top->rows), compare_rows);
}

static void take_rows(struct top *top)
{
	struct process_list list;

	process_find_all(&list);
	free(top->rows);
	top->rows = calloc(list.count + 1, sizeof(*top->rows));
	top->count = 0;
	top->denied = list.denied;
	for (size_t i = 0; top->rows && i < list.count; i++)
		top->count += take_row(&top->rows[top->count], list.pids[i]);
	free(list.pids);
	sort_rows(top);
}

/* ---- lines ---- */

static void write_head(const struct top *top, char line[TOP_LINE])
{
	uint64_t rss = 0, own = 0;
	char first[WORDS_SIZE], second[WORDS_SIZE];

	for (size_t i = 0; i < top->count; i++) {
		rss += top->rows[i].value[TOP_RSS];
		own += top->rows[i].value[TOP_HAKMEM];
	}
	snprintf(line, TOP_LINE,
		 "Processes on HAKMEM: %zu, in memory %s, of it HAKMEM's %s; of others, not looked at: %zu", top->count,
		 words_bytes(rss, first), words_bytes(own, second), top->denied);
}

static void write_names(char line[TOP_LINE])
{
	snprintf(line, TOP_LINE, "%8s %-20s %9s %9s %9s %9s %9s %6s", "PID", "NAME", "RSS", "HAKMEM", "LIVE", "CACHED",
		 "FREE", "HEAPS");
}

static void write_row(const struct top_row *row, char line[TOP_LINE])
{
	char words[TOP_COLUMNS][WORDS_SIZE];

	for (unsigned i = TOP_RSS; i < TOP_HEAPS; i++)
		words_bytes(row->value[i], words[i]);
	snprintf(line, TOP_LINE, "%8" PRIu64 " %-20.20s %9s %9s %9s %9s %9s %6" PRIu64, row->value[TOP_PID], row->name,
		 words[TOP_RSS], words[TOP_HAKMEM], words[TOP_LIVE], words[TOP_CACHED], words[TOP_FREE],
		 row->value[TOP_HEAPS]);
}

static void print_batch(const struct top *top)
{
	char line[TOP_LINE];

	write_head(top, line);
	puts(line);
	write_names(line);
	puts(line);
	for (size_t i = 0; i < top->count; i++) {
		write_row(&top->rows[i], line);
		puts(line);
	}
}

static int top_batch(struct top *top)
{
	for (long n = 0; top->times == 0 ? n < 1 : n < top->times; n++) {
		if (n > 0) {
			if (fflush(stdout) != 0)
				return STATUS_NO;
			usleep((useconds_t)(top->interval * 1e6));
			putchar('\n');
		}
		take_rows(top);
		print_batch(top);
	}
	return STATUS_OK;
}

/* ---- the terminal ---- */

#ifdef HAK_CURSES
static void draw(const struct top *top)
{
	char line[TOP_LINE];

	erase();
	write_head(top, line);
	mvaddnstr(0, 0, line, COLS);
	attron(A_REVERSE);
	write_names(line);
	mvaddnstr(2, 0, line, COLS);
	attroff(A_REVERSE);
	for (size_t i = 0; i < top->count && (int)i + 4 < LINES; i++) {
		write_row(&top->rows[i], line);
		mvaddnstr((int)i + 3, 0, line, COLS);
	}
	snprintf(line, sizeof(line), "sorted by %s; keys: p n r h l c f t sort, q ends", top_names[top->sort]);
	mvaddnstr(LINES - 1, 0, line, COLS);
	refresh();
}

/* False: it was the key that ends. */
static bool obey(struct top *top, int key)
{
	static const char keys[] = "pnrhlcft";
	const char *found = key > 0 && key < 128 ? strchr(keys, key) : NULL;

	if (found) {
		top->sort = (enum top_column)(found - keys);
		sort_rows(top);
	}
	return key != 'q';
}

static int top_screen(struct top *top)
{
	if (!isatty(STDOUT_FILENO) || !newterm(NULL, stdout, stdin)) {
		complain("top: the output is no terminal that can be drawn on; --batch prints text");
		return STATUS_NO;
	}
	cbreak();
	noecho();
	curs_set(0);
	timeout((int)(top->interval * 1000));
	for (long n = 0; top->times == 0 || n < top->times; n++) {
		int key;

		take_rows(top);
		do {
			draw(top);
			key = getch();
		} while (obey(top, key) && key != ERR);
		if (key == 'q')
			break;
	}
	endwin();
	return STATUS_OK;
}
#else
static int top_screen(struct top *top)
{
	(void)top;
	complain("top: this hakmem was built without ncurses; --batch prints text");
	return STATUS_NO;
}
#endif

/* ---- the command line ---- */

static bool parse_column(const char *word, enum top_column *column)
{
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		if (strcmp(word, top_names[i]) == 0) {
			*column = (enum top_column)i;
			return true;
		}
	return false;
}

static bool parse_number(const char *word, double least, double most, double *number)
{
	char *end;

	*number = strtod(word, &end);
	return *word && !*end && *number >= least && *number <= most;
}

static int top_option(struct top *top, int option, char **argv)
{
	double number;

	switch (option) {
	case 's':
		return parse_column(optarg, &top->sort) ? STATUS_OK
							: complain_of_usage("top: there is no column '%s'", optarg);
	case 'c':
		if (!parse_number(optarg, 1, 1e9, &number))
			return complain_of_usage("top: '%s' is no number of times", optarg);
		top->times = (long)number;
		return STATUS_OK;
	case 'i':
		return parse_number(optarg, 0.05, 86400, &top->interval)
			       ? STATUS_OK
			       : complain_of_usage("top: '%s' is no number of seconds from 0.05 to 86400", optarg);
	default:
		return complain_of_option("top", option, argv);
	}
}

int command_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "batch", no_argument, NULL, 'b' },          { "count", required_argument, NULL, 'c' },
		{ "interval", required_argument, NULL, 'i' }, { "sort", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 }
	};
	struct top top = { .sort = TOP_RSS, .interval = 2 };
	bool is_batch = false;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("top", top_help);
		if (option == 'b')
			is_batch = true;
		else if ((status = top_option(&top, option, argv)) != STATUS_OK)
			return status;
	}
	if (optind < argc)
		return complain_of_usage("top: '%s' is too much", argv[optind]);
	status = is_batch ? top_batch(&top) : top_screen(&top);
	free(top.rows);
	return status;
}
