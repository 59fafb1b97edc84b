/* A disk that fails on demand, preloaded into a child process. Settings come from the environment:
 *
 *   SHIM_FOLDER   only files below this folder are meant
 *   SHIM_FAIL     the number of the call that fails, counting from 1 all writes and syncs of these files
 *   SHIM_HOW      eio | enospc | short | lie (each sync is swallowed) | stall (each sync takes 30 ms)
 *   SHIM_ROOM     so many bytes may be written; then the disk is full for the next SHIM_FULL calls, then there is room
 *   SHIM_CUT      at this call the power fails: the process ends, and what was not synced is lost
 *   SHIM_SYNCED   a folder for the images of the files as they are on the disk; needed for SHIM_CUT
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static long calls, fail_at, cut_at, room = -1, full_for;
static const char *folder, *how = "", *synced;
static int ready;

static long number(const char *name, long other) {
    const char *text = getenv(name);
    return text ? atol(text) : other;
}

static void setup(void) {
    if (ready) return;
    ready = 1;
    folder = getenv("SHIM_FOLDER");
    synced = getenv("SHIM_SYNCED");
    if (getenv("SHIM_HOW")) how = getenv("SHIM_HOW");
    fail_at = number("SHIM_FAIL", 0);
    cut_at = number("SHIM_CUT", 0);
    room = number("SHIM_ROOM", -1);
    full_for = number("SHIM_FULL", 0);
}

/* The path of a file that is meant. The index of the log is shared memory: no disk has to hold it. */
static int meant(int fd, char *path) {
    char link[64];
    setup();
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    size_t end = strlen(path);
    if (strncmp(path, folder, strlen(folder)) != 0) return 0;
    if (end > 4 && strcmp(path + end - 4, "-shm") == 0) return 0;
    return strstr(path, "journal.db") != NULL && strstr(path, ".lock") == NULL;
}

static ssize_t real_pwrite(int fd, const void *data, size_t length, off_t at) {
    static ssize_t (*call)(int, const void *, size_t, off_t);
    if (!call) call = dlsym(RTLD_NEXT, "pwrite");
    return call(fd, data, length, at);
}

static ssize_t real_write(int fd, const void *data, size_t length) {
    static ssize_t (*call)(int, const void *, size_t);
    if (!call) call = dlsym(RTLD_NEXT, "write");
    return call(fd, data, length);
}

/* The image of a file that a power cut leaves. */
static void keep(const char *path) {
    char target[PATH_MAX], buffer[1 << 16];
    if (!synced) return;
    const char *name = strrchr(path, '/');
    snprintf(target, sizeof target, "%s%s", synced, name ? name : path);
    int from = open(path, O_RDONLY), to = open(target, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    ssize_t length;
    while (from >= 0 && to >= 0 && (length = read(from, buffer, sizeof buffer)) > 0) {
        if (real_write(to, buffer, length) != length) break;
    }
    if (from >= 0) close(from);
    if (to >= 0) close(to);
}

/* Counts a call; says whether it fails, and with what. */
static int fails(void) {
    calls++;
    if (cut_at && calls == cut_at) _exit(77);
    if (!fail_at || calls != fail_at) return 0;
    if (strcmp(how, "eio") == 0) return EIO;
    if (strcmp(how, "enospc") == 0) return ENOSPC;
    if (strcmp(how, "short") == 0) return -1;
    return 0;
}

static int is_full(size_t length) {
    if (room < 0) return 0;
    if ((long)length <= room) {
        room -= length;
        return 0;
    }
    if (full_for-- > 0) return 1;
    room = LONG_MAX;
    return 0;
}

static ssize_t change(int fd, const void *data, size_t length, off_t at, int has_place) {
    char path[PATH_MAX];
    if (!meant(fd, path)) return has_place ? real_pwrite(fd, data, length, at) : real_write(fd, data, length);
    pthread_mutex_lock(&one);
    int error = fails();
    if (!error && is_full(length)) error = ENOSPC;
    pthread_mutex_unlock(&one);
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error < 0 && length > 1) length /= 2;
    return has_place ? real_pwrite(fd, data, length, at) : real_write(fd, data, length);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return change(fd, data, length, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t at) { return change(fd, data, length, at, 1); }
ssize_t write(int fd, const void *data, size_t length) { return change(fd, data, length, 0, 0); }

static int sync_file(int fd, const char *name) {
    char path[PATH_MAX];
    int (*call)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (!meant(fd, path)) return call(fd);
    pthread_mutex_lock(&one);
    int error = fails();
    if (error > 0) {
        pthread_mutex_unlock(&one);
        errno = error;
        return -1;
    }
    if (strcmp(how, "stall") == 0) {
        struct timespec pause = {0, 30 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    if (strcmp(how, "lie") != 0) keep(path);
    pthread_mutex_unlock(&one);
    /* The image is the disk here; waiting for the real one would only take time. */
    return 0;
}

int fsync(int fd) { return sync_file(fd, "fsync"); }
int fdatasync(int fd) { return sync_file(fd, "fdatasync"); }
