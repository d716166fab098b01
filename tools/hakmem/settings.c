/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include "command.h"
#include "tunables.h"

int complain_of_setting(const char *name)
{
	return complain_of_usage("there is no setting '%s' ('hakmem options' lists them)", name);
}

int complain_of_value(unsigned i, const char *value)
{
	char low[32], high[32];
	struct hak_text text;

	if (hak_tunables_type(i) == HAK_TUNABLE_BOOL)
		return complain_of_usage("%s=%s: it must be 0 or 1", hak_tunables_name(i), value);
	if (hak_tunables_type(i) == HAK_TUNABLE_ENUM)
		return complain_of_usage("%s=%s: it must be one of %s", hak_tunables_name(i), value,
					 hak_tunables_unit(i));
	if (hak_tunables_max(i) == SIZE_MAX)
		return complain_of_usage("%s=%s: it must be a size such as 64K, 4M or 1G", hak_tunables_name(i), value);
	hak_text_open(&text, low, sizeof(low));
	hak_tunables_print(i, hak_tunables_min(i), &text);
	hak_text_open(&text, high, sizeof(high));
	hak_tunables_print(i, hak_tunables_max(i), &text);
	return complain_of_usage("%s=%s: it must be a number from %s to %s", hak_tunables_name(i), value, low, high);
}
