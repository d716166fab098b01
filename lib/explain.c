#include "explain.h"

#include "class.h"
#include "journal.h"
#include "os.h"

static const char *const explain_names[] = {
#define EXPLAIN_NAME(id, subject, unit, text) #id,
	HAK_DECISIONS(EXPLAIN_NAME)
#undef EXPLAIN_NAME
};
static const char *const explain_subjects[] = {
#define EXPLAIN_SUBJECT(id, subject, unit, text) subject,
	HAK_DECISIONS(EXPLAIN_SUBJECT)
#undef EXPLAIN_SUBJECT
};
static const char *const explain_units[] = {
#define EXPLAIN_UNIT(id, subject, unit, text) unit,
	HAK_DECISIONS(EXPLAIN_UNIT)
#undef EXPLAIN_UNIT
};
static const char *const explain_texts[] = {
#define EXPLAIN_TEXT(id, subject, unit, text) text,
	HAK_DECISIONS(EXPLAIN_TEXT)
#undef EXPLAIN_TEXT
};

static uint32_t explain_first(uint32_t count)
{
	return count > HAK_JOURNAL_LENGTH ? count - HAK_JOURNAL_LENGTH + 1 : 1;
}

HAK_FN void hak_explain_text(struct hak_text *out)
{
	uint32_t count = hak_journal_count(), now = hak_os_now();
	struct hak_decision e;

	hak_text_format(out, "Decisions of ACE and ELO: %u, the last of them\n", count);
	for (uint32_t n = explain_first(count); n <= count; n++) {
		if (!hak_journal_read(n, &e))
			continue;
		hak_text_format(out, "%8ums ago  %s %s", now - e.time, explain_subjects[e.kind], explain_names[e.kind]);
		if (e.class < HAK_CLASS_COUNT)
			hak_text_format(out, " of %u-byte blocks", hak_classes[e.class].size);
		hak_text_format(out, ": %zu -> %zu %s; %s", (size_t)e.before, (size_t)e.after, explain_units[e.kind],
		                explain_texts[e.kind]);
		if (e.cost_before || e.cost_after)
			hak_text_format(out, " (cost %zu -> %zu bytes)", (size_t)e.cost_before, (size_t)e.cost_after);
		hak_text_string(out, "\n");
	}
}

HAK_FN void hak_explain_json(struct hak_text *out)
{
	uint32_t count = hak_journal_count(), now = hak_os_now();
	const char *comma = "";
	struct hak_decision e;

	for (uint32_t n = explain_first(count); n <= count; n++) {
		if (!hak_journal_read(n, &e))
			continue;
		hak_text_format(out, "%s{\"number\":%u,\"age_ms\":%u,\"by\":\"%s\",\"what\":\"%s\"", comma, n, now - e.time,
		                explain_subjects[e.kind], explain_names[e.kind]);
		hak_text_format(out, ",\"size\":%u", e.class < HAK_CLASS_COUNT ? hak_classes[e.class].size : 0);
		hak_text_format(out, ",\"before\":%zu,\"after\":%zu,\"unit\":\"%s\"", (size_t)e.before, (size_t)e.after,
		                explain_units[e.kind]);
		hak_text_format(out, ",\"cost_before\":%zu,\"cost_after\":%zu}", (size_t)e.cost_before,
		                (size_t)e.cost_after);
		comma = ",\n";
	}
}
