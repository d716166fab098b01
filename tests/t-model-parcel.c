/* SPDX-License-Identifier: MIT */
/* The stock of parcels and an inbox in all schedules of short scripts: no parcel is in two places (P1), none is lost; and
 * the stock without its counter, as a control: the explorer finds the ABA.
 * Links: model (nothing; its room is included). */
#include "explore.h"

static bool is_tagged;

#define STOCK_STEP (is_tagged ? STOCK_MASK + 1 : 0)
#include "../lib/parcel.c"

enum { parcel_count = 4 };

/* No more than are there. */
HAK_FN void *hak_meta_alloc(size_t size, size_t align)
{
	(void)size, (void)align;
	return NULL;
}

static struct {
	struct hak_parcel parcel HAK_ALIGNED(HAK_PARCEL_SIZE);
} parcels[parcel_count];

static unsigned owner[parcel_count]; /* thread + 1; 0: in the stock or the inbox */
static hak_inbox inbox;
static unsigned received; /* bits of parcels that the receiver got */

_Static_assert(sizeof(parcels[0]) == HAK_PARCEL_SIZE, "the stock's heads hold multiples of 512");

/* ---- the world ---- */

static void start_with(unsigned in_stock)
{
	memset(parcels, 0, sizeof(parcels));
	memset(owner, 0, sizeof(owner));
	parcel_stock = 0;
	inbox = NULL;
	received = 0;
	for (unsigned i = parcel_count; i-- > 0;)
		if (i < in_stock)
			hak_parcel_put(&parcels[i].parcel);
		else
			owner[i] = parcel_count; /* for the senders, below */
}

static void three_tagged(void)
{
	is_tagged = true;
	start_with(3);
}

static void one_tagged(void)
{
	is_tagged = true;
	start_with(1);
}

static void three_untagged(void)
{
	is_tagged = false;
	start_with(3);
}

static void all_outside(void)
{
	is_tagged = true;
	start_with(0);
}

static unsigned number(const struct hak_parcel *p)
{
	return (unsigned)((size_t)((const char *)p - (const char *)parcels) / sizeof(parcels[0]));
}

static struct hak_parcel *get(void)
{
	struct hak_parcel *p = hak_parcel_get(2);

	if (p) {
		model_require(owner[number(p)] == 0);
		owner[number(p)] = model_self() + 1;
	}
	return p;
}

static void put(struct hak_parcel *p)
{
	if (!p)
		return;
	model_require(owner[number(p)] == model_self() + 1);
	owner[number(p)] = 0;
	hak_parcel_put(p);
}

/* All that were in the stock at the start are there again. */
static void check_stock(unsigned in_stock)
{
	unsigned n = 0;

	for (unsigned i = 0; i < parcel_count; i++)
		model_require(owner[i] == 0 || owner[i] == parcel_count);
	while (n <= parcel_count && hak_parcel_get(2))
		n++;
	model_require(n == in_stock); /* more: a circle; less: lost */
}

static void check_three(void)
{
	check_stock(3);
}
static void check_one(void)
{
	check_stock(1);
}

/* ---- scripts of the stock ---- */

static void get_put(void)
{
	put(get());
}

static void get_put_twice(void)
{
	put(get());
	put(get());
}

/* Who gets two and puts the first back leaves the head as it was, but not what is behind it. */
static void get_two_put_crosswise(void)
{
	struct hak_parcel *a = get(), *b = get();

	put(a);
	put(b);
}

/* ---- scripts of the inbox ---- */

static void push(unsigned i)
{
	owner[i] = 0;
	hak_parcel_push(&inbox, &parcels[i].parcel);
}

static void push_two(void)
{
	push(0);
	push(1);
}

static void push_other_two(void)
{
	push(2);
	push(3);
}

static void push_third(void)
{
	push(2);
}

static void receive(void)
{
	struct hak_parcel *p = hak_inbox_take_all(&inbox), *next;

	for (; p; p = next) {
		next = hak_load(&p->next, relaxed);
		model_require(owner[number(p)] == 0 && (received >> number(p) & 1) == 0);
		received |= 1u << number(p);
		owner[number(p)] = model_self() + 1;
	}
}

static void receive_twice(void)
{
	receive();
	receive();
}

/* The receiver puts into the stock what the senders then take and push again. */
static void receive_to_stock(void)
{
	struct hak_parcel *p = hak_inbox_take_all(&inbox), *next;

	for (; p; p = next) {
		next = hak_load(&p->next, relaxed);
		model_require(owner[number(p)] == 0);
		owner[number(p)] = model_self() + 1;
		put(p);
	}
}

static void get_push(void)
{
	struct hak_parcel *p = get();

	if (!p)
		return;
	owner[number(p)] = 0;
	hak_parcel_push(&inbox, p);
}

static void get_push_twice(void)
{
	get_push();
	get_push();
}

static void receive_to_stock_twice(void)
{
	receive_to_stock();
	receive_to_stock();
}

static void check_received(unsigned expected)
{
	receive();
	model_require(received == expected && hak_inbox_is_empty(&inbox));
}

static void check_four(void)
{
	check_received(15);
}
static void check_three_received(void)
{
	check_received(7);
}

static void check_round(void)
{
	receive_to_stock();
	check_stock(3);
}

int main(void)
{
	static const struct {
		const char *name;
		struct model model;
	} models[] = {
		{"stock: get and put, two", {three_tagged, {get_put_twice, get_two_put_crosswise}, check_three, 4}},
		{"stock: crosswise, two",
		 {three_tagged, {get_two_put_crosswise, get_two_put_crosswise}, check_three, 4}},
		{"stock: three", {three_tagged, {get_put, get_two_put_crosswise, get_put_twice}, check_three, 3}},
		{"stock of one: three", {one_tagged, {get_put_twice, get_put, get_two_put_crosswise}, check_one, 3}},
		{"inbox: two senders", {all_outside, {push_two, push_other_two, receive_twice}, check_four, 3}},
		{"inbox: two receivers",
		 {all_outside, {push_two, push_third, receive, receive}, check_three_received, 3}},
		{"round: stock, inbox, stock",
		 {three_tagged, {get_push_twice, get_push, receive_to_stock_twice}, check_round, 2}},
	};
	static const struct model untagged = {three_untagged, {get_put, get_two_put_crosswise}, check_three, 3};

	explore_or_skip_all();
	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++)
		explore_good(models[i].name, &models[i].model);
	explore_bad("stock without its counter", &untagged);
	return done();
}
