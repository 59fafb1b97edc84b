//! For measurements: a short call through its wrapper, and past it.

use libc::sem_t;

type Wait = unsafe extern "C" fn(*mut sem_t) -> libc::c_int;

/// Takes a free semaphore so often, through the wrapper or past it.
pub(in crate::hook) fn take(times: u64, is_wrapped: bool) {
    // SAFETY: all zeros is a semaphore's memory before it is initialised.
    let mut semaphore: sem_t = unsafe { std::mem::zeroed() };
    // SAFETY: the semaphore is ours, and of this process alone.
    unsafe { libc::sem_init(&raw mut semaphore, 0, 0) };
    // SAFETY: the name ends in a zero.
    let past = unsafe { libc::dlsym(libc::RTLD_NEXT, c"sem_wait".as_ptr()) };
    // SAFETY: a function of that name has this signature.
    let past = unsafe { std::mem::transmute::<*mut libc::c_void, Option<Wait>>(past) };
    let wait = past.filter(|_| !is_wrapped).unwrap_or(libc::sem_wait);
    let wait = std::hint::black_box(wait);
    for _ in 0..times {
        // SAFETY: the semaphore is initialised, and one is put into it before one is taken.
        unsafe { libc::sem_post(&raw mut semaphore) };
        // SAFETY: as above.
        unsafe { wait(&raw mut semaphore) };
    }
}
