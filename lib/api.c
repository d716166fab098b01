#include "api.h"

#include <errno.h>
#include <string.h>

#include "limit.h"
#include "reclaim.h"
#include "report.h"
#include "tunables.h"

_Static_assert((int)HAKMEM_OPTION_BOOL == HAK_TUNABLE_BOOL && (int)HAKMEM_OPTION_INT == HAK_TUNABLE_INT &&
               (int)HAKMEM_OPTION_ENUM == HAK_TUNABLE_ENUM && (int)HAKMEM_OPTION_SIZE == HAK_TUNABLE_SIZE,
               "types have the same numbers outside");
_Static_assert((int)HAKMEM_SOURCE_DEFAULT == HAK_SOURCE_DEFAULT &&
               (int)HAKMEM_SOURCE_ENVIRONMENT == HAK_SOURCE_ENVIRONMENT &&
               (int)HAKMEM_SOURCE_PROGRAM == HAK_SOURCE_API && (int)HAKMEM_SOURCE_FILE == HAK_SOURCE_FILE &&
               (int)HAKMEM_SOURCE_OUTSIDE == HAK_SOURCE_OUTSIDE,
               "sources have the same numbers outside");

HAK_API const char *hakmem_version(void) { return HAKMEM_VERSION; }

/* The caller's structure may be older or newer than ours: he gets what both know, and zeros behind. */
static int api_give(void *to, size_t size, const void *from, size_t have)
{
	size_t known = size < have ? size : have;

	if (!to || size < sizeof(size_t))
		return EINVAL;
	memset(to, 0, size);
	memcpy(to, from, known);
	memcpy(to, &known, sizeof(known)); /* struct_size */
	return 0;
}

/* ---- settings ---- */

HAK_API int hakmem_option_get(const char *name, char *buffer, size_t size)
{
	unsigned i = name ? hak_tunables_find(name) : HAK_TUNABLE_COUNT;
	char value[HAKMEM_VALUE_SIZE];
	struct hak_text text;

	if (i == HAK_TUNABLE_COUNT)
		return ENOENT;
	hak_text_open(&text, value, sizeof(value));
	hak_tunables_print(i, hak_tunables_value(i), &text);
	if (hak_text_length(&text) >= size)
		return ERANGE;
	memcpy(buffer, value, hak_text_length(&text) + 1);
	return 0;
}

HAK_API int hakmem_option_set(const char *name, const char *value)
{
	if (!name)
		return ENOENT;
	return value ? hak_tunables_set(hak_tunables_find(name), value) : EINVAL;
}

HAK_API int hakmem_option_list(unsigned index, struct hakmem_option *option, size_t size)
{
	struct hakmem_option one;

	if (index >= HAK_TUNABLE_COUNT)
		return ENOENT;
	memset(&one, 0, sizeof(one));
	one.name = hak_tunables_name(index);
	one.unit = hak_tunables_unit(index);
	one.summary = hak_tunables_summary(index);
	one.value = hak_tunables_value(index);
	one.default_value = hak_tunables_default(index);
	one.minimum = hak_tunables_min(index);
	one.maximum = hak_tunables_max(index);
	one.type = (int)hak_tunables_type(index);
	one.source = (int)hak_tunables_source(index);
	one.is_live = hak_tunables_stability(index) == HAK_TUNABLE_LIVE;
	return api_give(option, size, &one, sizeof(one));
}

/* ---- statistics ---- */

HAK_API int hakmem_stats(struct hakmem_stats *stats, size_t size)
{
	struct hakmem_stats all;
	struct hak_report report;

	memset(&all, 0, sizeof(all));
	hak_report_sum(&report);
#define HAK_FIGURE(id, ...) all.id = report.value[HAK_FIGURE_##id];
#define HAK_BIN_COUNTER HAK_FIGURE
#define HAK_HEAP_COUNTER HAK_FIGURE
#define HAK_PROCESS_COUNTER HAK_FIGURE
#include "stats.def"
	return api_give(stats, size, &all, sizeof(all));
}

HAK_API int hakmem_stats_class(unsigned index, struct hakmem_class_stats *stats, size_t size)
{
	struct hakmem_class_stats one;
	struct hak_class_report report;

	if (index >= HAK_CLASS_COUNT)
		return ENOENT;
	memset(&one, 0, sizeof(one));
	hak_report_class(index, &report);
	one.block_size = hak_classes[index].size;
	one.group = hak_classes[index].group;
#define HAK_CLASS_FIGURE(id, ...) one.id = report.value[HAK_OF_CLASS_##id];
#define HAK_BIN_COUNTER HAK_CLASS_FIGURE
#include "stats.def"
	return api_give(stats, size, &one, sizeof(one));
}

HAK_API size_t hakmem_stats_print(enum hakmem_format format, char *buffer, size_t size)
{
	struct hak_text text;
	char nothing[1];

	hak_text_open(&text, size ? buffer : nothing, size ? size : sizeof(nothing));
	if (format == HAKMEM_FORMAT_TEXT)
		hak_report_text(&text);
	if (format == HAKMEM_FORMAT_JSON)
		hak_report_json(&text);
	return hak_text_length(&text) + text.lost;
}

/* ---- memory ---- */

HAK_API size_t hakmem_trim(void) { return hak_reclaim_trim(); }

HAK_API void hakmem_limit_callback(hakmem_limit_function *function, void *argument)
{
	hak_limit_set_function(function, argument);
}
