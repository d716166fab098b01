/* SPDX-License-Identifier: MIT */
#include "elf.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { NATIVE = EM_X86_64, SMALL = EM_386, SMALL_FLAGS = 0 };
#elif defined(__aarch64__)
enum { NATIVE = EM_AARCH64, SMALL = EM_ARM, SMALL_FLAGS = EF_ARM_EABI_VER5 };
#else
enum { NATIVE = EM_NONE, SMALL = EM_NONE, SMALL_FLAGS = 0 };
#endif

uint16_t elf_small_machine(void)
{
	return SMALL;
}

/* The first 20 bytes are alike in both classes. */
static bool elf_is(const char *path, int class, int machine)
{
	Elf32_Ehdr head;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool whole;

	if (fd < 0)
		return false;
	whole = read(fd, &head, sizeof(head)) == (ssize_t)sizeof(head);
	close(fd);
	return whole && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_ident[EI_CLASS] == class &&
	       (machine == EM_NONE || head.e_machine == machine);
}

bool elf_is_native(const char *path)
{
	return elf_is(path, __ELF_NATIVE_CLASS == 64 ? ELFCLASS64 : ELFCLASS32, NATIVE);
}

bool elf_is_small(const char *path)
{
	return SMALL != EM_NONE && elf_is(path, ELFCLASS32, SMALL);
}

/* ---- exported names ---- */

/* Part of the file, or NULL if it is not wholly there. */
static const void *part(const struct text *file, ElfW(Off) offset, uint64_t size)
{
	return offset <= file->length && size <= file->length - offset ? file->bytes + offset : NULL;
}

static bool symbols_define(const struct text *file, const ElfW(Shdr) *table, const ElfW(Shdr) *names, const char *name)
{
	const ElfW(Sym) *symbols = part(file, table->sh_offset, table->sh_size);
	const char *strings = part(file, names->sh_offset, names->sh_size);

	if (symbols == NULL || strings == NULL || names->sh_size == 0 || strings[names->sh_size - 1] != '\0')
		return false;
	for (size_t i = 0; i < table->sh_size / sizeof(*symbols); i++) {
		if (symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_name < names->sh_size &&
		    strcmp(strings + symbols[i].st_name, name) == 0)
			return true;
	}
	return false;
}

bool elf_defines(const struct text *file, const char *name)
{
	const ElfW(Ehdr) *head = part(file, 0, sizeof(*head));
	const ElfW(Shdr) *sections;

	if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_shentsize != sizeof(*sections))
		return false;
	sections = part(file, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*sections));
	for (unsigned i = 0; sections != NULL && i < head->e_shnum; i++) {
		if (sections[i].sh_type == SHT_DYNSYM && sections[i].sh_link < head->e_shnum)
			return symbols_define(file, &sections[i], &sections[sections[i].sh_link], name);
	}
	return false;
}

/* ---- the stub ---- */

/* glibc needs names, symbols and a hash table, however empty, and takes a missing PT_GNU_STACK for a wish to execute
 * the stack. */
struct stub {
	Elf32_Ehdr head;
	Elf32_Phdr segments[3];
	Elf32_Dyn dynamic[7];
	Elf32_Sym symbols[1];
	Elf32_Word hash[4]; /* one bucket, one chain, both for no symbol */
	char names[24];
};

#define STUB_NAME "libhakmem-preload.so"
#define STUB_AT(member) offsetof(struct stub, member)

static const struct stub stub = {
	.head = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = SMALL,
		.e_version = EV_CURRENT,
		.e_phoff = STUB_AT(segments),
		.e_flags = SMALL_FLAGS,
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 3,
		.e_shentsize = sizeof(Elf32_Shdr),
	},
	.segments = {
		/* Writable, as glibc notes addresses in the dynamic section. */
		{PT_LOAD, 0, 0, 0, sizeof(struct stub), sizeof(struct stub), PF_R | PF_W, 0x10000},
		{PT_DYNAMIC, STUB_AT(dynamic), STUB_AT(dynamic), STUB_AT(dynamic), sizeof(Elf32_Dyn[7]), sizeof(Elf32_Dyn[7]),
		 PF_R | PF_W, 4},
		{PT_GNU_STACK, 0, 0, 0, 0, 0, PF_R | PF_W, 16},
	},
	.dynamic = {
		{DT_SONAME, {1}},
		{DT_HASH, {STUB_AT(hash)}},
		{DT_STRTAB, {STUB_AT(names)}},
		{DT_SYMTAB, {STUB_AT(symbols)}},
		{DT_STRSZ, {1 + sizeof(STUB_NAME)}},
		{DT_SYMENT, {sizeof(Elf32_Sym)}},
		{DT_NULL, {0}},
	},
	.hash = {1, 1, 0, 0},
	.names = "\0" STUB_NAME,
};

struct text elf_stub(void)
{
	return (struct text){(char *)(uintptr_t)&stub, sizeof(stub)};
}
