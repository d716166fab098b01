/* SPDX-License-Identifier: MIT */
/* settings: what subcommands say of settings that are wrong on the command line.  Both return STATUS_USAGE. */
#ifndef SETTINGS_H
#define SETTINGS_H

int complain_of_setting(const char *name); /* there is none of that name */
int complain_of_value(unsigned i, const char *value);

#endif
