/* SPDX-License-Identifier: MIT */
/* Frees by other threads, the end of a thread, adoption and visits (H1, H4, H5, H6 of lib/heap.h; lib/remote.c), with liveness.
 * Each statement is one atomic operation of the code; what is done inside the heap is two, so that two who are inside meet.
 *
 *	safe      (assertions)  nobody is inside a heap that another is inside, and none is lost
 *	arrives   no parcel stays for ever in the inbox of a heap that nobody has
 *	goes_on   with FREEZE: every thread comes to its end, though any other may stop for ever, anywhere
 *
 * Controls, each of which must fail: 1 an end that does not look at the inbox after the state; 2 a sender that looks at the
 * state before its push; 3 an owner that waits for a visitor; 4 a visitor that does not see that the owner left. */
#ifndef CONTROL
#define CONTROL 0
#endif

#define THREADS 4 /* FEW: the second sender does not come */
#ifndef CALLS
#define CALLS 1 /* of the owner before its end */
#endif

mtype = { live, idle, none, owner, visitor, left };

mtype state = live, use = none;
bool listed, in_stack;
byte inbox;  /* parcels */
byte inside; /* threads */
bool is_done[THREADS], is_frozen[THREADS];

/* Another thread's pace: it may never go on. */
#ifdef FREEZE
inline stop_or_not() {
	if
	:: true
	:: is_frozen[me] = true; goto end_frozen
	fi
}
#define PAUSE stop_or_not();
#else
#define PAUSE
#endif

inline go_in() { inside++; assert(inside == 1) }
inline go_out() { inside-- }

/* hak_heap_enter */
inline enter(ok) {
	PAUSE
	atomic { ok = (use == none); if :: ok -> use = owner :: else fi }
}

/* hak_heap_exit */
inline exit() { PAUSE use = none }

/* hak_heap_enter_last */
inline enter_last(ok) {
	do
	:: enter(ok);
		if
		:: ok -> break
		:: else
		fi;
		PAUSE
		atomic {
			if
			:: use == visitor ->
#if CONTROL != 3
				use = left; break
#else
				skip
#endif
			:: use == none -> skip
			:: else -> break
			fi
		}
	od
}

/* hak_inbox_take_all, and all that follows from it */
inline drain() { go_in(); PAUSE inbox = 0; go_out() }

/* hak_heap_try_visit */
inline try_visit(ok) {
	PAUSE
	atomic { ok = (state == idle); if :: ok -> state = live :: else fi }
}

/* hak_heap_release */
inline release(was) {
	exit();
	PAUSE
	state = idle;
	PAUSE
	atomic { was = listed; listed = true };
	if
	:: !was -> PAUSE in_stack = true
	:: else
	fi
}

/* remote_visit_idle */
inline visit_idle(ok) {
	do
	:: PAUSE
		if
		:: inbox == 0 -> break
		:: else
		fi;
		try_visit(ok);
		if
		:: !ok -> break
		:: else
		fi;
		enter_last(ok);
		if
		:: !ok -> break
		:: else
		fi;
		drain();
		release(ok)
	od
}

/* hak_remote_leave */
inline leave(ok) {
	drain();
	release(ok);
#if CONTROL != 1
	visit_idle(ok)
#endif
}

/* remote_visit_live */
inline visit_live(ok) {
	PAUSE
	atomic { ok = (use == none); if :: ok -> use = visitor :: else fi }
	if
	:: ok ->
		drain();
		PAUSE
#if CONTROL == 4
		use = none
#else
		atomic { ok = (use == visitor); if :: ok -> use = none :: else fi }
		if
		:: !ok -> PAUSE use = owner; leave(ok)
		:: else
		fi
#endif
	:: else
	fi
}

/* hak_heap_acquire: of the stack's one heap */
inline acquire(ok) {
	do
	:: PAUSE
		atomic { ok = in_stack; in_stack = false };
		if
		:: !ok -> break
		:: else
		fi;
		PAUSE
		listed = false;
		try_visit(ok);
		if
		:: ok -> break
		:: else
		fi
	od
}

proctype owning(byte me) {
	bool ok;
	byte calls = CALLS;

	do
	:: calls > 0 -> calls--;
		enter(ok);
		if
		:: ok -> drain(); exit()
		:: else /* borrows another heap */
		fi
	:: break /* a thread may sleep, and work no more before its end */
	od;
	enter_last(ok);
	if
	:: ok -> leave(ok)
	:: else
	fi;
	is_done[me] = true;
end_frozen:
	false
}

/* remote_push */
proctype sending(byte me) {
	bool ok, is_idle;

#if CONTROL == 2
	is_idle = (state == idle);
	PAUSE
	inbox++;
#else
	PAUSE
	inbox++;
	PAUSE
	is_idle = (state == idle);
#endif
	if
	:: is_idle -> visit_idle(ok)
	:: else -> /* the inbox is long, or not */
		if
		:: visit_live(ok)
		:: skip
		fi
	fi;
	is_done[me] = true;
end_frozen:
	false
}

proctype adopting(byte me) {
	bool ok;

	acquire(ok);
	if
	:: ok -> enter_last(ok);
		if
		:: ok -> leave(ok)
		:: else
		fi
	:: else
	fi;
	is_done[me] = true;
end_frozen:
	false
}

init {
	atomic {
		run owning(0);
		run sending(1);
#ifdef FEW
		is_done[2] = true;
#else
		run sending(2);
#endif
		run adopting(3)
	}
	(is_done[0] && is_done[1] && is_done[2] && is_done[3]);
	assert(state == idle && use == none && inbox == 0 && listed && in_stack) /* none is lost */
}

ltl arrives { [] ((state == idle && inbox > 0) -> <> !(state == idle && inbox > 0)) }
ltl goes_on { <> (is_done[0] || is_frozen[0]) && <> (is_done[1] || is_frozen[1]) && <> (is_done[2] || is_frozen[2]) &&
	<> (is_done[3] || is_frozen[3]) }
