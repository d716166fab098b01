#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "probe.h"

/* The kernel's own numbers: what the builder's headers lack must not be missing at run time. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
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

/* A system call without syscall(): libraries like torsocks put their own in its place, and allocate in it.  Below zero: the
 * error. */
#if defined(__x86_64__) && defined(__LP64__)
static long os_ask(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
	                 : "+a"(number)
	                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return number;
}
#elif defined(__aarch64__) && defined(__LP64__)
static long os_ask(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
static long os_ask(long number, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(number, a, b, c, d, e, f);

	return result == -1 ? -errno : result;
}
#endif

static long os_call6(long number, long a, long b, long c, long d, long e, long f)
{
	enum hak_fault_call what = number == SYS_futex ? HAK_FAULT_FUTEX : number == SYS_write ? HAK_FAULT_WRITE : HAK_FAULT_FILE;
	int saved = errno;
	long result = hak_fault(what) ? -errno : os_ask(number, a, b, c, d, e, f);

	errno = saved;
	return result;
}

static long os_call(long number, long a, long b, long c, long d) { return os_call6(number, a, b, c, d, 0, 0); }

HAK_FN size_t hak_os_page_size(void)
{
	size_t size = getauxval(AT_PAGESZ);

	return size ? size : 4096;
}

HAK_FN bool hak_os_is_secure(void) { return getauxval(AT_SECURE) != 0; }

/* From the 16 bytes that the kernel gave the process at its start, which costs no call.  The C library takes secrets from
 * them too: both halves in one word, mixed (splitmix64), tell neither. */
HAK_FN uint64_t hak_os_random(void)
{
	static uint64_t state;
	const char *given = (const char *)getauxval(AT_RANDOM);
	uint64_t half[2] = { (uintptr_t)&half, (uintptr_t)&os_ask }; /* what address randomisation gives */
	uint64_t x;

	if (state == 0 && given)
		memcpy(half, given, sizeof(half));
	if (state == 0)
		state = half[0] ^ (half[1] << 32 | half[1] >> 32);
	x = state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

HAK_FN uint64_t hak_os_secret(void)
{
	uint64_t secret = 0;

#ifdef SYS_getrandom
	if (os_call(SYS_getrandom, (long)&secret, sizeof(secret), 1 /* GRND_NONBLOCK */, 0) == sizeof(secret))
		return secret;
#endif
	return hak_os_random();
}

HAK_FN uint32_t hak_os_now(void)
{
	struct timespec t = { 0, 0 };
	int saved = errno;

	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &t) != 0)
		errno = saved;
	return (uint32_t)((uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u);
}

static uint64_t os_clock(clockid_t clock)
{
	struct timespec t = { 0, 0 };
	int saved = errno;

	if (clock_gettime(clock, &t) != 0)
		errno = saved;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

HAK_FN uint64_t hak_os_clock(void) { return os_clock(CLOCK_MONOTONIC); }
HAK_FN uint64_t hak_os_time(void) { return os_clock(CLOCK_REALTIME); }
HAK_FN uint32_t hak_os_pid(void) { return (uint32_t)os_call(SYS_getpid, 0, 0, 0, 0); }
HAK_FN uint32_t hak_os_parent(void) { return (uint32_t)os_call(SYS_getppid, 0, 0, 0, 0); }

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

HAK_FN enum hak_os_result hak_os_map_at(void *at, size_t size)
{
	enum hak_os_result result = HAK_OS_OK;
	int saved = errno;
	void *p = hak_fault(HAK_FAULT_MAP) ? MAP_FAILED : mmap(at, size, OS_RW, OS_MAP_FLAGS | MAP_FIXED_NOREPLACE, -1, 0);

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

/* A resize to the size it has does nothing, but the kernel looks whether there is a mapping. */
HAK_FN bool hak_os_is_mapped(const void *p)
{
	int saved = errno;
	size_t page = hak_os_page_size();
	void *at = (void *)((uintptr_t)p & ~(page - 1));
	bool mapped = (!hak_fault(HAK_FAULT_PROBE) && mremap(at, page, page, 0) != MAP_FAILED) || errno != EFAULT;

	errno = saved;
	return mapped;
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

HAK_FN bool hak_os_guard(void *at, size_t size) { return os_advise(at, size, MADV_GUARD_INSTALL) == 0; }
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
	long result = os_call(SYS_futex, (long)word, OS_FUTEX_WAIT, (long)value, (long)&t);

	return result == 0 || result == -EAGAIN;
}

/* The kernel compares the word before it would wait, and does not fault. */
HAK_FN bool hak_os_is_readable(const void *p)
{
	os_futex_time none = { 0, 0 };

	return os_call(SYS_futex, (long)((uintptr_t)p & ~(uintptr_t)3), OS_FUTEX_WAIT, 0x5bd1e995, (long)&none) != -EFAULT;
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
	long id = os_call(SYS_gettid, 0, 0, 0, 0);

	return id > 0 ? (uint32_t)id : 0;
#endif
}

HAK_FN bool hak_os_is_main_thread(void) { return os_call(SYS_gettid, 0, 0, 0, 0) == os_call(SYS_getpid, 0, 0, 0, 0); }

HAK_FN uint32_t hak_os_thread(void) { return (uint32_t)os_call(SYS_gettid, 0, 0, 0, 0); }

/* The kernel reads, page by page, and stops where it cannot. */
HAK_FN size_t hak_os_copy(void *to, const void *from, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)(uintptr_t)from, size };
	long copied = os_call6(SYS_process_vm_readv, os_call(SYS_getpid, 0, 0, 0, 0), (long)&local, 1, (long)&remote, 1, 0);

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

	while (done < size && hak_os_is_readable((const char *)from + done)) {
		size_t more = page - ((uintptr_t)from + done) % page;

		more = more < size - done ? more : size - done;
		os_copy_words((volatile uintptr_t *)((uintptr_t)to + done), (const volatile uintptr_t *)((uintptr_t)from + done), more);
		done += more;
	}
	return done;
}

HAK_FN void hak_os_rest(void)
{
	uint32_t nobody_knows = 0;

	hak_os_wait(&nobody_knows, 0, 1);
}

HAK_FN void hak_os_wake_one(void *word)
{
	os_call(SYS_futex, (long)word, OS_FUTEX_WAKE, 1, 0);
}

/* ---- files ---- */

static int os_open(const char *path, int flags)
{
	/* NONBLOCK: a pipe of that name must not stop the process */
	long file = os_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0);

	return file < 0 ? -1 : (int)file;
}

HAK_FN int hak_os_open(const char *path) { return os_open(path, 0); }

HAK_FN void hak_os_close(int file) { os_call(SYS_close, file, 0, 0, 0); }

HAK_FN long hak_os_read(int file, char *buffer, size_t size)
{
	return os_call(SYS_read, file, (long)buffer, (long)size, 0);
}

/* Of a file one read fills the buffer, or comes to the end. */
HAK_FN long hak_os_load(int file, char *buffer, size_t size)
{
	long length = os_call(SYS_read, file, (long)buffer, (long)size, 0);

	hak_os_close(file);
	return length < 0 ? -1 : length;
}

/* As the kernel lays an entry down. */
struct os_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* Entries of a directory, `length` bytes, to the front of their buffer as bare names; returns the bytes of these. */
static size_t os_keep_names(char *buffer, size_t length)
{
	size_t used = 0;

	for (size_t at = 0; at + offsetof(struct os_entry, name) < length;) {
		const char *name = buffer + at + offsetof(struct os_entry, name);
		size_t name_length = strlen(name) + 1;
		uint16_t step;

		memcpy(&step, buffer + at + offsetof(struct os_entry, length), sizeof(step));
		memmove(buffer + used, name, name_length); /* a name is shorter than its entry */
		used += name_length;
		at += step;
	}
	return used;
}

HAK_FN long hak_os_list(const char *path, char *buffer, size_t size)
{
	int file = os_open(path, O_DIRECTORY);
	long length = -1, used = 0;

	while (file >= 0 && (length = os_call(SYS_getdents64, file, (long)(buffer + used), (long)size - used, 0)) > 0)
		used += (long)os_keep_names(buffer + used, (size_t)length);
	if (file >= 0)
		hak_os_close(file);
	return length < 0 && used == 0 ? -1 : used;
}

HAK_FN bool hak_os_program(char *path, size_t size)
{
	long length = os_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, (long)size - 1);

	if (length <= 0)
		return false;
	path[length] = '\0';
	return true;
}

/* ---- a file that is written as memory ---- */

#define OS_FILE_HIGH 900 /* out of the way of programs that close or count theirs */

HAK_FN bool hak_os_directory(char *path, size_t size)
{
	long length = os_call(SYS_getcwd, (long)path, (long)size, 0, 0);

	return length > 0 && path[0] == '/';
}

HAK_FN int hak_os_create(const char *path, bool is_new)
{
	long flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (is_new ? O_CREAT | O_EXCL : 0);
	long file = os_call(SYS_openat, AT_FDCWD, (long)path, flags, 0600);
	int saved = errno, high;

	if (file < 0)
		return file == -EEXIST ? HAK_OS_EXISTS : -1;
	high = fcntl((int)file, F_DUPFD_CLOEXEC, OS_FILE_HIGH);
	errno = saved;
	if (high < 0)
		return (int)file;
	hak_os_close((int)file);
	return high;
}

HAK_FN void hak_os_identify(int file, struct hak_os_file_id *id)
{
	struct stat is = { .st_ino = 0 };
	int saved = errno;

	if (fstat(file, &is) != 0)
		errno = saved;
	id->device = is.st_dev;
	id->inode = is.st_ino;
}

HAK_FN bool hak_os_is_file(int file, const struct hak_os_file_id *id)
{
	struct hak_os_file_id now;

	hak_os_identify(file, &now);
	return now.inode != 0 && now.inode == id->inode && now.device == id->device;
}

/* The C library's own are cancellation points. */
#if defined(__LP64__) && defined(SYS_fallocate) && defined(SYS_pwrite64)
static bool os_allocate(int file, uint64_t at, size_t size, bool *is_known)
{
	long result = os_call(SYS_fallocate, file, 0, (long)at, (long)size);

	*is_known = result != -EOPNOTSUPP;
	return result == 0;
}

static bool os_write_at(int file, uint64_t at, const void *bytes, size_t size)
{
	return os_call(SYS_pwrite64, file, (long)bytes, (long)size, (long)at) == (long)size;
}
#else
static bool os_allocate(int file, uint64_t at, size_t size, bool *is_known)
{
	bool ok = fallocate(file, 0, (off_t)at, (off_t)size) == 0;

	*is_known = ok || errno != EOPNOTSUPP;
	return ok;
}

static bool os_write_at(int file, uint64_t at, const void *bytes, size_t size)
{
	return pwrite(file, bytes, size, (off_t)at) == (ssize_t)size;
}
#endif

/* Who writes to memory for which the disk has no room gets a signal, and so does who makes a file longer than it may be. */
static bool os_make_room(int file, uint64_t at, size_t size)
{
	static const char zeros[4096];
	struct rlimit limit;
	bool is_known;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < at + size)
		return false;
	if (os_allocate(file, at, size, &is_known))
		return true;
	for (size_t done = 0; !is_known && done < size; done += sizeof(zeros))
		if (!os_write_at(file, at + done, zeros, sizeof(zeros)))
			return false;
	return !is_known;
}

HAK_FN void *hak_os_map_file(int file, uint64_t at, size_t size)
{
	int saved = errno;
	void *p = MAP_FAILED;

	if (!hak_fault(HAK_FAULT_MAP) && os_make_room(file, at, size))
		p = mmap(NULL, size, OS_RW, MAP_SHARED, file, (off_t)at);
	if (p != MAP_FAILED)
		madvise(p, size, MADV_DONTFORK);
	errno = saved;
	return p == MAP_FAILED ? NULL : p;
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

HAK_FN void hak_os_write(const char *text, size_t length)
{
	while (length > 0) {
		/* not write(): that is a cancellation point */
		long n = os_call(SYS_write, STDERR_FILENO, (long)text, (long)length, 0);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		text += n;
		length -= (size_t)n;
	}
}

HAK_FN void hak_os_abort(void) { abort(); }
