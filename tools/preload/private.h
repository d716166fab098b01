/* SPDX-License-Identifier: MIT */
/* private: another /etc/ld.so.preload, for the calling process and its children only. */
#ifndef HAK_PRELOAD_PRIVATE_H
#define HAK_PRELOAD_PRIVATE_H

#include <stdbool.h>

#define PRELOAD_FILE "/etc/ld.so.preload"

/* A mount namespace of our own, from which no mount comes out; false with errno. */
bool private_enter(void);

/* Puts the other file in its place, which must exist; false with errno. */
bool private_bind(const char *other);

/* As private_enter for who is not root, by a user namespace. */
bool private_enter_as_user(void);

#endif
