# SPDX-License-Identifier: MIT

# HAKMEM_CHECK_CFLAGS(VARIABLE, FLAGS)
# Substitutes VARIABLE by those of FLAGS that the C compiler takes without a warning.
AC_DEFUN([HAKMEM_CHECK_CFLAGS], [
  $1=
  m4_foreach_w([hakmem_flag], [$2], [
    AS_VAR_PUSHDEF([cached], [hakmem_cv_cflag_]m4_translit(m4_defn([hakmem_flag]), [,=], [__]))
    AC_CACHE_CHECK([whether $CC takes hakmem_flag], [cached],
      [hakmem_saved_CFLAGS=$CFLAGS
       CFLAGS="$CFLAGS -Werror hakmem_flag"
       AC_COMPILE_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
       CFLAGS=$hakmem_saved_CFLAGS])
    AS_VAR_IF([cached], [yes], [$1="$$1 hakmem_flag"])
    AS_VAR_POPDEF([cached])])
  $1=${$1# }
  AC_SUBST([$1])])

# HAKMEM_CHECK_LDFLAGS(VARIABLE, FLAGS)
# Substitutes VARIABLE by those of FLAGS with which a program can be linked.
AC_DEFUN([HAKMEM_CHECK_LDFLAGS], [
  $1=
  m4_foreach_w([hakmem_flag], [$2], [
    AS_VAR_PUSHDEF([cached], [hakmem_cv_ldflag_]m4_translit(m4_dquote(m4_defn([hakmem_flag])), [,=], [__]))
    AC_CACHE_CHECK([whether the linker takes hakmem_flag], [cached],
      [hakmem_saved_LDFLAGS=$LDFLAGS
       LDFLAGS="$LDFLAGS hakmem_flag"
       AC_LINK_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
       LDFLAGS=$hakmem_saved_LDFLAGS])
    AS_VAR_IF([cached], [yes], [$1="$$1 hakmem_flag"])
    AS_VAR_POPDEF([cached])])
  $1=${$1# }
  AC_SUBST([$1])])

# HAKMEM_CHECK_VERSION_SCRIPT
# Sets the conditional VERSION_SCRIPT if the linker gives versions to symbols by --version-script.
AC_DEFUN([HAKMEM_CHECK_VERSION_SCRIPT], [
  AC_CACHE_CHECK([whether the linker takes a version script], [hakmem_cv_ld_version_script],
    [AS_ECHO(["TEST_1.0 { global: test_*; };"]) > conftest.map
     hakmem_saved_LDFLAGS=$LDFLAGS
     hakmem_saved_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS -fPIC"
     LDFLAGS="$LDFLAGS -shared -Wl,--version-script=conftest.map"
     AC_LINK_IFELSE([AC_LANG_SOURCE([[int test_it(void); int test_it(void) { return 0; }]])],
       [hakmem_cv_ld_version_script=yes], [hakmem_cv_ld_version_script=no])
     CFLAGS=$hakmem_saved_CFLAGS
     LDFLAGS=$hakmem_saved_LDFLAGS
     rm -f conftest.map])
  AM_CONDITIONAL([VERSION_SCRIPT], [test "$hakmem_cv_ld_version_script" = yes])])

# HAKMEM_CHECK_SANITIZER(FLAGS)
# Stops unless a program can be linked with FLAGS.
AC_DEFUN([HAKMEM_CHECK_SANITIZER], [
  AC_MSG_CHECKING([whether $CC links with $1])
  hakmem_saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS $1"
  AC_LINK_IFELSE([AC_LANG_PROGRAM],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([$CC has no run-time library for $1])])
  CFLAGS=$hakmem_saved_CFLAGS])

# HAKMEM_CHECK_STATIC_GLIBC: sets STATIC_LDFLAGS to what links a static program that runs, or to nothing if there is no
# static glibc.  Some distributions' flags make a program of -static-pie that does not run.
AC_DEFUN([HAKMEM_CHECK_STATIC_GLIBC], [
  AC_CACHE_CHECK([how to link a static program with glibc], [hakmem_cv_ld_static], [
    hakmem_cv_ld_static=no
    hakmem_saved_ldflags=$LDFLAGS
    for hakmem_flag in -static -static-pie; do
      LDFLAGS="$hakmem_saved_ldflags $hakmem_flag"
      AC_RUN_IFELSE([AC_LANG_PROGRAM([[
#include <stdlib.h>
#ifndef __GLIBC__
#error
#endif
]], [[free(malloc(1))]])],
        [hakmem_cv_ld_static=$hakmem_flag], [],
        [AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#include <stdlib.h>
#ifndef __GLIBC__
#error
#endif
]], [[free(malloc(1))]])], [AS_IF([test "$hakmem_flag" = -static], [hakmem_cv_ld_static=-static])])])
    done
    LDFLAGS=$hakmem_saved_ldflags
  ])
  AC_SUBST([STATIC_LDFLAGS])
  AS_IF([test "$hakmem_cv_ld_static" != no], [STATIC_LDFLAGS=$hakmem_cv_ld_static])
])
