#include "malloc_abi.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>

#include "alloc.h"
#include "deepbind.h"
#include "free.h"
#include "os.h"
#include "say.h"

/* ---- C ---- */

HAK_API void *HAK_ABI(malloc)(size_t size) { return hak_hot_malloc(size); }
HAK_API void HAK_ABI(free)(void *p) { hak_hot_free(p); }
HAK_API void HAK_ABI(cfree)(void *p) { hak_hot_free(p); }
HAK_API void *HAK_ABI(calloc)(size_t count, size_t size) { return hak_alloc_zeroed(count, size); }
HAK_API void *HAK_ABI(realloc)(void *p, size_t size) { return hak_alloc_resize(p, size); }
HAK_API size_t HAK_ABI(malloc_usable_size)(void *p) { return hak_alloc_usable_size(p); }
HAK_API void HAK_ABI(free_sized)(void *p, size_t size) { hak_free_sized(p, 0, size); }
HAK_API void HAK_ABI(free_aligned_sized)(void *p, size_t align, size_t size)
{
	hak_free_sized(p, align, size);
}

/* As glibc up to 2.37: an alignment that is no power of two is rounded up to one. */
HAK_API void *HAK_ABI(memalign)(size_t align, size_t size)
{
	size_t rounded = HAK_ALIGN;

	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	while (rounded < align)
		rounded *= 2;
	return hak_alloc_aligned(rounded, size);
}

HAK_API void *HAK_ABI(aligned_alloc)(size_t align, size_t size) { return HAK_ABI(memalign)(align, size); }

HAK_API int HAK_ABI(posix_memalign)(void **out, size_t align, size_t size)
{
	void *p;

	if (!hak_is_power_of_two(align) || align % sizeof(void *) != 0)
		return EINVAL;
	p = hak_alloc_aligned(align < HAK_ALIGN ? HAK_ALIGN : align, size);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

HAK_API void *HAK_ABI(valloc)(size_t size) { return hak_alloc_aligned(hak_os_page_size(), size); }

HAK_API void *HAK_ABI(pvalloc)(size_t size)
{
	size_t page = hak_os_page_size(), rounded = hak_align_up(size, page);

	if (rounded < size) {
		errno = ENOMEM;
		return NULL;
	}
	return hak_alloc_aligned(page, rounded);
}

#ifndef HAK_NO_LIBC_NAMES

/* ---- C++, by its mangled names; libstdc++ is not needed, but used where it is there ---- */

#if SIZE_MAX == UINT_MAX
#define NEW_NAME(rest) _Znw##j##rest
#define NEW_ARRAY_NAME(rest) _Zna##j##rest
#define DELETE_NAME(rest) _ZdlPvj##rest
#define DELETE_ARRAY_NAME(rest) _ZdaPvj##rest
#define NEW_NOTHROW_TEXT "_ZnwjRKSt9nothrow_t"
#define NEW_ALIGNED_NOTHROW_TEXT "_ZnwjSt11align_val_tRKSt9nothrow_t"
#define NEW_ALIGNED_TEXT "_ZnwjSt11align_val_t"
#define NEW_TEXT "_Znwj"
#else
#define NEW_NAME(rest) _Znw##m##rest
#define NEW_ARRAY_NAME(rest) _Zna##m##rest
#define DELETE_NAME(rest) _ZdlPvm##rest
#define DELETE_ARRAY_NAME(rest) _ZdaPvm##rest
#define NEW_NOTHROW_TEXT "_ZnwmRKSt9nothrow_t"
#define NEW_ALIGNED_NOTHROW_TEXT "_ZnwmSt11align_val_tRKSt9nothrow_t"
#define NEW_ALIGNED_TEXT "_ZnwmSt11align_val_t"
#define NEW_TEXT "_Znwm"
#endif

#if defined(__ARM_EABI__) && defined(PIC)
/* The unwind tables of 32-bit ARM refer to the routines that read them, so that these get linked, and libgcc_s with them.
 * An unwinder uses its own: these serve the linker, and the C library remains all that is needed. */
#define ABI_UNWIND __attribute__((weak, visibility("hidden")))
ABI_UNWIND void __aeabi_unwind_cpp_pr0(void);
ABI_UNWIND void __aeabi_unwind_cpp_pr1(void);
ABI_UNWIND void __aeabi_unwind_cpp_pr0(void) {}
ABI_UNWIND void __aeabi_unwind_cpp_pr1(void) {}
#endif

typedef void (*abi_handler)(void);
extern abi_handler _ZSt15get_new_handlerv(void) HAK_WEAK;       /* std::get_new_handler() */
extern void _ZSt17__throw_bad_allocv(void) HAK_WEAK;            /* std::__throw_bad_alloc() */
extern void *dlsym(void *restrict handle, const char *restrict name) HAK_WEAK;

/* A function of the C++ library: behind us, or, in a C program whose plug-in needs it, loaded where nobody else looks. */
static void *abi_next(const char *name)
{
	static const char libraries[] = "libstdc++.so.6\0libc++.so.1\0libc++abi.so.1\0";
	void *found = dlsym ? dlsym(RTLD_NEXT, name) : NULL;

	for (const char *file = libraries; dlsym && !found && *file; file = hak_text_nth(file, 1)) {
		void *library = hak_deepbind_loaded(file);
		if (library)
			found = dlsym(library, name);
	}
	return found;
}

/* The handler, if there is a C++ library that has one. */
static abi_handler abi_new_handler(void)
{
	abi_handler (*get)(void) = _ZSt15get_new_handlerv;

	if (!get)
		get = (abi_handler (*)(void))(uintptr_t)abi_next("_ZSt15get_new_handlerv");
	return get ? get() : NULL;
}

static HAK_COLD void *abi_new_failed(size_t size, size_t align)
{
	void *(*next)(size_t, size_t); /* the plain form ignores its second argument */

	for (;;) {
		abi_handler handler = abi_new_handler();
		void *p;

		if (!handler)
			break;
		handler();
		p = align ? hak_alloc_aligned(align, size) : hak_hot_malloc(size);
		if (p)
			return p;
	}
	if (_ZSt17__throw_bad_allocv)
		_ZSt17__throw_bad_allocv();
	/* A C++ library that came by dlopen: its own operator new knows the handler and how to throw. */
	next = (void *(*)(size_t, size_t))(uintptr_t)abi_next(align ? NEW_ALIGNED_TEXT : NEW_TEXT);
	if (next)
		return next(size, align);
	hak_say_fatal(HAK_FATAL_NO_MEMORY, "operator new", NULL, size);
}

/* A handler may throw, which the nothrow form has to catch: libstdc++'s does, around our throwing form. */
static HAK_COLD void *abi_new_aligned_nothrow_failed(size_t size, size_t align, const void *tag)
{
	void *(*next)(size_t, size_t, const void *) = NULL;

	if (abi_new_handler())
		next = (void *(*)(size_t, size_t, const void *))(uintptr_t)abi_next(NEW_ALIGNED_NOTHROW_TEXT);
	return next ? next(size, align, tag) : NULL;
}

static HAK_COLD void *abi_new_nothrow_failed(size_t size, const void *tag)
{
	void *(*next)(size_t, const void *) =
		abi_new_handler() ? (void *(*)(size_t, const void *))(uintptr_t)abi_next(NEW_NOTHROW_TEXT) : NULL;

	return next ? next(size, tag) : NULL;
}

static inline void *abi_new(size_t size)
{
	void *p = hak_hot_malloc(size);

	return hak_likely(p != NULL) ? p : abi_new_failed(size, 0);
}

static inline void *abi_new_nothrow(size_t size, const void *tag)
{
	void *p = hak_hot_malloc(size);

	return hak_likely(p != NULL) ? p : abi_new_nothrow_failed(size, tag);
}

static size_t abi_align(size_t align) { return align < HAK_ALIGN ? HAK_ALIGN : align; }

static void *abi_new_aligned(size_t size, size_t align)
{
	void *p = hak_alloc_aligned(abi_align(align), size);

	return hak_likely(p != NULL) ? p : abi_new_failed(size, abi_align(align));
}

#define ABI_NEW(name)                                                                                       \
	HAK_API void *name()(size_t size);                                                                   \
	HAK_API void *name()(size_t size) { return abi_new(size); }                                          \
	HAK_API void *name(RKSt9nothrow_t)(size_t size, const void *tag);                                    \
	HAK_API void *name(RKSt9nothrow_t)(size_t size, const void *tag) { return abi_new_nothrow(size, tag); } \
	HAK_API void *name(St11align_val_t)(size_t size, size_t align);                                      \
	HAK_API void *name(St11align_val_t)(size_t size, size_t align) { return abi_new_aligned(size, align); } \
	HAK_API void *name(St11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *tag);       \
	HAK_API void *name(St11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *tag)        \
	{                                                                                                    \
		void *p = hak_alloc_aligned(abi_align(align), size);                                         \
		return hak_likely(p != NULL) ? p : abi_new_aligned_nothrow_failed(size, align, tag);         \
	}

#define ABI_DELETE_1(name)                                                                                  \
	HAK_API void name(void *p);                                                                          \
	HAK_API void name(void *p) { hak_hot_free(p); }
#define ABI_DELETE_2(name, type)                                                                            \
	HAK_API void name(void *p, type x);                                                                  \
	HAK_API void name(void *p, type x) { (void)x, hak_hot_free(p); }
#define ABI_DELETE_SIZED(name)                                                                              \
	HAK_API void name()(void *p, size_t size);                                                           \
	HAK_API void name()(void *p, size_t size) { hak_hot_delete(p, 0, size); }                            \
	HAK_API void name(St11align_val_t)(void *p, size_t size, size_t align);                              \
	HAK_API void name(St11align_val_t)(void *p, size_t size, size_t align) { hak_hot_delete(p, align, size); }
#define ABI_DELETE_3(name, type2, type3)                                                                    \
	HAK_API void name(void *p, type2 x, type3 y);                                                        \
	HAK_API void name(void *p, type2 x, type3 y) { (void)x, (void)y, hak_hot_free(p); }

ABI_NEW(NEW_NAME)
ABI_NEW(NEW_ARRAY_NAME)
ABI_DELETE_1(_ZdlPv)
ABI_DELETE_1(_ZdaPv)
ABI_DELETE_2(_ZdlPvRKSt9nothrow_t, const void *)
ABI_DELETE_2(_ZdaPvRKSt9nothrow_t, const void *)
ABI_DELETE_SIZED(DELETE_NAME)
ABI_DELETE_SIZED(DELETE_ARRAY_NAME)
ABI_DELETE_2(_ZdlPvSt11align_val_t, size_t)
ABI_DELETE_2(_ZdaPvSt11align_val_t, size_t)
ABI_DELETE_3(_ZdlPvSt11align_val_tRKSt9nothrow_t, size_t, const void *)
ABI_DELETE_3(_ZdaPvSt11align_val_tRKSt9nothrow_t, size_t, const void *)

#endif
