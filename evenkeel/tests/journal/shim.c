/* A disk that fails on demand, preloaded into a child process. Settings come from the environment:
 *
 *   SHIM_FOLDER   only files of a journal in this folder are meant
 *   SHIM_FAIL     the number of the call that fails, from 1
 *   SHIM_KIND     write | sync: which calls of these files SHIM_FAIL counts; otherwise both
 *   SHIM_HOW      eio | enospc | short (half is written) | torn (half is written, then the disk is full for one call)
 *                 | lie (each sync is swallowed) | stall (each sync takes 30 ms)
 *   SHIM_ROOM     this many bytes may be changed; then the disk is full for the next SHIM_FULL calls, then there is room
 *   SHIM_CUT      at this call the power fails: the process ends. If a call is to fail, those after it are counted
 *   SHIM_SYNCED   a folder for the images of the files as a power cut leaves them: what was synced, and nothing else
 *   SHIM_MET      a file that is made when the call of SHIM_FAIL or SHIM_CUT has come, or the disk is full
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, FILES = 16, CHANGES = 64 };
enum kind { WRITE, SYNC };

/* A file with the blocks that its image does not have. An image that this process has not yet brought up to date lacks
 * all of them. */
struct file {
    ino_t inode;
    int image;
    int is_known;
    unsigned char *dirty;
    size_t blocks;
};

/* A name that was changed; an empty `to` says that it is gone. It holds once the folder is synced. */
struct change {
    char from[PATH_MAX], to[PATH_MAX];
};

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static long calls, until_cut, fail_at, room = -1, full_for;
static int is_torn;
static const char *folder, *how = "", *which = "", *synced, *met;
static struct file files[FILES];
static struct change changes[CHANGES];
static int change_count;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

static long number(const char *name, long other) {
    const char *text = getenv(name);
    return text ? atol(text) : other;
}

__attribute__((constructor)) static void setup(void) {
    if (real_write) return;
    real_pwrite = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    real_rename = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    real_unlink = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    folder = getenv("SHIM_FOLDER");
    synced = getenv("SHIM_SYNCED");
    met = getenv("SHIM_MET");
    if (getenv("SHIM_HOW")) how = getenv("SHIM_HOW");
    if (getenv("SHIM_KIND")) which = getenv("SHIM_KIND");
    fail_at = number("SHIM_FAIL", 0);
    until_cut = number("SHIM_CUT", 0);
    room = number("SHIM_ROOM", -1);
    full_for = number("SHIM_FULL", 0);
    real_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
}

/* Whether a path is meant. The index of the log is shared memory: no disk has to hold it. */
static int is_meant(const char *path) {
    size_t end = strlen(path);
    if (!folder || strncmp(path, folder, strlen(folder)) != 0) return 0;
    if (end > 4 && strcmp(path + end - 4, "-shm") == 0) return 0;
    return strstr(path, "journal.db") != NULL && strstr(path, ".lock") == NULL;
}

static int path_of(int fd, char *path) {
    char link[64];
    setup();
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return 1;
}

static void image_of(const char *path, char *target) {
    const char *name = strrchr(path, '/');
    snprintf(target, PATH_MAX, "%s%s", synced, name ? name : path);
}

static struct file *find(ino_t inode) {
    for (int at = 0; at < FILES; at++) {
        if (files[at].inode == inode) return &files[at];
    }
    return NULL;
}

/* The entry of a file: its own, or an empty one. */
static struct file *file_of(ino_t inode) {
    struct file *file = find(inode);
    if (!file) file = find(0);
    if (!file) abort();
    file->inode = inode;
    return file;
}

/* Another file may get the number of one that is gone. */
static void forget(ino_t inode) {
    struct file *file = find(inode);
    if (!file) return;
    if (file->is_known) close(file->image);
    free(file->dirty);
    memset(file, 0, sizeof *file);
}

/* Notes blocks that the disk does not have. */
static void soil(int fd, off_t at, size_t length) {
    struct stat data;
    if (!synced || !length || fstat(fd, &data) != 0) return;
    struct file *file = file_of(data.st_ino);
    size_t last = (at + length - 1) / BLOCK;
    if (last >= file->blocks) {
        size_t blocks = (last + 1) * 2;
        file->dirty = realloc(file->dirty, blocks);
        if (!file->dirty) abort();
        memset(file->dirty + file->blocks, 0, blocks - file->blocks);
        file->blocks = blocks;
    }
    memset(file->dirty + at / BLOCK, 1, last - at / BLOCK + 1);
}

/* Opens the image of a file; says whether that was to be done. */
static int open_image(struct file *file, const char *path) {
    char target[PATH_MAX];
    if (file->is_known) return 0;
    image_of(path, target);
    file->image = open(target, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (file->image < 0) abort();
    file->is_known = 1;
    return 1;
}

/* Brings the image of a file up to date. It is never less than what was synced before: the process may be killed here. */
static void keep(int fd, const char *path) {
    char buffer[BLOCK];
    struct stat data;
    if (!synced || fstat(fd, &data) != 0) return;
    struct file *file = file_of(data.st_ino);
    int is_new = open_image(file, path);
    for (size_t at = 0; at * BLOCK < (size_t)data.st_size; at++) {
        if (!is_new && (at >= file->blocks || !file->dirty[at])) continue;
        ssize_t length = pread(fd, buffer, BLOCK, at * BLOCK);
        if (length > 0 && real_pwrite(file->image, buffer, length, at * BLOCK) != length) abort();
    }
    if (ftruncate(file->image, data.st_size) != 0) abort();
    if (file->dirty) memset(file->dirty, 0, file->blocks);
}

/* After a sync that failed, the system takes its pages for written: a later sync does not write them. */
static void give_up(int fd, const char *path) {
    struct stat data;
    if (!synced || fstat(fd, &data) != 0) return;
    struct file *file = file_of(data.st_ino);
    open_image(file, path);
    if (file->dirty) memset(file->dirty, 0, file->blocks);
}

static void keep_names(void) {
    for (int at = 0; at < change_count; at++) {
        char from[PATH_MAX], to[PATH_MAX];
        image_of(changes[at].from, from);
        image_of(changes[at].to, to);
        if (changes[at].to[0]) real_rename(from, to);
        else real_unlink(from);
    }
    change_count = 0;
}

static void change_name(const char *from, const char *to) {
    if (!synced) return;
    if (change_count == CHANGES) abort();
    snprintf(changes[change_count].from, PATH_MAX, "%s", from);
    snprintf(changes[change_count].to, PATH_MAX, "%s", to);
    change_count++;
}

static void meet(void) {
    if (met) close(open(met, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

/* Counts a call; says whether it fails, and with what: an error, or -1 for half a write. */
static int fails(enum kind kind) {
    if (until_cut && (!fail_at || calls >= fail_at) && --until_cut == 0) {
        meet();
        _exit(77);
    }
    if (is_torn && kind == WRITE) {
        is_torn = 0;
        return ENOSPC;
    }
    if (strcmp(which, kind == WRITE ? "sync" : "write") == 0) return 0;
    calls++;
    if (!fail_at || calls != fail_at) return 0;
    int is_half = strcmp(how, "short") == 0 || strcmp(how, "torn") == 0;
    if (is_half && kind == SYNC) return 0;
    meet();
    if (is_half) is_torn = strcmp(how, "torn") == 0;
    return is_half ? -1 : strcmp(how, "enospc") == 0 ? ENOSPC : EIO;
}

static int is_there(int fd, const char *data, size_t length, off_t at) {
    char buffer[BLOCK];
    for (size_t done = 0; done < length;) {
        size_t next = length - done < BLOCK ? length - done : BLOCK;
        if (pread(fd, buffer, next, at + done) != (ssize_t)next || memcmp(buffer, data + done, next) != 0) return 0;
        done += next;
    }
    return 1;
}

/* Whether there is no room for a write: what changes needs some, as where files are never written in place. */
static int is_full(int fd, const void *data, size_t length, off_t at) {
    if (room < 0 || is_there(fd, data, length, at)) return 0;
    if ((long)length <= room) {
        room -= length;
        return 0;
    }
    if (full_for-- > 0) {
        meet();
        return 1;
    }
    room = LONG_MAX;
    return 0;
}

static ssize_t write_at(int fd, const void *data, size_t length, off_t at, int has_place) {
    char path[PATH_MAX];
    if (!path_of(fd, path) || !is_meant(path)) {
        return has_place ? real_pwrite(fd, data, length, at) : real_write(fd, data, length);
    }
    pthread_mutex_lock(&one);
    int error = fails(WRITE);
    int is_at_end = !has_place && fcntl(fd, F_GETFL) & O_APPEND;
    off_t place = has_place ? at : lseek(fd, 0, is_at_end ? SEEK_END : SEEK_CUR);
    if (!error && is_full(fd, data, length, place)) error = ENOSPC;
    if (error < 0 && length > 1) length /= 2;
    if (error <= 0) soil(fd, place, length);
    pthread_mutex_unlock(&one);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return has_place ? real_pwrite(fd, data, length, at) : real_write(fd, data, length);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return write_at(fd, data, length, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t at) { return write_at(fd, data, length, at, 1); }
ssize_t write(int fd, const void *data, size_t length) { return write_at(fd, data, length, 0, 0); }

static int sync_file(int fd, const char *name) {
    char path[PATH_MAX];
    int (*call)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (!path_of(fd, path)) return call(fd);
    int is_folder = strcmp(path, folder) == 0;
    if (!is_folder && !is_meant(path)) return call(fd);
    int is_lie = strcmp(how, "lie") == 0;
    pthread_mutex_lock(&one);
    int error = is_folder ? 0 : fails(SYNC);
    if (error > 0) give_up(fd, path);
    else if (is_folder && !is_lie) keep_names();
    else if (!is_lie) keep(fd, path);
    pthread_mutex_unlock(&one);
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (strcmp(how, "stall") == 0) {
        struct timespec pause = {0, 30 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    /* The image is the disk here; waiting for the real one would only take time. */
    return 0;
}

int fsync(int fd) { return sync_file(fd, "fsync"); }
int fdatasync(int fd) { return sync_file(fd, "fdatasync"); }

int rename(const char *from, const char *to) {
    setup();
    int done = real_rename(from, to);
    pthread_mutex_lock(&one);
    if (done == 0 && is_meant(from)) change_name(from, to);
    pthread_mutex_unlock(&one);
    return done;
}

int unlink(const char *path) {
    struct stat data;
    setup();
    pthread_mutex_lock(&one);
    if (synced && is_meant(path)) {
        if (stat(path, &data) == 0) forget(data.st_ino);
        change_name(path, "");
    }
    pthread_mutex_unlock(&one);
    return real_unlink(path);
}
