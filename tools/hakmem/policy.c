/* SPDX-License-Identifier: MIT */
#include "policy.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "conf.h"
#include "file.h"

#define POLICY_FILES 1024 /* so many names are remembered */

static char *policy_files[POLICY_FILES]; /* as they are shown */
static unsigned policy_file_count;
static struct {
	unsigned file, line;
} policy_places[HAK_TUNABLE_COUNT];
static unsigned policy_ignored; /* lines and files */
static const char *policy_main;

/* ---- files ---- */

static void __attribute__((format(printf, 3, 4))) refuse(const char *path, unsigned number, const char *format, ...)
{
	char why[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	complain("%s:%u: %s; the line is ignored", path, number, why);
	policy_ignored++;
}

/* Values are tried also where they do not apply, so that bad ones are named whoever asks. */
static void policy_take_line(const char *path, unsigned file, const struct hak_conf_line *line)
{
	int error = hak_tunables_try(line->setting, line->value);

	if (error)
		refuse(path, line->number, "%s=%s is %s", hak_tunables_name(line->setting), line->value,
		       error == ERANGE ? "out of bounds" : "no value of its type");
	if (error || !line->applies)
		return;
	hak_tunables_set_by_file(line->setting, line->value);
	policy_places[line->setting].file = file;
	policy_places[line->setting].line = line->number;
}

static void policy_take_text(const char *path, unsigned file, char *text, struct hak_conf_program *program)
{
	struct hak_conf_line line;
	struct hak_conf conf;

	hak_conf_open(&conf, text, program);
	while (hak_conf_next(&conf, &line)) {
		if (line.error)
			refuse(path, line.number, "%s", line.error);
		else
			policy_take_line(path, file, &line);
	}
}

static bool policy_take_file(const struct policy *policy, const char *path, struct hak_conf_program *program)
{
	char *text = malloc(HAK_CONF_ROOM + 1), name[PATH_MAX + 32];
	long length = -1;
	int file;

	snprintf(name, sizeof(name), "%s%s", policy->root, path);
	file = text ? hak_file_open(name) : -1;
	if (file >= 0)
		length = hak_file_load(file, text, HAK_CONF_ROOM);
	if (length >= 0 && policy_file_count < POLICY_FILES) {
		if (!hak_conf_finish(text, (size_t)length)) {
			complain("%s: what is behind %zu bytes is ignored", path, HAK_CONF_ROOM);
			policy_ignored++;
		}
		policy_files[policy_file_count] = strdup(path);
		policy_take_text(path, policy_file_count++, text, program);
	}
	free(text);
	return length >= 0;
}

static void policy_take_directory(const struct policy *policy, const char *path, struct hak_conf_program *program)
{
	char *names = malloc(HAK_CONF_ROOM), full[PATH_MAX];
	const char *name = "";
	long length;

	snprintf(full, sizeof(full), "%s%s.d", policy->root, path);
	length = names ? hak_file_list(full, names, HAK_CONF_ROOM) : -1;
	while (length > 0 && (name = hak_conf_next_name(names, (size_t)length, name)) != NULL) {
		snprintf(full, sizeof(full), "%s.d/%s", path, name);
		if (!policy_take_file(policy, full, program)) {
			complain("%s: it cannot be read, and is ignored", full);
			policy_ignored++;
		}
	}
	free(names);
}

static bool policy_take_files(const struct policy *policy, const char *path)
{
	static struct hak_conf_program program = { .is_known = true };

	snprintf(program.path, sizeof(program.path), "%s", policy->program);
	if (!path || !policy_take_file(policy, path, &program))
		return false;
	policy_take_directory(policy, path, &program);
	return true;
}

bool policy_read(const struct policy *policy)
{
	bool has_file;

	policy_main = hak_conf_path(policy->environment, policy->is_secure);
	has_file = policy_take_files(policy, policy_main);
	hak_tunables_read(policy->environment, policy->is_secure);
	return has_file;
}

bool policy_read_file(const char *path)
{
	struct policy policy = { "", "", NULL, true };

	policy_main = path;
	return policy_take_files(&policy, path);
}

/* ---- for who asks ---- */

const char *policy_path(void) { return policy_main; }

const char *policy_place(unsigned setting, char *buffer, size_t size)
{
	switch (hak_tunables_source(setting)) {
	case HAK_SOURCE_FILE:
		snprintf(buffer, size, "%s:%u", policy_files[policy_places[setting].file], policy_places[setting].line);
		return buffer;
	case HAK_SOURCE_ENVIRONMENT:
		return "environment";
	case HAK_SOURCE_DEFAULT:
	case HAK_SOURCE_API:
	case HAK_SOURCE_OUTSIDE:
		break;
	}
	return "default";
}

unsigned policy_complain(void)
{
	unsigned count = policy_ignored;

	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++)
		if (hak_tunables_refused(i)) {
			complain("%s=%s: no value that it can have; the variable is ignored", hak_tunables_name(i),
			         hak_tunables_refused(i));
			count++;
		}
	for (unsigned n = 0; hak_tunables_unknown(n); n++, count++)
		complain("%s: there is no such setting; the variable is ignored", hak_tunables_unknown(n));
	return count;
}
