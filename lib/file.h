/* file: files that are read as bytes, and those that are written as memory.  Floor 2.
 *
 * No function here changes errno, or is a cancellation point. */
#ifndef HAK_FILE_H
#define HAK_FILE_H

#include "cc.h"

/* At start and when dying.  Bytes, at most size; -1: it cannot be read. */
HAK_FN int hak_file_open(const char *path); /* to read; -1: it is not there */
HAK_FN void hak_file_close(int file);
HAK_FN long hak_file_read(int file, char *buffer, size_t size);         /* bytes; not above 0: the end */
HAK_FN long hak_file_load(int file, char *buffer, size_t size);         /* all of it; closes it */
HAK_FN long hak_file_list(const char *path, char *buffer, size_t size); /* a directory's names, a NUL behind each */
HAK_FN bool hak_file_program(char *path, size_t size);                  /* the executable's, as the kernel knows it */

/* A file that is written as memory: a trace (record.h). */
#define HAK_FILE_EXISTS (-2)
struct hak_file_id {
	uint64_t device, inode;
};
HAK_FN bool hak_file_directory(char *path, size_t size); /* the current one */
HAK_FN int hak_file_create(const char *path, bool is_new); /* HAK_FILE_EXISTS: it should be new; -1: it cannot be written */
HAK_FN void hak_file_identify(int file, struct hak_file_id *id);
HAK_FN bool hak_file_is_same(int file, const struct hak_file_id *id); /* is it still that file? */
HAK_FN void *hak_file_map(int file, uint64_t at, size_t size); /* with room on the disk; not for children; NULL: refused */

#endif
