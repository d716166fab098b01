/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Functions that show whose allocator is linked in under names of its own. */
static const struct {
	const char *function, *allocator;
} image_allocators[] = {
	{ "_rjem_malloc", "jemalloc" }, { "je_malloc", "jemalloc" },     { "je_mallocx", "jemalloc" },
	{ "tc_malloc", "tcmalloc" },    { "mi_malloc", "mimalloc" },     { "rpmalloc", "rpmalloc" },
	{ "scalable_malloc", "TBB" },   { "sn_rust_alloc", "snmalloc" }, { "nedmalloc", "nedmalloc" },
};

/* ---- symbols ---- */

static void image_take_name(struct image *image, const char *name, bool is_exported)
{
	if (strcmp(name, "malloc") == 0) {
		image->has_malloc = true;
		image->exports_malloc |= is_exported;
	} else if (strcmp(name, "hakmem_version") == 0) {
		image->has_hakmem = true;
	} else if (strcmp(name, "__asan_init") == 0) {
		image->has_asan = true;
	}
	for (size_t i = 0; i < sizeof(image_allocators) / sizeof(image_allocators[0]); i++)
		if (strcmp(name, image_allocators[i].function) == 0)
			snprintf(image->allocator, sizeof(image->allocator), "%s", image_allocators[i].allocator);
}

static void image_take_symbols(struct image *image, Elf *elf, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data && header->sh_entsize ? header->sh_size / header->sh_entsize : 0;
	GElf_Sym symbol;

	for (size_t i = 0; i < count && i < INT_MAX && gelf_getsym(data, (int)i, &symbol); i++) {
		unsigned type = GELF_ST_TYPE(symbol.st_info);
		const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);

		if (name && symbol.st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_GNU_IFUNC))
			image_take_name(image, name, header->sh_type == SHT_DYNSYM);
	}
}

static void image_take_needed(struct image *image, Elf *elf, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data && header->sh_entsize ? header->sh_size / header->sh_entsize : 0;
	GElf_Dyn entry;

	for (size_t i = 0; i < count && i < INT_MAX && gelf_getdyn(data, (int)i, &entry); i++) {
		const char *name = entry.d_tag == DT_NEEDED ? elf_strptr(elf, header->sh_link, entry.d_un.d_val) : NULL;

		if (name && image->needed_count < IMAGE_NEEDED)
			image->needed[image->needed_count++] = strdup(name);
	}
}

static void image_take_sections(struct image *image, Elf *elf)
{
	GElf_Shdr header;

	for (Elf_Scn *section = elf_nextscn(elf, NULL); section; section = elf_nextscn(elf, section)) {
		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB)
			image_take_symbols(image, elf, section, &header);
		if (header.sh_type == SHT_DYNAMIC)
			image_take_needed(image, elf, section, &header);
	}
}

/* ---- segments ---- */

static void image_take_segments(struct image *image, Elf *elf)
{
	size_t count = 0, size;
	const char *bytes = elf_rawfile(elf, &size);
	GElf_Phdr header;

	if (!bytes || elf_getphdrnum(elf, &count) != 0)
		return;
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &header); i++)
		if (header.p_type == PT_INTERP && header.p_offset < size && header.p_filesz <= size - header.p_offset)
			snprintf(image->interpreter, sizeof(image->interpreter), "%.*s",
			         (int)strnlen(bytes + header.p_offset, header.p_filesz), bytes + header.p_offset);
}

static const char *image_take(struct image *image, Elf *elf)
{
	GElf_Ehdr header;

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
		return "it is no ELF file";
	image->is_64 = header.e_ident[EI_CLASS] == ELFCLASS64;
	image->machine = header.e_machine;
	image_take_segments(image, elf);
	image_take_sections(image, elf);
	return NULL;
}

const char *image_read(const char *path, struct image *image)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	const char *error;
	Elf *elf;

	memset(image, 0, sizeof(*image));
	if (file < 0)
		return strerror(errno);
	elf_version(EV_CURRENT);
	elf = elf_begin(file, ELF_C_READ_MMAP, NULL);
	error = image_take(image, elf);
	elf_end(elf);
	close(file);
	return error;
}

void image_close(struct image *image)
{
	while (image->needed_count > 0)
		free(image->needed[--image->needed_count]);
}

/* ---- questions ---- */

bool image_needs(const struct image *image, const char *prefix)
{
	for (unsigned i = 0; i < image->needed_count; i++)
		if (image->needed[i] && strncmp(image->needed[i], prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

bool image_is_for_musl(const struct image *program) { return strstr(program->interpreter, "ld-musl-") != NULL; }

bool image_fits(const struct image *library, const struct image *program)
{
	return library->is_64 == program->is_64 && library->machine == program->machine;
}
