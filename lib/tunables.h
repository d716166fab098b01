/* tunables: every setting, from one table.  Floor 3.
 *
 * A row of tunables.def makes a field, its checks, its parser, its line in the list and its man page.
 * Read a setting as hak_setting(fc_cap), whatever its kind; a field of the wrong kind does not compile.
 * T1  hak_settings (stability START) changes only before hak_tunables_seal, thus by one thread.  It lies on
 *     the page of what is relocated, which the loader makes read-only (RELRO); only where the environment changes
 *     a value is it writable from there to hak_tunables_seal.  Without settings that costs no system call.
 * T2  hak_live (stability LIVE) may change at any time, by any thread: relaxed atomics, each value by itself.
 * T3  A value in force is always within its row's bounds.
 * T4  Nothing is printed unless HAKMEM_VERBOSE=1; what was refused is remembered and can be asked for. */
#ifndef HAK_TUNABLES_H
#define HAK_TUNABLES_H

#include "atomic.h"
#include "cc.h"
#include "say.h"

#define HAK_KIB(n) ((size_t)(n) << 10)
#define HAK_MIB(n) ((size_t)(n) << 20)

#define HAK_TYPE_BOOL bool
#define HAK_TYPE_INT unsigned
#define HAK_TYPE_ENUM unsigned
#define HAK_TYPE_SIZE size_t

enum hak_tunable_type { HAK_TUNABLE_BOOL, HAK_TUNABLE_INT, HAK_TUNABLE_ENUM, HAK_TUNABLE_SIZE };
enum hak_tunable_stability { HAK_TUNABLE_START, HAK_TUNABLE_LIVE };
enum hak_tunable_source { HAK_SOURCE_DEFAULT, HAK_SOURCE_ENVIRONMENT, HAK_SOURCE_API, HAK_SOURCE_FILE,
                           HAK_SOURCE_OUTSIDE };

enum hak_tunable_id {
#define HAK_TUNABLE(id, ...) HAK_TUNABLE_ID_##id,
#include "tunables.def"
#undef HAK_TUNABLE
	HAK_TUNABLE_COUNT
};

/* Where the rows of a stability go: into one struct, out of the other. */
#define HAK_IF_START_START(...) __VA_ARGS__
#define HAK_IF_START_LIVE(...)
#define HAK_IF_LIVE_START(...)
#define HAK_IF_LIVE_LIVE(...) __VA_ARGS__

/* HAKMEM_SECURE */
enum hak_secure { HAK_SECURE_OFF, HAK_SECURE_CHECK, HAK_SECURE_WIPE, HAK_SECURE_CANARY };

struct hak_settings {
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, ...)                                  \
	HAK_IF_START_##stability(HAK_TYPE_##type id;)
#include "tunables.def"
#undef HAK_TUNABLE
};

struct hak_live {
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, ...)                                  \
	HAK_IF_LIVE_##stability(_Atomic(HAK_TYPE_##type) id;)
#include "tunables.def"
#undef HAK_TUNABLE
};

HAK_VAR struct hak_settings hak_settings;
HAK_VAR struct hak_live hak_live;

/* The table itself.  All words are found by offset: pointers would have to be relocated in every process. */
struct hak_tunables_words {
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, summary, text)                        \
	char name_##id[sizeof(name)];                                                                        \
	char unit_##id[sizeof(unit)];                                                                        \
	char summary_##id[sizeof(summary)];
#include "tunables.def"
#undef HAK_TUNABLE
};

struct hak_tunables_row {
	size_t preset, min, max;
	uint16_t name, unit, summary; /* offsets in hak_tunables_words */
	uint16_t field;               /* offset in hak_settings or hak_live */
	uint8_t type;
	uint8_t stability;
};

HAK_VAR const struct hak_tunables_words hak_tunables_words;
HAK_VAR const struct hak_tunables_row hak_tunables_rows[HAK_TUNABLE_COUNT];
HAK_VAR _Atomic uint8_t hak_tunables_sources[HAK_TUNABLE_COUNT]; /* enum hak_tunable_source */

#define HAK_READ_START(id) hak_settings.id
#define HAK_READ_LIVE(id) hak_load(&hak_live.id, relaxed)
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, ...)                                  \
	HAK_HOT HAK_TYPE_##type hak_setting_##id(void) { return HAK_READ_##stability(id); }
#include "tunables.def"
#undef HAK_TUNABLE

#define hak_setting(id) hak_setting_##id()

#define HAK_TUNABLES_PREFIX "HAKMEM_"
#define HAK_TUNABLES_CONF "HAKMEM_CONF"   /* no setting: conf's */
#define HAK_TUNABLES_TRACE "HAKMEM_TRACE" /* none either: record's */

/* From an environment block (may be NULL), before any other thread runs; all of it is ignored if is_secure.  It wins over
 * what a file said.
 * Of two entries of one name the first counts, as in getenv; an empty one counts as not set. */
HAK_FN void hak_tunables_read(char **environment, bool is_secure);

/* The end of start: from here on only LIVE settings change. */
HAK_FN void hak_tunables_seal(void);

/* For those who look.  i < HAK_TUNABLE_COUNT. */
HAK_FN unsigned hak_tunables_find(const char *name); /* HAKMEM_FC_CAP or fc_cap, else HAK_TUNABLE_COUNT */
HAK_FN const char *hak_tunables_name(unsigned i);    /* HAKMEM_FC_CAP */
HAK_FN const char *hak_tunables_unit(unsigned i);    /* "blocks"; of an ENUM "off|populate|touch" */
HAK_FN const char *hak_tunables_summary(unsigned i);
HAK_FN enum hak_tunable_type hak_tunables_type(unsigned i);
HAK_FN enum hak_tunable_stability hak_tunables_stability(unsigned i);
HAK_FN enum hak_tunable_source hak_tunables_source(unsigned i);
HAK_FN const char *hak_tunables_refused(unsigned i); /* the environment's bad value, cut; or NULL */
HAK_FN const char *hak_tunables_unknown(unsigned n); /* the nth HAKMEM_ name that is no setting; or NULL */
HAK_FN size_t hak_tunables_value(unsigned i);
HAK_FN size_t hak_tunables_default(unsigned i);
HAK_FN size_t hak_tunables_min(unsigned i);
HAK_FN size_t hak_tunables_max(unsigned i);
/* As it would be set: 4M, touch, 1. */
HAK_FN void hak_tunables_print(unsigned i, size_t value, struct hak_text *out);

/* Decimal digits and nothing else up to end.  0; EINVAL: something else, or nothing; ERANGE: too large. */
HAK_FN int hak_tunables_number(const char *at, const char *end, size_t *value);

/* 0; ENOENT: no such setting; EINVAL: no value of its type; ERANGE: out of bounds; EPERM: fixed since start.
 * On an error nothing changes; errno is left alone. */
HAK_FN int hak_tunables_set(unsigned i, const char *value);
HAK_FN int hak_tunables_try(unsigned i, const char *value); /* changes nothing in any case */
HAK_FN int hak_tunables_set_by_file(unsigned i, const char *value);
HAK_FN int hak_tunables_set_value(unsigned i, size_t value);

#endif
