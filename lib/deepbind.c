#include "deepbind.h"

#include <dlfcn.h>

#include "atomic.h"

HAK_DEF bool hak_deepbind_passes;

#if defined(PIC) && defined(RTLD_DEEPBIND) && !defined(HAK_NO_LIBC_NAMES)

typedef void *deepbind_dlopen(const char *file, int mode);
extern void *dlsym(void *restrict handle, const char *restrict name) HAK_WEAK;

static _Atomic(deepbind_dlopen *) deepbind_next;

static HAK_COLD deepbind_dlopen *deepbind_find(void)
{
	deepbind_dlopen *next = dlsym ? (deepbind_dlopen *)(uintptr_t)dlsym(RTLD_NEXT, "dlopen") : NULL;

	hak_store(&deepbind_next, next, relaxed);
	return next;
}

/* The call at the end must be a jump (D1): any optimisation level does it, and tests/deepbind.sh looks. */
HAK_API void *dlopen(const char *file, int mode)
{
	deepbind_dlopen *next = hak_load(&deepbind_next, relaxed);

	if (!next)
		next = deepbind_find();
	if (!next)
		return NULL;
	return next(file, hak_deepbind_passes ? mode : mode & ~RTLD_DEEPBIND);
}

HAK_FN void *hak_deepbind_loaded(const char *file)
{
	deepbind_dlopen *next = deepbind_find();

	return next ? next(file, RTLD_LAZY | RTLD_NOLOAD) : NULL;
}

#else

HAK_FN void *hak_deepbind_loaded(const char *file) { return (void)file, NULL; }

#endif
