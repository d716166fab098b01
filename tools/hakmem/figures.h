/* SPDX-License-Identifier: MIT */
/* figures: what hakmem stat says of a process, for programs: as JSON, and as metrics in the OpenMetrics format. */
#ifndef FIGURES_H
#define FIGURES_H

#include "census.h"
#include "process.h"

struct figures {
	struct process process;
	struct census census;
};

struct figures_part {
	const char *name; /* of JSON and metrics */
	const char *text;
};
extern const struct figures_part figures_parts[PART_COUNT];

void figures_json(const struct process *process, const struct census *census);
void figures_metrics(struct figures **found, size_t count);

#endif
