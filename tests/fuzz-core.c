/* SPDX-License-Identifier: MIT */
/* Any bytes as a core file: hakmem stat --core and the like refuse it, or read what there is.
 *
 * An input is a file, or says what is to be changed in one that is in order: a core file of this process with nothing in it
 * but the library's view. */
#include "fuzz.h"

#include "../tools/hakmem/core.c"

#define HAKMEM_LIBRARY ""
#include "../tools/hakmem/library.c"
#include "../tools/hakmem/remote.c"
#include "../tools/hakmem/view.c"

enum { most_bytes = 1 << 16, page_bytes = 4096, view_pages = 2, names_pages = 2 };

extern const char hakmem_view[];

static char base[most_bytes], bytes[most_bytes];
static size_t base_size;

void complain(const char *format, ...)
{
	(void)format;
}

/* ---- a core file in order ---- */

static size_t put(size_t at, const void *from, size_t size)
{
	need(at + size <= sizeof base);
	memcpy(base + at, from, size);
	return at + size;
}

static size_t put_note(size_t at, unsigned type, const void *from, size_t size)
{
	GElf_Nhdr note = {5, (GElf_Word)size, type};

	at = put(at, &note, sizeof note);
	at = put(at, "CORE\0\0\0", 8);
	return (put(at, from, size) + 3) & ~(size_t)3;
}

static uintptr_t page_of(const void *at)
{
	return (uintptr_t)at & ~(uintptr_t)(page_bytes - 1);
}

/* What stands at a page of this process; zeros where it has none. */
static size_t put_pages(size_t at, uintptr_t page, size_t count)
{
	const struct remote self = {.pid = getpid()};

	need(at + count * page_bytes <= sizeof base);
	remote_read_some(&self, page, base + at, count * page_bytes);
	return at + count * page_bytes;
}

static size_t put_notes(size_t at, uintptr_t view)
{
	char name[136] = "";
	uintptr_t auxv[] = {AT_PHDR, view, AT_EXECFN, view + page_bytes, AT_NULL, 0};
	struct {
		uintptr_t count, page, start, end, offset;
		char path[32];
	} file = {1, page_bytes, view, view + view_pages * page_bytes, 0, "/lib/libhakmem.so.1"};

	memcpy(name + (sizeof(void *) == 8 ? 40 : 28), "program", 8);
	at = put_note(at, NT_PRPSINFO, name, sizeof name);
	at = put_note(at, NT_FILE, &file, sizeof file);
	return put_note(at, NT_AUXV, auxv, sizeof auxv);
}

#if UINTPTR_MAX > 0xffffffffu
typedef Elf64_Ehdr own_head;
typedef Elf64_Phdr own_segment;
#define OWN_CLASS ELFCLASS64
#else
typedef Elf32_Ehdr own_head;
typedef Elf32_Phdr own_segment;
#define OWN_CLASS ELFCLASS32
#endif

static void make_base(void)
{
	const unsigned one = 1;
	uintptr_t view = page_of(hakmem_view), names = 0;
	size_t notes = sizeof(own_head) + 3 * sizeof(own_segment), end = put_notes(notes, view),
	       data = (end + page_bytes - 1) & ~(size_t)(page_bytes - 1);
	own_head head = {.e_ident = {0x7f, 'E', 'L', 'F', OWN_CLASS, *(const char *)&one ? ELFDATA2LSB : ELFDATA2MSB, EV_CURRENT},
			 .e_type = ET_CORE, .e_version = EV_CURRENT, .e_phoff = sizeof head, .e_ehsize = sizeof head,
			 .e_phentsize = sizeof(own_segment), .e_phnum = 3};

	memcpy(&names, hakmem_view + sizeof(struct hak_view) + sizeof(names), sizeof names);
	names = page_of((const void *)names);
	own_segment segments[3] = {
		{.p_type = PT_NOTE, .p_offset = notes, .p_filesz = end - notes},
		{.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = data, .p_vaddr = view,
		 .p_filesz = view_pages * page_bytes, .p_memsz = view_pages * page_bytes},
		{.p_type = PT_LOAD, .p_flags = PF_R, .p_offset = data + view_pages * page_bytes, .p_vaddr = names,
		 .p_filesz = names_pages * page_bytes, .p_memsz = names_pages * page_bytes},
	};
	if (names < view) { /* the kernel writes them in the order of their addresses */
		own_segment first = segments[1];

		segments[1] = segments[2];
		segments[2] = first;
	}
	put(put(0, &head, sizeof head), segments, sizeof segments);
	base_size = put_pages(put_pages(data, view, view_pages), names, names_pages);
}

/* ---- what is read of it ---- */

static const char *see(size_t size, bool has_library)
{
	struct core_files files = {fuzz_file_of(bytes, size), NULL, has_library ? "/dev/null" : NULL};
	struct remote remote;
	struct view view = {.at = 0};
	const char *error = core_open(&remote, &files);
	char some[64];

	for (size_t i = 0; error == NULL && i < remote.mapping_count; i++) {
		const struct mapping *mapping = &remote.mappings[i];

		hold(mapping->start < mapping->end && (i == 0 || mapping[-1].end <= mapping->start));
		hold(mapping->path != NULL);
		hold(remote_read_some(&remote, mapping->end - 1, some, sizeof some) <= sizeof some);
		core_has(remote.core, mapping->end - 1);
		hold(core_saved_end(remote.core, mapping->start) <= mapping->end);
	}
	for (const char *c = remote.name; *c != '\0'; c++)
		hold(*c >= ' ' && *c <= '~');
	if (error == NULL)
		error = view_find(&view, &remote);
	if (error == NULL)
		error = core_missing(remote.core);
	remote_close(&remote);
	return error;
}

/* It is in order, but where no process can be read (qemu-user). */
static void check_base(void)
{
	const char *error;

	memcpy(bytes, base, base_size);
	error = see(base_size, false);
	if (memmem(base, base_size, HAK_VIEW_MAGIC, sizeof(HAK_VIEW_MAGIC)) != NULL)
		hold(error != NULL && strstr(error, "has served nothing so far") != NULL);
}

static void fuzz_one(struct fuzz_input *input)
{
	unsigned kind = fuzz_byte(input);
	size_t size = 0;

	if (base_size == 0) {
		make_base();
		check_base();
	}
	if (kind & 1) {
		while (size < sizeof bytes && !fuzz_is_empty(input))
			bytes[size++] = (char)fuzz_byte(input);
	} else {
		memcpy(bytes, base, size = base_size);
		while (!fuzz_is_empty(input)) {
			size_t at = fuzz_word(input), width = (size_t)1 << (at >> 14);
			uint64_t value = fuzz_number(input);

			at = at % (1 << 14) % (base_size - 8);
			memcpy(bytes + at, &value, width);
		}
		if (kind & 4)
			size = kind * size / 256;
	}
	see(size, kind & 2);
}
