#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "fault.h"

static int file_open(const char *path, int flags)
{
	/* NONBLOCK: a pipe of that name must not stop the process */
	long file = hak_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0);

	return file < 0 ? -1 : (int)file;
}

HAK_FN int hak_file_open(const char *path) { return file_open(path, 0); }

HAK_FN void hak_file_close(int file) { hak_call(SYS_close, file, 0, 0, 0); }

HAK_FN long hak_file_read(int file, char *buffer, size_t size)
{
	return hak_call(SYS_read, file, (long)buffer, (long)size, 0);
}

/* Of a file one read fills the buffer, or comes to the end. */
HAK_FN long hak_file_load(int file, char *buffer, size_t size)
{
	long length = hak_call(SYS_read, file, (long)buffer, (long)size, 0);

	hak_file_close(file);
	return length < 0 ? -1 : length;
}

/* As the kernel lays an entry down. */
struct file_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* Entries of a directory, `length` bytes, to the front of their buffer as bare names; returns the bytes of these. */
static size_t file_keep_names(char *buffer, size_t length)
{
	size_t used = 0;

	for (size_t at = 0; at + offsetof(struct file_entry, name) < length;) {
		const char *name = buffer + at + offsetof(struct file_entry, name);
		size_t name_length = strlen(name) + 1;
		uint16_t step;

		memcpy(&step, buffer + at + offsetof(struct file_entry, length), sizeof(step));
		memmove(buffer + used, name, name_length); /* a name is shorter than its entry */
		used += name_length;
		at += step;
	}
	return used;
}

HAK_FN long hak_file_list(const char *path, char *buffer, size_t size)
{
	int file = file_open(path, O_DIRECTORY);
	long length = -1, used = 0;

	while (file >= 0 && (length = hak_call(SYS_getdents64, file, (long)(buffer + used), (long)size - used, 0)) > 0)
		used += (long)file_keep_names(buffer + used, (size_t)length);
	if (file >= 0)
		hak_file_close(file);
	return length < 0 && used == 0 ? -1 : used;
}

HAK_FN bool hak_file_program(char *path, size_t size)
{
	long length = hak_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, (long)size - 1);

	if (length <= 0)
		return false;
	path[length] = '\0';
	return true;
}

/* ---- a file that is written as memory ---- */

#define FILE_HIGH 900 /* out of the way of programs that close or count theirs */

HAK_FN bool hak_file_directory(char *path, size_t size)
{
	long length = hak_call(SYS_getcwd, (long)path, (long)size, 0, 0);

	return length > 0 && path[0] == '/';
}

HAK_FN int hak_file_create(const char *path, bool is_new)
{
	long flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (is_new ? O_CREAT | O_EXCL : 0);
	long file = hak_call(SYS_openat, AT_FDCWD, (long)path, flags, 0600);
	int saved = errno, high;

	if (file < 0)
		return file == -EEXIST ? HAK_FILE_EXISTS : -1;
	high = fcntl((int)file, F_DUPFD_CLOEXEC, FILE_HIGH);
	errno = saved;
	if (high < 0)
		return (int)file;
	hak_file_close((int)file);
	return high;
}

/* In place of fstat() libraries like fakeroot put one that allocates. */
static void file_stat(int file, struct stat *is)
{
#if HAK_CALL_FILLS
	hak_call(SYS_fstat, file, (long)is, 0, 0);
#else
	int saved = errno;

	if (fstat(file, is) != 0)
		errno = saved;
#endif
}

HAK_FN void hak_file_identify(int file, struct hak_file_id *id)
{
	struct stat is = { .st_ino = 0 };

	file_stat(file, &is);
	id->device = is.st_dev;
	id->inode = is.st_ino;
}

HAK_FN bool hak_file_is_same(int file, const struct hak_file_id *id)
{
	struct hak_file_id now;

	hak_file_identify(file, &now);
	return now.inode != 0 && now.inode == id->inode && now.device == id->device;
}

/* The C library's own are cancellation points. */
#if defined(__LP64__) && defined(SYS_fallocate) && defined(SYS_pwrite64)
static bool file_allocate(int file, uint64_t at, size_t size, bool *is_known)
{
	long result = hak_call(SYS_fallocate, file, 0, (long)at, (long)size);

	*is_known = result != -EOPNOTSUPP;
	return result == 0;
}

static bool file_write_at(int file, uint64_t at, const void *bytes, size_t size)
{
	return hak_call(SYS_pwrite64, file, (long)bytes, (long)size, (long)at) == (long)size;
}
#else
static bool file_allocate(int file, uint64_t at, size_t size, bool *is_known)
{
	bool ok = fallocate(file, 0, (off_t)at, (off_t)size) == 0;

	*is_known = ok || errno != EOPNOTSUPP;
	return ok;
}

static bool file_write_at(int file, uint64_t at, const void *bytes, size_t size)
{
	return pwrite(file, bytes, size, (off_t)at) == (ssize_t)size;
}
#endif

/* Who writes to memory for which the disk has no room gets a signal, and so does who makes a file longer than it may be. */
static bool file_make_room(int file, uint64_t at, size_t size)
{
	static const char zeros[4096];
	struct rlimit limit;
	bool is_known;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < at + size)
		return false;
	if (file_allocate(file, at, size, &is_known))
		return true;
	for (size_t done = 0; !is_known && done < size; done += sizeof(zeros))
		if (!file_write_at(file, at + done, zeros, sizeof(zeros)))
			return false;
	return !is_known;
}

HAK_FN void *hak_file_map(int file, uint64_t at, size_t size)
{
	int saved = errno;
	void *p = MAP_FAILED;

	if (!hak_fault(HAK_FAULT_MAP) && file_make_room(file, at, size))
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)at);
	if (p != MAP_FAILED)
		madvise(p, size, MADV_DONTFORK);
	errno = saved;
	return p == MAP_FAILED ? NULL : p;
}
