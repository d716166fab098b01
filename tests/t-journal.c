/* SPDX-License-Identifier: MIT */
/* The rooms journal and explain: the ring, readers beside writers, and the decisions as text and JSON.  Links: rooms. */
#include "journal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "capture.h"
#include "class.h"
#include "explain.h"
#include "os.h"

enum { length = HAK_JOURNAL_LENGTH, writes = 800000, writers = 2 };

/* ---- the ring ---- */

/* All fields follow from one number. */
static void write_of(uint64_t n)
{
	hak_journal_write((enum hak_decision_kind)(n % HAK_DECISION_COUNT), (unsigned)(n % (HAK_CLASS_COUNT + 1)), n,
			  ~n, n * 3, n << 32);
}

static bool is_whole(const struct hak_decision *d)
{
	uint64_t n = d->before;

	return d->kind == n % HAK_DECISION_COUNT && d->class == n % (HAK_CLASS_COUNT + 1) && d->after == ~n &&
	       d->cost_before == n * 3 && d->cost_after == n << 32;
}

static void ring(const void *with)
{
	struct hak_decision d;

	(void)with;
	hold(hak_journal_count() == 0 && !hak_journal_read(0, &d) && !hak_journal_read(1, &d));
	for (uint32_t n = 1; n <= 5 * length + 3; n++) {
		write_of(n * 1000);
		hold(hak_journal_count() == n);
		hold(hak_journal_read(n, &d) && d.number == n && d.before == n * 1000 && is_whole(&d));
		hold(!hak_journal_read(n + 1, &d));
		hold(n <= length || !hak_journal_read(n - length, &d)); /* overwritten */
		for (uint32_t old = n > length ? n - length + 1 : 1; old < n; old++)
			hold(hak_journal_read(old, &d) && d.number == old && d.before == old * 1000 && is_whole(&d));
	}
}

static _Atomic bool over;
static size_t seen;

static void *write_many(void *with)
{
	for (uint64_t i = 0; i < writes; i++)
		write_of(i * 2 + *(const uint64_t *)with);
	return NULL;
}

static void *read_many(void *with)
{
	struct hak_decision d;

	while (!hak_load(&over, relaxed)) {
		uint32_t now = hak_journal_count();

		/* those that are about to be overwritten */
		for (uint32_t n = now > length ? now - length + 1 : 1; n <= now && n + length <= now + 8; n++)
			if (hak_journal_read(n, &d)) {
				hold(is_whole(&d) && d.number == n);
				seen++;
			}
	}
	return with;
}

/* Two who write go round the ring so fast that they meet in entries; what a third one reads is whole. */
static void beside(const void *with)
{
	static uint64_t first[writers] = {0, 1};
	pthread_t reader, writer[writers];

	(void)with;
	need(pthread_create(&reader, NULL, read_many, NULL) == 0);
	for (int i = 0; i < writers; i++)
		need(pthread_create(&writer[i], NULL, write_many, &first[i]) == 0);
	for (int i = 0; i < writers; i++)
		pthread_join(writer[i], NULL);
	hak_store(&over, true, relaxed);
	pthread_join(reader, NULL);
	hold(seen > 0);
	hold(hak_journal_count() == writes * writers);
}

/* ---- in words ---- */

static char text[1 << 16];

static unsigned lines(const char *of)
{
	unsigned n = 0;

	for (; *of; of++)
		n += *of == '\n';
	return n;
}

static void fill(void)
{
	hak_journal_write(HAK_DECISION_elo_threshold, HAK_CLASS_COUNT, 2097152, 4194304, 1000, 10);
	hak_journal_write(HAK_DECISION_cache_grow, hak_class_of(96), 16, 32, 0, 0);
	hak_journal_write(HAK_DECISION_elo_threshold, HAK_CLASS_COUNT, 4194304, SIZE_MAX, UINT64_MAX, 0);
}

static size_t print(void (*how)(struct hak_text *, uint32_t))
{
	struct hak_text out;

	hak_text_open(&out, text, sizeof(text));
	how(&out, hak_os_now());
	hold(out.lost == 0);
	return hak_text_length(&out);
}

static void words(const void *with)
{
	(void)with;
	print(hak_explain_text);
	hold(strcmp(text, "Decisions of ACE and ELO: 0, the last of them\n") == 0);
	fill();
	print(hak_explain_text);
	hold(lines(text) == 4);
	hold(strstr(text, "ELO elo_threshold: 2097152 -> 4194304 bytes; freed blocks of") != NULL);
	hold(strstr(text, " (cost 1000 -> 10 bytes)\n") != NULL);
	hold(strstr(text, "ACE cache_grow of 96-byte blocks: 16 -> 32 places; ") != NULL);
	hold(strstr(text, "took turns\n") != NULL); /* nothing was compared */
	for (int i = 0; i < 3 * length; i++)
		fill();
	print(hak_explain_text);
	hold(lines(text) == length + 1);
	for (unsigned kind = 0; kind < HAK_DECISION_COUNT; kind++)
		hak_journal_write((enum hak_decision_kind)kind, 0, 1, 2, 3, 4);
	print(hak_explain_text);
	hold(strstr(text, "(null)") == NULL);
}

static const char check[] =
	"import json, sys\n"
	"d = json.load(sys.stdin)\n"
	"assert len(d) == 64 and [e['number'] for e in d] == list(range(d[0]['number'], d[0]['number'] + 64))\n"
	"e = d[-2]\n"
	"assert e['by'] == 'ACE' and e['what'] == 'cache_grow' and e['size'] == 96 and e['unit'] == 'places'\n"
	"assert (e['before'], e['after'], e['cost_before'], e['cost_after']) == (16, 32, 0, 0)\n"
	"assert d[-1]['size'] == 0 and d[-1]['cost_before'] == 2**(8 * int(sys.argv[1])) - 1\n"
	"assert all(0 <= e['age_ms'] < 100000 for e in d)\n";

/* What stands in `text`, through python3; 127 if there is none. */
static int parse(size_t size)
{
	char bytes[2] = {(char)('0' + sizeof(size_t)), '\0'};
	int ends[2] = {-1, -1}, status = 0;
	pid_t child;

	need(pipe(ends) == 0);
	child = fork();
	need(child >= 0);
	if (child == 0) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[1]);
		execlp("python3", "python3", "-c", check, bytes, (char *)NULL);
		_exit(127);
	}
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	hold(write(ends[1], text, size) == (ssize_t)size || errno == EPIPE);
	close(ends[1]);
	need(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void print_array(struct hak_text *out, uint32_t now)
{
	hak_text_string(out, "[");
	hak_explain_json(out, now);
	hak_text_string(out, "]\n");
}

static void check_json(void)
{
	size_t size;
	int status;

	print(print_array);
	is_text(text, "[]\n");
	for (int i = 0; i < length; i++)
		fill();
	size = print(print_array);
	status = parse(size);
	if (status == 127)
		skip("there is no python3");
	else
		ok(status == 0, "JSON is well formed, %zu bytes", size);
}

int main(void)
{
	capture_silent("the ring", ring, NULL);
	capture_silent("readers beside writers", beside, NULL);
	capture_silent("text", words, NULL);
	check_json();
	return done();
}
