#include "malloc_info.h"

#include <errno.h>
#include <hakmem.h>
#include <limits.h>

#include "libc.h"
#include "reclaim.h"
#include "report.h"
#include "tunables.h"

#define INFO_MXFAST_MOST (80 * (int)sizeof(size_t) / 4) /* as glibc */

/* In a process that passes, the C library's function; NULL: ours is the one. */
static void *info_libc(const char *name) { return hak_libc_passes() ? hak_libc_find(name) : NULL; }

/* ---- mallinfo ---- */

static void info_fill(struct hak_mallinfo2 *info, const struct hak_report *report)
{
	const size_t *value = report->value;

	info->arena = value[HAK_FIGURE_superslab_bytes] + value[HAK_FIGURE_large_cached_bytes];
	info->ordblks = value[HAK_FIGURE_slab_blocks] + value[HAK_FIGURE_slabs_free];
	info->smblks = value[HAK_FIGURE_cached_blocks] + value[HAK_FIGURE_parcel_blocks];
	info->hblks = value[HAK_FIGURE_large_blocks] + value[HAK_FIGURE_guarded_blocks];
	info->hblkhd = value[HAK_FIGURE_large_bytes] + value[HAK_FIGURE_guarded_bytes];
	info->usmblks = 0;
	info->fsmblks = value[HAK_FIGURE_cached_bytes] + value[HAK_FIGURE_parcel_bytes];
	info->uordblks = value[HAK_FIGURE_small_bytes] + value[HAK_FIGURE_mid_bytes];
	if (info->uordblks > info->arena)
		info->uordblks = info->arena; /* other threads were busy meanwhile */
	info->fordblks = info->arena - info->uordblks;
	info->keepcost = value[HAK_FIGURE_trim_bytes];
}

HAK_API struct hak_mallinfo2 HAK_ABI(mallinfo2)(void)
{
	struct hak_mallinfo2 (*libc)(void) = (struct hak_mallinfo2 (*)(void))(uintptr_t)info_libc("mallinfo2");
	struct hak_mallinfo2 info;
	struct hak_report report;

	if (libc)
		return libc();
	hak_report_sum(&report);
	info_fill(&info, &report);
	return info;
}

static int info_clamp(size_t x) { return x < INT_MAX ? (int)x : INT_MAX; }

HAK_API struct hak_mallinfo HAK_ABI(mallinfo)(void)
{
	struct hak_mallinfo2 info = HAK_ABI(mallinfo2)();

#define INFO_CLAMP(field) .field = info_clamp(info.field),
	return (struct hak_mallinfo){ HAK_MALLINFO_FIELDS(INFO_CLAMP) };
}

/* ---- malloc_info: the elements of glibc's that programs read, with our own behind ---- */

/* Free blocks of a size, wherever they wait. */
static void info_print_size(struct hak_text *out, unsigned class)
{
	struct hak_class_report report;
	size_t size = hak_classes[class].size, from = class ? hak_classes[class - 1].size + 1 : 1, count;

	hak_report_class(class, &report);
	count = report.value[HAK_OF_CLASS_cached_blocks] + report.value[HAK_OF_CLASS_parcel_blocks] +
	        report.value[HAK_OF_CLASS_slab_blocks];
	if (count > 0)
		hak_text_format(out, "<size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n",
		                from, size, count * size, count);
}

static void info_print_totals(struct hak_text *out, const struct hak_mallinfo2 *info)
{
	size_t rest = info->fordblks > info->fsmblks ? info->fordblks - info->fsmblks : 0;

	hak_text_format(out, "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n", info->smblks,
	                info->fsmblks);
	hak_text_format(out, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", info->ordblks, rest);
}

static void info_print_system(struct hak_text *out, const struct hak_mallinfo2 *info)
{
	hak_text_format(out, "<system type=\"current\" size=\"%zu\"/>\n", info->arena);
	hak_text_format(out, "<aspace type=\"total\" size=\"%zu\"/>\n", info->arena);
}

static void info_print_own(struct hak_text *out, const struct hak_report *report)
{
	hak_text_string(out, "<hakmem version=\"" HAKMEM_VERSION "\">\n");
	for (unsigned i = 0; i < HAK_FIGURE_COUNT; i++)
		hak_text_format(out, "<figure name=\"%s\" value=\"%zu\"/>\n", hak_report_name(i),
		                report->value[i]);
	hak_text_string(out, "</hakmem>\n");
}

static void info_print(struct hak_text *out)
{
	struct hak_mallinfo2 info;
	struct hak_report report;

	hak_report_sum(&report);
	info_fill(&info, &report);
	hak_text_string(out, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		info_print_size(out, c);
	hak_text_string(out, "</sizes>\n");
	info_print_totals(out, &info);
	info_print_system(out, &info);
	hak_text_string(out, "</heap>\n");
	info_print_totals(out, &info);
	hak_text_format(out, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", info.hblks, info.hblkhd);
	info_print_system(out, &info);
	info_print_own(out, &report);
	hak_text_string(out, "</malloc>\n");
}

HAK_API int HAK_ABI(malloc_info)(int options, FILE *to)
{
	int (*libc)(int, FILE *) = (int (*)(int, FILE *))(uintptr_t)info_libc("malloc_info");
	struct hak_text out;
	size_t length;
	bool ok;

	if (libc)
		return libc(options, to);
	if (options != 0)
		return EINVAL;
	if (!hak_report_open(&out)) {
		errno = ENOMEM;
		return -1;
	}
	info_print(&out);
	length = hak_text_length(&out);
	ok = fwrite(out.start, 1, length, to) == length; /* may allocate: we hold nothing */
	hak_report_close(&out);
	return ok ? 0 : -1;
}

HAK_API void HAK_ABI(malloc_stats)(void)
{
	void (*libc)(void) = (void (*)(void))(uintptr_t)info_libc("malloc_stats");

	if (libc)
		libc();
	else
		hak_report_say();
}

/* ---- to change something ---- */

HAK_API int HAK_ABI(malloc_trim)(size_t pad)
{
	int (*libc)(size_t) = (int (*)(size_t))(uintptr_t)info_libc("malloc_trim");

	return libc ? libc(pad) : hak_reclaim_trim() > 0;
}

/* Free memory that is kept.  What the user of a program has set counts more than what its author thought. */
static int info_set_trim_threshold(int value)
{
	enum hak_tunable_source source = hak_tunables_source(HAK_TUNABLE_ID_dirty_min);
	size_t bytes = value < 0 ? SIZE_MAX : (size_t)value; /* negative: glibc's way to say never */

	if (source == HAK_SOURCE_ENVIRONMENT || source == HAK_SOURCE_FILE)
		return 1;
	return hak_tunables_set_value(HAK_TUNABLE_ID_dirty_min, bytes) == 0;
}

HAK_API int HAK_ABI(mallopt)(int parameter, int value)
{
	int (*libc)(int, int) = (int (*)(int, int))(uintptr_t)info_libc("mallopt");

	if (libc)
		return libc(parameter, value);
	switch (parameter) {
	case HAK_M_TRIM_THRESHOLD:
		return info_set_trim_threshold(value);
	case HAK_M_MXFAST:
		return value >= 0 && value <= INFO_MXFAST_MOST;
	case HAK_M_TOP_PAD:
	case HAK_M_MMAP_THRESHOLD:
	case HAK_M_MMAP_MAX:
	case HAK_M_CHECK_ACTION:
	case HAK_M_PERTURB:
	case HAK_M_ARENA_TEST:
	case HAK_M_ARENA_MAX:
		return 1; /* of things that we do not have */
	default:
		return 0;
	}
}
