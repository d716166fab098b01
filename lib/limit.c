#include "limit.h"

#include <string.h>

#include "bits.h"
#include "file.h"
#include "large.h"
#include "os.h"
#include "pool.h"
#include "say.h"
#include "tunables.h"

#define LIMIT_PAUSE_MS 100u /* between two calls of the program's function, and two trims that bring nothing */
#define LIMIT_FILE 4096u  /* of a control group's file, what is read */
#define LIMIT_PATH 1024u
#define LIMIT_NONE_KNOWN SIZE_MAX

static _Atomic uint32_t limit_acted;      /* hak_os_now() when memory was last given back for the limit's sake */
static _Atomic size_t limit_acted_at;     /* bytes held then */
static _Atomic uint32_t limit_told;       /* hak_os_now() when the program's function was last called */
static _Atomic(hak_limit_function *) limit_function;
static void *_Atomic limit_argument;

HAK_FN bool hak_limit_is_set(void) { return hak_setting(limit) != 0 || hak_setting(limit_hard) != 0; }

HAK_FN size_t hak_limit_held(void)
{
	struct hak_pool_counts counts = hak_pool_counts();

	return ((size_t)counts.used + counts.dirty) * HAK_SLAB_SIZE + hak_large_used() + hak_large_cached();
}

HAK_FN enum hak_limit hak_limit_check(size_t more)
{
	size_t soft = (size_t)hak_setting(limit), hard = (size_t)hak_setting(limit_hard), held = hak_limit_held();

	if (hard && (held > hard || more > hard - held))
		return HAK_LIMIT_HARD;
	return soft && (held > soft || more > soft - held) ? HAK_LIMIT_SOFT : HAK_LIMIT_NONE;
}

HAK_FN bool hak_limit_is_due(void)
{
	uint32_t now = hak_os_now(), acted = hak_load(&limit_acted, relaxed);
	size_t held = hak_limit_held(), before = hak_load(&limit_acted_at, relaxed);

	if (hak_elapsed(now, acted) < LIMIT_PAUSE_MS && held < before + before / 16)
		return false;
	hak_store(&limit_acted, now, relaxed);
	hak_store(&limit_acted_at, held, relaxed);
	return true;
}

HAK_FN void hak_limit_set_function(hak_limit_function *function, void *argument)
{
	hak_store(&limit_argument, argument, relaxed);
	hak_store(&limit_function, function, release); /* partner: hak_limit_tell */
}

/* Of several threads that come at once one tells. */
static bool limit_may_tell(void)
{
	uint32_t now = hak_os_now(), told = hak_load(&limit_told, relaxed);

	return hak_elapsed(now, told) >= LIMIT_PAUSE_MS && hak_cas(&limit_told, &told, now, relaxed);
}

HAK_FN bool hak_limit_tell(void)
{
	hak_limit_function *function = hak_load(&limit_function, acquire); /* partner: hak_limit_set_function */
	size_t soft = (size_t)hak_setting(limit), hard = (size_t)hak_setting(limit_hard);

	if (!function || !limit_may_tell())
		return false;
	function(hak_load(&limit_argument, relaxed), hak_limit_held(), soft ? soft : hard);
	return true;
}

/* ---- control groups ---- */

/* The first bytes of a file, as a string; empty: it cannot be read. */
static void limit_read(const char *path, char *text, size_t size)
{
	int file = hak_file_open(path);
	long n = file >= 0 ? hak_file_load(file, text, size - 1) : 0;

	text[n > 0 ? n : 0] = '\0';
}

/* A number of bytes at the file's start; LIMIT_NONE_KNOWN for "max", or if there is no such file. */
static size_t limit_read_bytes(const char *directory, const char *group, const char *file)
{
	char path[LIMIT_PATH], number[32];
	struct hak_text text;
	size_t bytes;

	hak_text_open(&text, path, sizeof(path));
	hak_text_format(&text, "%s%s%s", directory, group, file);
	if (text.lost > 0)
		return LIMIT_NONE_KNOWN;
	limit_read(path, number, sizeof(number));
	return hak_tunables_number(number, number + strcspn(number, "\n"), &bytes) == 0 ? bytes : LIMIT_NONE_KNOWN;
}

/* The path behind `mark` in a line of /proc/self/cgroup, ended by a NUL in place; NULL if there is no such line. */
static char *limit_find_group(char *text, const char *mark)
{
	char *found = strstr(text, mark), *end;

	if (!found)
		return NULL;
	found += strlen(mark);
	end = strchr(found, '\n');
	if (end)
		*end = '\0';
	return strcmp(found, "/") == 0 ? found + 1 : found;
}

/* memory.high, else nine tenths of the most that there may be. */
static size_t limit_of_group(char *text)
{
	char *group = limit_find_group(text, "0::");
	size_t high, max;

	if (group && (high = limit_read_bytes("/sys/fs/cgroup", group, "/memory.high")) != LIMIT_NONE_KNOWN)
		return high;
	max = group ? limit_read_bytes("/sys/fs/cgroup", group, "/memory.max") : LIMIT_NONE_KNOWN;
	if (max == LIMIT_NONE_KNOWN && (group = limit_find_group(text, ":memory:")) != NULL)
		max = limit_read_bytes("/sys/fs/cgroup/memory", group, "/memory.limit_in_bytes");
	return max == LIMIT_NONE_KNOWN || max > SIZE_MAX / 4 ? 0 : max / 10 * 9;
}

HAK_FN void hak_limit_start(void)
{
	char text[LIMIT_FILE];
	size_t soft;

	if (!hak_setting(limit_cgroup) || hak_tunables_source(HAK_TUNABLE_ID_limit) != HAK_SOURCE_DEFAULT)
		return;
	limit_read("/proc/self/cgroup", text, sizeof(text));
	soft = limit_of_group(text);
	if (soft > 0)
		hak_tunables_set_value(HAK_TUNABLE_ID_limit, soft);
}
