use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use super::super::tests::{after, before, heard};
use super::super::{Call, Class, watch};
use super::{bind, rows};

/// The first thing told, as `(symbol, class)`.
fn first<T>(work: impl FnOnce() -> T) -> Option<(&'static str, Class)> {
    let (calls, _) = heard(work);
    calls.first().map(|call| (call.symbol, call.class))
}

fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("evenkeel-hook-{}-{name}", std::process::id()))
}

#[test]
fn each_wrapper_forwards_to_the_newest_version() {
    bind();
    // SAFETY: the name ends in a zero.
    let libc = unsafe { libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    assert!(!libc.is_null());
    let mut known = 0;
    for row in rows() {
        let symbol = std::ffi::CString::new(row.symbol).expect("no zero inside");
        // SAFETY: the handle is open, the name ends in a zero.
        let newest = unsafe { libc::dlsym(libc, symbol.as_ptr()) };
        if !newest.is_null() {
            known += 1;
            assert_eq!((row.bind)().cast(), newest, "{}", row.symbol);
            assert_ne!(row.wrapper.0.cast(), newest.cast_const(), "{} is not wrapped", row.symbol);
        }
    }
    assert!(known > 100, "{known} of {}", rows().count());
}

#[test]
fn other_objects_call_the_wrappers_too() {
    for row in rows() {
        let symbol = std::ffi::CString::new(row.symbol).expect("no zero inside");
        // SAFETY: the name ends in a zero. The default search begins at the program, as that of an object does.
        let seen = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
        if !row.symbol.starts_with("__res_") {
            assert_eq!(seen.cast_const().cast(), row.wrapper.0, "{} is not exported", row.symbol);
        }
    }
}

#[test]
fn sleeps_are_told_with_their_length() {
    let length =
        |work: fn()| -> Vec<_> { heard(work).0.iter().map(|call| (call.class, call.at_least)).collect() };
    let slept = |micros| vec![(Class::Sleep, Some(Duration::from_micros(micros)))];
    assert_eq!(length(|| std::thread::sleep(Duration::from_micros(1))), slept(1));
    // SAFETY: these take numbers only.
    assert_eq!(length(|| _ = unsafe { libc::usleep(2) }), slept(2));
    let poll = || _ = unsafe { libc::poll(std::ptr::null_mut(), 0, 1) };
    assert_eq!(length(poll), slept(1000));
    let raw = || {
        let request = libc::timespec { tv_sec: 0, tv_nsec: 3000 };
        // SAFETY: the request outlives the call.
        unsafe { libc::syscall(libc::SYS_nanosleep, &raw const request, 0) };
    };
    assert_eq!(length(raw), slept(3));
}

#[test]
fn sleeps_until_a_moment_are_told_with_what_is_left() {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let until = |moment: libc::timespec| {
        // SAFETY: the moment outlives the call.
        let sleep = || unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const moment,
                std::ptr::null_mut(),
            )
        };
        heard(sleep).0
    };
    assert!(until(now).is_empty(), "a moment in the past");
    let calls = until(libc::timespec {
        tv_sec: now.tv_sec,
        tv_nsec: now.tv_nsec.saturating_add(1000).min(999_999_999),
    });
    let left = calls.first().and_then(|call| call.at_least);
    assert!(left.is_none_or(|left| left <= Duration::from_micros(1)), "{left:?}");
}

#[test]
fn sleeps_without_length_are_not_told() {
    // SAFETY: these take numbers only.
    let idle = || unsafe { libc::sleep(0) as i32 + libc::usleep(0) + libc::poll(std::ptr::null_mut(), 0, 0) };
    assert_eq!(first(idle), None);
}

#[test]
fn files_are_told() {
    let (a, b) = (path("files-a"), path("files-b"));
    fs::write(&a, "text").expect("a file of ours");
    let file = |symbol| Some((symbol, Class::File));
    assert_eq!(first(|| fs::read(&a)), file("open64"));
    assert_eq!(first(|| fs::metadata(&a)), file("statx"));
    assert_eq!(first(|| a.exists()), file("statx"));
    assert_eq!(first(|| fs::read_dir("/").map(Iterator::count)), file("opendir"));
    assert_eq!(first(|| fs::rename(&a, &b)), file("rename"));
    let mut open = File::options().read(true).append(true).open(&b).expect("it is there");
    assert_eq!(first(|| open.metadata()), None, "an open descriptor answers at once");
    assert_eq!(first(|| open.read(&mut [0; 4])), file("read"));
    assert_eq!(first(|| open.write(b"more")), file("write"));
    assert_eq!(first(|| open.sync_all()), file("fsync"));
    assert_eq!(first(|| open.set_len(1)), file("ftruncate64"));
    assert_eq!(first(|| open.set_modified(std::time::SystemTime::now())), file("futimens"));
    let mode = open.metadata().expect("it is open").permissions();
    assert_eq!(first(|| open.set_permissions(mode)), file("fchmod"));
    assert_eq!(first(|| std::os::unix::fs::fchown(&open, None, None)), file("fchown"));
    assert_eq!(first(|| fs::canonicalize(&b)), file("realpath"));
    assert_eq!(first(|| fs::remove_file(&b)), file("unlink"));
}

#[test]
fn what_changes_no_data_is_told_too() {
    let file = |symbol| Some((symbol, Class::File));
    let at =
        std::ffi::CString::new(path("fifo").into_os_string().into_encoded_bytes()).expect("no zero inside");
    // SAFETY: the path ends in a zero, and outlives the calls.
    unsafe {
        assert_eq!(first(|| libc::mkfifo(at.as_ptr(), 0o600)), file("mkfifo"));
        assert_eq!(
            first(|| libc::utimensat(libc::AT_FDCWD, at.as_ptr(), std::ptr::null(), 0)),
            file("utimensat")
        );
        let none = std::ptr::null_mut();
        assert_eq!(first(|| libc::getxattr(at.as_ptr(), c"user.none".as_ptr(), none, 0)), file("getxattr"));
    }
    fs::remove_file(path("fifo")).expect("it was made");
    assert_eq!(first(|| std::env::set_current_dir(".")), file("chdir"));
}

#[test]
fn pipes_are_waited_for_and_are_no_files() {
    let (mut here, mut there) = std::io::pipe().expect("two ends");
    assert_eq!(first(|| there.write(b"x")), Some(("write", Class::Wait)));
    assert_eq!(first(|| here.read(&mut [0])), Some(("read", Class::Wait)));
}

#[test]
fn the_users_of_the_system_are_looked_up() {
    // SAFETY: nobody else asks for a user by number here, whose entry would be overwritten.
    assert_eq!(first(|| unsafe { libc::getpwuid(0) }), Some(("getpwuid", Class::Lookup)));
    // SAFETY: as above.
    assert_eq!(first(|| unsafe { libc::getgrgid(0) }), Some(("getgrgid", Class::Lookup)));
}

#[test]
fn a_barrier_is_waited_for() {
    let mut barrier = std::mem::MaybeUninit::uninit();
    // SAFETY: the barrier is initialised for one thread, and does not move.
    unsafe {
        libc::pthread_barrier_init(barrier.as_mut_ptr(), std::ptr::null(), 1);
        let (calls, code) = heard(|| libc::pthread_barrier_wait(barrier.as_mut_ptr()));
        assert_eq!(calls.first().map(|call| call.class), Some(Class::Wait));
        assert_eq!(code, libc::PTHREAD_BARRIER_SERIAL_THREAD);
    }
}

#[test]
fn c_streams_are_told() {
    // SAFETY: the paths end in a zero, and the stream is open until its end.
    unsafe {
        let open = || libc::fopen(c"/etc/passwd".as_ptr(), c"r".as_ptr());
        let (calls, stream) = heard(open);
        assert_eq!(calls.first().map(|call| call.symbol), Some("fopen"));
        let mut line = [0; 64];
        assert_eq!(first(|| libc::fgets(line.as_mut_ptr(), 64, stream)), Some(("fgets", Class::File)));
        libc::fclose(stream);
    }
}

#[test]
fn sockets_are_told_in_blocking_mode_only() {
    let network = |symbol| Some((symbol, Class::Network));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (calls, stream) = heard(|| TcpStream::connect(address).expect("the listener is there"));
    assert_eq!(calls.first().map(|call| call.symbol), Some("connect"));
    assert_eq!(first(|| listener.accept()), network("accept4"));
    assert_eq!(first(|| (&stream).write(b"x")), network("send"));
    stream.set_nonblocking(true).expect("a socket of ours");
    assert_eq!(first(|| (&stream).write(b"x")), None);
    assert_eq!(first(|| (&stream).read(&mut [0])), None);

    let (mut here, mut there) = UnixStream::pair().expect("two ends");
    here.write_all(b"xyz").expect("there is room");
    assert_eq!(first(|| there.read(&mut [0])), network("recv"));
    // SAFETY: one byte is ours to write.
    let peek =
        || unsafe { libc::recv(there.as_raw_fd(), [0_u8; 1].as_mut_ptr().cast(), 1, libc::MSG_DONTWAIT) };
    assert_eq!(first(peek), None);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    assert_eq!(first(|| socket.send_to(b"x", socket.local_addr()?)), network("sendto"));
    assert_eq!(first(|| socket.recv_from(&mut [0])), network("recvfrom"));
}

#[test]
fn event_descriptors_are_not_told_of_writing() {
    // SAFETY: the descriptor is open until its end, the number outlives the calls.
    unsafe {
        let event = libc::eventfd(0, 0);
        let mut number = 1_u64;
        assert_eq!(first(|| libc::write(event, (&raw const number).cast(), 8)), None);
        assert_eq!(first(|| libc::read(event, (&raw mut number).cast(), 8)), Some(("read", Class::Wait)));
        libc::close(event);
    }
}

#[test]
fn standard_output_is_not_told_while_it_takes_more() {
    // SAFETY: nothing is written.
    assert_eq!(first(|| unsafe { libc::write(1, [0_u8; 0].as_ptr().cast(), 0) }), None);
}

#[test]
fn standard_input_is_told_as_such() {
    // SAFETY: nothing is read.
    assert_eq!(
        first(|| unsafe { libc::read(0, [0_u8; 0].as_mut_ptr().cast(), 0) }),
        Some(("read", Class::Input))
    );
}

#[test]
fn locks_of_files_are_told_unless_they_only_try() {
    let file = File::create(path("lock")).expect("a file of ours");
    let fd = file.as_raw_fd();
    // SAFETY: numbers only.
    assert_eq!(first(|| unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) }), None);
    // SAFETY: numbers only.
    assert_eq!(first(|| unsafe { libc::flock(fd, libc::LOCK_EX) }), Some(("flock", Class::File)));
    // SAFETY: numbers only.
    assert_eq!(first(|| unsafe { libc::fcntl(fd, libc::F_GETFD) }), None);
    fs::remove_file(path("lock")).expect("it is there");
}

#[test]
fn conditions_are_told() {
    let mutex = Pthread::default();
    let mut condition = libc::PTHREAD_COND_INITIALIZER;
    let past = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    mutex.lock();
    // SAFETY: the condition and the mutex, which is held, do not move.
    let wait = || unsafe { libc::pthread_cond_timedwait(&raw mut condition, mutex.0.get(), &raw const past) };
    let (calls, code) = heard(wait);
    assert_eq!(
        calls.first().map(|call| (call.symbol, call.class)),
        Some(("pthread_cond_timedwait", Class::Wait))
    );
    assert_eq!(code, libc::ETIMEDOUT);
    mutex.unlock();
}

#[test]
fn waits_for_descriptors_are_told_unless_they_only_look() {
    // SAFETY: the descriptor is open until its end, and one event is ours to write.
    unsafe {
        let epoll = libc::epoll_create1(0);
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        assert_eq!(first(|| libc::epoll_wait(epoll, &raw mut event, 1, 0)), None);
        assert_eq!(
            first(|| libc::epoll_wait(epoll, &raw mut event, 1, 1)),
            Some(("epoll_wait", Class::Wait))
        );
        libc::close(epoll);
    }
}

#[test]
fn lookups_are_told() {
    assert_eq!(
        first(|| "localhost:80".to_socket_addrs().map(Iterator::count)),
        Some(("getaddrinfo", Class::Lookup))
    );
}

#[test]
fn processes_are_told() {
    let (calls, status) = heard(|| Command::new("true").status());
    assert!(status.expect("`true` is everywhere").success());
    assert!(calls.iter().all(|call| call.class == Class::Process), "{calls:?}");
    assert_eq!(calls[0].symbol, "posix_spawnp");
    // SAFETY: asks about no child in particular.
    assert_eq!(first(|| unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) }), None);
}

#[test]
fn a_forked_child_is_not_watched() {
    let mut command = Command::new("true");
    let in_child = || {
        // Under a set flag this would reach for the notebook, whose locks may be held by a thread left behind.
        if watch(false) { Err(std::io::Error::other("still watched")) } else { Ok(()) }
    };
    // SAFETY: the closure only touches the flag.
    unsafe { command.pre_exec(in_child) };
    let (calls, status) = heard(|| command.status());
    assert!(status.expect("the child is not watched").success());
    assert_eq!(calls[0].symbol, "fork");
}

#[test]
fn joining_is_told() {
    let thread = std::thread::spawn(|| ());
    assert_eq!(first(|| thread.join()), Some(("pthread_join", Class::Join)));
}

#[test]
fn waiting_for_another_thread_is_a_futex() {
    let futex = Some(("syscall", Class::Contention));
    let (_sender, receiver) = mpsc::channel::<()>();
    assert_eq!(first(|| receiver.recv_timeout(Duration::from_millis(1))), futex);
    assert_eq!(first(|| std::thread::park_timeout(Duration::from_millis(1))), futex);
    let (mutex, condition) = (Mutex::new(()), Condvar::new());
    let guard = mutex.lock().expect("nobody panics");
    assert_eq!(first(|| condition.wait_timeout(guard, Duration::from_millis(1)).is_ok()), futex);
}

#[test]
fn a_futex_that_has_changed_is_not_told() {
    let word = 7_u32;
    // SAFETY: the word outlives the call.
    let wait = || unsafe { libc::syscall(libc::SYS_futex, &raw const word, libc::FUTEX_WAIT, 8, 0) };
    assert_eq!(first(wait), None);
}

thread_local! {
    /// Reaches the thread that holds the mutex.
    static HOLDER: std::cell::RefCell<Option<mpsc::Sender<()>>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn a_mutex_is_told_only_when_another_thread_holds_it() {
    let mutex = Arc::new(Pthread::default());
    assert_eq!(first(|| mutex.lock()), None);
    mutex.unlock();

    let held = mutex.clone();
    let (is_told, told) = mpsc::channel();
    let (is_held, holds) = mpsc::channel();
    let holder = std::thread::spawn(move || {
        held.lock();
        is_held.send(()).expect("the test waits");
        told.recv().expect("the observer tells");
        held.unlock();
    });
    holds.recv().expect("the holder tells");
    HOLDER.set(Some(is_told));
    before(|| _ = HOLDER.take().map(|holder| holder.send(())));
    let told = first(|| mutex.lock());
    before(|| ());
    mutex.unlock();
    holder.join().expect("it ends well");
    assert_eq!(told, Some(("pthread_mutex_lock", Class::Contention)));
}

struct Pthread(std::cell::UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a mutex is made to be shared.
unsafe impl Sync for Pthread {}
// SAFETY: a mutex that nobody holds may move.
unsafe impl Send for Pthread {}

impl Default for Pthread {
    fn default() -> Self {
        Self(std::cell::UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
    }
}

impl Pthread {
    fn lock(&self) {
        // SAFETY: the mutex is initialised and does not move while it is held.
        unsafe { libc::pthread_mutex_lock(self.0.get()) };
    }

    fn unlock(&self) {
        // SAFETY: the mutex is initialised and does not move while it is held.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) };
    }
}

#[test]
fn a_held_mutex_is_told_with_a_timeout_too() {
    let mutex = Pthread::default();
    mutex.lock();
    let past = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    unsafe extern "C" {
        fn pthread_mutex_timedlock(mutex: *mut libc::pthread_mutex_t, until: *const libc::timespec) -> i32;
    }
    // SAFETY: the mutex is initialised, the moment outlives the call.
    let wait = || unsafe { pthread_mutex_timedlock(mutex.0.get(), &raw const past) };
    let (calls, code) = heard(wait);
    assert_eq!(calls.first().map(|call| call.class), Some(Class::Contention));
    assert_eq!(code, libc::ETIMEDOUT);
    mutex.unlock();
}

#[test]
fn a_semaphore_is_told_only_when_it_is_empty() {
    // SAFETY: all zeros is what `sem_init` overwrites.
    let mut semaphore: libc::sem_t = unsafe { std::mem::zeroed() };
    let past = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    // SAFETY: the semaphore is ours, and does not move.
    unsafe {
        libc::sem_init(&raw mut semaphore, 0, 1);
        assert_eq!(first(|| libc::sem_wait(&raw mut semaphore)), None);
        let wait = || libc::sem_timedwait(&raw mut semaphore, &raw const past);
        assert_eq!(first(wait), Some(("sem_timedwait", Class::Wait)));
    }
}

#[test]
fn errno_outlives_the_observer() {
    after(|| _ = File::open("/proc/self/fd/4294967295/none"));
    let (calls, error) = heard(|| {
        // SAFETY: the path ends in a zero.
        unsafe { libc::rmdir(c"/etc/passwd".as_ptr()) };
        std::io::Error::last_os_error().raw_os_error()
    });
    after(|| ());
    assert_eq!(calls.first().map(|call| call.symbol), Some("rmdir"));
    assert_eq!(error, Some(libc::ENOTDIR));
}

#[test]
fn a_panic_in_the_observer_is_forgotten() {
    after(|| panic!("in the observer, on purpose"));
    let told = first(|| fs::metadata("/"));
    after(|| ());
    assert_eq!(told, Some(("statx", Class::File)));
}

#[test]
fn calls_inside_the_observer_are_not_told() {
    after(|| _ = fs::metadata("/"));
    let (calls, _): (Vec<Call>, _) = heard(|| fs::metadata("/"));
    after(|| ());
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn a_queue_between_processes_is_told_unless_it_only_tries() {
    // SAFETY: the queue and the buffers are ours, and the operations as many as told.
    unsafe {
        let queue = libc::msgget(libc::IPC_PRIVATE, 0o600);
        let mut message = [0_u8; 32];
        let message = message.as_mut_ptr().cast();
        assert_eq!(first(|| libc::msgrcv(queue, message, 8, 0, libc::IPC_NOWAIT)), None);
        assert_eq!(first(|| libc::msgrcv(-1, message, 8, 0, 0)), Some(("msgrcv", Class::Wait)));
        libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut());
        let operates = |sem_op, flags: std::ffi::c_int| {
            let mut one = libc::sembuf { sem_num: 0, sem_op, sem_flg: flags as _ };
            first(|| libc::semop(-1, &raw mut one, 1))
        };
        assert_eq!(operates(-1, 0), Some(("semop", Class::Wait)));
        assert_eq!(operates(1, 0), None);
        assert_eq!(operates(-1, libc::IPC_NOWAIT), None);
    }
}

#[test]
fn a_message_queue_is_told_unless_it_never_waits() {
    let name = std::ffi::CString::new(format!("/evenkeel-{}", std::process::id())).expect("no zero inside");
    let past = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    let mut message = [0_u8; 64];
    // SAFETY: the queue and the buffers are ours.
    unsafe {
        let mut limits: libc::mq_attr = std::mem::zeroed();
        (limits.mq_maxmsg, limits.mq_msgsize) = (1, 64);
        let mut receives = |flags| {
            let queue =
                libc::mq_open(name.as_ptr(), libc::O_CREAT | libc::O_RDWR | flags, 0o600, &raw const limits);
            let into = message.as_mut_ptr().cast();
            let told =
                first(|| libc::mq_timedreceive(queue, into, 64, std::ptr::null_mut(), &raw const past));
            libc::mq_close(queue);
            (queue >= 0).then_some(told)
        };
        assert_eq!(receives(0), Some(Some(("mq_timedreceive", Class::Wait))));
        assert_eq!(receives(libc::O_NONBLOCK), Some(None));
        libc::mq_unlink(name.as_ptr());
    }
}

#[test]
fn c11_and_single_letters_are_told_by_their_own_names() {
    unsafe extern "C" {
        fn thrd_sleep(request: *const libc::timespec, rest: *mut libc::timespec) -> std::ffi::c_int;
        fn getw(stream: *mut libc::FILE) -> std::ffi::c_int;
    }
    let short = libc::timespec { tv_sec: 0, tv_nsec: 1000 };
    // SAFETY: the time is ours to read.
    let slept = first(|| unsafe { thrd_sleep(&raw const short, std::ptr::null_mut()) });
    assert_eq!(slept, Some(("thrd_sleep", Class::Sleep)));
    // SAFETY: both texts end in a zero, and the stream is open until it is closed.
    unsafe {
        let stream = libc::fopen(c"/proc/self/stat".as_ptr(), c"r".as_ptr());
        assert_eq!(first(|| libc::fgetc(stream)), Some(("fgetc", Class::File)));
        assert_eq!(first(|| getw(stream)), Some(("getw", Class::File)));
        libc::fclose(stream);
    }
}

#[test]
fn system_calls_by_number_are_told() {
    let file = Some(("syscall", Class::File));
    // SAFETY: all zeros is a valid `stat`.
    let mut about: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends in a zero, and all else is a number or ours to write.
    unsafe {
        let (at, path) = (libc::AT_FDCWD, c"/".as_ptr());
        #[cfg(target_arch = "x86_64")]
        assert_eq!(first(|| libc::syscall(libc::SYS_newfstatat, at, path, &raw mut about, 0)), file);
        assert_eq!(first(|| libc::syscall(libc::SYS_name_to_handle_at, at, path, 0, 0, 0)), file);
        assert_eq!(first(|| libc::syscall(libc::SYS_flock, -1, libc::LOCK_EX)), file);
        assert_eq!(first(|| libc::syscall(libc::SYS_flock, -1, libc::LOCK_EX | libc::LOCK_NB)), None);
        let mut one = libc::sembuf { sem_num: 0, sem_op: -1, sem_flg: 0 };
        let waits = || libc::syscall(libc::SYS_semtimedop, -1, &raw mut one, 1, 0);
        assert_eq!(first(waits), Some(("syscall", Class::Wait)));
    }
}
