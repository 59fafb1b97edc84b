//! Waiting for threads: their end, their signals, and the locks they hold.

use std::ffi::{c_int, c_void};

use libc::{
    ENOSYS, clockid_t, pthread_barrier_t, pthread_cond_t, pthread_mutex_t, pthread_rwlock_t, pthread_t,
    sem_t, timespec,
};

use super::super::Class::{Contention, Join, Wait};
use super::look::always;

/// What the threads of C11 say of a failure in glibc.
const THRD_ERROR: c_int = 2;

/// A lock that was to be had, or an error: both end the call without waiting.
fn unless_busy(code: c_int) -> Option<c_int> {
    (code != libc::EBUSY).then_some(code)
}

/// Takes a free semaphore.
unsafe fn take(semaphore: *mut sem_t) -> Option<c_int> {
    // SAFETY: the caller of the libc function vouches for the semaphore.
    (unsafe { libc::sem_trywait(semaphore) } == 0).then_some(0)
}

/// Takes a lock while its own function is still being looked up.
fn spin(mut lock: impl FnMut() -> c_int) -> c_int {
    loop {
        match lock() {
            libc::EBUSY => std::thread::yield_now(),
            code => return code,
        }
    }
}

wrap! {
    pthread_join(thread: pthread_t, answer: *mut *mut c_void) -> c_int => always(Join), absent ENOSYS;
    pthread_timedjoin_np(thread: pthread_t, answer: *mut *mut c_void, until: *const timespec) -> c_int
        => always(Join), absent ENOSYS;
    pthread_clockjoin_np(thread: pthread_t, answer: *mut *mut c_void, clock: clockid_t, until: *const timespec)
        -> c_int => always(Join), absent ENOSYS;

    pthread_cond_wait @ c"GLIBC_2.3.2" (condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t) -> c_int
        => always(Wait), absent ENOSYS;
    pthread_cond_timedwait @ c"GLIBC_2.3.2" (condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t,
        until: *const timespec) -> c_int => always(Wait), absent ENOSYS;
    pthread_cond_clockwait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t, clock: clockid_t,
        until: *const timespec) -> c_int => always(Wait), absent ENOSYS;
    cnd_wait(condition: *mut c_void, mutex: *mut c_void) -> c_int => always(Wait), absent THRD_ERROR;
    cnd_timedwait(condition: *mut c_void, mutex: *mut c_void, until: *const timespec) -> c_int
        => always(Wait), absent THRD_ERROR;
    thrd_join(thread: pthread_t, answer: *mut c_int) -> c_int => always(Join), absent THRD_ERROR;
    mtx_lock(mutex: *mut c_void) -> c_int => always(Contention), absent THRD_ERROR;
    mtx_timedlock(mutex: *mut c_void, until: *const timespec) -> c_int => always(Contention), absent THRD_ERROR;
    pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int => always(Wait), absent ENOSYS;
    sem_wait(semaphore: *mut sem_t) -> c_int => always(Wait), first take(semaphore);
    sem_timedwait(semaphore: *mut sem_t, until: *const timespec) -> c_int
        => always(Wait), first take(semaphore);
    sem_clockwait(semaphore: *mut sem_t, clock: clockid_t, until: *const timespec) -> c_int
        => always(Wait), first take(semaphore);

    pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int => always(Contention),
        first unless_busy(libc::pthread_mutex_trylock(mutex)),
        absent spin(|| libc::pthread_mutex_trylock(mutex));
    pthread_mutex_timedlock(mutex: *mut pthread_mutex_t, until: *const timespec) -> c_int => always(Contention),
        first unless_busy(libc::pthread_mutex_trylock(mutex)),
        absent spin(|| libc::pthread_mutex_trylock(mutex));
    pthread_mutex_clocklock(mutex: *mut pthread_mutex_t, clock: clockid_t, until: *const timespec) -> c_int
        => always(Contention), first unless_busy(libc::pthread_mutex_trylock(mutex)),
        absent spin(|| libc::pthread_mutex_trylock(mutex));
    pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int => always(Contention),
        first unless_busy(libc::pthread_rwlock_tryrdlock(lock)),
        absent spin(|| libc::pthread_rwlock_tryrdlock(lock));
    pthread_rwlock_wrlock(lock: *mut pthread_rwlock_t) -> c_int => always(Contention),
        first unless_busy(libc::pthread_rwlock_trywrlock(lock)),
        absent spin(|| libc::pthread_rwlock_trywrlock(lock));
    pthread_rwlock_timedrdlock(lock: *mut pthread_rwlock_t, until: *const timespec) -> c_int
        => always(Contention), first unless_busy(libc::pthread_rwlock_tryrdlock(lock)),
        absent spin(|| libc::pthread_rwlock_tryrdlock(lock));
    pthread_rwlock_timedwrlock(lock: *mut pthread_rwlock_t, until: *const timespec) -> c_int
        => always(Contention), first unless_busy(libc::pthread_rwlock_trywrlock(lock)),
        absent spin(|| libc::pthread_rwlock_trywrlock(lock));
    pthread_rwlock_clockrdlock(lock: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec) -> c_int
        => always(Contention), first unless_busy(libc::pthread_rwlock_tryrdlock(lock)),
        absent spin(|| libc::pthread_rwlock_tryrdlock(lock));
    pthread_rwlock_clockwrlock(lock: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec) -> c_int
        => always(Contention), first unless_busy(libc::pthread_rwlock_trywrlock(lock)),
        absent spin(|| libc::pthread_rwlock_trywrlock(lock));
}
