/* bits: small arithmetic on words and addresses.  Floor 0. */
#ifndef HAK_BITS_H
#define HAK_BITS_H

#include "cc.h"

HAK_HOT unsigned hak_lowest_bit(uint64_t x) { return (unsigned)__builtin_ctzll(x); }     /* x != 0 */
HAK_HOT unsigned hak_highest_bit(uint64_t x) { return 63u - (unsigned)__builtin_clzll(x); } /* x != 0 */
/* Few bits are set, most often none: cheaper than the compiler's call where there is no instruction for it. */
HAK_HOT unsigned hak_count_bits(uint64_t x)
{
	unsigned n = 0;

	for (; x; x &= x - 1)
		n++;
	return n;
}

HAK_HOT size_t hak_align_up(size_t x, size_t a) { return (x + a - 1) & ~(a - 1); } /* a: power of two */
HAK_HOT size_t hak_align_down(size_t x, size_t a) { return x & ~(a - 1); }
HAK_HOT bool hak_is_power_of_two(size_t x) { return x != 0 && (x & (x - 1)) == 0; }

/* Milliseconds from `stamp` to `now`; 0 if the stamp is a little later: another thread looked at the clock after us. */
HAK_HOT uint32_t hak_elapsed(uint32_t now, uint32_t stamp) { return now - stamp > UINT32_MAX - 60000 ? 0 : now - stamp; }

/* The mixer of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t hak_mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

HAK_HOT uint64_t hak_word_at(const unsigned char *p) /* on any address */
{
	uint64_t word;

	__builtin_memcpy(&word, p, sizeof(word));
	return word;
}

typedef uint64_t hak_words __attribute__((vector_size(16), aligned(1), may_alias));

/* Does each of these bytes hold that value?  Eight words at a time, by the machine's vectors if it has any. */
static inline bool hak_is_filled(const void *bytes, size_t size, unsigned char value)
{
	uint64_t all = UINT64_C(0x0101010101010101) * value, differs;
	hak_words pair = { all, all }, found = { 0, 0 };
	const unsigned char *p = bytes;

	for (; size >= 64; p += 64, size -= 64) {
		const hak_words *v = (const hak_words *)(const void *)p;

		found |= (v[0] ^ pair) | (v[1] ^ pair) | (v[2] ^ pair) | (v[3] ^ pair);
	}
	differs = found[0] | found[1];
	for (; size >= 8; p += 8, size -= 8)
		differs |= hak_word_at(p) ^ all;
	for (; size > 0; p++, size--)
		differs |= (uint64_t)(*p ^ value);
	return differs == 0;
}

/* The low n bits set, 1 <= n <= 32. */
HAK_HOT uint32_t hak_low_mask(unsigned n) { return n >= 32 ? UINT32_MAX : (UINT32_C(1) << n) - 1; }

HAK_HOT uint32_t hak_lowest_run(uint32_t x) { return x & ~(x + (x & -x)); } /* of ones; x != 0 */

/* Bit i of the result: bits i..i+k-1 of x are all set. */
static inline uint32_t hak_runs_of(uint32_t x, unsigned k)
{
	unsigned have = 1;

	while (have < k && x) {
		unsigned step = have < k - have ? have : k - have;
		x &= x >> step;
		have += step;
	}
	return x;
}

#endif
