#include "os.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "bits.h"
#include "call.h"
#include "probe.h"
#include "vdso.h"

/* The kernel's own numbers: what the builder's headers lack must not be missing at run time. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#if HAK_TSAN /* it takes an address that it cannot watch for 0, where root may map; a hint does no harm there */
#define OS_MAP_AT 0
#else
#define OS_MAP_AT MAP_FIXED_NOREPLACE
#endif
#ifndef MREMAP_FIXED
#define MREMAP_MAYMOVE 1
#define MREMAP_FIXED 2
#endif
#if !defined(SYS_futex) && defined(SYS_futex_time64)
#define SYS_futex SYS_futex_time64
#endif

#if defined(SYS_futex_time64) && SYS_futex == SYS_futex_time64
typedef struct { int64_t seconds, nanoseconds; } os_futex_time;
#else
typedef struct { long seconds, nanoseconds; } os_futex_time;
#endif

#define OS_FUTEX_WAIT 128 /* FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE: musl has no <linux/futex.h> */
#define OS_FUTEX_WAKE 129
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define OS_MAP_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS)
#define OS_RW (PROT_READ | PROT_WRITE)

#ifdef HAK_ROOMS
HAK_TLS uint32_t hak_os_fake_node;
#endif

HAK_FN size_t hak_os_page_size(void)
{
	size_t size = getauxval(AT_PAGESZ);

	return size ? size : 4096;
}

HAK_FN uintptr_t hak_os_program(void) { return getauxval(AT_ENTRY); }
HAK_FN bool hak_os_is_secure(void) { return getauxval(AT_SECURE) != 0; }

/* From the 16 bytes that the kernel gave the process at its start, which costs no call.  The C library takes secrets from
 * them too: both halves in one word, mixed (splitmix64), tell neither. */
HAK_FN uint64_t hak_os_random(void)
{
	static uint64_t state;
	const char *given = (const char *)getauxval(AT_RANDOM);
	uint64_t half[2] = { (uintptr_t)&half, (uintptr_t)&hak_call6 }; /* what address randomisation gives */

	if (state == 0 && given)
		memcpy(half, given, sizeof(half));
	if (state == 0)
		state = half[0] ^ (half[1] << 32 | half[1] >> 32);
	return hak_mix(state += UINT64_C(0x9e3779b97f4a7c15));
}

HAK_FN uint64_t hak_os_secret(void)
{
	uint64_t secret = 0;

#ifdef SYS_getrandom
	if (hak_call(SYS_getrandom, (long)&secret, sizeof(secret), 1 /* GRND_NONBLOCK */, 0) == sizeof(secret))
		return secret;
#endif
	return hak_os_random();
}

/* ---- the time ---- */

#if HAK_CALL_FILLS
#ifdef __x86_64__
#define OS_VDSO_CLOCK "__vdso_clock_gettime"
#else
#define OS_VDSO_CLOCK "__kernel_clock_gettime"
#endif

typedef int os_clock_gettime(clockid_t clock, struct timespec *time);

static int os_ask_clock(clockid_t clock, struct timespec *time)
{
	return (int)hak_call(SYS_clock_gettime, clock, (long)time, 0, 0);
}

static int os_first_clock(clockid_t clock, struct timespec *time);
static _Atomic(os_clock_gettime *) os_clock_how = os_first_clock;

static HAK_COLD int os_first_clock(clockid_t clock, struct timespec *time)
{
	os_clock_gettime *vdso = (os_clock_gettime *)(uintptr_t)hak_vdso_find(OS_VDSO_CLOCK);
	os_clock_gettime *how = vdso ? vdso : os_ask_clock;

	hak_store(&os_clock_how, how, relaxed);
	return how(clock, time);
}

static struct timespec os_clock_read(clockid_t clock)
{
	struct timespec t = { 0, 0 };

	hak_load(&os_clock_how, relaxed)(clock, &t);
	return t;
}
#else
static struct timespec os_clock_read(clockid_t clock)
{
	struct timespec t = { 0, 0 };
	int saved = errno;

	if (clock_gettime(clock, &t) != 0)
		errno = saved;
	return t;
}
#endif

HAK_FN uint32_t hak_os_now(void)
{
	struct timespec t = os_clock_read(CLOCK_MONOTONIC_COARSE);

	return (uint32_t)((uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u);
}

static uint64_t os_clock(clockid_t clock)
{
	struct timespec t = os_clock_read(clock);

	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

HAK_FN uint64_t hak_os_clock(void) { return os_clock(CLOCK_MONOTONIC); }
HAK_FN uint64_t hak_os_time(void) { return os_clock(CLOCK_REALTIME); }
HAK_FN uint32_t hak_os_pid(void) { return (uint32_t)hak_call(SYS_getpid, 0, 0, 0, 0); }
HAK_FN uint32_t hak_os_parent(void) { return (uint32_t)hak_call(SYS_getppid, 0, 0, 0, 0); }

/* ---- the node ---- */

/* What the kernel writes for each thread (restartable sequences, Linux 6.3), if the C library asked it to (glibc 2.35). */
extern const ptrdiff_t os_rseq_offset __asm__("__rseq_offset") HAK_WEAK;
extern const unsigned os_rseq_size __asm__("__rseq_size") HAK_WEAK;
#define OS_RSEQ_NODE 20
#define OS_AT_RSEQ_FEATURE_SIZE 27

#if defined(__x86_64__) && defined(__LP64__)
static const char *os_thread_pointer(void)
{
	const char *p;

	__asm__("mov %%fs:0, %0" : "=r"(p));
	return p;
}
#elif defined(__aarch64__)
static const char *os_thread_pointer(void) { return __builtin_thread_pointer(); }
#else
static const char *os_thread_pointer(void) { return NULL; }
#endif

static bool os_has_rseq_node(void)
{
	return os_thread_pointer() && &os_rseq_offset && &os_rseq_size && os_rseq_size > 0 &&
	       getauxval(OS_AT_RSEQ_FEATURE_SIZE) >= OS_RSEQ_NODE + sizeof(uint32_t);
}

/* On x86-64 the kernel's own code in the process tells it, on older kernels too. */
#if defined(__x86_64__) && defined(__LP64__) && defined(__GLIBC__)
extern int os_getcpu(unsigned *cpu, unsigned *node) __asm__("getcpu") HAK_WEAK;
static bool os_has_getcpu(void) { return os_getcpu && getauxval(AT_SYSINFO_EHDR) != 0; }
#else
static int os_getcpu(unsigned *cpu, unsigned *node) { return *cpu = *node = 0, 0; }
static bool os_has_getcpu(void) { return false; }
#endif

enum os_node_way { OS_NODE_UNASKED, OS_NODE_RSEQ, OS_NODE_GETCPU, OS_NODE_NONE };

static HAK_COLD enum os_node_way os_node_ask(void)
{
	return os_has_rseq_node() ? OS_NODE_RSEQ : os_has_getcpu() ? OS_NODE_GETCPU : OS_NODE_NONE;
}

static uint32_t os_real_node(void)
{
	static _Atomic uint32_t way;
	unsigned cpu = 0, node = 0;

	switch ((enum os_node_way)hak_load(&way, relaxed)) {
	case OS_NODE_UNASKED:
		hak_store(&way, os_node_ask(), relaxed);
		return os_real_node();
	case OS_NODE_RSEQ:
		return *(const volatile uint32_t *)(const volatile void *)(os_thread_pointer() + os_rseq_offset + OS_RSEQ_NODE);
	case OS_NODE_GETCPU:
		return os_getcpu(&cpu, &node) == 0 ? node : 0;
	case OS_NODE_NONE:
		break;
	}
	return 0;
}

HAK_FN uint32_t hak_os_node(void)
{
#ifdef HAK_ROOMS
	if (hak_os_fake_node)
		return hak_os_fake_node - 1;
#endif
	return os_real_node();
}

HAK_FN void *hak_os_map(size_t size)
{
	int saved = errno;
	void *p = hak_fault(HAK_FAULT_MAP) ? MAP_FAILED : mmap(NULL, size, OS_RW, OS_MAP_FLAGS, -1, 0);

	errno = saved;
	if (p == MAP_FAILED)
		return NULL;
	hak_probe_2(hakmem, map, p, size);
	return p;
}

HAK_FN void *hak_os_map_wiped(size_t size)
{
	void *p = hak_os_map(size);
	int saved = errno;

	if (p)
		madvise(p, size, MADV_WIPEONFORK);
	errno = saved;
	return p;
}

HAK_FN enum hak_os_result hak_os_map_at(void *at, size_t size)
{
	enum hak_os_result result = HAK_OS_OK;
	int saved = errno;
	void *p = hak_fault(HAK_FAULT_MAP) ? MAP_FAILED : mmap(at, size, OS_RW, OS_MAP_FLAGS | OS_MAP_AT, -1, 0);

	if (p == MAP_FAILED) {
		result = errno == EEXIST ? HAK_OS_TAKEN : HAK_OS_REFUSED;
	} else if (p != at) { /* before 4.17, and under emulators, the address is only a hint */
		munmap(p, size);
		result = HAK_OS_TAKEN;
	}
	errno = saved;
	if (result == HAK_OS_OK)
		hak_probe_2(hakmem, map, at, size);
	return result;
}

HAK_FN bool hak_os_unmap(void *at, size_t size)
{
	int saved = errno;
	bool ok = !hak_fault(HAK_FAULT_UNMAP) && munmap(at, size) == 0;

	errno = saved;
	if (ok)
		hak_probe_2(hakmem, unmap, at, size);
	return ok;
}

/* madvise: 0, or what is wrong. */
static int os_advise(void *at, size_t size, int advice)
{
	int saved = errno, error = 0;

	if (hak_fault(HAK_FAULT_ADVISE) || madvise(at, size, advice) != 0)
		error = errno;
	errno = saved;
	return error;
}

HAK_FN bool hak_os_purge(void *at, size_t size)
{
	bool ok = os_advise(at, size, MADV_DONTNEED) == 0;

	if (ok)
		hak_probe_2(hakmem, purge, at, size);
	return ok;
}

/* Emulators nod at any advice: is it gone? */
HAK_FN bool hak_os_guard(void *at, size_t size)
{
	return os_advise(at, size, MADV_GUARD_INSTALL) == 0 && hak_os_look(at) != HAK_OS_OK;
}

HAK_FN bool hak_os_unguard(void *at, size_t size) { return os_advise(at, size, MADV_GUARD_REMOVE) == 0; }

/* Memory may be short now and not later.  An old kernel says EINVAL, a sandbox what it likes. */
HAK_FN enum hak_os_result hak_os_populate(void *at, size_t size)
{
	int error = os_advise(at, size, MADV_POPULATE_WRITE);

	if (error == 0)
		return HAK_OS_OK;
	return error == ENOMEM || error == EAGAIN || error == EINTR ? HAK_OS_REFUSED : HAK_OS_UNKNOWN;
}

HAK_FN bool hak_os_advise_huge(void *at, size_t size, bool huge)
{
	return os_advise(at, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != EINVAL;
}

HAK_FN bool hak_os_move(void *at, size_t old_size, void *to, size_t size)
{
	int saved = errno;
	bool ok = !hak_fault(HAK_FAULT_MOVE) && mremap(at, old_size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;

	errno = saved;
	return ok;
}

static bool os_protect(void *at, size_t size, int access)
{
	int saved = errno;
	bool ok = !hak_fault(HAK_FAULT_PROTECT) && mprotect(at, size, access) == 0;

	errno = saved;
	return ok;
}

HAK_FN bool hak_os_protect_read(void *at, size_t size) { return os_protect(at, size, PROT_READ); }
HAK_FN bool hak_os_protect_write(void *at, size_t size) { return os_protect(at, size, OS_RW); }
HAK_FN bool hak_os_protect_none(void *at, size_t size) { return os_protect(at, size, PROT_NONE); }

HAK_FN bool hak_os_wait(void *word, uint32_t value, uint32_t milliseconds)
{
	os_futex_time t = { (long)(milliseconds / 1000), (long)(milliseconds % 1000 * 1000000) };
	long result = hak_call(SYS_futex, (long)word, OS_FUTEX_WAIT, (long)value, (long)&t);

	return result == 0 || result == -EAGAIN;
}

/* The kernel compares the word before it would wait, and does not fault. */
HAK_FN enum hak_os_result hak_os_look(const void *p)
{
	os_futex_time none = { 0, 0 };
	long result = hak_call(SYS_futex, (long)((uintptr_t)p & ~(uintptr_t)3), OS_FUTEX_WAIT, 0x5bd1e995, (long)&none);

	if (result == -EAGAIN || result == -ETIMEDOUT)
		return HAK_OS_OK;
	return result == -EFAULT ? HAK_OS_REFUSED : HAK_OS_UNKNOWN;
}

/* Sandboxes kill for gettid.  glibc keeps the number where its mutexes find it. */
HAK_FN uint32_t hak_os_thread_unasked(void)
{
#ifdef PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP
	pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
	uint32_t id = 0;

	if (pthread_mutex_lock(&mutex) == 0) {
		id = (uint32_t)mutex.__data.__owner;
		pthread_mutex_unlock(&mutex);
	}
	return id;
#else
	long id = hak_call(SYS_gettid, 0, 0, 0, 0);

	return id > 0 ? (uint32_t)id : 0;
#endif
}

HAK_FN bool hak_os_is_main_thread(void) { return hak_call(SYS_gettid, 0, 0, 0, 0) == hak_call(SYS_getpid, 0, 0, 0, 0); }

HAK_FN uint32_t hak_os_thread(void) { return (uint32_t)hak_call(SYS_gettid, 0, 0, 0, 0); }

/* The kernel reads, page by page, and stops where it cannot. */
HAK_FN size_t hak_os_copy(void *to, const void *from, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)(uintptr_t)from, size };
	long copied = hak_call6(SYS_process_vm_readv, hak_call(SYS_getpid, 0, 0, 0, 0), (long)&local, 1, (long)&remote, 1, 0);

	return copied > 0 ? (size_t)copied : 0;
}

/* Not by memcpy, which AddressSanitizer looks at. */
__attribute__((no_sanitize("address", "thread"))) static void os_copy_words(volatile uintptr_t *to, const volatile uintptr_t *from,
                                                                            size_t size)
{
	for (size_t i = 0; i < size / sizeof(*to); i++)
		to[i] = from[i];
}

/* The same where a sandbox kills for that.  Each page is asked for just before, and nothing holds it: `from` is a stack that is
 * in use, but what lies above it could be unmapped meanwhile. */
HAK_FN size_t hak_os_copy_unasked(void *to, const void *from, size_t size)
{
	size_t page = 4096, done = 0; /* the smallest that there is */

	while (done < size && hak_os_look((const char *)from + done) == HAK_OS_OK) {
		size_t more = page - ((uintptr_t)from + done) % page;

		more = more < size - done ? more : size - done;
		os_copy_words((volatile uintptr_t *)((uintptr_t)to + done), (const volatile uintptr_t *)((uintptr_t)from + done), more);
		done += more;
	}
	return done;
}

HAK_FN void hak_os_rest(void)
{
	uint64_t begun = hak_os_clock();
	uint32_t nobody_knows = 0;

	hak_os_wait(&nobody_knows, 0, 1);
	while (begun > 0 && hak_os_clock() < begun + 1000000) /* it was refused, but a clock is there */
		hak_pause();
}

HAK_FN void hak_os_wake_one(void *word)
{
	hak_call(SYS_futex, (long)word, OS_FUTEX_WAKE, 1, 0);
}

HAK_FN void hak_os_write(const char *text, size_t length)
{
	while (length > 0) {
		/* not write(): that is a cancellation point */
		long n = hak_call(SYS_write, STDERR_FILENO, (long)text, (long)length, 0);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		text += n;
		length -= (size_t)n;
	}
}

HAK_FN void hak_os_abort(void) { abort(); }
