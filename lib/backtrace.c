#include "backtrace.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include "bits.h"
#include "file.h"
#include "os.h"
#include "registry.h"
#include "say.h"

#define BACKTRACE_SCAN ((size_t)8 << 10) /* bytes of the stack that are looked at, at most */
#define BACKTRACE_PAGE ((uintptr_t)4096) /* the smallest that there is */
#define BACKTRACE_LINES 16u              /* calls that are said */
/* From our own code: other libraries', and code made at run time; in 4 GiB less, as the heap is near too. */
#define BACKTRACE_NEAR ((uintptr_t)1 << (sizeof(uintptr_t) > 4 ? 36 : 26))
#define BACKTRACE_PROGRAM ((uintptr_t)1 << (sizeof(uintptr_t) > 4 ? 30 : 27))
#define BACKTRACE_PATH 200u

static uintptr_t backtrace_entry; /* of the program */
static uintptr_t backtrace_top;   /* of the main thread's stack: above are strings only, and then perhaps the program */

HAK_FN void hak_backtrace_start(void)
{
	backtrace_entry = hak_os_program();
	backtrace_top = (uintptr_t)getauxval(AT_RANDOM);
}

/* ---- taking ---- */

/* In a shared library the allocator's own calls are left out.  The linker says where it begins and ends. */
#if defined(PIC) && !defined(HAK_NO_LIBC_NAMES)
extern const char _end[] __attribute__((visibility("hidden")));

static bool backtrace_is_own(uintptr_t word) { return word - (uintptr_t)hak_os_file < (uintptr_t)(_end - hak_os_file); }
#else
static bool backtrace_is_own(uintptr_t word) { return (void)word, false; }
#endif

static uintptr_t backtrace_distance(uintptr_t a, uintptr_t b) { return a > b ? a - b : b - a; }

/* A block of ours, or a slot of its kind. */
static bool backtrace_is_heap(uintptr_t word)
{
	size_t number = hak_registry_number((const void *)word);

	return number < hak_registry_slabs() &&
	       hak_load(&hak_registry_slot(number / HAK_SS_SLABS)->state, relaxed) > HAK_SLOT_TAKEN;
}

/* Code, as far as an address tells: near the program's or ours, and not of this stack. */
static bool backtrace_may_be_code(uintptr_t word, uintptr_t stack, uintptr_t end)
{
	if (word - stack < end - stack || word < BACKTRACE_PAGE || backtrace_is_own(word) || backtrace_is_heap(word))
		return false;
	return backtrace_distance(word, backtrace_entry) < BACKTRACE_PROGRAM ||
	       backtrace_distance(word, (uintptr_t)&hak_backtrace_take_at) < BACKTRACE_NEAR;
}

/* From `stack` up to here it can be read: each page is asked for, since nobody knows where the stack of a coroutine ends.  That of
 * a thread of the C library ends below the thread's own variables; behind them may lie anything, our old traces too. */
static uintptr_t backtrace_end(uintptr_t stack)
{
	uintptr_t end = hak_align_up(stack + 1, BACKTRACE_PAGE), own = (uintptr_t)&errno;

	if (backtrace_top - stack < BACKTRACE_SCAN)
		return backtrace_top;
	if (own - stack < BACKTRACE_SCAN)
		return own;
	while (end - stack < BACKTRACE_SCAN && hak_os_look((const void *)end) == HAK_OS_OK)
		end += BACKTRACE_PAGE;
	return end - stack < BACKTRACE_SCAN ? end : stack + BACKTRACE_SCAN;
}

/* The trace may lie on the stack too: what was just written is not read again. */
static bool backtrace_is_in(const struct hak_backtrace *trace, const uintptr_t *at)
{
	return (uintptr_t)at - (uintptr_t)trace < sizeof(*trace);
}

/* Other functions' frames, on purpose; where AddressSanitizer looks, there are forbidden bytes between their variables. */
__attribute__((no_sanitize("address", "thread"))) HAK_FN void hak_backtrace_take_at(struct hak_backtrace *trace, uintptr_t stack,
                                                                                uintptr_t code)
{
	uintptr_t end;
	unsigned n = 0;

	stack = hak_align_up(stack, sizeof(uintptr_t));
	end = backtrace_end(stack);
	trace->is_interrupted = code != 0;
	if (code)
		trace->word[n++] = code;
	for (const uintptr_t *at = (const uintptr_t *)stack; (uintptr_t)(at + 1) <= end && n < HAK_BACKTRACE_WORDS; at++)
		if (!backtrace_is_in(trace, at) && backtrace_may_be_code(*at, stack, end) &&
		    (n == 0 || trace->word[n - 1] != *at))
			trace->word[n++] = *at;
	if (n < HAK_BACKTRACE_WORDS)
		trace->word[n] = 0;
}

HAK_FN HAK_NOINLINE void hak_backtrace_take(struct hak_backtrace *trace)
{
	hak_backtrace_take_at(trace, (uintptr_t)__builtin_frame_address(0), 0);
}

/* ---- naming ---- */

/* Where the instruction begins that a call returns to: Thumb's return addresses are odd. */
static uintptr_t backtrace_address(uintptr_t word)
{
#ifdef __arm__
	return word & ~(uintptr_t)1;
#else
	return word;
#endif
}

#if !defined(__x86_64__) && !defined(__i386__) && !defined(__s390x__)
static uint32_t backtrace_load32(const unsigned char *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}
#endif

#if defined(__arm__) || defined(__riscv)
static uint16_t backtrace_load16(const unsigned char *p)
{
	uint16_t half;

	memcpy(&half, p, sizeof(half));
	return half;
}
#endif

/* Does a call instruction end where this return address leads?  Where nobody has written it down, everything may be one. */
static bool backtrace_is_behind_call(uintptr_t word)
{
	const unsigned char *p = (const unsigned char *)backtrace_address(word);

#if defined(__x86_64__) || defined(__i386__)
	if (p[-5] == 0xe8) /* call relative */
		return true;
	for (unsigned length = 2; length <= 7; length++) /* call through a register or a word of memory: FF /2 */
		if (p[-(int)length] == 0xff && (p[1 - (int)length] & 0x38) == 0x10)
			return true;
	return false;
#elif defined(__aarch64__)
	uint32_t code = backtrace_load32(p - 4);

	return code >> 26 == 0x25 || (code & 0xfffffc1f) == 0xd63f0000; /* BL, BLR */
#elif defined(__arm__)
	uint32_t code = backtrace_load32(p - 4); /* Thumb: the first half is the lower one */

	if (word & 1) /* BLX of a register; BL, and BLX with an even target */
		return (backtrace_load16(p - 2) & 0xff87) == 0x4780 || (code & 0xd000f800) == 0xd000f000 ||
		       (code & 0xd001f800) == 0xc000f000;
	/* BLX, BL, BLX of a register */
	return code >> 25 == 0x7d || (code & 0x0f000000) == 0x0b000000 || (code & 0x0ffffff0) == 0x012fff30;
#elif defined(__riscv)
	uint32_t code = backtrace_load32(p - 4), half = backtrace_load16(p - 2);

	/* JAL and JALR that link in ra; C.JALR */
	return (code & 0xfff) == 0x0ef || (code & 0x7fff) == 0x0e7 || ((half & 0xf07f) == 0x9002 && (half & 0xf80) != 0);
#elif defined(__powerpc64__)
	uint32_t code = backtrace_load32(p - 4);

	return (code & 0xfc000003) == 0x48000001 || code == 0x4e800421 || code == 0x4e800021; /* BL, BCTRL, BLRL */
#elif defined(__s390x__)
	/* BRASL, BRAS, BASR, all with the return address in r14 */
	return (p[-6] == 0xc0 && p[-5] == 0xe5) || (p[-4] == 0xa7 && p[-3] == 0xe5) || (p[-2] == 0x0d && p[-1] >> 4 == 14);
#else
	return (void)p, true;
#endif
}

/* One line of /proc/self/maps. */
struct backtrace_mapping {
	uintptr_t start, end, base; /* base: where its file begins */
	bool is_code;
	char path[BACKTRACE_PATH];
};

struct backtrace_maps {
	int file;
	size_t at, length;
	char buffer[512];
};

static int backtrace_next(struct backtrace_maps *maps)
{
	if (maps->at == maps->length) {
		long length = hak_file_read(maps->file, maps->buffer, sizeof(maps->buffer));

		if (length <= 0)
			return -1;
		maps->at = 0;
		maps->length = (size_t)length;
	}
	return (unsigned char)maps->buffer[maps->at++];
}

/* A number of hexadecimal digits; what follows it is consumed. */
static uintptr_t backtrace_hex(struct backtrace_maps *maps)
{
	uintptr_t value = 0;
	int c;

	while ((c = backtrace_next(maps)) >= 0) {
		if (c >= '0' && c <= '9')
			value = value << 4 | (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uintptr_t)(c - 'a' + 10);
		else
			break;
	}
	return value;
}

/* The rest of the line: numbers, blanks, and a path, which may be missing. */
static void backtrace_path(struct backtrace_maps *maps, char *path)
{
	size_t length = 0;
	int c;

	while ((c = backtrace_next(maps)) >= 0 && c != '\n')
		if ((length > 0 || c == '/' || c == '[') && length < BACKTRACE_PATH - 1)
			path[length++] = (char)c;
	path[length] = '\0';
}

/* start-end rwxp offset device inode path */
static bool backtrace_mapping(struct backtrace_maps *maps, struct backtrace_mapping *m)
{
	char before[BACKTRACE_PATH], access[4] = "";
	uintptr_t offset;

	memcpy(before, m->path, sizeof(before));
	m->start = backtrace_hex(maps);
	m->end = backtrace_hex(maps);
	for (unsigned i = 0; i < sizeof(access); i++)
		access[i] = (char)backtrace_next(maps);
	backtrace_next(maps);
	offset = backtrace_hex(maps);
	backtrace_path(maps, m->path);
	m->is_code = access[0] == 'r' && access[2] == 'x';
	if (offset == 0 || strcmp(before, m->path) != 0)
		m->base = m->start - offset;
	return m->end != 0;
}

static bool backtrace_find(uintptr_t address, struct backtrace_mapping *m)
{
	struct backtrace_maps maps = { .file = hak_file_open("/proc/self/maps") };
	bool found = false;

	memset(m, 0, sizeof(*m));
	if (maps.file < 0)
		return false;
	while (!found && backtrace_mapping(&maps, m))
		found = address - m->start < m->end - m->start;
	hak_file_close(maps.file);
	return found;
}

/* What addr2line wants: in a program that is not position-independent the address itself. */
static uintptr_t backtrace_offset(uintptr_t address, const struct backtrace_mapping *m)
{
	const unsigned char *head = (const unsigned char *)m->base;
	bool is_elf = m->path[0] == '/' && hak_os_look(head) == HAK_OS_OK && memcmp(head, "\177ELF", 4) == 0;

	return is_elf && head[16] + head[17] == 2 ? address : address - m->base;
}

static bool backtrace_say_word(uintptr_t word, unsigned line, bool is_call)
{
	struct backtrace_mapping m;
	uintptr_t at = is_call ? backtrace_address(word) - 1 : word; /* in the call, for the sake of line numbers */

	if (!backtrace_find(at, &m) || !m.is_code || word - m.start < 8)
		return false;
	if (is_call && !backtrace_is_behind_call(word))
		return false;
	hak_say_line("    #%u %p %s+0x%lx", line, (void *)at, m.path[0] ? m.path : "?", (unsigned long)backtrace_offset(at, &m));
	return true;
}

HAK_FN void hak_backtrace_say(const struct hak_backtrace *trace)
{
	unsigned line = 0;

	for (unsigned i = 0; i < HAK_BACKTRACE_WORDS && trace->word[i] && line < BACKTRACE_LINES; i++)
		line += backtrace_say_word(trace->word[i], line, i > 0 || !trace->is_interrupted);
	if (line == 0)
		hak_say_line("    (not known)");
}
