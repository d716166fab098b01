/* SPDX-License-Identifier: MIT */
#include "pprof.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

/* Numbers of fields, from https://github.com/google/pprof/blob/main/proto/profile.proto. */
enum profile_field {
	SAMPLE_TYPE = 1,
	SAMPLE,
	MAPPING,
	LOCATION,
	FUNCTION,
	STRING_TABLE,
	TIME_NANOS = 9,
	DURATION_NANOS,
	PERIOD_TYPE,
	PERIOD,
	COMMENT,
	DEFAULT_SAMPLE_TYPE
};
enum wire { VARINT = 0, BYTES = 2 };

#define PPROF_NAME 1024u

/* ---- bytes of a message ---- */

struct message {
	unsigned char *at;
	size_t length, room;
	bool has_failed;
};

static void put_byte(struct message *message, unsigned char byte)
{
	if (message->length == message->room) {
		size_t room = message->room ? message->room * 2 : 256;
		unsigned char *at = realloc(message->at, room);

		if (!at) {
			message->has_failed = true;
			return;
		}
		message->at = at;
		message->room = room;
	}
	message->at[message->length++] = byte;
}

static void put_varint(struct message *message, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(message, (unsigned char)(value | 0x80));
	put_byte(message, (unsigned char)value);
}

static void put_number(struct message *message, unsigned field, uint64_t value)
{
	if (value == 0)
		return;
	put_varint(message, field << 3 | VARINT);
	put_varint(message, value);
}

static void put_bytes(struct message *message, unsigned field, const void *bytes, size_t length)
{
	put_varint(message, field << 3 | BYTES);
	put_varint(message, length);
	for (size_t i = 0; i < length; i++)
		put_byte(message, ((const unsigned char *)bytes)[i]);
}

/* The inner message becomes a field of the outer one, and is empty again. */
static void put_message(struct message *outer, unsigned field, struct message *inner)
{
	put_bytes(outer, field, inner->at, inner->length);
	outer->has_failed |= inner->has_failed;
	inner->length = 0;
}

/* ---- tables ---- */

/* Texts get numbers in the order in which they come; 0 is "". */
struct strings {
	char **text;
	size_t count, room;
};

struct writer {
	const struct gather *gather;
	struct message profile, inner, innermost;
	struct strings strings, functions;
	uint64_t *addresses; /* of all frames, sorted, each once: a location's id is its index + 1 */
	size_t address_count;
	struct unwind_module *modules;
	size_t module_count;
};

static size_t put_string(struct writer *writer, struct strings *strings, const char *text)
{
	for (size_t i = 0; i < strings->count; i++)
		if (strcmp(strings->text[i], text) == 0)
			return i;
	if (strings->count == strings->room) {
		size_t room = strings->room ? strings->room * 2 : 256;
		char **grown = reallocarray(strings->text, room, sizeof(*grown));

		writer->profile.has_failed |= !grown;
		if (!grown)
			return 0;
		strings->text = grown;
		strings->room = room;
	}
	strings->text[strings->count] = strdup(text);
	writer->profile.has_failed |= !strings->text[strings->count];
	return strings->text[strings->count] ? strings->count++ : 0;
}

static size_t string(struct writer *writer, const char *text)
{
	return put_string(writer, &writer->strings, text);
}

static void free_strings(struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->text[i]);
	free(strings->text);
}

static int compare_addresses(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

static bool collect_addresses(struct writer *writer)
{
	const struct gather *gather = writer->gather;
	size_t count = 0, unique = 0;

	for (size_t i = 0; i < gather->stack_count; i++)
		count += gather->stacks[i].count;
	writer->addresses = calloc(count + 1, sizeof(*writer->addresses));
	writer->modules = calloc(count + 1, sizeof(*writer->modules));
	if (!writer->addresses || !writer->modules)
		return false;
	for (size_t i = 0, at = 0; i < gather->stack_count; at += gather->stacks[i++].count)
		memcpy(writer->addresses + at, gather->stacks[i].frames, gather->stacks[i].count * sizeof(uint64_t));
	qsort(writer->addresses, count, sizeof(*writer->addresses), compare_addresses);
	for (size_t i = 0; i < count; i++)
		if (unique == 0 || writer->addresses[unique - 1] != writer->addresses[i])
			writer->addresses[unique++] = writer->addresses[i];
	writer->address_count = unique;
	return true;
}

static uint64_t location_of(const struct writer *writer, uint64_t address)
{
	const uint64_t *found =
		bsearch(&address, writer->addresses, writer->address_count, sizeof(address), compare_addresses);

	return (uint64_t)(found - writer->addresses) + 1;
}

/* ---- parts ---- */

static void put_type(struct writer *writer, unsigned field, const char *type, const char *unit)
{
	put_number(&writer->inner, 1, string(writer, type));
	put_number(&writer->inner, 2, string(writer, unit));
	put_message(&writer->profile, field, &writer->inner);
}

static void put_stack(struct writer *writer, const struct stack *stack)
{
	const double values[] = {stack->blocks, stack->bytes, stack->live_blocks, stack->live_bytes};

	for (unsigned i = 0; i < stack->count; i++)
		put_varint(&writer->innermost, location_of(writer, stack->frames[i]));
	put_message(&writer->inner, 1, &writer->innermost);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		put_varint(&writer->innermost, (uint64_t)llround(values[i]));
	put_message(&writer->inner, 2, &writer->innermost);
	put_message(&writer->profile, SAMPLE, &writer->inner);
}

/* The id of the mapping that the address lies in; 0: none. */
static uint64_t mapping_of(struct writer *writer, uint64_t address)
{
	struct unwind_module *last = writer->modules + writer->module_count;

	for (size_t i = 0; i < writer->module_count; i++)
		if (address >= writer->modules[i].start && address < writer->modules[i].end)
			return i + 1;
	if (!unwind_module(writer->gather->unwind, address, last))
		return 0;
	put_number(&writer->innermost, 1, writer->module_count + 1);
	put_number(&writer->innermost, 2, last->start);
	put_number(&writer->innermost, 3, last->end);
	put_number(&writer->innermost, 5, string(writer, last->path ? last->path : ""));
	put_number(&writer->innermost, 6, string(writer, last->build_id));
	for (unsigned has = 7; has <= 10;
	     has++) /* functions, files, lines, inlined ones: nobody has to look for them */
		put_number(&writer->innermost, has, 1);
	put_message(&writer->profile, MAPPING, &writer->innermost);
	return ++writer->module_count;
}

/* A function is known by its name and its file. */
static uint64_t function_of(struct writer *writer, const struct unwind_place *place)
{
	char key[2 * PPROF_NAME];
	size_t before = writer->functions.count, found;

	snprintf(key, sizeof(key), "%s\n%s", place->function, place->file);
	found = put_string(writer, &writer->functions, key);
	if (found == before) {
		put_number(&writer->innermost, 1, found + 1);
		put_number(&writer->innermost, 2, string(writer, place->function));
		put_number(&writer->innermost, 3, string(writer, place->function));
		put_number(&writer->innermost, 4, string(writer, place->file));
		put_message(&writer->profile, FUNCTION, &writer->innermost);
	}
	return found + 1;
}

static void put_location(struct writer *writer, uint64_t address)
{
	struct unwind_place places[UNWIND_INLINED];
	uint64_t mapping = mapping_of(writer, address), functions[UNWIND_INLINED];
	unsigned count = unwind_names(writer->gather->unwind, address, places);

	for (unsigned i = 0; i < count; i++)
		functions[i] = function_of(writer, &places[i]);
	put_number(&writer->inner, 1, location_of(writer, address));
	put_number(&writer->inner, 2, mapping);
	put_number(&writer->inner, 3, address);
	for (unsigned i = 0; i < count; i++) { /* innermost first */
		put_number(&writer->innermost, 1, functions[i]);
		put_number(&writer->innermost, 2, (uint64_t)places[i].line);
		put_message(&writer->inner, 4, &writer->innermost);
	}
	put_message(&writer->profile, LOCATION, &writer->inner);
}

static void put_all(struct writer *writer)
{
	const struct gather *gather = writer->gather;
	uint64_t duration = (gather->ended - gather->begun) * 1000000;

	string(writer, "");
	put_type(writer, SAMPLE_TYPE, "alloc_objects", "count");
	put_type(writer, SAMPLE_TYPE, "alloc_space", "bytes");
	put_type(writer, SAMPLE_TYPE, "inuse_objects", "count");
	put_type(writer, SAMPLE_TYPE, "inuse_space", "bytes");
	for (size_t i = 0; i < gather->stack_count; i++)
		put_stack(writer, &gather->stacks[i]);
	for (size_t i = 0; i < writer->address_count; i++)
		put_location(writer, writer->addresses[i]);
	put_type(writer, PERIOD_TYPE, "space", "bytes");
	put_number(&writer->profile, PERIOD, gather->samples.distance);
	put_number(&writer->profile, TIME_NANOS, (uint64_t)time(NULL) * 1000000000 - duration);
	put_number(&writer->profile, DURATION_NANOS, duration);
	put_number(&writer->profile, DEFAULT_SAMPLE_TYPE, string(writer, "alloc_space"));
	for (size_t i = 0; i < writer->strings.count; i++)
		put_bytes(&writer->profile, STRING_TABLE, writer->strings.text[i], strlen(writer->strings.text[i]));
}

static bool compress_to(const struct message *message, const char *path)
{
	gzFile file = gzopen(path, "wbe");
	bool ok = file && gzwrite(file, message->at, (unsigned)message->length) == (int)message->length;

	return file && gzclose(file) == Z_OK && ok;
}

bool pprof_write(const struct gather *gather, const char *path)
{
	struct writer writer = {.gather = gather};
	bool ok = collect_addresses(&writer);

	if (ok)
		put_all(&writer);
	ok = ok && !writer.profile.has_failed && compress_to(&writer.profile, path);
	free(writer.profile.at);
	free(writer.inner.at);
	free(writer.innermost.at);
	free_strings(&writer.strings);
	free_strings(&writer.functions);
	free(writer.addresses);
	free(writer.modules);
	return ok;
}
