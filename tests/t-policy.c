/* SPDX-License-Identifier: MIT */
/* The room policy: a fixed threshold, one that is learnt, none that is learnt with ACE off; from two threads.
 * Links: rooms. */
#include "policy.h"

#include <pthread.h>

#include "capture.h"
#include "journal.h"
#include "tunables.h"

#define MIB ((size_t)1 << 20)

enum { rounds = 20000 };

static void set(unsigned id, size_t value)
{
	need(hak_tunables_set_value(id, value) == 0);
}

static void churn(size_t bytes, uint32_t now, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		hak_policy_freed(bytes, now);
		hak_policy_wanted(bytes, now + 5);
		now += 10;
	}
}

static void fixed(const void *with)
{
	(void)with;
	set(HAK_TUNABLE_ID_elo_threshold, 3 * MIB);
	hold(hak_policy_threshold() == 3 * MIB);
	hold(hak_policy_keeps(3 * MIB - 1) && !hak_policy_keeps(3 * MIB) && hak_policy_keeps(0));
	churn(8 * MIB, 1, rounds);
	hold(hak_policy_threshold() == 3 * MIB);
	set(HAK_TUNABLE_ID_elo_threshold, 0);
	hold(hak_policy_threshold() > 8 * MIB); /* it went on learning */
}

static void frozen(const void *with)
{
	(void)with;
	set(HAK_TUNABLE_ID_ace_enabled, 0);
	churn(8 * MIB, 1, rounds);
	hold(hak_policy_threshold() == HAK_ELO_FIRST && hak_policy_proven() == 0 && hak_journal_count() == 0);
	set(HAK_TUNABLE_ID_ace_enabled, 1);
	churn(8 * MIB, 1, rounds);
	hold(hak_policy_threshold() > 8 * MIB && hak_policy_proven() == 8 * MIB);
	set(HAK_TUNABLE_ID_ace_enabled, 0);
	for (uint32_t i = 0; i < rounds; i++)
		hak_policy_freed(8 * MIB, i * 2000);
	hold(hak_policy_threshold() > 8 * MIB); /* what was learnt stays */
}

/* Small blocks are not looked at. */
static void small(const void *with)
{
	(void)with;
	churn(HAK_ELO_SMALLEST - 1, 1, rounds);
	hold(hak_policy_threshold() == HAK_ELO_FIRST && hak_policy_proven() == 0);
}

/* Each change is in the journal, with what it would have cost. */
static void journal(const void *with)
{
	size_t last = HAK_ELO_FIRST;
	struct hak_decision d;

	(void)with;
	churn(8 * MIB, 1, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		hak_policy_freed(8 * MIB, i * 2000 + 20000);
	hold(hak_journal_count() >= 2 && hak_journal_count() <= HAK_JOURNAL_LENGTH);
	for (uint32_t n = 1; n <= hak_journal_count(); n++) {
		need(hak_journal_read(n, &d));
		hold(d.kind == HAK_DECISION_elo_threshold && d.before == last && d.after != last);
		hold(d.cost_after <= d.cost_before);
		last = (size_t)d.after;
	}
	hold(last == hak_policy_threshold());
}

static void *churn_thread(void *with)
{
	churn(*(const size_t *)with, 1, rounds);
	return NULL;
}

/* The two clocks are not in step, as those of threads are not. */
static void threads(const void *with)
{
	static size_t size[2] = {3 * MIB, 5 * MIB};
	pthread_t thread[2];

	(void)with;
	for (int i = 0; i < 2; i++)
		need(pthread_create(&thread[i], NULL, churn_thread, &size[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	hold(hak_policy_threshold() >= HAK_ELO_SMALLEST && hak_policy_proven() <= 8 * MIB);
	churn(5 * MIB, 1000000, rounds);
	hold(hak_policy_threshold() > 5 * MIB);
}

int main(void)
{
	ok(hak_policy_threshold() == HAK_ELO_FIRST && hak_policy_proven() == 0, "2 MiB before anything is learnt");
	capture_silent("a fixed threshold", fixed, NULL);
	capture_silent("ACE off", frozen, NULL);
	capture_silent("blocks below 512 KiB", small, NULL);
	capture_silent("decisions are in the journal", journal, NULL);
	capture_silent("two threads", threads, NULL);
	return done();
}
