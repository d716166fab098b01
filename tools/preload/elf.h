/* SPDX-License-Identifier: MIT */
/* elf: the little that has to be known of ELF files, and one that is written. */
#ifndef HAK_PRELOAD_ELF_H
#define HAK_PRELOAD_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "file.h"

/* The machine whose programs the kernel runs beside those of this one; EM_NONE if there is none. */
uint16_t elf_small_machine(void);

/* Is the file an ELF file for programs of this machine; for 32-bit programs of elf_small_machine()? */
bool elf_is_native(const char *path);
bool elf_is_small(const char *path);

/* Does a shared library of this machine export the function? */
bool elf_defines(const struct text *file, const char *name);

/* A shared library without any content, for the 32-bit programs: they load it silently and keep their malloc.
 * Its bytes are constant memory. */
struct text elf_stub(void);

#endif
