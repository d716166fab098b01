#include "start.h"

#include <pthread.h>
#include <unistd.h>

#include "attach.h"
#include "background.h"
#include "bigcache.h"
#include "conf.h"
#include "deepbind.h"
#include "libc.h"
#include "limit.h"
#include "lock.h"
#include "os.h"
#include "policy.h"
#include "record.h"
#include "remote.h"
#include "report.h"
#include "sample.h"
#include "secure.h"
#include "segv.h"
#include "starve.h"
#include "superslab.h"
#include "tunables.h"

extern char **environ;

/* The thread's heap goes to the idle list. */
static void start_leave_heap(void)
{
	struct hak_heap *heap = hak_thread.own;

	hak_thread.own = hak_thread.heap = &hak_empty_heap;
	if (heap != &hak_empty_heap && hak_heap_enter_last(heap))
		hak_remote_leave(heap);
}

/* A thread's end.  What later destructors do borrows a heap call by call. */
static void start_thread_exit(void *thread)
{
	(void)thread;
	if (hak_thread.inside) /* the thread was cancelled asynchronously, which malloc does not allow: it never leaves */
		hak_heap_lose(hak_thread.inside);
	hak_thread.gone = true;
	start_leave_heap();
	hak_record_exit();
}

/* HAKMEM_DISABLE: the thread keeps the empty heap for ever, so that every call takes the cold path, which hands it on.  Its
 * blocks from before stay ours. */
static void start_pass(void)
{
	hak_deepbind_passes = true;
	start_leave_heap();
}

/* HAKMEM_SECURE holds for all blocks or for none: where another thread allocates already, for none. */
static void start_secure(void)
{
	if (hak_setting(secure) && (hak_libc_passes() || hak_setting(tiny_front_direct) || !hak_attach_start() || !hak_secure_start()))
		hak_tunables_set_value(HAK_TUNABLE_ID_secure, 0);
}

/* What this thread has cached by now must not be handed out unseen. */
static void start_record(bool is_secure)
{
	hak_record_start(environ, is_secure);
	if (hak_record_is_on())
		hak_attach_follow();
}

/* HAKMEM_GUARD_SAMPLE.  The thread leaves the heap that it has used before: it takes another, with out-caches. */
static void start_guard(void)
{
	if (!hak_setting(guard_sample))
		return;
	if (!hak_libc_passes() && hak_attach_start() && hak_guard_start()) {
		start_leave_heap();
		hak_segv_start();
	} else {
		hak_tunables_set_value(HAK_TUNABLE_ID_guard_sample, 0);
	}
}

/* Our handlers are registered early, so ours is the last to prepare and the first after.  A lock that the thread is inside
 * already (fork was called in a signal handler) stays as it is: that call goes on in both processes. */
static void start_fork_prepare(void)
{
	uint32_t before = hak_lock_held;

	hak_attach_lock();
	hak_bigcache_lock();
	hak_policy_lock();
	hak_registry_lock();
	hak_lock_forking |= hak_lock_held & ~before;
}

static void start_fork_parent(void)
{
	uint32_t taken = hak_lock_forking;

	hak_lock_forking = 0;
	if (taken & HAK_LOCK_BIT(HAK_RANK_MAP))
		hak_registry_unlock();
	if (taken & HAK_LOCK_BIT(HAK_RANK_POLICY))
		hak_policy_unlock();
	if (taken & HAK_LOCK_BIT(HAK_RANK_LARGE))
		hak_bigcache_unlock();
	if (taken & HAK_LOCK_BIT(HAK_RANK_INIT))
		hak_attach_unlock();
}

static void start_fork_child(void)
{
	hak_heap_after_fork(hak_thread.inside ? hak_thread.inside : hak_thread.own);
	hak_pool_after_fork();
	hak_background_after_fork();
	hak_registry_after_fork();
	hak_starve_after_fork();
	hak_record_after_fork();
	hak_sample_after_fork();
	start_fork_parent();
}

HAK_FN void hak_start(void)
{
	static bool done;
	bool is_secure = hak_os_is_secure();

	if (done)
		return;
	done = true;
	hak_conf_read(hak_conf_path(environ, is_secure));
	hak_tunables_read(environ, is_secure);
	hak_limit_start();
	start_secure();
	start_guard();
	hak_tunables_seal();
	if (hak_setting(verbose) && hak_conf_refused())
		hak_say_line("%s: lines that are ignored: %u (hakmem check names them)", hak_conf_path(environ, is_secure),
		             hak_conf_refused());
	if (hak_libc_passes())
		start_pass();
	else
		start_record(is_secure);
	hak_attach_has_key = pthread_key_create(&hak_attach_key, start_thread_exit) == 0;
	pthread_atfork(start_fork_prepare, start_fork_parent, start_fork_child);
	if (hak_setting(ss_prewarm) && !hak_libc_passes() && hak_attach_start())
		hak_superslab_prewarm(hak_setting(ss_prewarm));
	if (!hak_libc_passes())
		hak_background_start();
}

static __attribute__((constructor)) void start_constructor(void) { hak_start(); }
static __attribute__((destructor)) void start_destructor(void) { hak_report_at_exit(); }
