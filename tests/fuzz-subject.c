/* SPDX-License-Identifier: MIT */
/* hakmem check reads programs, scripts and what /proc tells of a process: any bytes as each of these. */
#include "fuzz.h"

#include "../tools/hakmem/image.c"

#define open(path, flags) open_of_process(path, flags)
static int open_of_process(const char *path, int flags);
#include "../tools/hakmem/subject.c"
#undef open

enum { most_bytes = 1 << 16 };

static char bytes[most_bytes];
static size_t size;

void complain(const char *format, ...)
{
	(void)format;
}

/* The files of /proc/PID are the input. */
static int open_of_process(const char *path, int flags)
{
	(void)path;
	return open(fuzz_file_of(bytes, size), flags);
}

static void see_image(void)
{
	struct image image;

	if (image_read(fuzz_file_of(bytes, size), &image) == NULL) {
		hold(strlen(image.interpreter) < sizeof image.interpreter);
		hold(image.needed_count <= IMAGE_NEEDED);
		image_needs(&image, "libc.so");
		image_is_for_musl(&image);
		hold(image_fits(&image, &image));
	}
	image_close(&image);
}

static void see_script(void)
{
	char word[PATH_MAX];

	read_interpreter(fuzz_file_of(bytes, size), word);
	hold(strlen(word) < sizeof word);
	hold(word[0] != '-' && strpbrk(word, " \t\r\n=") == NULL);
}

/* All that there is to know of a process, from the same bytes. */
static void see_process(void)
{
	struct subject subject;

	memset(&subject, 0, sizeof subject);
	subject.pid = 1;
	subject.image.is_64 = size & 1;
	if (subject_read_environment(&subject)) {
		const char *value = subject_getenv(&subject, "HAKMEM_STATS");

		hold(value == NULL || value[-1] == '=');
	}
	hold(subject_read_secure(&subject));
	size_t length;

	subject.maps = subject_read(&subject, "maps", &length);
	hold(subject.maps != NULL && length == size && subject.maps[length] == '\0');
	subject.pid = 0; /* names without /proc/PID/root */
	subject_has_mapped(&subject, "/dev/null");
	subject.pid = 1;
	subject_close(&subject);
}

static void fuzz_one(struct fuzz_input *input)
{
	unsigned kind = fuzz_byte(input);

	size = 0;
	if ((kind & 3) == 1) {
		memcpy(bytes, "#!", 2);
		size = 2;
	} else if ((kind & 3) == 2) {
		for (unsigned i = 0; i < kind; i++) /* long enough to be read in pieces */
			memcpy(bytes + i * 128, "HAKMEM_STATS=1", 15);
		size = kind * 128u;
	}
	while (size < sizeof bytes && !fuzz_is_empty(input))
		bytes[size++] = (char)fuzz_byte(input);
	if ((kind & 3) == 1)
		see_script();
	else if (kind & 2)
		see_process();
	else
		see_image();
}
