/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct trace_cursor {
	const char *start, *at, *end;
	uint64_t number, time, address;
	uint32_t thread;
	struct trace_event event; /* the next one */
};

/* ---- a chunk ---- */

/* Seven bits a byte; false: the chunk ends before it does. */
static bool take_number(struct trace_cursor *cursor, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; cursor->at < cursor->end && shift < 64; shift += 7) {
		unsigned char byte = (unsigned char)*cursor->at++;

		*value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return true;
	}
	return false;
}

static bool take_address(struct trace_cursor *cursor, uint64_t *address)
{
	uint64_t step;

	if (!take_number(cursor, &step))
		return false;
	cursor->address += step & 1 ? -(step >> 1) : step >> 1;
	*address = cursor->address * HAK_RECORD_UNIT;
	return true;
}

static bool take_operands(struct trace_cursor *cursor, struct trace_event *event)
{
	uint64_t log = 0, back = 0;
	bool ok = true;

	if (event->kind == HAK_RECORD_MALLOC || event->kind == HAK_RECORD_CALLOC || event->kind == HAK_RECORD_ALIGNED ||
	    event->kind == HAK_RECORD_REALLOC)
		ok = take_number(cursor, &event->size);
	if (ok && event->kind == HAK_RECORD_ALIGNED)
		ok = take_number(cursor, &log) && log < 48;
	if (ok && event->kind == HAK_RECORD_REALLOC)
		ok = take_address(cursor, &event->old);
	if (ok && event->kind != HAK_RECORD_EXIT)
		ok = take_address(cursor, &event->address) && event->address != 0;
	if (ok && event->kind == HAK_RECORD_REALLOC)
		ok = take_number(cursor, &back) && back <= event->number;
	event->align = ok && log ? UINT64_C(1) << log : 0;
	event->begun = event->number - back;
	return ok;
}

/* The cursor's next event.  False: the chunk is done, or damaged. */
static bool advance(struct trace *trace, struct trace_cursor *cursor)
{
	struct trace_event *event = &cursor->event;
	uint64_t step, microseconds, thread;

	memset(event, 0, sizeof(*event));
	while (cursor->at < cursor->end && *cursor->at == HAK_RECORD_THREAD) {
		cursor->at++;
		if (!take_number(cursor, &thread) || thread > UINT32_MAX)
			return trace->damaged++, false;
		cursor->thread = (uint32_t)thread;
	}
	if (cursor->at == cursor->end || *cursor->at == HAK_RECORD_NONE)
		return false;
	event->kind = (enum hak_record_kind)(unsigned char)*cursor->at++;
	event->thread = cursor->thread;
	if (event->kind >= HAK_RECORD_KINDS || !take_number(cursor, &step) || !take_number(cursor, &microseconds))
		return trace->damaged++, false;
	event->number = cursor->number += step;
	cursor->time += microseconds * 1000;
	event->time = cursor->time - trace->first_time;
	return take_operands(cursor, event) || (trace->damaged++, false);
}

static void start_cursor(struct trace_cursor *cursor)
{
	struct hak_record_chunk head;

	memcpy(&head, cursor->start, sizeof(head));
	cursor->at = cursor->start + sizeof(head);
	cursor->number = head.number;
	cursor->time = head.time;
	cursor->thread = head.thread;
	cursor->address = 0;
}

/* ---- the merge: a heap of chunks, by their next event ---- */

static void sift_down(struct trace *trace, size_t i)
{
	struct trace_cursor **heap = trace->heap, *moved;

	for (size_t child; (child = 2 * i + 1) < trace->heap_count; i = child) {
		if (child + 1 < trace->heap_count && heap[child + 1]->event.number < heap[child]->event.number)
			child++;
		if (heap[i]->event.number <= heap[child]->event.number)
			return;
		moved = heap[i];
		heap[i] = heap[child];
		heap[child] = moved;
	}
}

static void push(struct trace *trace, struct trace_cursor *cursor)
{
	size_t i = trace->heap_count++;

	for (; i > 0 && trace->heap[(i - 1) / 2]->event.number > cursor->event.number; i = (i - 1) / 2)
		trace->heap[i] = trace->heap[(i - 1) / 2];
	trace->heap[i] = cursor;
}

bool trace_next(struct trace *trace, struct trace_event *event)
{
	struct trace_cursor *first;

	while (trace->next < trace->cursor_count &&
	       (trace->heap_count == 0 || trace->cursors[trace->next].number <= trace->heap[0]->event.number)) {
		first = &trace->cursors[trace->next++];
		if (advance(trace, first))
			push(trace, first);
	}
	if (trace->heap_count == 0)
		return false;
	first = trace->heap[0];
	*event = first->event;
	if (!advance(trace, first))
		trace->heap[0] = trace->heap[--trace->heap_count];
	sift_down(trace, 0);
	return true;
}

void trace_rewind(struct trace *trace)
{
	for (size_t i = 0; i < trace->cursor_count; i++)
		start_cursor(&trace->cursors[i]);
	trace->next = trace->heap_count = trace->damaged = 0;
}

/* ---- the file ---- */

static int by_number(const void *a, const void *b)
{
	const struct trace_cursor *first = a, *second = b;

	return first->number < second->number ? -1 : first->number > second->number;
}

static const char *find_chunks(struct trace *trace)
{
	size_t count = (trace->size + trace->head.chunk - 1) / trace->head.chunk;

	trace->cursors = calloc(count, sizeof(*trace->cursors));
	trace->heap = calloc(count, sizeof(struct trace_cursor *));
	if (!trace->cursors || !trace->heap)
		return "no memory";
	trace->first_time = UINT64_MAX;
	for (size_t i = 0; i < count; i++) {
		size_t from = i * trace->head.chunk + (i == 0 ? sizeof(trace->head) : 0),
		       to = (i + 1) * trace->head.chunk;
		struct trace_cursor *cursor = &trace->cursors[trace->cursor_count];

		to = to < trace->size ? to : trace->size;
		if (from + HAK_RECORD_HEAD > to || memcmp(trace->bytes + from, "HAKCHUNK", 8) != 0)
			continue; /* it was about to be begun */
		cursor->start = trace->bytes + from;
		cursor->end = trace->bytes + to;
		start_cursor(cursor);
		trace->first_time = cursor->time < trace->first_time ? cursor->time : trace->first_time;
		trace->cursor_count++;
	}
	qsort(trace->cursors, trace->cursor_count, sizeof(*trace->cursors), by_number);
	return NULL;
}

static bool is_head(const struct hak_record_file *head)
{
	return memcmp(head->magic, HAK_RECORD_MAGIC, sizeof(head->magic)) == 0;
}

bool trace_is_one(const char *path)
{
	struct hak_record_file head = {.magic = ""};
	int file = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = file >= 0 && read(file, &head, sizeof(head)) == (ssize_t)sizeof(head) && is_head(&head);

	if (file >= 0)
		close(file);
	return ok;
}

static const char *map_file(struct trace *trace, const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat is;
	void *bytes = MAP_FAILED;

	if (file < 0)
		return strerror(errno);
	if (fstat(file, &is) == 0 && is.st_size >= (off_t)sizeof(trace->head))
		bytes = mmap(NULL, (size_t)is.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	close(file);
	if (bytes == MAP_FAILED)
		return "it is no trace";
	trace->bytes = bytes;
	trace->size = (size_t)is.st_size;
	return NULL;
}

const char *trace_open(struct trace *trace, const char *path)
{
	const char *error;

	memset(trace, 0, sizeof(*trace));
	error = map_file(trace, path);
	if (error)
		return error;
	memcpy(&trace->head, trace->bytes, sizeof(trace->head));
	if (!is_head(&trace->head))
		return "it is no trace";
	if (trace->head.version != HAK_RECORD_VERSION || trace->head.chunk < 4096 || trace->head.chunk > 1u << 30)
		return "it is a trace of another version than this hakmem's, or of a machine with another order of "
		       "bytes";
	trace->head.program[sizeof(trace->head.program) - 1] = '\0';
	return find_chunks(trace);
}

void trace_close(struct trace *trace)
{
	if (trace->size)
		munmap((void *)(uintptr_t)trace->bytes, trace->size);
	free(trace->cursors);
	free(trace->heap);
	memset(trace, 0, sizeof(*trace));
}
