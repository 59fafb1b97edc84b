//! Starting other processes, and waiting for them.
//!
//! Not here: `vfork`, which returns twice into one frame, and `pidfd_spawnp`, which std looks for as a weak
//! symbol and would find even where libc has none.

use std::ffi::{c_char, c_int};

use libc::{FILE, id_t, idtype_t, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t, rusage, siginfo_t};

use super::super::Class::Process;
use super::look::{always, when};

wrap! {
    posix_spawn @ c"GLIBC_2.15" (child: *mut pid_t, path: *const c_char,
        actions: *const posix_spawn_file_actions_t, settings: *const posix_spawnattr_t,
        arguments: *const *mut c_char, environment: *const *mut c_char) -> c_int
        => always(Process), absent libc::ENOSYS;
    posix_spawnp @ c"GLIBC_2.15" (child: *mut pid_t, program: *const c_char,
        actions: *const posix_spawn_file_actions_t, settings: *const posix_spawnattr_t,
        arguments: *const *mut c_char, environment: *const *mut c_char) -> c_int
        => always(Process), absent libc::ENOSYS;
    fork() -> pid_t => always(Process), child |answer| answer == 0;
    system(command: *const c_char) -> c_int => when(!command.is_null(), Process);
    popen(command: *const c_char, mode: *const c_char) -> *mut FILE => always(Process);
    pclose(stream: *mut FILE) -> c_int => always(Process);
    wait(status: *mut c_int) -> pid_t => always(Process);
    wait3(status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t
        => when(options & libc::WNOHANG == 0, Process);
    wait4(child: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t
        => when(options & libc::WNOHANG == 0, Process);
    waitpid(child: pid_t, status: *mut c_int, options: c_int) -> pid_t
        => when(options & libc::WNOHANG == 0, Process);
    waitid(kind: idtype_t, id: id_t, about: *mut siginfo_t, options: c_int) -> c_int
        => when(options & libc::WNOHANG == 0, Process);
}
