/* Counts what a journal asks of its disk, and makes each sync take longer. Preloaded into a bot; settings are variables:
 *
 *   BENCH_SYNC_MORE_US   this many microseconds are added to each sync
 *   BENCH_COUNTS         a file of at least 32 bytes, mapped and counted in: four numbers of 64 bits, as in `enum count`
 *
 * The numbers are those of the whole process, whatever file a call is about; a commit is told by the header of a frame
 * that ends one (https://sqlite.org/fileformat2.html#the_write_ahead_log).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum count { COMMITS, SYNCS, WRITES, FCNTLS, COUNTS };
enum { LOG_HEADER = 32, FRAME_HEADER = 24 };

static _Atomic unsigned long own[COUNTS], *counts = own;
static struct timespec more;

__attribute__((constructor)) static void start(void) {
    const char *micros = getenv("BENCH_SYNC_MORE_US"), *path = getenv("BENCH_COUNTS");
    long us = micros ? atol(micros) : 0;
    more.tv_sec = us / 1000000;
    more.tv_nsec = us % 1000000 * 1000;
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        counts = mapped;
    close(file);
}

static void count(enum count which) {
    atomic_fetch_add_explicit(&counts[which], 1, memory_order_relaxed);
}

static int sync_file(int file, const char *name) {
    static _Atomic(void *) known[2];
    int which = strcmp(name, "fsync") != 0;
    int (*real)(int) = (int (*)(int))atomic_load(&known[which]);
    if (!real) {
        real = (int (*)(int))dlsym(RTLD_NEXT, name);
        atomic_store(&known[which], (void *)real);
    }
    count(SYNCS);
    if (more.tv_sec || more.tv_nsec)
        syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &more, NULL);
    return real(file);
}

int fsync(int file) { return sync_file(file, "fsync"); }
int fdatasync(int file) { return sync_file(file, "fdatasync"); }

static void written(const unsigned char *bytes, size_t length, off64_t offset) {
    static const unsigned char none[4];
    count(WRITES);
    if (length == FRAME_HEADER && offset >= LOG_HEADER && memcmp(bytes + 4, none, sizeof none))
        count(COMMITS);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real)
        real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    written(bytes, length, offset);
    return real(file, bytes, length, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return pwrite64(file, bytes, length, offset);
}

/* The third argument is a number or an address, and travels as one either way. */
static int fcntl_with(int file, int command, void *argument) {
    static int (*real)(int, int, ...);
    if (!real)
        real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl");
    count(FCNTLS);
    return real(file, command, argument);
}

#define FCNTL(name)                                 \
    int name(int file, int command, ...) {          \
        va_list arguments;                          \
        va_start(arguments, command);               \
        void *argument = va_arg(arguments, void *); \
        va_end(arguments);                          \
        return fcntl_with(file, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)
