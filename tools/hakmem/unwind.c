/* SPDX-License-Identifier: MIT */
#include "unwind.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNWIND_AGAIN_MS 500u /* between two looks for files that were mapped meanwhile */

struct unwind {
	const struct remote *remote;
	uint64_t view_at;
	Dwfl *dwfl;
	uint64_t looked_at;          /* when the mappings were read */
	const struct sample *sample; /* the one that is being unwound */
	uint64_t *frames;
	unsigned count;
	bool is_cut;
	char name[256]; /* of the last place that has none of its own */
};

/* ---- what libdwfl asks ---- */

static char *debug_path = NULL; /* its own default */

/* The process whose files are wanted: libdwfl does not hand us ours here. */
static pid_t subject;

/* The file as the process sees it, which may be in a container. */
static int find_elf(Dwfl_Module *module, void **user, const char *path, Dwarf_Addr base, char **file_name, Elf **elf)
{
	char inside[4096];
	int file = -1;

	if (path[0] == '/' &&
	    snprintf(inside, sizeof(inside), "/proc/%ld/root%s", (long)subject, path) < (int)sizeof(inside))
		file = open(inside, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return dwfl_linux_proc_find_elf(module, user, path, base, file_name, elf);
	*file_name = strdup(inside);
	return file;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.debuginfo_path = &debug_path,
};

static pid_t next_thread(Dwfl *dwfl, void *argument, void **thread_argument)
{
	struct unwind *unwind = argument;

	(void)dwfl;
	if (*thread_argument)
		return 0;
	*thread_argument = unwind;
	return unwind->remote->pid;
}

static bool get_thread(Dwfl *dwfl, pid_t thread, void *argument, void **thread_argument)
{
	(void)dwfl;
	(void)thread;
	*thread_argument = argument;
	return true;
}

/* The stack as it was; anything else as it is, but for the rest of the stack, which has changed. */
static bool read_memory(Dwfl *dwfl, Dwarf_Addr at, Dwarf_Word *result, void *argument)
{
	struct unwind *unwind = argument;
	const struct sample *sample = unwind->sample;

	(void)dwfl;
	*result = 0;
	if (at >= sample->sp && at - sample->sp < ((uint64_t)1 << 23)) {
		if (at - sample->sp + sizeof(*result) > sample->stack_bytes) {
			unwind->is_cut = true;
			return false;
		}
		memcpy(result, sample->stack + (at - sample->sp), sizeof(*result));
		return true;
	}
	return remote_read(unwind->remote, at, result, sizeof(*result));
}

/* The stack pointer and the frame pointer as DWARF numbers them. */
static bool set_registers(Dwfl_Thread *thread, void *argument)
{
	const struct unwind *unwind = argument;
	Dwarf_Word sp = unwind->sample->sp, fp = unwind->sample->fp;

#if defined(__x86_64__)
	if (!dwfl_thread_state_registers(thread, 7, 1, &sp) || !dwfl_thread_state_registers(thread, 6, 1, &fp))
		return false;
#elif defined(__aarch64__)
	if (!dwfl_thread_state_registers(thread, 31, 1, &sp) || !dwfl_thread_state_registers(thread, 29, 1, &fp))
		return false;
#else
	(void)sp;
	(void)fp;
	return false;
#endif
	dwfl_thread_state_register_pc(thread, unwind->sample->pc);
	return true;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

/* ---- the process's files ---- */

static bool look_again(struct unwind *unwind)
{
	unwind->looked_at = samples_now();
	dwfl_report_begin(unwind->dwfl);
	if (dwfl_linux_proc_report(unwind->dwfl, unwind->remote->pid) != 0)
		return false;
	return dwfl_report_end(unwind->dwfl, NULL, NULL) == 0;
}

struct unwind *unwind_open(const struct remote *remote, uint64_t view_at)
{
	struct unwind *unwind = calloc(1, sizeof(*unwind));

	if (!unwind)
		return NULL;
	unwind->remote = remote;
	unwind->view_at = view_at;
	subject = remote->pid;
	unwind->dwfl = dwfl_begin(&callbacks);
	if (unwind->dwfl && look_again(unwind) &&
	    dwfl_attach_state(unwind->dwfl, NULL, remote->pid, &thread_callbacks, unwind))
		return unwind;
	unwind_close(unwind);
	return NULL;
}

void unwind_close(struct unwind *unwind)
{
	if (unwind->dwfl)
		dwfl_end(unwind->dwfl);
	free(unwind);
}

/* Of a file that was mapped meanwhile too. */
static Dwfl_Module *module_of(struct unwind *unwind, uint64_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(unwind->dwfl, address);

	if (!module && samples_now() - unwind->looked_at > UNWIND_AGAIN_MS && look_again(unwind))
		module = dwfl_addrmodule(unwind->dwfl, address);
	return module;
}

bool unwind_module(struct unwind *unwind, uint64_t address, struct unwind_module *found)
{
	Dwfl_Module *module = module_of(unwind, address);
	const unsigned char *bits;
	Dwarf_Addr start, end;
	GElf_Addr at;
	int length;

	if (!module)
		return false;
	found->path = dwfl_module_info(module, NULL, &start, &end, NULL, NULL, NULL, NULL);
	found->start = start;
	found->end = end;
	found->build_id[0] = '\0';
	length = dwfl_module_build_id(module, &bits, &at);
	for (int i = 0; i < length && i < 20; i++)
		sprintf(found->build_id + 2 * i, "%02x", bits[i]);
	return true;
}

/* ---- stacks ---- */

static int take_frame(Dwfl_Frame *frame, void *argument)
{
	struct unwind *unwind = argument;
	bool is_exact;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &is_exact) || pc == 0)
		return DWARF_CB_ABORT;
	if (!dwfl_addrmodule(unwind->dwfl, pc))
		module_of(unwind, pc);
	unwind->frames[unwind->count++] = is_exact ? pc : pc - 1;
	return unwind->count < UNWIND_DEPTH ? DWARF_CB_OK : DWARF_CB_ABORT;
}

/* Those that begin in the library, as far as they are; in a static program, up to the allocator's entry. */
static unsigned count_own(struct unwind *unwind, const uint64_t *frames, unsigned count)
{
	static const char *const entries[] = {"malloc",        "calloc",         "realloc", "memalign",
					      "aligned_alloc", "posix_memalign", "valloc",  "pvalloc"};
	Dwfl_Module *library = dwfl_addrmodule(unwind->dwfl, unwind->view_at);
	unsigned own = 0;

	while (own < count && dwfl_addrmodule(unwind->dwfl, frames[own]) == library)
		own++;
	if (own < count)
		return own;
	for (own = 0; own < count; own++) {
		const char *name = dwfl_module_addrname(library, frames[own]);

		for (size_t i = 0; name && i < sizeof(entries) / sizeof(entries[0]); i++)
			if (strcmp(name, entries[i]) == 0 || strncmp(name, "_Zn", 3) == 0)
				return own + 1;
	}
	return 0;
}

unsigned unwind_sample(struct unwind *unwind, const struct sample *sample, uint64_t frames[UNWIND_DEPTH], bool *is_cut)
{
	unsigned own;

	unwind->sample = sample;
	unwind->frames = frames;
	unwind->count = 0;
	unwind->is_cut = false;
	if (sample->pc && sample->stack_bytes > 0)
		dwfl_getthread_frames(unwind->dwfl, unwind->remote->pid, take_frame, unwind);
	own = count_own(unwind, frames, unwind->count);
	memmove(frames, frames + own, (unwind->count - own) * sizeof(*frames));
	*is_cut = unwind->is_cut || unwind->count == UNWIND_DEPTH;
	return unwind->count - own;
}

/* ---- names ---- */

/* What has no name of its own is called by its file. */
static const char *name_by_file(struct unwind *unwind, Dwfl_Module *module)
{
	const char *path = module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;

	snprintf(unwind->name, sizeof(unwind->name), "[%s]",
		 path && strrchr(path, '/') ? strrchr(path, '/') + 1
		 : path && *path            ? path
					    : "unknown");
	return unwind->name;
}

static int number_of(Dwarf_Die *die, unsigned attribute)
{
	Dwarf_Attribute found;
	Dwarf_Word value = 0;

	if (!dwarf_attr_integrate(die, attribute, &found) || dwarf_formudata(&found, &value) != 0)
		return 0;
	return (int)value;
}

/* The file of that number in the table of the compiled file. */
static const char *file_of(Dwarf_Die *compiled, int number)
{
	Dwarf_Files *files;
	size_t count;
	const char *name = NULL;

	if (dwarf_getsrcfiles(compiled, &files, &count) == 0 && (size_t)number < count)
		name = dwarf_filesrc(files, (size_t)number, NULL, NULL);
	return name ? name : "";
}

/* The unit that was compiled to what lies there.  Some compilers (clang) write no index of addresses: then all are looked at. */
static Dwarf_Die *compiled_at(Dwfl_Module *module, uint64_t address, Dwarf_Addr *bias)
{
	Dwarf_Die *compiled = dwfl_module_addrdie(module, address, bias);

	if (compiled)
		return compiled;
	while ((compiled = dwfl_module_nextcu(module, compiled, bias)) != NULL)
		if (dwarf_haspc(compiled, address - *bias) > 0)
			return compiled;
	return NULL;
}

/* Functions that were inlined: their names go below that of the function that they are in, whose line is that of the call. */
static unsigned name_inlined(Dwarf_Die *compiled, uint64_t address, struct unwind_place *places, unsigned most)
{
	Dwarf_Die *innermost = NULL, *scopes = NULL;
	int count = dwarf_getscopes(compiled, address, &innermost);
	unsigned depth = 0;

	if (count > 0) /* these go on with where the inlined function is written, not with where it was put */
		count = dwarf_getscopes_die(innermost, &scopes);
	for (int i = 0; i < count && depth + 1 < most && dwarf_tag(&scopes[i]) != DW_TAG_subprogram; i++) {
		const char *name = dwarf_diename(&scopes[i]);

		if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine)
			continue;
		places[depth].function = name ? name : "[inlined]";
		places[++depth].file = file_of(compiled, number_of(&scopes[i], DW_AT_call_file));
		places[depth].line = number_of(&scopes[i], DW_AT_call_line);
	}
	free(innermost);
	free(scopes);
	return depth;
}

unsigned unwind_names(struct unwind *unwind, uint64_t address, struct unwind_place places[UNWIND_INLINED])
{
	Dwfl_Module *module = module_of(unwind, address);
	Dwarf_Addr bias = 0;
	Dwarf_Die *compiled = module ? compiled_at(module, address, &bias) : NULL;
	Dwarf_Line *line = compiled ? dwarf_getsrc_die(compiled, address - bias) : NULL;
	const char *name = module ? dwfl_module_addrname(module, address) : NULL;
	unsigned depth;

	places[0].line = 0;
	if (line)
		dwarf_lineno(line, &places[0].line);
	places[0].file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	if (!places[0].file)
		places[0].file = "";
	depth = compiled ? name_inlined(compiled, address - bias, places, UNWIND_INLINED) : 0;
	places[depth].function = name ? name : name_by_file(unwind, module);
	return depth + 1;
}
