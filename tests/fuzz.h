/* SPDX-License-Identifier: MIT */
/* fuzz: a target of libFuzzer and AFL++ that is also a test.
 *
 * A target includes this file once and defines fuzz_one(): it reads the input and calls hold() for what must be true.
 * Built with --enable-fuzzer, the fuzzer makes the inputs and a failed hold() is a crash; otherwise main() runs those of
 * tests/fuzz/NAME and some thousand that are the same every time, or the files that are named on the command line. */
#ifndef FUZZ_H
#define FUZZ_H

#define _FILE_OFFSET_BITS 64 /* a place in a directory may need them */

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"

/* The input, read from front to back; zeros after its end. */
struct fuzz_input {
	const uint8_t *at, *end;
};

static void fuzz_one(struct fuzz_input *input);

static inline bool fuzz_is_empty(const struct fuzz_input *input)
{
	return input->at == input->end;
}

static inline unsigned fuzz_byte(struct fuzz_input *input)
{
	return fuzz_is_empty(input) ? 0 : *input->at++;
}

static inline unsigned fuzz_word(struct fuzz_input *input)
{
	unsigned low = fuzz_byte(input);

	return low | fuzz_byte(input) << 8;
}

/* What parsers stumble over: small, near a power of two, near the end of all numbers, or anything. */
static inline uint64_t fuzz_number(struct fuzz_input *input)
{
	unsigned kind = fuzz_byte(input), shift = fuzz_byte(input);
	uint64_t value = 0;

	switch (kind & 3) {
	case 0:
		return shift;
	case 1:
		return (UINT64_C(1) << (shift & 63)) + (kind >> 2) - 32;
	case 2:
		return UINT64_MAX - shift * ((kind >> 2) + UINT64_C(1));
	default:
		for (unsigned i = 0; i < 8; i++)
			value = value << 8 | fuzz_byte(input);
		return value >> (shift & 56);
	}
}

/* A file with these bytes, under a name that can be opened until the next call. */
static inline const char *fuzz_file_of(const void *bytes, size_t size)
{
	static const char name[] = "/proc/self/fd/200";
	static int file = -1;

	if (file < 0) {
		int made = memfd_create("fuzz", 0);

		need(made >= 0);
		file = dup2(made, 200); /* a number that the name knows */
		need(file == 200);
		close(made);
	}
	need(ftruncate(file, 0) == 0);
	need(pwrite(file, bytes, size, 0) == (ssize_t)size);
	return name;
}

#ifdef HAK_FUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, data + size};

	fuzz_one(&input);
	if (failures() != 0)
		__builtin_trap();
	return 0;
}

#else

enum { fuzz_rounds = 1000, fuzz_most = 4096 };

static void fuzz_run(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, data + size};

	fuzz_one(&input);
}

/* xorshift64; an input is short as often as long, so that all states of the target are met. */
static void fuzz_round(uint64_t *random)
{
	static uint8_t data[fuzz_most];
	size_t size;

	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	size = (size_t)(*random >> 32) % ((size_t)1 << (*random % 12 + 1));
	for (size_t i = 0; i < size; i++) {
		*random ^= *random << 13;
		*random ^= *random >> 7;
		*random ^= *random << 17;
		data[i] = (uint8_t)(*random >> 24);
	}
	fuzz_run(data, size);
}

static void fuzz_file(const char *path)
{
	static uint8_t data[1 << 20];
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = file >= 0 ? read(file, data, sizeof data) : -1;

	need(got >= 0);
	close(file);
	fuzz_run(data, (size_t)got);
	if (failures() != 0)
		note("%s", path);
}

/* Those that are kept: what a fuzzer found, and what once was wrong. */
static void fuzz_kept(const char *top, const char *program)
{
	const char *name = strstr(program, "fuzz-");
	char path[1024];
	size_t used;
	int count = 0;
	struct dirent *entry;
	DIR *list;

	snprintf(path, sizeof path, "%s/tests/fuzz/%s", top, name != NULL ? name + 5 : program);
	list = opendir(path);
	used = strlen(path);
	while (list != NULL && failures() == 0 && (entry = readdir(list)) != NULL)
		if (entry->d_name[0] != '.') {
			snprintf(path + used, sizeof path - used, "/%s", entry->d_name);
			fuzz_file(path);
			count++;
		}
	if (list != NULL)
		closedir(list);
	ok(count > 0 && failures() == 0, "%d inputs that are kept", count);
}

int main(int argc, char **argv)
{
	uint64_t random = 0x9e3779b97f4a7c15u;

	for (int i = 1; i < argc; i++) {
		fuzz_file(argv[i]);
		ok(failures() == 0, "%s", argv[i]);
	}
	if (argc == 1) {
		if (getenv("srcdir") != NULL) /* make check sets it */
			fuzz_kept(getenv("srcdir"), argv[0]);
		for (int round = 0; round < fuzz_rounds && failures() == 0; round++)
			fuzz_round(&random);
		ok(failures() == 0, "%d inputs", (int)fuzz_rounds);
	}
	return done();
}

#endif

#endif
