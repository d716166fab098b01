#include "starve.h"

#include <string.h>

HAK_DEF struct hak_starve hak_starve;

/* The reason's byte of the word, whatever the machine's byte order. */
static uint32_t starve_byte(enum hak_starve_reason reason)
{
	unsigned char bytes[sizeof(uint32_t)] = { 0 };
	uint32_t word;

	bytes[reason] = 0xff;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

HAK_FN bool hak_starve_is_for(enum hak_starve_reason reason)
{
	return (hak_load(&hak_starve.on, relaxed) & starve_byte(reason)) != 0;
}

HAK_FN void hak_starve_on(enum hak_starve_reason reason)
{
	hak_fetch_or(&hak_starve.on, starve_byte(reason), seq_cst); /* X3; partner: hak_starve_follow */
	hak_store(&hak_registry.shown, 0, seq_cst);
}

HAK_FN void hak_starve_off(enum hak_starve_reason reason)
{
	hak_fetch_and(&hak_starve.on, ~starve_byte(reason), seq_cst);
}

HAK_FN bool hak_starve_follow(void)
{
	size_t shown = hak_load(&hak_registry.shown, seq_cst), slabs = hak_load(&hak_registry.slabs, acquire);

	if (hak_load(&hak_starve.on, seq_cst) || hak_setting(secure)) {
		if (shown) /* it was set a moment ago */
			hak_store(&hak_registry.shown, 0, seq_cst);
		return false;
	}
	if (!hak_cas(&hak_registry.shown, &shown, slabs, seq_cst))
		return false;
	if (hak_load(&hak_starve.on, seq_cst)) { /* X3; partner: hak_starve_on */
		hak_store(&hak_registry.shown, 0, seq_cst);
		return false;
	}
	return shown == 0;
}

HAK_FN void hak_starve_after_fork(void)
{
	hak_starve_off(HAK_STARVE_PROFILE);
	hak_starve_off(HAK_STARVE_RECORD);
}
