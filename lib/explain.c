#include "explain.h"

#include "class.h"
#include "journal.h"

/* Row after row what a decision is called, who makes it, its unit and its reason: an array of pointers would have to be
 * relocated in every process. */
#define EXPLAIN_ROW(id, subject, unit, text) #id "\0" subject "\0" unit "\0" text "\0"
enum explain_word { EXPLAIN_NAME, EXPLAIN_SUBJECT, EXPLAIN_UNIT, EXPLAIN_TEXT, EXPLAIN_WORDS };

static const char explain_words[] = HAK_DECISIONS(EXPLAIN_ROW);

static const char *explain_word(const struct hak_decision *e, enum explain_word word)
{
	return hak_text_nth(explain_words, e->kind * EXPLAIN_WORDS + word);
}

static uint32_t explain_first(uint32_t count)
{
	return count > HAK_JOURNAL_LENGTH ? count - HAK_JOURNAL_LENGTH + 1 : 1;
}

HAK_FN void hak_explain_text(struct hak_text *out, uint32_t now)
{
	uint32_t count = hak_journal_count();
	struct hak_decision e;

	hak_text_format(out, "Decisions of ACE and ELO: %u, the last of them\n", count);
	for (uint32_t n = explain_first(count); n <= count; n++) {
		if (!hak_journal_read(n, &e))
			continue;
		hak_text_format(out, "%8ums ago  %s %s", now - e.time, explain_word(&e, EXPLAIN_SUBJECT), explain_word(&e, EXPLAIN_NAME));
		if (e.class < HAK_CLASS_COUNT)
			hak_text_format(out, " of %u-byte blocks", hak_classes[e.class].size);
		hak_text_format(out, ": %zu -> %zu %s; %s", (size_t)e.before, (size_t)e.after, explain_word(&e, EXPLAIN_UNIT),
		                explain_word(&e, EXPLAIN_TEXT));
		if (e.cost_before || e.cost_after)
			hak_text_format(out, " (cost %zu -> %zu bytes)", (size_t)e.cost_before, (size_t)e.cost_after);
		hak_text_string(out, "\n");
	}
}

HAK_FN void hak_explain_json(struct hak_text *out, uint32_t now)
{
	uint32_t count = hak_journal_count();
	const char *comma = "";
	struct hak_decision e;

	for (uint32_t n = explain_first(count); n <= count; n++) {
		if (!hak_journal_read(n, &e))
			continue;
		hak_text_format(out, "%s{\"number\":%u,\"age_ms\":%u,\"by\":\"%s\",\"what\":\"%s\"", comma, n, now - e.time,
		                explain_word(&e, EXPLAIN_SUBJECT), explain_word(&e, EXPLAIN_NAME));
		hak_text_format(out, ",\"size\":%u", e.class < HAK_CLASS_COUNT ? hak_classes[e.class].size : 0);
		hak_text_format(out, ",\"before\":%zu,\"after\":%zu,\"unit\":\"%s\"", (size_t)e.before, (size_t)e.after,
		                explain_word(&e, EXPLAIN_UNIT));
		hak_text_format(out, ",\"cost_before\":%zu,\"cost_after\":%zu}", (size_t)e.cost_before,
		                (size_t)e.cost_after);
		comma = ",\n";
	}
}
