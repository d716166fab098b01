#include "policy.h"

#include "class.h"
#include "journal.h"
#include "lock.h"
#include "tunables.h"

static struct hak_lock policy_lock = HAK_LOCK_INIT(HAK_RANK_POLICY);
static struct hak_elo policy_elo HAK_SPARSE; /* under the lock; started by the first block it learns of */
HAK_DEF _Atomic size_t hak_policy_learned = HAK_ELO_FIRST;
static _Atomic size_t policy_proven;
static _Atomic bool policy_tended;

HAK_FN void hak_policy_lock(void) { hak_lock_take(&policy_lock); }
HAK_FN void hak_policy_unlock(void) { hak_lock_release(&policy_lock); }
HAK_FN size_t hak_policy_proven(void) { return hak_load(&policy_proven, relaxed); }

HAK_FN size_t hak_policy_threshold(void)
{
	size_t fixed = hak_setting(elo_threshold);

	return fixed ? fixed : hak_load(&hak_policy_learned, relaxed);
}

HAK_FN void hak_policy_set_tended(bool tended) { hak_store(&policy_tended, tended, relaxed); }
HAK_FN bool hak_policy_is_tended(void) { return hak_load(&policy_tended, relaxed) && hak_setting(ace_enabled); }

HAK_FN bool hak_policy_keeps(size_t bytes) { return bytes < hak_policy_threshold() || hak_policy_is_tended(); }

static void policy_learn(size_t bytes, uint32_t now, bool freed)
{
	struct hak_elo_verdict verdict;

	if (bytes < HAK_ELO_SMALLEST || !hak_setting(ace_enabled))
		return;
	if (!hak_lock_take(&policy_lock))
		return; /* it learns nothing from this one */
	if (policy_elo.rating[0] == 0)
		hak_elo_start(&policy_elo);
	if (freed)
		hak_elo_freed(&policy_elo, bytes, now);
	else
		hak_elo_wanted(&policy_elo, bytes, now);
	verdict = hak_elo_play(&policy_elo);
	hak_store(&hak_policy_learned, hak_elo_threshold(&policy_elo), relaxed);
	hak_store(&policy_proven, policy_elo.proven, relaxed);
	hak_lock_release(&policy_lock);
	if (verdict.changed)
		hak_journal_write(HAK_DECISION_elo_threshold, HAK_CLASS_COUNT, verdict.before, verdict.after,
		                  verdict.cost_before, verdict.cost_after);
}

HAK_FN void hak_policy_freed(size_t bytes, uint32_t now) { policy_learn(bytes, now, true); }
HAK_FN void hak_policy_wanted(size_t bytes, uint32_t now) { policy_learn(bytes, now, false); }
