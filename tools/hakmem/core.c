/* SPDX-License-Identifier: MIT */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "library.h"

#define CORE_HEAD 4096u /* so much of a file is compared with what the process had mapped of it */
#define CORE_STACK "[stack]"

/* A file that the process had mapped. */
struct core_file {
	char *path;
	int fd; /* -1: not opened yet, or it cannot be used */
	bool tried;
};

/* One for each mapping of the remote, in the same order. */
struct core_segment {
	uint64_t start, end;
	uint64_t offset, saved; /* in the core file; bytes */
	struct core_file *file; /* NULL: none */
	uint64_t file_offset;
};

struct core {
	int fd;
	unsigned word; /* bytes of a pointer */
	struct core_segment *segments;
	size_t segment_count;
	struct core_file *files;
	size_t file_count;
	uint64_t extent_start, extent_end; /* of the core file: what was last asked of the file system */
	bool extent_is_data;
	char missing[512];
};

/* ---- notes ---- */

static uint64_t take_word(const struct core *core, const char *bytes)
{
	uint64_t word = 0;

	memcpy(&word, bytes, core->word); /* the byte order is ours: core_open */
	return word;
}

static struct core_segment *find_segment(const struct core *core, uint64_t at)
{
	size_t low = 0, high = core->segment_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (core->segments[middle].end <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low < core->segment_count && core->segments[low].start <= at ? &core->segments[low] : NULL;
}

static struct core_file *add_file(struct core *core, const char *path)
{
	for (size_t i = 0; i < core->file_count; i++)
		if (strcmp(core->files[i].path, path) == 0)
			return &core->files[i];
	core->files[core->file_count] = (struct core_file){strdup(path), -1, false};
	return core->files[core->file_count].path ? &core->files[core->file_count++] : NULL;
}

static void take_file(struct core *core, uint64_t start, uint64_t end, uint64_t offset, const char *path)
{
	struct core_file *file = add_file(core, path);

	for (size_t i = 0; file && i < core->segment_count; i++) {
		struct core_segment *segment = &core->segments[i];

		if (segment->start >= start && segment->end <= end) {
			segment->file = file;
			segment->file_offset = offset + (segment->start - start);
		}
	}
}

/* NT_FILE: a count, the size of a page, for each mapping its start, end and offset in pages, then the paths. */
static void take_files(struct core *core, const char *bytes, size_t size)
{
	size_t word = core->word, count = size >= 2 * word ? (size_t)take_word(core, bytes) : 0;
	uint64_t page = count ? take_word(core, bytes + word) : 0;
	const char *row = bytes + 2 * word, *end = bytes + size, *path;

	if (count == 0 || count > size / (3 * word) || (core->files = calloc(count, sizeof(*core->files))) == NULL)
		return;
	path = row + count * 3 * word;
	for (size_t i = 0; i < count && path < end && memchr(path, '\0', (size_t)(end - path)); i++, row += 3 * word) {
		take_file(core, take_word(core, row), take_word(core, row + word),
			  take_word(core, row + 2 * word) * page, path);
		path += strlen(path) + 1;
	}
}

/* NT_PRPSINFO: pid and name stand where the kernel's struct elf_prpsinfo has them. */
static void take_name(const struct core *core, struct remote *remote, const char *bytes, size_t size)
{
	size_t pid_at = core->word == 8 ? 24 : 12, name_at = core->word == 8 ? 40 : 28;
	int32_t pid;

	if (size < name_at + 16)
		return;
	memcpy(&pid, bytes + pid_at, sizeof(pid));
	remote->pid = pid;
	snprintf(remote->name, sizeof(remote->name), "%.16s", bytes + name_at);
	remote_clean(remote->name);
}

static void name_mapping(const struct core *core, const struct remote *remote, uint64_t at, const char *name)
{
	const struct core_segment *segment = find_segment(core, at);
	struct mapping *mapping = segment ? &remote->mappings[segment - core->segments] : NULL;

	if (mapping && !mapping->path)
		mapping->path = strdup(name);
}

/* NT_AUXV: the program's name lies at the end of its stack, and its headers in its file. */
static void take_auxv(struct core *core, const struct remote *remote, const char *bytes, size_t size,
		      const char *program)
{
	for (size_t i = 0; i + 2 * core->word <= size; i += 2 * core->word) {
		uint64_t type = take_word(core, bytes + i), value = take_word(core, bytes + i + core->word);
		struct core_segment *segment = type == AT_PHDR ? find_segment(core, value) : NULL;

		if (type == AT_EXECFN)
			name_mapping(core, remote, value, CORE_STACK);
		if (type == AT_SYSINFO_EHDR)
			name_mapping(core, remote, value, "[vdso]");
		if (segment && segment->file && program) {
			free(segment->file->path);
			segment->file->path = strdup(program);
		}
	}
}

static void take_notes(struct core *core, struct remote *remote, Elf *elf, const struct core_files *files)
{
	static const unsigned order[] = {NT_PRPSINFO, NT_FILE, NT_AUXV}; /* NT_AUXV wants to know the files */
	GElf_Phdr header;
	size_t count = 0;

	elf_getphdrnum(elf, &count);
	for (size_t pass = 0; pass < sizeof(order) / sizeof(order[0]); pass++)
		for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &header); i++) {
			Elf_Data *data = header.p_type != PT_NOTE ? NULL
								  : elf_getdata_rawchunk(elf, (int64_t)header.p_offset,
											 (size_t)header.p_filesz, ELF_T_NHDR);
			size_t at = 0, next, name, text;
			GElf_Nhdr note;

			for (; data && (next = gelf_getnote(data, at, &note, &name, &text)) > 0; at = next) {
				const char *bytes = (const char *)data->d_buf + text;

				if (note.n_type != order[pass])
					continue;
				if (note.n_type == NT_PRPSINFO)
					take_name(core, remote, bytes, note.n_descsz);
				else if (note.n_type == NT_FILE && core->file_count == 0)
					take_files(core, bytes, note.n_descsz);
				else if (note.n_type == NT_AUXV)
					take_auxv(core, remote, bytes, note.n_descsz, files->program);
			}
		}
}

/* ---- segments ---- */

/* How much of the segment is in the file, which may have been cut off, or lie. */
static uint64_t saved_bytes(const GElf_Phdr *header, uint64_t size)
{
	uint64_t saved = header->p_filesz < header->p_memsz ? header->p_filesz : header->p_memsz,
		 left = header->p_offset < size ? size - header->p_offset : 0;

	return saved < left ? saved : left;
}

static const char *take_segments(struct core *core, struct remote *remote, Elf *elf, uint64_t size)
{
	size_t count = 0;
	GElf_Phdr header;

	elf_getphdrnum(elf, &count);
	core->segments = calloc(count + 1, sizeof(*core->segments));
	remote->mappings = calloc(count + 1, sizeof(*remote->mappings));
	if (!core->segments || !remote->mappings)
		return "no memory";
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &header); i++) {
		struct mapping *mapping = &remote->mappings[remote->mapping_count];
		uint64_t end = header.p_vaddr + header.p_memsz;

		if (header.p_type != PT_LOAD || end <= header.p_vaddr ||
		    (core->segment_count > 0 && header.p_vaddr < core->segments[core->segment_count - 1].end))
			continue;
		core->segments[core->segment_count++] = (struct core_segment){
			.start = header.p_vaddr,
			.end = end,
			.offset = header.p_offset,
			.saved = saved_bytes(&header, size)};
		*mapping = (struct mapping){.start = header.p_vaddr, .end = end};
		snprintf(mapping->access, sizeof(mapping->access), "%c%c%cp", header.p_flags & PF_R ? 'r' : '-',
			 header.p_flags & PF_W ? 'w' : '-', header.p_flags & PF_X ? 'x' : '-');
		remote->mapping_count++;
	}
	return core->segment_count > 0 ? NULL : "there is no memory in it";
}

/* Paths and numbers of files, as a process's list of mappings has them; and what is saved. */
static void name_mappings(const struct core *core, const struct remote *remote, const char *library)
{
	for (size_t i = 0; i < core->segment_count; i++) {
		const struct core_segment *segment = &core->segments[i];
		struct mapping *mapping = &remote->mappings[i];

		if (segment->file) {
			free(mapping->path);
			mapping->path = strdup(segment->file->path);
			mapping->inode = (uint64_t)(segment->file - core->files) + 1;
		} else if (!mapping->path) {
			mapping->path = strdup("");
		}
	}
	for (size_t i = 0; library && i < core->file_count; i++)
		if (library_is_named(core->files[i].path)) {
			free(core->files[i].path);
			core->files[i].path = strdup(library);
		}
}

/* ---- opening ---- */

static const char *take_elf(struct core *core, struct remote *remote, Elf *elf, const struct core_files *files)
{
	const unsigned one = 1;
	unsigned order = *(const char *)&one ? ELFDATA2LSB : ELFDATA2MSB;
	const char *error;
	GElf_Ehdr header;
	struct stat is;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header) || header.e_type != ET_CORE)
		return "it is no core file";
	if (header.e_ident[EI_DATA] != order)
		return "it is of a machine with another order of bytes";
	core->word = header.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4;
	error = fstat(core->fd, &is) == 0 ? take_segments(core, remote, elf, (uint64_t)is.st_size) : strerror(errno);
	if (error)
		return error;
	take_notes(core, remote, elf, files);
	name_mappings(core, remote, files->library);
	return core->file_count > 0 ? NULL : "it does not say which files were mapped (it has no NT_FILE note)";
}

const char *core_open(struct remote *remote, const struct core_files *files)
{
	struct core *core = calloc(1, sizeof(*core));
	const char *error;
	Elf *elf;

	memset(remote, 0, sizeof(*remote));
	remote->pagemap = -1;
	remote->core = core;
	if (!core)
		return "no memory";
	core->fd = open(files->core, O_RDONLY | O_CLOEXEC);
	if (core->fd < 0)
		return strerror(errno);
	elf_version(EV_CURRENT);
	elf = elf_begin(core->fd, ELF_C_READ_MMAP, NULL);
	error = elf ? take_elf(core, remote, elf, files) : elf_errmsg(-1);
	elf_end(elf);
	for (size_t i = 0; !error && i < remote->mapping_count; i++)
		for (uint64_t in = 0; in < core->segments[i].saved; in += remote_page())
			remote->mappings[i].resident += core_has(core, core->segments[i].start + in) ? remote_page() : 0;
	return error;
}

void core_close(struct core *core)
{
	if (!core)
		return;
	for (size_t i = 0; i < core->file_count; i++) {
		if (core->files[i].fd >= 0)
			close(core->files[i].fd);
		free(core->files[i].path);
	}
	if (core->fd >= 0)
		close(core->fd);
	free(core->files);
	free(core->segments);
	free(core);
}

/* ---- reading ---- */

/* Does the file begin as what the process had mapped of it?  Where that was not saved, there is no telling. */
static bool is_same_file(const struct core *core, const struct core_file *file)
{
	char saved[CORE_HEAD], now[CORE_HEAD];

	for (size_t i = 0; i < core->segment_count; i++) {
		const struct core_segment *segment = &core->segments[i];

		if (segment->file == file && segment->file_offset == 0 && segment->saved >= CORE_HEAD)
			return pread(core->fd, saved, CORE_HEAD, (off_t)segment->offset) == (ssize_t)CORE_HEAD &&
			       pread(file->fd, now, CORE_HEAD, 0) == (ssize_t)CORE_HEAD &&
			       memcmp(saved, now, CORE_HEAD) == 0;
	}
	return true;
}

/* Whoever made the core file chose the name: nothing happens to a device or a pipe because of that. */
static int open_regular(const char *path)
{
	struct stat is;

	if (stat(path, &is) != 0)
		return -1;
	if (S_ISREG(is.st_mode))
		return open(path, O_RDONLY | O_CLOEXEC);
	errno = EINVAL;
	return -1;
}

static bool open_file(struct core *core, struct core_file *file)
{
	const char *why = "is not the file that ran";

	if (file->tried)
		return file->fd >= 0;
	file->tried = true;
	file->fd = open_regular(file->path);
	if (file->fd >= 0 && is_same_file(core, file))
		return true;
	if (file->fd >= 0)
		close(file->fd);
	else
		why = strerror(errno);
	file->fd = -1;
	if (!core->missing[0])
		snprintf(core->missing, sizeof(core->missing),
			 "a core file has little of what was mapped from files, and %.300s: %s (--library and --exe "
			 "say where "
			 "they are)",
			 file->path, why);
	return false;
}

static size_t read_piece(struct core *core, const struct core_segment *segment, uint64_t at, void *to, size_t size)
{
	uint64_t in = at - segment->start, room = segment->end - at;
	bool is_saved = in < segment->saved;
	ssize_t got;

	if (is_saved)
		room = segment->saved - in;
	else if (!segment->file || !open_file(core, segment->file))
		return 0;
	got = pread(is_saved ? core->fd : segment->file->fd, to, size < room ? size : (size_t)room,
		    (off_t)((is_saved ? segment->offset : segment->file_offset) + in));
	return got > 0 ? (size_t)got : 0;
}

size_t core_read(struct core *core, uint64_t at, void *to, size_t size)
{
	size_t got = 0, piece = 1;

	while (got < size && piece > 0) {
		const struct core_segment *segment = find_segment(core, at + got);

		piece = segment ? read_piece(core, segment, at + got, (char *)to + got, size - got) : 0;
		got += piece;
	}
	return got;
}

/* Pages that nobody had touched are holes of the file. */
bool core_has(struct core *core, uint64_t at)
{
	const struct core_segment *segment = find_segment(core, at);
	uint64_t in = segment ? at - segment->start : 0, offset;
	off_t data;

	if (!segment || in >= segment->saved)
		return false;
	offset = segment->offset + in;
	if (offset < core->extent_start || offset >= core->extent_end) {
		data = lseek(core->fd, (off_t)offset, SEEK_DATA);
		core->extent_is_data = data == (off_t)offset || (data < 0 && errno != ENXIO);
		core->extent_start = offset;
		if (core->extent_is_data)
			data = lseek(core->fd, (off_t)offset, SEEK_HOLE);
		core->extent_end = data > 0 ? (uint64_t)data : UINT64_MAX;
	}
	return core->extent_is_data;
}

uint64_t core_saved_end(const struct core *core, uint64_t at)
{
	const struct core_segment *segment = find_segment(core, at);

	return segment ? segment->start + segment->saved : at;
}

uint64_t core_left_out(const struct core *core)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < core->segment_count; i++)
		bytes += core->segments[i].end - core->segments[i].start - core->segments[i].saved;
	return bytes;
}

const char *core_missing(const struct core *core)
{
	return core->missing[0] ? core->missing : NULL;
}
