/* SPDX-License-Identifier: MIT */
/* Room conf: lines, sections, profiles, files and their order.  Each case runs in a child, as settings are kept. */
#include "conf.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "capture.h"
#include "fails.h"
#include "file.h"
#include "os.h"

static char directory[] = "/tmp/hakmem-conf.XXXXXX";
static char conf_file[64];

static size_t value_of(const char *name) { return hak_tunables_value(hak_tunables_find(name)); }

static void path_of(char path[64], const char *name)
{
	struct hak_text text;

	hak_text_open(&text, path, 64);
	hak_text_format(&text, "%s/%s", directory, name);
}

static void write_file(const char *name, const char *text, size_t length)
{
	char path[64];
	int file;

	path_of(path, name);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	need(file >= 0 && write(file, text, length) == (ssize_t)length);
	close(file);
}

/* Sets what the text says, as the constructor does. */
static void read_text(const char *text)
{
	write_file("hakmem.conf", text, strlen(text));
	hak_conf_read(conf_file);
}

/* ---- lines ---- */

static void check_lines(const void *with)
{
	(void)with;
	read_text("# fc_cap=1\n"
	          "fc_cap=64\r\n"
	          "  HAKMEM_FC_REFILL =\t 5  \n"
	          "\n"
	          "big_cache=16M\n"
	          "fc_cap=65");
	hold(value_of("fc_cap") == 65); /* the later line; the last has no newline */
	hold(value_of("fc_refill") == 5);
	hold(value_of("big_cache") == (size_t)16 << 20);
	hold(hak_conf_refused() == 0);
	hold(hak_tunables_source(hak_tunables_find("fc_cap")) == HAK_SOURCE_FILE);
	hold(hak_tunables_source(hak_tunables_find("stats")) == HAK_SOURCE_DEFAULT);
}

static void check_refused(const void *with)
{
	(void)with;
	read_text("fc_cap=12\n"
	          "fc_cap=many\n"          /* 1 */
	          "fc_cap=100000\n"        /* 2 */
	          "fc_cap\n"               /* 3 */
	          "=5\n"                   /* 4 */
	          "fc_cap=\n"              /* 5 */
	          "no_such=1\n"            /* 6 */
	          "mode=off\n"             /* 7 */
	          "profile=huge\n"         /* 8 */
	          "[exe=chromium]\n"       /* 9: nobody's */
	          "fc_cap=13\n"
	          "[everybody]\n"          /* 10 */
	          "fc_cap=14\n"
	          "[all\n"                 /* 11 */
	          "fc_cap=15\n"
	          "[\n"                    /* 12 */
	          "[all]\n"
	          "fc_refill=7\n");
	hold(hak_conf_refused() == 12);
	hold(value_of("fc_cap") == 12);
	hold(value_of("fc_refill") == 7);
	hold(value_of("disable") == 0);
}

static void check_odd_bytes(const void *with)
{
	static const char text[] = "fc_cap=3\nfc_\0cap=4\nfc_refill=9\n\xff\xfe=1\n";

	(void)with;
	write_file("hakmem.conf", text, sizeof(text) - 1);
	hak_conf_read(conf_file);
	hold(value_of("fc_cap") == 3);
	hold(value_of("fc_refill") == 9);
	hold(hak_conf_refused() == 2);
}

/* Of a file that is too long no half line counts. */
static void check_length(const void *with)
{
	static char text[HAK_CONF_ROOM + 100];
	size_t at = HAK_CONF_ROOM - 9;

	(void)with;
	memset(text, '\n', sizeof(text));
	memcpy(text, "fc_cap=5\n", 9);
	memcpy(text + at, "fc_cap=123\n", 11); /* the room ends behind the 2 */
	write_file("hakmem.conf", text, sizeof(text));
	hak_conf_read(conf_file);
	hold(value_of("fc_cap") == 5);
}

/* ---- sections ---- */

struct section {
	const char *pattern, *path;
	bool matches;
};

/* Without asking the kernel: the program is said. */
static void check_section(const struct section *s)
{
	struct hak_conf_program program = { .is_known = true };
	struct hak_conf_line line;
	struct hak_conf conf;
	struct hak_text text;
	char buffer[128];

	strcpy(program.path, s->path);
	hak_text_open(&text, buffer, sizeof(buffer));
	hak_text_format(&text, "[exe=%s]\nfc_cap=1\n[all]\nfc_refill=1\n", s->pattern);
	hak_conf_open(&conf, buffer, &program);
	ok(hak_conf_next(&conf, &line) && !line.error && line.applies == s->matches && line.number == 2,
	   "%s matches %s: %d", s->path, s->pattern, s->matches);
	hold(hak_conf_next(&conf, &line) && line.applies && line.number == 4);
	hold(!hak_conf_next(&conf, &line) && !hak_conf_next(&conf, &line));
}

static void test_sections(void)
{
	static const struct section sections[] = {
		{ "/usr/bin/a", "/usr/bin/a", true },     { "/usr/bin/a", "/usr/bin/ab", false },
		{ "/usr/bin/ab", "/usr/bin/a", false },   { "*/a", "/usr/bin/a", true },
		{ "/opt/*", "/opt/x/y", true },           { "/opt/*", "/op", false },
		{ "/usr/*/py*3", "/usr/bin/py33", true }, { "/usr/*/py*3", "/usr/bin/py32", false },
		{ "*", "/anything", true },               { "/a*b*c", "/aXbYbZc", true },
		{ "/a**", "/a", true },                   { "/usr/bin/a b", "/usr/bin/a b", true },
		{ "/x", "", false },                      { "*", "", false },
	};

	for (size_t i = 0; i < HAK_COUNT_OF(sections); i++)
		check_section(&sections[i]);
}

static void check_own_section(const void *with)
{
	static char text[HAK_CONF_PATH + 100];
	char path[HAK_CONF_PATH];
	struct hak_text out;

	(void)with;
	need(hak_file_program(path, sizeof(path)));
	hak_text_open(&out, text, sizeof(text));
	hak_text_format(&out, "[exe=/bin/nothing]\nfc_cap=1\n[exe=%s]\nfc_refill=2\nmode=pass\n", path);
	read_text(text);
	hold(value_of("fc_cap") == 0);
	hold(value_of("fc_refill") == 2);
	hold(value_of("disable") == 1);
}

/* What holds for all, but not for this one. */
static void check_mode(const void *with)
{
	(void)with;
	read_text("mode=pass\nmode=hakmem\n");
	hold(value_of("disable") == 0);
	hold(hak_tunables_source(HAK_TUNABLE_ID_disable) == HAK_SOURCE_FILE);
}

/* ---- profiles ---- */

static const char *const profiles[] = {
#define HAK_PROFILE(name, ...) #name,
#include "profiles.def"
#undef HAK_PROFILE
};

/* Each of its settings exists, is taken, and differs from the default: else it need not be there. */
static void check_profile(const void *name)
{
	struct hak_conf_program program = { .is_known = true };
	struct hak_conf_line line;
	struct hak_conf conf;
	struct hak_text text;
	char buffer[64];
	unsigned count = 0;

	hak_text_open(&text, buffer, sizeof(buffer));
	hak_text_format(&text, "profile=%s\n", (const char *)name);
	hak_conf_open(&conf, buffer, &program);
	for (; hak_conf_next(&conf, &line); count++) {
		hold(!line.error && line.setting < HAK_TUNABLE_COUNT && line.number == 1);
		hold(hak_tunables_set_by_file(line.setting, line.value) == 0);
		hold(hak_tunables_value(line.setting) != hak_tunables_default(line.setting));
	}
	hold(count >= 2);
}

static void check_profile_order(const void *with)
{
	(void)with;
	read_text("big_cache=1M\nprofile=small\ndecay_ms=77\n");
	hold(value_of("big_cache") == (size_t)4 << 20);
	hold(value_of("decay_ms") == 77);
	hold(hak_conf_refused() == 0);
}

/* ---- files ---- */

static void check_directory(const void *with)
{
	(void)with;
	write_file("hakmem.conf.d/20-b.conf", "fc_cap=20\nfc_refill=20\n", 23);
	write_file("hakmem.conf.d/10-a.conf", "fc_cap=10\nbig_cache=10\n", 23);
	write_file("hakmem.conf.d/30-c.conf~", "fc_cap=30\n", 10);
	write_file("hakmem.conf.d/.hidden.conf", "fc_cap=40\n", 10);
	read_text("fc_cap=1\nfc_refill=1\nbig_cache=1\ndecay_ms=1\n[exe=/nobody]\n");
	hold(value_of("fc_cap") == 20);
	hold(value_of("fc_refill") == 20);
	hold(value_of("big_cache") == 10); /* a file begins with all programs */
	hold(value_of("decay_ms") == 1);
}

/* More names than fit at once into what the kernel gives: all of them are read, in order. */
static void check_many_files(const void *with)
{
	char name[40];
	struct hak_text text;

	(void)with;
	for (unsigned i = 0; i < 600; i++) {
		hak_text_open(&text, name, sizeof(name));
		hak_text_format(&text, "hakmem.conf.d/%03u.conf", (i * 7) % 600);
		write_file(name, i * 7 % 600 == 599 ? "fc_cap=9\n" : "fc_cap=8\n", 9);
	}
	read_text("# here\n");
	hold(value_of("fc_cap") == 9);
}

static void check_missing(const void *with)
{
	char path[64];

	(void)with;
	path_of(path, "missing.conf");
	write_file("missing.conf.d/a.conf", "fc_cap=5\n", 9);
	hak_conf_read(path);
	hold(value_of("fc_cap") == 0); /* the directory alone is not looked at */
	hak_conf_read(NULL);
	hak_conf_read(directory); /* no file, and no harm */
	path_of(path, "pipe");
	need(mkfifo(path, 0600) == 0);
	hak_conf_read(path); /* does not wait */
	hold(hak_conf_refused() == 0);
}

static void check_path(const void *with)
{
	char *named[] = { (char[]){ "HOME=/" }, (char[]){ "HAKMEM_CONF=/a" }, (char[]){ "HAKMEM_CONF=/b" }, NULL };
	char *none[] = { (char[]){ "HAKMEM_CONF=" }, NULL };
	char *other[] = { (char[]){ "HAKMEM_CONFIG=/a" }, NULL };

	(void)with;
	hold(strcmp(hak_conf_path(named, false), "/a") == 0);
	hold(strcmp(hak_conf_path(named, true), "/etc/hakmem.conf") == 0);
	hold(hak_conf_path(none, false) == NULL);
	hold(strcmp(hak_conf_path(other, false), "/etc/hakmem.conf") == 0);
	hold(strcmp(hak_conf_path(NULL, false), "/etc/hakmem.conf") == 0);
}

/* No memory for the room: nothing is read, nothing breaks. */
static void check_no_memory(const void *with)
{
	(void)with;
	write_file("hakmem.conf", "fc_cap=5\n", 9);
	fail_mappings(1, 1);
	hak_conf_read(conf_file);
	hold(value_of("fc_cap") == 0);
}

static void make_directories(void)
{
	char path[64];

	need(mkdtemp(directory) != NULL);
	path_of(conf_file, "hakmem.conf");
	path_of(path, "hakmem.conf.d");
	need(mkdir(path, 0755) == 0);
	path_of(path, "missing.conf.d");
	need(mkdir(path, 0755) == 0);
}

/* What a case leaves behind would be read by the next one. */
static void sweep(const char *command)
{
	char line[128];
	struct hak_text text;

	hak_text_open(&text, line, sizeof(line));
	hak_text_format(&text, "cd %s && %s", directory, command);
	need(system(line) == 0);
}

static void run_case(const char *name, void (*run)(const void *), const void *with)
{
	struct capture child;

	capture(&child, run, with);
	ok(child.status == 0 && child.words[0] == '\0', "%s", name);
	sweep("rm -f hakmem.conf hakmem.conf.d/* hakmem.conf.d/.hidden.conf");
}

int main(void)
{
	make_directories();
	run_case("lines", check_lines, NULL);
	run_case("lines that mean nothing", check_refused, NULL);
	run_case("bytes that are no text", check_odd_bytes, NULL);
	run_case("a file that is too long", check_length, NULL);
	test_sections();
	run_case("the program's own section", check_own_section, NULL);
	for (size_t i = 0; i < HAK_COUNT_OF(profiles); i++)
		run_case(profiles[i], check_profile, profiles[i]);
	run_case("a mode that is taken back", check_mode, NULL);
	run_case("profiles and lines", check_profile_order, NULL);
	run_case("the directory", check_directory, NULL);
	run_case("many files", check_many_files, NULL);
	run_case("what is not there", check_missing, NULL);
	run_case("where the file is", check_path, NULL);
	run_case("no memory", check_no_memory, NULL);
	sweep("rm -r \"$PWD\"");
	return done();
}
