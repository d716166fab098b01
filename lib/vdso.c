#include "vdso.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

struct vdso {
	const char *base, *names;
	const ElfW(Sym) *symbols;
	const uint32_t *hash; /* GNU's or, if that is NULL, as of old */
	const uint32_t *old_hash;
};

/* Addresses in it count from where its first segment would lie. */
static const char *vdso_base(const ElfW(Ehdr) *file, const ElfW(Dyn) **dynamic)
{
	const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(const void *)((const char *)file + file->e_phoff);
	const char *base = NULL;

	for (unsigned i = 0; i < file->e_phnum; i++, segment++) {
		if (segment->p_type == PT_LOAD && !base)
			base = (const char *)file + segment->p_offset - segment->p_vaddr;
		else if (segment->p_type == PT_DYNAMIC)
			*dynamic = (const ElfW(Dyn) *)(const void *)((const char *)file + segment->p_offset);
	}
	return base;
}

static bool vdso_open(struct vdso *vdso)
{
	const ElfW(Ehdr) *file = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
	const ElfW(Dyn) *dynamic = NULL;

	if (!file || memcmp(file->e_ident, ELFMAG, SELFMAG) != 0 || !(vdso->base = vdso_base(file, &dynamic)))
		return false;
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		const void *at = vdso->base + dynamic->d_un.d_ptr;

		if (dynamic->d_tag == DT_STRTAB)
			vdso->names = at;
		else if (dynamic->d_tag == DT_SYMTAB)
			vdso->symbols = at;
		else if (dynamic->d_tag == DT_GNU_HASH)
			vdso->hash = at;
		else if (dynamic->d_tag == DT_HASH)
			vdso->old_hash = at;
	}
	return vdso->names && vdso->symbols && (vdso->hash || vdso->old_hash);
}

/* How many symbols: the last one is the end of the last bucket's chain, marked by its lowest bit. */
static uint32_t vdso_count(const struct vdso *vdso)
{
	const uint32_t *hash = vdso->hash, *bucket, *chain;
	uint32_t last = 0;

	if (!hash)
		return vdso->old_hash[1];
	bucket = hash + 4 + hash[2] * (sizeof(uintptr_t) / sizeof(*hash));
	chain = bucket + hash[0];
	for (; bucket < chain; bucket++)
		last = *bucket > last ? *bucket : last;
	if (last < hash[1])
		return 0;
	while ((chain[last - hash[1]] & 1) == 0)
		last++;
	return last + 1;
}

HAK_FN void *hak_vdso_find(const char *name)
{
	struct vdso vdso = { .base = NULL };
	uint32_t count = vdso_open(&vdso) ? vdso_count(&vdso) : 0;

	for (uint32_t i = 0; i < count; i++) {
		const ElfW(Sym) *symbol = &vdso.symbols[i];

		if (symbol->st_shndx != SHN_UNDEF && strcmp(vdso.names + symbol->st_name, name) == 0)
			return (void *)(uintptr_t)(vdso.base + symbol->st_value);
	}
	return NULL;
}
