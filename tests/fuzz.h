/* SPDX-License-Identifier: MIT */
/* fuzz: a target of libFuzzer that is also a test.
 *
 * A target includes this file once and defines fuzz_one(): it reads the input and calls hold() for what must be true.
 * Built with --enable-fuzzer, libFuzzer makes the inputs and a failed hold() is a crash; otherwise main() runs some
 * thousand inputs that are the same every time, or the files that are named on the command line. */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>

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
	ok(failures() == 0, "%s", path);
}

int main(int argc, char **argv)
{
	uint64_t random = 0x9e3779b97f4a7c15u;

	for (int i = 1; i < argc; i++)
		fuzz_file(argv[i]);
	if (argc == 1) {
		for (int round = 0; round < fuzz_rounds && failures() == 0; round++)
			fuzz_round(&random);
		ok(failures() == 0, "%d inputs", (int)fuzz_rounds);
	}
	return done();
}

#endif

#endif
