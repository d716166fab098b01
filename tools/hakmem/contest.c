/* SPDX-License-Identifier: MIT */
#include "contest.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "remote.h"
#include "tunables.h"

#define CONTEST_REPLAYER "hakmem-replayer"

/* ---- the replayer ---- */

/* Beside this command, in the build directory; else where it is installed. */
static const char *find_replayer(void)
{
	static char path[PATH_MAX + sizeof(CONTEST_REPLAYER)];
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *last;

	path[length > 0 ? length : 0] = '\0';
	last = strrchr(path, '/');
	if (last) {
		memcpy(last + 1, CONTEST_REPLAYER, sizeof(CONTEST_REPLAYER));
		if (access(path, X_OK) == 0)
			return path;
	}
	return HAKMEM_LIBEXEC "/" CONTEST_REPLAYER;
}

static void become_replayer(const struct contestant *contestant, int file)
{
	const char *path = find_replayer();
	char number[16];

	snprintf(number, sizeof(number), "%d", file);
	unsetenv(HAK_TUNABLES_TRACE);
	if (contestant->library)
		setenv("LD_PRELOAD", contestant->library, true);
	else
		unsetenv("LD_PRELOAD");
	execl(path, CONTEST_REPLAYER, number, (char *)NULL);
	complain("%s: %s", path, strerror(errno));
	_exit(127);
}

/* ---- what is present, while it runs ---- */

/* The calls of a thread are not counted while it runs, but the one that is furthest behind. */
static void take_sample(struct contestant *contestant, const struct plan_made *made, pid_t pid)
{
	const struct plan *plan = made->plan;
	uint32_t floor = atomic_load(&plan->floor);
	const struct plan_thread *first =
		(const struct plan_thread *)(const void *)((const char *)plan + plan->threads_at);
	struct contest_sample *sample = &contestant->samples[contestant->sample_count];
	uint64_t order = plan->threads == 1 ? atomic_load(&first->position) : floor;

	sample->present = remote_status(pid, "RssAnon") << 10;
	if (order >= plan->ops || sample->present == 0)
		return;
	sample->at = (double)order / (double)plan->ops;
	sample->live = made->curve[order / (plan->ops / PLAN_CURVE + 1)];
	contestant->sample_count++;
}

/* Every second one is left out when there are too many, and they become rarer. */
static void thin_out(struct contestant *contestant, unsigned *interval)
{
	if (contestant->sample_count < CONTEST_SAMPLES)
		return;
	for (unsigned i = 0; i < CONTEST_SAMPLES / 2; i++)
		contestant->samples[i] = contestant->samples[2 * i];
	contestant->sample_count = CONTEST_SAMPLES / 2;
	*interval *= 2;
}

static int watch(struct contestant *contestant, const struct plan_made *made, pid_t pid)
{
	unsigned interval = 1000;
	int status;

	contestant->sample_count = 0;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		usleep(interval);
		thin_out(contestant, &interval);
		take_sample(contestant, made, pid);
	}
	return status;
}

/* ---- runs ---- */

static double mean_of(const struct contestant *contestant)
{
	double present = 0, live = 0;

	for (unsigned i = 0; i < contestant->sample_count; i++) {
		present += (double)contestant->samples[i].present;
		live += (double)contestant->samples[i].live;
	}
	return live > 0 ? present / live : 0;
}

static void keep_run(struct contestant *contestant, const struct plan *plan)
{
	contestant->runs[contestant->count++] = (struct contest_run){
		.seconds = plan->seconds,
		.cpu = plan->user + plan->system,
		.faults = plan->faults,
		.peak = plan->peak,
		.mean = mean_of(contestant),
	};
	contestant->failed = plan->failed;
}

static bool run_one(struct contestant *contestant, struct plan_made *made)
{
	pid_t pid;
	int status;

	plan_reset(made);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		become_replayer(contestant, made->file);
	if (pid < 0) {
		complain("fork: %s", strerror(errno));
		return false;
	}
	status = watch(contestant, made, pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && made->plan->is_done)
		keep_run(contestant, made->plan);
	else
		complain("%s: the replay broke off: %s", contestant->name,
			 WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it could not have what it needs");
	return true;
}

bool contest_round(struct contestant *list, unsigned count, struct plan_made *made)
{
	unsigned round = 0;

	for (unsigned i = 0; i < count; i++)
		round = list[i].count > round ? list[i].count : round;
	for (unsigned i = 0; i < count; i++)
		if (list[i].count == round && !run_one(&list[i], made))
			return false;
	return true;
}

/* ---- medians ---- */

static int by_value(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return first < second ? -1 : first > second;
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), by_value);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void contest_judge(struct contestant *contestant)
{
	double values[5][CONTEST_RUNS];

	for (unsigned i = 0; i < contestant->count; i++) {
		const struct contest_run *run = &contestant->runs[i];

		values[0][i] = run->seconds;
		values[1][i] = run->cpu;
		values[2][i] = (double)run->faults;
		values[3][i] = (double)run->peak;
		values[4][i] = run->mean;
	}
	if (contestant->count > 0)
		contestant->median = (struct contest_run){
			.seconds = median(values[0], contestant->count),
			.cpu = median(values[1], contestant->count),
			.faults = (uint64_t)median(values[2], contestant->count),
			.peak = (uint64_t)median(values[3], contestant->count),
			.mean = median(values[4], contestant->count),
		};
}
