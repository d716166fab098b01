#include "conf.h"

#include <string.h>

#include "file.h"
#include "os.h"

#define CONF_BLANKS " \t\r"

/* Everything that reading needs, in one mapping that goes again. */
struct conf_room {
	struct hak_conf_program program;
	char path[HAK_CONF_PATH];
	char names[HAK_CONF_ROOM];
	char text[HAK_CONF_ROOM + 1];
};

static const struct conf_profile {
	char name[16];
	char settings[128];
} conf_profiles[] = {
#define HAK_PROFILE(name, summary, settings) { #name, settings },
#include "profiles.def"
#undef HAK_PROFILE
};

static unsigned conf_refused;

HAK_FN unsigned hak_conf_refused(void) { return conf_refused; }

/* ---- lines ---- */

HAK_FN void hak_conf_open(struct hak_conf *conf, char *text, struct hak_conf_program *program)
{
	memset(conf, 0, sizeof(*conf));
	conf->at = text;
	conf->program = program;
	conf->applies = true;
}

/* Cuts blanks at both ends. */
static char *conf_trim(char *text)
{
	size_t length;

	text += strspn(text, CONF_BLANKS);
	length = strlen(text);
	while (length > 0 && strchr(CONF_BLANKS, text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

static char *conf_take_line(struct hak_conf *conf)
{
	char *line = conf->at;
	size_t length = strcspn(line, "\n");

	conf->at += length + (line[length] == '\n');
	line[length] = '\0';
	conf->number++;
	return conf_trim(line);
}

/* Does the path match the pattern?  Of several stars only the last one that was met has to be tried again. */
static bool conf_matches(const char *pattern, const char *path)
{
	const char *star = NULL, *tried = NULL;

	while (*path) {
		if (*pattern == '*') {
			star = ++pattern;
			tried = path;
		} else if (*pattern == *path) {
			pattern++;
			path++;
		} else if (star) {
			pattern = star;
			path = ++tried;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

static bool conf_is_program(struct hak_conf_program *program, const char *pattern)
{
	if (!program->is_known && !hak_file_program(program->path, sizeof(program->path)))
		program->path[0] = '\0'; /* nothing matches it */
	program->is_known = true;
	return program->path[0] && conf_matches(pattern, program->path);
}

/* A section that is not understood applies to nobody, and so do its lines. */
static const char *conf_section(struct hak_conf *conf, char *line)
{
	size_t length = strlen(line);

	conf->applies = false;
	if (line[length - 1] != ']')
		return "there is no ] at the end";
	line[length - 1] = '\0';
	line = conf_trim(line + 1);
	if (strcmp(line, "all") == 0) {
		conf->applies = true;
		return NULL;
	}
	if (strncmp(line, "exe=", 4) != 0)
		return "a section is [exe=PATH] or [all]";
	if (line[4] != '/' && line[4] != '*')
		return "the program of a section is named by its whole path";
	conf->applies = conf_is_program(conf->program, line + 4);
	return NULL;
}

static const char *conf_profile(const char *name)
{
	for (size_t i = 0; i < HAK_COUNT_OF(conf_profiles); i++)
		if (strcmp(conf_profiles[i].name, name) == 0)
			return conf_profiles[i].settings;
	return NULL;
}

/* A mode is a setting under another name. */
static const char *conf_mode(struct hak_conf_line *line)
{
	line->setting = HAK_TUNABLE_ID_disable;
	if (strcmp(line->value, "pass") == 0)
		line->value = "1";
	else if (strcmp(line->value, "hakmem") == 0)
		line->value = "0";
	else
		return "a mode is pass or hakmem";
	return NULL;
}

static const char *conf_assignment(struct hak_conf *conf, char *text, struct hak_conf_line *line)
{
	size_t length = strcspn(text, "=");
	const char *name;

	if (text[length] == '\0')
		return "it is neither NAME=VALUE nor a [section]";
	text[length] = '\0';
	line->value = conf_trim(text + length + 1);
	name = conf_trim(text);
	if (strcmp(name, "mode") == 0)
		return conf_mode(line);
	if (strcmp(name, "profile") == 0) {
		conf->profile = conf_profile(line->value);
		return conf->profile ? NULL : "there is no such profile";
	}
	line->setting = hak_tunables_find(name);
	return line->setting < HAK_TUNABLE_COUNT ? NULL : "there is no such setting";
}

/* "fc_cap=64 dirty_min=1M": the first of them. */
static void conf_take_setting(struct hak_conf *conf, struct hak_conf_line *line)
{
	size_t length = strcspn(conf->profile, " "), name;

	memcpy(conf->word, conf->profile, length);
	conf->word[length] = '\0';
	name = strcspn(conf->word, "=");
	conf->word[name] = '\0';
	line->setting = hak_tunables_find(conf->word);
	line->value = conf->word + name + 1;
	conf->profile += length + strspn(conf->profile + length, " ");
	if (!*conf->profile)
		conf->profile = NULL;
}

HAK_FN bool hak_conf_next(struct hak_conf *conf, struct hak_conf_line *line)
{
	memset(line, 0, sizeof(*line));
	while (!conf->profile && *conf->at) {
		char *text = conf_take_line(conf);

		if (*text == '\0' || *text == '#')
			continue;
		line->setting = HAK_TUNABLE_COUNT;
		line->error = *text == '[' ? conf_section(conf, text) : conf_assignment(conf, text, line);
		line->applies = conf->applies;
		line->number = conf->number;
		if (line->error || line->setting < HAK_TUNABLE_COUNT)
			return true;
	}
	if (!conf->profile)
		return false;
	conf_take_setting(conf, line);
	line->applies = conf->applies;
	line->number = conf->number;
	return true;
}

HAK_FN bool hak_conf_finish(char *text, size_t length)
{
	bool is_whole = length < HAK_CONF_ROOM;

	while (!is_whole && length > 0 && text[length - 1] != '\n')
		length--;
	text[length] = '\0';
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0')
			text[i] = '?'; /* part of its line, which is refused for it */
	return is_whole;
}

/* ---- files ---- */

static bool conf_is_name(const char *name)
{
	size_t length = strlen(name);

	return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

HAK_FN const char *hak_conf_next_name(const char *names, size_t length, const char *last)
{
	const char *best = NULL;

	for (const char *name = names; name < names + length; name += strlen(name) + 1)
		if (conf_is_name(name) && strcmp(name, last) > 0 && (!best || strcmp(name, best) < 0))
			best = name;
	return best;
}

static void conf_apply(struct conf_room *room)
{
	struct hak_conf conf;
	struct hak_conf_line line;

	hak_conf_open(&conf, room->text, &room->program);
	while (hak_conf_next(&conf, &line))
		if (line.error || (line.applies && hak_tunables_set_by_file(line.setting, line.value) != 0))
			conf_refused++;
}

static void conf_load(struct conf_room *room, int file)
{
	long length = hak_file_load(file, room->text, HAK_CONF_ROOM);

	if (length < 0)
		return;
	hak_conf_finish(room->text, (size_t)length);
	conf_apply(room);
}

static void conf_load_more(struct conf_room *room, const char *path)
{
	struct hak_text text;
	const char *name = "";
	long length;
	int file;

	hak_text_open(&text, room->path, sizeof(room->path));
	hak_text_format(&text, "%s.d", path);
	length = hak_file_list(room->path, room->names, sizeof(room->names));
	while (length > 0 && (name = hak_conf_next_name(room->names, (size_t)length, name)) != NULL) {
		hak_text_open(&text, room->path, sizeof(room->path));
		hak_text_format(&text, "%s.d/%s", path, name);
		file = hak_file_open(room->path);
		if (file >= 0)
			conf_load(room, file);
	}
}

HAK_FN const char *hak_conf_path(char **environment, bool is_secure)
{
	const char name[] = HAK_TUNABLES_CONF "=";

	for (; !is_secure && environment && *environment; environment++)
		if (strncmp(*environment, name, sizeof(name) - 1) == 0)
			return (*environment)[sizeof(name) - 1] ? *environment + sizeof(name) - 1 : NULL;
	return HAK_CONF_FILE;
}

HAK_FN void hak_conf_read(const char *path)
{
	size_t size = (sizeof(struct conf_room) + 65535) & ~(size_t)65535; /* whole pages, whatever their size */
	struct conf_room *room;
	int file = path ? hak_file_open(path) : -1; /* F1 */

	if (file < 0)
		return;
	room = hak_os_map(size);
	if (!room) {
		hak_file_close(file);
		return;
	}
	conf_load(room, file);
	conf_load_more(room, path);
	hak_os_unmap(room, size);
}
