# SPDX-License-Identifier: MIT

# What the headers name and what the kernel of this machine can do.  Nothing here changes the code: a library is built
# on one kernel and runs on others.  A packager may preset the hakmem_cv_sys_* and hakmem_cv_header_* values.

m4_define([HAKMEM_KERNEL_HEADERS], [[
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __has_include
#if __has_include(<linux/mman.h>)
#include <linux/mman.h>
#endif
#if __has_include(<linux/prctl.h>)
#include <linux/prctl.h>
#endif
#endif
]])

# Numbers for headers older than the kernel; rseq and membarrier have another number on each machine.
m4_define([HAKMEM_KERNEL_PROGRAM], [AC_LANG_PROGRAM([HAKMEM_KERNEL_HEADERS [
enum { huge = 2 << 20, small = 64 << 10 };
enum { advice_free = 8, advice_hugepage = 14, advice_populate_write = 23, advice_collapse = 25, advice_guard = 102 };
enum { fixed_noreplace = 0x100000, set_vma = 0x53564d41, call_pidfd_open = 434, call_process_madvise = 440 };

static void *map(void *at, size_t size, int flags)
{
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* One huge page, where a huge page can lie. */
static char *aligned(void)
{
	char *range = map(NULL, 2 * huge, 0);

	return range + (huge - (uintptr_t)range % huge) % huge;
}

/* Out of memory or busy is not the same as unknown. */
static int is_known(long result)
{
	return result >= 0 || (errno != EINVAL && errno != ENOSYS && errno != EPERM);
}
]], [return ($1) ? 0 : 1;])])

# HAKMEM_KERNEL_FEATURE(MACRO, NAME, EXPRESSION)
# MACRO is what a header would define, EXPRESSION is true where the running kernel can do it.
AC_DEFUN([HAKMEM_KERNEL_FEATURE], [
  AC_CACHE_CHECK([whether a header has $1], [hakmem_cv_header_$2],
    [AC_COMPILE_IFELSE([AC_LANG_PROGRAM([HAKMEM_KERNEL_HEADERS], [
#ifndef $1
#error no $1
#endif
])], [hakmem_cv_header_$2=yes], [hakmem_cv_header_$2=no])])
  AC_CACHE_CHECK([whether this kernel has $2], [hakmem_cv_sys_$2],
    [AC_RUN_IFELSE([HAKMEM_KERNEL_PROGRAM([$3])],
      [hakmem_cv_sys_$2=yes], [hakmem_cv_sys_$2=no], [hakmem_cv_sys_$2="unknown (cross)"])])
  AS_VAR_APPEND([hakmem_kernel_report], ["`printf '  %-22s header %-4s build kernel %-16s used: run time' \
    'm4_bpatsubst([$1], [^SYS_])' "$hakmem_cv_header_$2," "$hakmem_cv_sys_$2,"`
"])])

AC_DEFUN([HAKMEM_KERNEL_FEATURES], [
  hakmem_kernel_report=
  HAKMEM_KERNEL_FEATURE([MADV_POPULATE_WRITE], [populate_write], [is_known(madvise(aligned(), small, advice_populate_write))])
  HAKMEM_KERNEL_FEATURE([MADV_HUGEPAGE], [hugepage], [is_known(madvise(aligned(), huge, advice_hugepage))])
  HAKMEM_KERNEL_FEATURE([MADV_COLLAPSE], [collapse],
    [is_known(madvise(memset(aligned(), 1, huge), huge, advice_collapse))])
  HAKMEM_KERNEL_FEATURE([MADV_FREE], [madvise_free], [is_known(madvise(aligned(), small, advice_free))])
  HAKMEM_KERNEL_FEATURE([MADV_GUARD_INSTALL], [guard_install], [is_known(madvise(aligned(), small, advice_guard))])
  HAKMEM_KERNEL_FEATURE([MAP_FIXED_NOREPLACE], [fixed_noreplace],
    [map(aligned(), small, fixed_noreplace) == MAP_FAILED && errno == EEXIST])
  HAKMEM_KERNEL_FEATURE([PR_SET_VMA_ANON_NAME], [set_vma_anon_name],
    [is_known(prctl(set_vma, 0UL, (unsigned long)aligned(), (unsigned long)small, (unsigned long)"hakmem"))])
  HAKMEM_KERNEL_FEATURE([SYS_process_madvise], [process_madvise],
    [is_known(syscall(call_process_madvise, (int)syscall(call_pidfd_open, getpid(), 0),
      &(struct iovec){aligned(), small}, 1UL, 20, 0))])
  HAKMEM_KERNEL_FEATURE([SYS_rseq], [rseq], [syscall(SYS_rseq, NULL, 0, 0, 0) == 0 || errno != ENOSYS])
  HAKMEM_KERNEL_FEATURE([SYS_membarrier], [membarrier], [syscall(SYS_membarrier, 0, 0, 0) > 0])])
