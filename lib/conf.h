/* conf: /etc/hakmem.conf, the settings of the whole machine.  Floor 4.
 *
 *     # a comment
 *     big_cache=16M                  any setting, as HAKMEM_BIG_CACHE or big_cache
 *     profile=server                 a row of profiles.def
 *     [exe=/usr/bin/chromium]        from here on for this program only; * in a path stands for any bytes
 *     mode=pass                      the C library's malloc: HAKMEM_DISABLE=1
 *     [all]                          for all programs again
 *
 * Of two lines about one setting that apply to a program the later one counts.  HAKMEM_CONF in the environment names
 * another file, or, empty, none.  Where the file is, FILE.d/NAME.conf are read behind it, in the order of their bytes.
 * F1  A file that is not there costs one system call.
 * F2  /proc is looked at only if a line begins with [exe=.
 * F3  A line that means nothing changes nothing; hakmem check names it. */
#ifndef HAK_CONF_H
#define HAK_CONF_H

#include "tunables.h"

#define HAK_CONF_FILE "/etc/hakmem.conf"
#define HAK_CONF_ROOM ((size_t)32 << 10) /* of one file, and of the names in its directory, so much is read */
#define HAK_CONF_PATH ((size_t)4096)
#define HAK_CONF_WORD 64 /* a setting of a profile */

/* Which program it is; found out when a line asks for it. */
struct hak_conf_program {
	char path[HAK_CONF_PATH];
	bool is_known;
};

/* A text that is being read, in place: names and values get a NUL behind. */
struct hak_conf {
	char *at;
	struct hak_conf_program *program;
	const char *profile;       /* its settings that are still to come, or NULL */
	unsigned number;           /* of the line */
	bool applies;              /* to the program, what comes now */
	char word[HAK_CONF_WORD];
};

/* One setting of the text, or one line that is refused.  The texts live until the next one. */
struct hak_conf_line {
	const char *error; /* NULL, or why the line is refused */
	const char *value; /* if not refused: it may still be no value of the setting */
	unsigned setting;
	unsigned number;
	bool applies;
};

/* What was read of a file, made fit for hak_conf_open: room is for length + 1.  False: the file was longer than HAK_CONF_ROOM,
 * and the line that is not whole was cut off. */
HAK_FN bool hak_conf_finish(char *text, size_t length);
HAK_FN void hak_conf_open(struct hak_conf *conf, char *text, struct hak_conf_program *program);
HAK_FN bool hak_conf_next(struct hak_conf *conf, struct hak_conf_line *line); /* false: the end */

/* The name behind `last` ("": the first) among names as hak_file_list gives them, of those that end in .conf; or NULL. */
HAK_FN const char *hak_conf_next_name(const char *names, size_t length, const char *last);

HAK_FN const char *hak_conf_path(char **environment, bool is_secure); /* NULL: no file */
HAK_FN void hak_conf_read(const char *path); /* at start, before the environment; NULL: nothing */
HAK_FN unsigned hak_conf_refused(void);      /* lines */

#endif
