#include "record.h"

#include <string.h>

#include "bits.h"
#include "file.h"
#include "os.h"
#include "say.h"
#include "starve.h"
#include "tunables.h"

#define RECORD_SLOTS 64u
#define RECORD_PATH 4096u
#define RECORD_EVENT 80u   /* no event is longer */
#define RECORD_TRIES 1000u /* names of files */

_Static_assert(sizeof(struct hak_record_chunk) == HAK_RECORD_HEAD, "chunks have the head that the manual says");
_Static_assert(sizeof(struct hak_record_file) == 512, "so have files");

struct record_slot {
	_Atomic uint32_t busy;
	uint32_t thread;
	char *at, *end; /* of the chunk; NULL: it has none */
	uint64_t number, time;
	uintptr_t address;
} HAK_ALIGNED(HAK_LINE);

/* Zero in a forked child. */
struct record {
	_Atomic uint32_t state;   /* enum record_state */
	_Atomic uintptr_t opener; /* the first thread with an event, by the address of its record_thread */
	int file;
	struct hak_file_id id;
	char path[RECORD_PATH + 32]; /* of the file */
	_Atomic uint64_t number;     /* of the last event */
	_Atomic uint32_t chunks;
	_Atomic uint32_t threads;
	struct record_slot slots[RECORD_SLOTS];
};

enum record_state { RECORD_NEW, RECORD_OPEN, RECORD_ENDED };

HAK_DEF _Atomic uint32_t hak_record_on;
static struct record *record;
static char record_path[RECORD_PATH] HAK_SPARSE;
static HAK_TLS uint32_t record_thread; /* 0: none yet */

/* ---- the file ---- */

/* Nobody can write any more. */
static HAK_COLD void record_end(const char *why)
{
	uint32_t open = hak_load(&record->state, relaxed);

	if (open == RECORD_ENDED || !hak_cas(&record->state, &open, RECORD_ENDED, relaxed))
		return;
	hak_store(&hak_record_on, 0, relaxed);
	hak_starve_off(HAK_STARVE_RECORD);
	hak_say_line(HAK_TUNABLES_TRACE "=%s: %s; the trace ends here", record->path, why);
}

/* FILE, FILE.PID, FILE.PID.2 ...: the first that is not there. */
static void record_create(void)
{
	struct hak_text text;

	record->file = HAK_FILE_EXISTS;
	for (unsigned i = 0; i < RECORD_TRIES && record->file == HAK_FILE_EXISTS; i++) {
		hak_text_open(&text, record->path, sizeof(record->path));
		hak_text_string(&text, record_path);
		if (i > 0)
			hak_text_format(&text, ".%u", hak_os_pid());
		if (i > 1)
			hak_text_format(&text, ".%u", i);
		record->file = hak_file_create(record->path, true);
	}
	hak_file_identify(record->file, &record->id);
}

static void record_write_head(char *chunk)
{
	struct hak_record_file head = {HAK_RECORD_MAGIC,
				       HAK_RECORD_VERSION,
				       HAK_RECORD_CHUNK,
				       hak_os_pid(),
				       hak_os_parent(),
				       hak_os_time(),
				       ""};

	hak_file_program(head.program, sizeof(head.program));
	memcpy(chunk, &head, sizeof(head));
}

/* A chunk of the file; NULL: none can be had.  A program may have closed our file, and opened one of its own there. */
static char *record_map(uint32_t n)
{
	if (!hak_file_is_same(record->file, &record->id)) {
		record->file = hak_file_create(record->path, false);
		if (!hak_file_is_same(record->file, &record->id))
			return NULL;
	}
	return hak_file_map(record->file, (uint64_t)n * HAK_RECORD_CHUNK, HAK_RECORD_CHUNK);
}

/* A child or a program that was executed does this at its first event, when it has one thread.  The opener may come by again
 * meanwhile, in a signal handler, or where somebody put a function that allocates in a C library function's place: he would
 * wait for himself, and goes without that event. */
static bool record_open(void)
{
	uintptr_t none = 0, self = (uintptr_t)&record_thread;

	if (!hak_cas(&record->opener, &none, self, relaxed)) {
		for (unsigned i = 0; none != self && i < RECORD_TRIES && hak_load(&record->state, relaxed) == RECORD_NEW; i++)
			hak_os_rest();
		return hak_load(&record->state, acquire) == RECORD_OPEN; /* partner: below */
	}
	record_create();
	hak_store(&record->threads, record_thread, relaxed);
	hak_store(&record->state, RECORD_OPEN, release);
	return true;
}

static bool record_is_open(void)
{
	return hak_load(&record->state, acquire) == RECORD_OPEN || record_open(); /* partner: record_open */
}

/* ---- slots ---- */

static bool record_next_chunk(struct record_slot *slot, uint64_t number, uint64_t time)
{
	uint32_t n = hak_fetch_add(&record->chunks, 1, relaxed);
	char *chunk = record_map(n);
	struct hak_record_chunk head = {"HAKCHUNK", number, time, record_thread, 0};

	if (!chunk)
		return false;
	if (slot->at)
		hak_os_unmap(slot->end - HAK_RECORD_CHUNK, HAK_RECORD_CHUNK);
	slot->end = chunk + HAK_RECORD_CHUNK;
	if (n == 0) {
		record_write_head(chunk);
		chunk += sizeof(struct hak_record_file);
	}
	memcpy(chunk, &head, sizeof(head));
	slot->at = chunk + sizeof(head);
	slot->number = number;
	slot->time = time;
	slot->thread = record_thread;
	slot->address = 0;
	return true;
}

/* One that nobody has borrowed; NULL: as many calls are interrupted or at work as there are slots. */
static struct record_slot *record_borrow(void)
{
	if (record_thread == 0)
		record_thread = hak_fetch_add(&record->threads, 1, relaxed) + 1;
	for (unsigned round = 0; round < RECORD_TRIES; round++) {
		for (unsigned i = 0; i < RECORD_SLOTS; i++) {
			struct record_slot *slot = &record->slots[(record_thread + i) % RECORD_SLOTS];
			uint32_t free = 0;

			/* partner: record_give_back */
			if (hak_load(&slot->busy, relaxed) == 0 && hak_cas(&slot->busy, &free, 1, acquire))
				return slot;
		}
		hak_os_rest();
	}
	return NULL;
}

static void record_give_back(struct record_slot *slot)
{
	hak_store(&slot->busy, 0, release); /* partner: record_borrow */
}

/* ---- events ---- */

static char *record_put(char *at, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		*at++ = (char)(value | 128);
	*at++ = (char)value;
	return at;
}

static char *record_put_address(struct record_slot *slot, char *at, const void *p)
{
	intptr_t step = (intptr_t)((uintptr_t)p / HAK_RECORD_UNIT) - (intptr_t)slot->address;

	slot->address = (uintptr_t)p / HAK_RECORD_UNIT;
	return record_put(at, step < 0 ? (uint64_t)-step << 1 | 1 : (uint64_t)step << 1);
}

/* An event is there as soon as its first byte is: a process may be killed at any moment. */
static char *record_close(struct record_slot *slot, char *at, enum hak_record_kind kind)
{
	hak_signal_fence();
	*(volatile char *)slot->at = (char)kind;
	slot->at = at;
	return at + 1;
}

/* Its number and time are written; *at is where the rest goes.  NULL: there is no trace. */
static struct record_slot *record_begin_event(char **at, uint64_t *number)
{
	struct record_slot *slot = record_is_open() ? record_borrow() : NULL;
	uint64_t time;

	if (!slot)
		return NULL;
	time = hak_os_clock();
	*number = hak_fetch_add(&record->number, 1, seq_cst) + 1; /* C1 */
	if ((!slot->at || (size_t)(slot->end - slot->at) < RECORD_EVENT) && !record_next_chunk(slot, *number, time)) {
		record_give_back(slot);
		record_end("there is no room for more, or it cannot be written");
		return NULL;
	}
	if (slot->thread != record_thread) {
		record_close(slot, record_put(slot->at + 1, record_thread), HAK_RECORD_THREAD);
		slot->thread = record_thread;
	}
	*at = record_put(slot->at + 1, *number - slot->number);
	*at = record_put(*at, (time - slot->time) / 1000);
	slot->time += (time - slot->time) / 1000 * 1000;
	slot->number = *number;
	return slot;
}

HAK_FN void hak_record_alloc(enum hak_record_kind kind, size_t size, size_t align, const void *p)
{
	uint64_t number;
	char *at;
	struct record_slot *slot = p ? record_begin_event(&at, &number) : NULL;

	if (!slot)
		return;
	at = record_put(at, size);
	if (kind == HAK_RECORD_ALIGNED)
		at = record_put(at, hak_highest_bit(align));
	record_close(slot, record_put_address(slot, at, p), kind);
	record_give_back(slot);
}

HAK_FN void hak_record_free(const void *p)
{
	uint64_t number;
	char *at;
	struct record_slot *slot = p ? record_begin_event(&at, &number) : NULL;

	if (!slot)
		return;
	record_close(slot, record_put_address(slot, at, p), HAK_RECORD_FREE);
	record_give_back(slot);
}

HAK_FN uint64_t hak_record_begin(void)
{
	return hak_fetch_add(&record->number, 1, seq_cst) + 1; /* C1 */
}

HAK_FN void hak_record_resize(uint64_t begun, const void *old, size_t size, const void *p)
{
	uint64_t number;
	char *at;
	struct record_slot *slot = record_begin_event(&at, &number);

	if (!slot)
		return;
	at = record_put_address(slot, record_put(at, size), old);
	at = record_put_address(slot, at, p);
	record_close(slot, record_put(at, number - begun), HAK_RECORD_REALLOC);
	record_give_back(slot);
}

HAK_FN void hak_record_exit(void)
{
	uint64_t number;
	char *at;
	struct record_slot *slot = hak_record_is_on() && record_thread ? record_begin_event(&at, &number) : NULL;

	if (!slot)
		return;
	record_close(slot, at, HAK_RECORD_EXIT);
	record_give_back(slot);
}

/* ---- start ---- */

static const char *record_find(char **environment)
{
	size_t length = sizeof(HAK_TUNABLES_TRACE) - 1;

	for (; environment && *environment; environment++)
		if (strncmp(*environment, HAK_TUNABLES_TRACE, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	return "";
}

/* The program may go elsewhere before its first event. */
static void record_set_path(const char *path)
{
	struct hak_text text;
	size_t length = 0;

	if (path[0] != '/' && hak_file_directory(record_path, sizeof(record_path)))
		length = strlen(record_path);
	hak_text_open(&text, record_path + length, sizeof(record_path) - length);
	hak_text_format(&text, "%s%s", length ? "/" : "", path);
}

HAK_FN void hak_record_start(char **environment, bool is_secure)
{
	const char *path = is_secure ? "" : record_find(environment);

	if (!*path)
		return;
	record_set_path(path);
	record = hak_os_map_wiped(hak_align_up(sizeof(*record), hak_os_page_size()));
	if (!record)
		return;
	hak_store(&hak_record_on, 1, relaxed);
	hak_starve_on(HAK_STARVE_RECORD);
}

HAK_FN void hak_record_after_fork(void)
{
	if (!hak_record_is_on())
		return;
	memset((void *)record, 0, sizeof(*record)); /* kernels before 4.14 do not wipe */
	hak_starve_on(HAK_STARVE_RECORD);
}
