#include "libc.h"

#include <dlfcn.h>

#include "os.h"
#include "registry.h"

/* Unless the kernel chose the window's place, no block of another allocator lies in it. */
HAK_FN bool hak_libc_is_excluded(const void *p)
{
	size_t number = hak_registry_number(p);

	if (number >= hak_registry_slabs())
		return false;
	return !hak_registry.follow || hak_load(&hak_registry_slot(number / HAK_SS_SLABS)->state, relaxed) > HAK_SLOT_TAKEN;
}

#if defined(PIC) && !defined(HAK_NO_LIBC_NAMES)

/* glibc exports these for allocators like ours; in a static link they would bring its malloc.o in. */
extern void __libc_free(void *p) HAK_WEAK;
extern void *__libc_malloc(size_t size) HAK_WEAK;
extern void *__libc_calloc(size_t count, size_t size) HAK_WEAK;
extern void *__libc_memalign(size_t align, size_t size) HAK_WEAK;
extern void *__libc_realloc(void *p, size_t size) HAK_WEAK;
extern void *dlsym(void *restrict handle, const char *restrict name) HAK_WEAK;
extern char *__curbrk HAK_WEAK;

HAK_FN bool hak_libc_is_there(void)
{
	return __libc_free && __libc_malloc && __libc_calloc && __libc_memalign && __libc_realloc;
}

/* Behind a chunk lies another one's head, if only that of what is free at the end, and says that the one before is in use.
 * On the same page it can be read, as the chunk's own was.  Where nobody says whether it can, its own must do. */
static bool libc_has_next(const void *p, size_t size)
{
	uintptr_t own = (uintptr_t)p - 2 * sizeof(size_t), next = own + size;
	enum hak_os_result can_read = next < own ? HAK_OS_REFUSED : HAK_OS_OK;

	if (can_read == HAK_OS_OK && (own ^ next) >= hak_registry.page)
		can_read = hak_os_look((const void *)next);
	return can_read == HAK_OS_UNKNOWN || (can_read == HAK_OS_OK && (((const size_t *)next)[1] & 1) != 0);
}

/* Does this look like the head of a glibc chunk (malloc/malloc.c, "Chunk format")? */
HAK_FN bool hak_libc_is_block(const void *p)
{
	size_t head, before, size, page = hak_registry.page;

	if (!hak_libc_is_there() || hak_libc_is_excluded(p))
		return false;
	if (hak_setting(disable))
		return true; /* B2; its free looks at the chunk too */
	if ((uintptr_t)p % (2 * sizeof(size_t)) != 0 || (uintptr_t)p < page ||
	    hak_os_look((const size_t *)p - 2) == HAK_OS_REFUSED)
		return false;
	head = ((const size_t *)p)[-1];
	before = ((const size_t *)p)[-2];
	size = head & ~(size_t)7;
	if (head & 2) /* mapped on its own */
		return ((((uintptr_t)p - 2 * sizeof(size_t) - before) | (before + size)) & (page - 1)) == 0;
	/* a multiple of 16, with 32 bits on some machines of 8 */
	if (size < 4 * sizeof(size_t) || size % (2 * sizeof(size_t)) != 0 || size >> (HAK_ADDRESS_BITS - 1) != 0)
		return false;
	return ((head & 4) != 0 || !&__curbrk || (const char *)p < __curbrk) && libc_has_next(p, size);
}

HAK_FN void *hak_libc_malloc(size_t size) { return __libc_malloc(size); }
HAK_FN void *hak_libc_zeroed(size_t size) { return __libc_calloc(1, size); }
HAK_FN void *hak_libc_resize(void *p, size_t size) { return __libc_realloc(p, size); }
HAK_FN void hak_libc_free(void *p) { __libc_free(p); }

HAK_FN void *hak_libc_aligned(size_t align, size_t size)
{
	return align > HAK_ALIGN ? __libc_memalign(align, size) : __libc_malloc(size);
}

HAK_FN size_t hak_libc_usable_size(const void *p)
{
	size_t head = ((const size_t *)p)[-1];

	return (head & ~(size_t)7) - ((head & 2) ? 2 : 1) * sizeof(size_t);
}

HAK_FN void *hak_libc_find(const char *name) { return dlsym ? dlsym(RTLD_NEXT, name) : NULL; }

#else

HAK_FN bool hak_libc_is_there(void) { return false; }
HAK_FN bool hak_libc_is_block(const void *p) { return (void)p, false; }
HAK_FN void *hak_libc_malloc(size_t size) { return (void)size, NULL; }
HAK_FN void *hak_libc_zeroed(size_t size) { return (void)size, NULL; }
HAK_FN void *hak_libc_aligned(size_t align, size_t size) { return (void)align, (void)size, NULL; }
HAK_FN void *hak_libc_resize(void *p, size_t size) { return (void)p, (void)size, NULL; }
HAK_FN void hak_libc_free(void *p) { (void)p; }
HAK_FN size_t hak_libc_usable_size(const void *p) { return (void)p, 0; }
HAK_FN void *hak_libc_find(const char *name) { return (void)name, NULL; }

#endif
