#include "tunables.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <string.h>

#include "bits.h"
#include "os.h"

#define TUNABLES_PREFIX_LENGTH (sizeof(HAK_TUNABLES_PREFIX) - 1)
#define TUNABLES_WORD 40   /* of a refused value or an unknown name, what is remembered */
#define TUNABLES_BOOL_WORDS "0|1|off|on|no|yes|false|true"
#define TUNABLES_UNKNOWN 4 /* so many unknown names */

#define HAK_TUNABLE(id, name, type, preset, min, max, ...)                                                   \
	_Static_assert((size_t)(min) <= (size_t)(preset), name ": default below the minimum");               \
	_Static_assert((size_t)(preset) <= (size_t)(max), name ": default above the maximum");               \
	_Static_assert((size_t)(max) <= TUNABLES_MOST_##type, name ": maximum too large for the type");      \
	_Static_assert(sizeof(name) < TUNABLES_WORD, name ": name too long");
#define TUNABLES_MOST_BOOL 1
#define TUNABLES_MOST_INT UINT_MAX
#define TUNABLES_MOST_ENUM UINT_MAX
#define TUNABLES_MOST_SIZE SIZE_MAX
#include "tunables.def"
#undef HAK_TUNABLE

HAK_DEF const struct hak_tunables_words hak_tunables_words = {
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, summary, text) name, unit, summary,
#include "tunables.def"
#undef HAK_TUNABLE
};

_Static_assert(sizeof(struct hak_tunables_words) <= UINT16_MAX, "offsets of words fit");

HAK_DEF const struct hak_tunables_row hak_tunables_rows[HAK_TUNABLE_COUNT] = {
#define TUNABLES_FIELD_START(id) offsetof(struct hak_settings, id)
#define TUNABLES_FIELD_LIVE(id) offsetof(struct hak_live, id)
#define TUNABLES_AT(id) (uint16_t)offsetof(struct hak_tunables_words, id)
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, summary, text)                        \
	{ (preset), (min), (max),                                                                            \
	  TUNABLES_AT(name_##id), TUNABLES_AT(unit_##id), TUNABLES_AT(summary_##id),                         \
	  (uint16_t)TUNABLES_FIELD_##stability(id), HAK_TUNABLE_##type, HAK_TUNABLE_##stability },
#include "tunables.def"
#undef HAK_TUNABLE
};

/* T1: a loader that knows RELRO has made it read-only when the first of our code runs. */
HAK_DEF struct hak_settings hak_settings HAK_SECTION(".data.rel.ro.hak_settings") = {
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, ...)                                  \
	HAK_IF_START_##stability(.id = (preset),)
#include "tunables.def"
#undef HAK_TUNABLE
};

HAK_DEF struct hak_live hak_live = {
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, ...)                                  \
	HAK_IF_LIVE_##stability(.id = (preset),)
#include "tunables.def"
#undef HAK_TUNABLE
};

static bool tunables_are_open;
static bool tunables_are_sealed;
HAK_DEF _Atomic uint8_t hak_tunables_sources[HAK_TUNABLE_COUNT];
static char tunables_refused[HAK_TUNABLE_COUNT][TUNABLES_WORD] HAK_SPARSE;
static char tunables_unknown[TUNABLES_UNKNOWN][TUNABLES_WORD] HAK_SPARSE;

/* ---- values ---- */

static void *tunables_field(const struct hak_tunables_row *row)
{
	void *base = row->stability == HAK_TUNABLE_LIVE ? (void *)&hak_live : (void *)&hak_settings;

	return (char *)base + row->field;
}

HAK_FN size_t hak_tunables_value(unsigned i)
{
	void *field = tunables_field(&hak_tunables_rows[i]);

	if (hak_tunables_rows[i].type == HAK_TUNABLE_BOOL)
		return hak_load((_Atomic(bool) *)field, relaxed);
	if (hak_tunables_rows[i].type == HAK_TUNABLE_SIZE)
		return hak_load((_Atomic(size_t) *)field, relaxed);
	return hak_load((_Atomic(unsigned) *)field, relaxed);
}

static void tunables_store(const struct hak_tunables_row *row, size_t value)
{
	void *field = tunables_field(row);

	if (row->type == HAK_TUNABLE_BOOL)
		hak_store((_Atomic(bool) *)field, value != 0, relaxed);
	else if (row->type == HAK_TUNABLE_SIZE)
		hak_store((_Atomic(size_t) *)field, value, relaxed);
	else
		hak_store((_Atomic(unsigned) *)field, (unsigned)value, relaxed);
}

/* The pages that hold hak_settings, and what else is relocated. */
static void *tunables_pages(size_t *size)
{
	size_t page = hak_os_page_size();
	uintptr_t from = hak_align_down((uintptr_t)&hak_settings, page);

	*size = hak_align_up((uintptr_t)(&hak_settings + 1), page) - from;
	return (void *)from;
}

/* Did the loader make them read-only?  A program linked with -z norelro, or larger pages, may have variables beside them. */
static bool tunables_are_relro(const void *pages, size_t size)
{
	const ElfW(Ehdr) *file = (const void *)hak_os_file;
	const ElfW(Phdr) *part, *relro = NULL;
	uintptr_t base = (uintptr_t)file, page = hak_os_page_size();

	if (!file)
		return false;
	part = (const void *)(hak_os_file + file->e_phoff);
	for (unsigned i = 0; i < file->e_phnum; i++)
		if (part[i].p_type == PT_LOAD && part[i].p_offset == 0)
			base -= part[i].p_vaddr;
		else if (part[i].p_type == PT_GNU_RELRO)
			relro = &part[i];
	return relro && (uintptr_t)pages >= hak_align_down(base + relro->p_vaddr, page) &&
	       (uintptr_t)pages + size <= hak_align_down(base + relro->p_vaddr + relro->p_memsz, page);
}

static bool tunables_open(void)
{
	size_t size;
	void *pages = tunables_pages(&size);

	if (!tunables_are_open)
		tunables_are_open = hak_os_protect_write(pages, size);
	return tunables_are_open;
}

HAK_FN void hak_tunables_seal(void)
{
	size_t size;
	void *pages = tunables_pages(&size);

	if (tunables_are_open && tunables_are_relro(pages, size))
		hak_os_protect_read(pages, size);
	tunables_are_sealed = true;
}

static int tunables_change(unsigned i, size_t value, enum hak_tunable_source source)
{
	const struct hak_tunables_row *row = &hak_tunables_rows[i];
	bool is_start = row->stability == HAK_TUNABLE_START;

	if (value < row->min || value > row->max)
		return ERANGE;
	if (is_start && tunables_are_sealed)
		return EPERM;
	if (!is_start || value != hak_tunables_value(i)) {
		if (is_start && !tunables_open())
			return EPERM;
		tunables_store(row, value);
	}
	hak_store(&hak_tunables_sources[i], (uint8_t)source, relaxed);
	return 0;
}

/* ---- words to values ---- */

/* Which of "off|populate|touch" it is; SIZE_MAX if none. */
static size_t tunables_which(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (size_t n = 0; *words; n++) {
		size_t next = strcspn(words, "|");
		if (next == length && memcmp(words, word, length) == 0)
			return n;
		words += next + (words[next] == '|');
	}
	return SIZE_MAX;
}

HAK_FN int hak_tunables_number(const char *at, const char *end, size_t *value)
{
	bool is_over = false;

	if (at == end)
		return EINVAL;
	for (*value = 0; at < end; at++) {
		if (*at < '0' || *at > '9')
			return EINVAL;
		is_over |= hak_mul_overflow(*value, (size_t)10, value);
		is_over |= hak_add_overflow(*value, (size_t)(*at - '0'), value);
	}
	return is_over ? ERANGE : 0;
}

static unsigned tunables_suffix(char c)
{
	size_t which = tunables_which("K|M|G|k|m|g", (const char[2]){ c, '\0' });

	return which == SIZE_MAX ? 0 : 10 * ((unsigned)which % 3 + 1);
}

static int tunables_size(const char *text, size_t *value)
{
	const char *end = text + strlen(text);
	unsigned shift = *text ? tunables_suffix(end[-1]) : 0;
	int error = hak_tunables_number(text, end - (shift ? 1 : 0), value);

	if (error == 0 && *value > SIZE_MAX >> shift)
		error = ERANGE;
	*value <<= shift;
	return error;
}

static int tunables_parse(unsigned i, const char *text, size_t *value)
{
	const struct hak_tunables_row *row = &hak_tunables_rows[i];
	const char *words = row->type == HAK_TUNABLE_BOOL ? TUNABLES_BOOL_WORDS : hak_tunables_unit(i);

	*value = 0;
	if (row->type == HAK_TUNABLE_SIZE)
		return tunables_size(text, value);
	if (row->type == HAK_TUNABLE_INT)
		return hak_tunables_number(text, text + strlen(text), value);
	*value = tunables_which(words, text);
	if (row->type == HAK_TUNABLE_BOOL && *value != SIZE_MAX)
		*value %= 2;
	return *value == SIZE_MAX ? hak_tunables_number(text, text + strlen(text), value) : 0;
}

static int tunables_set(unsigned i, const char *text, enum hak_tunable_source source)
{
	size_t value;
	int error = tunables_parse(i, text, &value);

	return error ? error : tunables_change(i, value, source);
}

HAK_FN int hak_tunables_try(unsigned i, const char *value)
{
	size_t parsed;
	int error;

	if (i >= HAK_TUNABLE_COUNT)
		return ENOENT;
	error = tunables_parse(i, value, &parsed);
	if (error)
		return error;
	return parsed < hak_tunables_rows[i].min || parsed > hak_tunables_rows[i].max ? ERANGE : 0;
}

HAK_FN int hak_tunables_set(unsigned i, const char *value)
{
	return i < HAK_TUNABLE_COUNT ? tunables_set(i, value, HAK_SOURCE_API) : ENOENT;
}

HAK_FN int hak_tunables_set_by_file(unsigned i, const char *value)
{
	int error = hak_tunables_try(i, value);

	if (error || hak_tunables_source(i) == HAK_SOURCE_API) /* the program's own word wins */
		return error;
	return tunables_set(i, value, HAK_SOURCE_FILE);
}

HAK_FN int hak_tunables_set_value(unsigned i, size_t value)
{
	return i < HAK_TUNABLE_COUNT ? tunables_change(i, value, HAK_SOURCE_API) : ENOENT;
}

/* ---- the environment ---- */

/* A copy, as the program may overwrite its environment; cut, and without what a terminal would obey. */
static void tunables_remember(char *word, const char *text, size_t length)
{
	size_t n = length < TUNABLES_WORD ? length : TUNABLES_WORD - 1;

	for (size_t i = 0; i < n; i++)
		word[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	if (n < length)
		memcpy(word + n - 3, "...", 3);
	word[n] = '\0';
}

static bool tunables_is_name(const char *name, size_t length, const char *known)
{
	return length == strlen(known) && memcmp(name, known, length) == 0;
}

static void tunables_remember_unknown(const char *name, size_t length)
{
	unsigned n = 0;

	if (tunables_is_name(name, length, HAK_TUNABLES_CONF) || tunables_is_name(name, length, HAK_TUNABLES_TRACE))
		return;
	while (n < TUNABLES_UNKNOWN && tunables_unknown[n][0])
		n++;
	if (n < TUNABLES_UNKNOWN)
		tunables_remember(tunables_unknown[n], name, length);
}

static unsigned tunables_find(const char *name, size_t length)
{
	unsigned i = 0;

	while (i < HAK_TUNABLE_COUNT &&
	       (strncmp(hak_tunables_name(i), name, length) != 0 || hak_tunables_name(i)[length] != '\0'))
		i++;
	return i;
}

/* It wins over a file, but not over the program's own word, nor over an entry before. */
static bool tunables_is_open_to_environment(unsigned i)
{
	return hak_tunables_source(i) == HAK_SOURCE_DEFAULT || hak_tunables_source(i) == HAK_SOURCE_FILE;
}

/* One NAME=VALUE. */
static void tunables_read_entry(const char *entry)
{
	size_t length = strcspn(entry, "=");
	unsigned i = tunables_find(entry, length);
	const char *value = entry + length + 1;

	if (entry[length] == '\0')
		return;
	if (i == HAK_TUNABLE_COUNT)
		tunables_remember_unknown(entry, length);
	else if (*value && tunables_is_open_to_environment(i) && !hak_tunables_refused(i) &&
	         tunables_set(i, value, HAK_SOURCE_ENVIRONMENT) != 0)
		tunables_remember(tunables_refused[i], value, strlen(value));
}

static void tunables_print_domain(unsigned i, struct hak_text *out)
{
	const struct hak_tunables_row *row = &hak_tunables_rows[i];

	if (row->type == HAK_TUNABLE_BOOL) {
		hak_text_string(out, "0 or 1");
	} else if (row->type == HAK_TUNABLE_ENUM) {
		hak_text_format(out, "one of %s", hak_tunables_unit(i));
	} else if (row->max == SIZE_MAX) {
		hak_text_string(out, "a size such as 65536, 64K, 4M or 1G");
	} else {
		hak_text_string(out, "a number from ");
		hak_tunables_print(i, row->min, out);
		hak_text_string(out, " to ");
		hak_tunables_print(i, row->max, out);
	}
}

static void tunables_complain_of(unsigned i)
{
	char buffer[HAK_SAY_LINE / 2];
	struct hak_text text;

	hak_text_open(&text, buffer, sizeof(buffer));
	tunables_print_domain(i, &text);
	hak_text_string(&text, "; it stays ");
	hak_tunables_print(i, hak_tunables_value(i), &text);
	hak_say_line("%s=%s is refused: it is not %s", hak_tunables_name(i), tunables_refused[i], buffer);
}

static void tunables_complain(void)
{
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++)
		if (hak_tunables_refused(i))
			tunables_complain_of(i);
	for (unsigned n = 0; hak_tunables_unknown(n); n++)
		hak_say_line("%s: there is no such setting", hak_tunables_unknown(n));
}

HAK_FN void hak_tunables_read(char **environment, bool is_secure)
{
	if (!environment || is_secure)
		return;
	for (; *environment; environment++)
		if (strncmp(*environment, HAK_TUNABLES_PREFIX, TUNABLES_PREFIX_LENGTH) == 0)
			tunables_read_entry(*environment);
	if (hak_setting(verbose))
		tunables_complain();
}

/* ---- for those who look ---- */

static const char *tunables_word(size_t offset) { return (const char *)&hak_tunables_words + offset; }

HAK_FN const char *hak_tunables_name(unsigned i) { return tunables_word(hak_tunables_rows[i].name); }
HAK_FN const char *hak_tunables_unit(unsigned i) { return tunables_word(hak_tunables_rows[i].unit); }
HAK_FN const char *hak_tunables_summary(unsigned i) { return tunables_word(hak_tunables_rows[i].summary); }
HAK_FN size_t hak_tunables_default(unsigned i) { return hak_tunables_rows[i].preset; }
HAK_FN size_t hak_tunables_min(unsigned i) { return hak_tunables_rows[i].min; }
HAK_FN size_t hak_tunables_max(unsigned i) { return hak_tunables_rows[i].max; }

HAK_FN enum hak_tunable_type hak_tunables_type(unsigned i)
{
	return (enum hak_tunable_type)hak_tunables_rows[i].type;
}

HAK_FN enum hak_tunable_stability hak_tunables_stability(unsigned i)
{
	return (enum hak_tunable_stability)hak_tunables_rows[i].stability;
}

HAK_FN enum hak_tunable_source hak_tunables_source(unsigned i)
{
	return (enum hak_tunable_source)hak_load(&hak_tunables_sources[i], relaxed);
}

HAK_FN const char *hak_tunables_refused(unsigned i)
{
	return tunables_refused[i][0] ? tunables_refused[i] : NULL;
}

HAK_FN const char *hak_tunables_unknown(unsigned n)
{
	return n < TUNABLES_UNKNOWN && tunables_unknown[n][0] ? tunables_unknown[n] : NULL;
}

/* The nth of "off|populate|touch". */
static void tunables_print_word(const char *words, size_t n, struct hak_text *out)
{
	while (n-- > 0)
		words += strcspn(words, "|") + 1;
	hak_text_bytes(out, words, strcspn(words, "|"));
}

HAK_FN void hak_tunables_print(unsigned i, size_t value, struct hak_text *out)
{
	if (hak_tunables_rows[i].type == HAK_TUNABLE_SIZE)
		hak_text_size(out, value);
	else if (hak_tunables_rows[i].type == HAK_TUNABLE_ENUM)
		tunables_print_word(hak_tunables_unit(i), value, out);
	else
		hak_text_decimal(out, value);
}

/* The name as written, or the field's: lower case and no prefix. */
static bool tunables_is_field(const char *field, const char *name)
{
	for (name += TUNABLES_PREFIX_LENGTH; *name && *field; name++, field++)
		if (*field != (*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name))
			return false;
	return *name == *field;
}

HAK_FN unsigned hak_tunables_find(const char *name)
{
	unsigned i = tunables_find(name, strlen(name));

	if (i < HAK_TUNABLE_COUNT)
		return i;
	for (i = 0; i < HAK_TUNABLE_COUNT && !tunables_is_field(name, hak_tunables_name(i)); i++)
		continue;
	return i;
}
