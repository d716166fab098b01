/*
 * measure - run one command with a preload, a time limit and its output in files; say what it cost; leave nothing behind.
 *
 *     measure REPORT LIMIT PRELOAD STDOUT STDERR COMMAND [ARG...]
 *
 * REPORT gets one line: exit status, seconds elapsed, user seconds, system seconds, peak RSS in KiB (of the largest process),
 * minor faults, number of processes that had to be killed.  The exit status is the command's own, 128 + signal, or 124 when
 * LIMIT seconds were over.
 *
 * The command's orphans become children of this process (PR_SET_CHILD_SUBREAPER), so daemons are found, measured and ended
 * exactly, whatever session or group they moved to, and no other process is ever touched.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE 2.0	/* seconds that orphans have to end by themselves */

static volatile sig_atomic_t told_to_stop;

static void on_signal(int signal_number)
{
	told_to_stop = signal_number;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void redirect(const char *path, int descriptor)
{
	int opened = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (opened < 0 || dup2(opened, descriptor) < 0)
		die(path);
	close(opened);
}

static pid_t start(char **arguments)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child > 0)
		return child;
	/* Its own group: a signal that a test sends to "all of mine" stays inside. */
	setpgid(0, 0);
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		die("/dev/null");
	if (null != STDIN_FILENO)
		close(null);
	redirect(arguments[4], STDOUT_FILENO);
	redirect(arguments[5], STDERR_FILENO);
	if (*arguments[3] != '\0')
		setenv("LD_PRELOAD", arguments[3], 1);
	execvp(arguments[6], arguments + 6);
	die(arguments[6]);
	return -1;
}

/* The parent of a process, from /proc/PID/stat; 0 if it is gone.  The name in brackets may hold anything, so look from its end. */
static pid_t parent_of(const char *pid)
{
	char path[64], text[512];

	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	ssize_t length = read(file, text, sizeof text - 1);
	close(file);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	const char *bracket = strrchr(text, ')');
	int parent = 0;
	if (bracket == NULL || sscanf(bracket + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static int kill_children(void)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	pid_t self = getpid();
	int killed = 0;

	if (directory == NULL)
		die("/proc");
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || parent_of(entry->d_name) != self)
			continue;
		if (kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL) == 0)
			killed++;
	}
	closedir(directory);
	return killed;
}

static int code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_sec = 0, .tv_nsec = 5 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void report(const char *path, int code, double elapsed, int killed)
{
	struct rusage used;
	FILE *file = fopen(path, "w");

	if (file == NULL)
		die(path);
	getrusage(RUSAGE_CHILDREN, &used);
	fprintf(file, "%d %.2f %.2f %.2f %ld %ld %d\n", code, elapsed, seconds(used.ru_utime), seconds(used.ru_stime),
		used.ru_maxrss, used.ru_minflt, killed);
	if (fclose(file) != 0)
		die(path);
}

int main(int count, char **arguments)
{
	if (count < 7) {
		fputs("usage: measure REPORT LIMIT PRELOAD STDOUT STDERR COMMAND [ARG...]\n", stderr);
		return 125;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	const struct sigaction stop = { .sa_handler = on_signal };
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);

	double begin = now(), limit = begin + strtod(arguments[2], NULL), elapsed = 0;
	int code = -1, killed = 0;
	pid_t child = start(arguments);

	for (;;) {
		int status;
		pid_t ended = waitpid(-1, &status, WNOHANG);
		if (ended < 0 && errno == ECHILD)
			break;
		if (ended == child) {
			code = code_of(status);
			elapsed = now() - begin;
			limit = now() + GRACE;
		}
		if (ended > 0)
			continue;
		if (told_to_stop || now() > limit) {
			int more = kill_children();
			if (code < 0) {
				code = told_to_stop ? 128 + told_to_stop : 124;
				child = -1;
				elapsed = now() - begin;
			}
			killed += more;
		}
		pause_briefly();
	}
	report(arguments[1], code, elapsed, killed);
	return code;
}
