#include "block.h"

#include "guard.h"
#include "large.h"
#include "libc.h"
#include "mid.h"
#include "misuse.h"
#include "say.h"
#include "secure.h"
#include "tunables.h"

/* Our own memory, but no block of ours begins there: say what it is and die. */
HAK_FN HAK_COLD HAK_NORETURN void hak_block_die(const char *entry, const void *p, uint32_t tag)
{
	size_t number = hak_registry_number(p);

	if (tag == HAK_TAG_INNER || tag == HAK_TAG_MID)
		hak_say_fatal(HAK_FATAL_INTERIOR, entry, p, (size_t)hak_slab_head(number)->free << HAK_SLAB_SHIFT);
	if (tag == HAK_TAG_LARGE)
		hak_say_fatal(HAK_FATAL_INTERIOR, entry, p, hak_large_size(hak_registry_address(number)));
	if (hak_libc_is_excluded(p))
		hak_say_fatal(HAK_FATAL_NO_BLOCK, entry, p, 0);
	hak_say_fatal(HAK_FATAL_NOT_OURS, entry, p, 0);
}

/* Bytes of the block; *foreign: it is the C library's. */
HAK_FN size_t hak_block_size(const char *entry, const void *p, uint32_t tag, bool *foreign)
{
	*foreign = false;
	if (hak_block_is_ours(tag)) {
		if (hak_unlikely(hak_setting(secure)))
			return hak_secure_size(entry, p);
		if (hak_block_is_mine(hak_block_own(), tag))
			hak_misuse_check(hak_block_own(), hak_block_class(tag), entry, p, HAK_MISUSE_NEAR);
		else
			hak_misuse_check_slab(entry, p);
		return hak_classes[hak_block_class(tag)].size;
	}
	if (hak_block_is_start(p, tag))
		return tag == HAK_TAG_MID ? hak_mid_size(p) : hak_large_size(p);
	if (tag == HAK_TAG_GUARD)
		return hak_guard_size(entry, p);
	*foreign = tag == 0 && hak_libc_is_block(p);
	if (!*foreign)
		hak_block_die(entry, p, tag);
	return hak_libc_usable_size(p);
}
