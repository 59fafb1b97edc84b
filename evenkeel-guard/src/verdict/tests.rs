//! Stacks as real programs leave them, and what is said of them.

use super::*;
use crate::frame::claim::Claims;
use crate::frame::{frame, frames};

use Class::*;

/// A name, the symbol, its class, the class and the call that are expected, and the frames.
type Seen = (&'static str, Option<&'static str>, Class, Class, &'static str, &'static str);

/// What was called, without what lies above the author: shortened captures of std 1.95 and the crates named. Composed
/// are those of `dns_lookup`, `bcrypt`, `rustix`, the standard output's lock and the lock inside a channel.
/// Debug builds name functions in full; in release builds `qualified` has put the paths before.
const SEEN: &[Seen] = &[
    ("a file read, debug", Some("open64"), File, File, "std::fs::read",
        "<std::sys::fs::unix::File>::open_c::{closure#0} | std/src/sys/fs/unix.rs:1358
         std::sys::pal::unix::cvt_r::<i32, <std::sys::fs::unix::File>::open_c::{closure#0}> | std/src/sys/pal/unix/mod.rs:255
         <std::fs::File>::open::<&std::path::Path> | std/src/fs.rs:571
         std::fs::read::inner | std/src/fs.rs:343
         std::fs::read | std/src/fs.rs:349"),
    ("a file read, release", Some("open64"), File, File, "std::fs::read",
        "<std::fs::File>::open::<&std::path::Path> | std/src/fs.rs:571
         std::fs::read::inner | std/src/fs.rs:343
         std::fs::read<&str> | std/src/fs.rs:349"),
    ("a file opened, release", Some("open64"), File, File, "std::fs::File::open",
        "<std::fs::OpenOptions>::_open | std/src/fs.rs:1920
         std::fs::open<&std::path::Path> | std/src/fs.rs:1916
         std::fs::open<&str> | std/src/fs.rs:571"),
    ("a file created and written", Some("open64"), File, File, "std::fs::write",
        "<std::fs::File>::create::<&std::path::Path> | std/src/fs.rs:639
         std::fs::write::inner | std/src/fs.rs:422
         std::fs::write<&str, &str> | std/src/fs.rs:424"),
    ("metadata", Some("statx"), File, File, "std::fs::metadata",
        "std::sys::fs::unix::try_statx | std/src/sys/fs/unix.rs:184
         <std::sys::fs::unix::stat as core::ops::function::Fn<(&core::ffi::c_str::CStr,)>>::call | core/src/ops/function.rs:79
         std::sys::helpers::small_c_string::run_path_with_cstr::<std::sys::fs::unix::FileAttr> | std/src/sys/helpers/small_c_string.rs:18
         std::sys::fs::metadata | std/src/sys/fs/mod.rs:112
         std::fs::metadata | std/src/fs.rs:2738"),
    ("metadata within a map", Some("statx"), File, File, "std::fs::metadata",
        "std::fs::metadata | std/src/fs.rs:2738
         core::ops::function::FnMut::call_mut | core/src/ops/function.rs:166
         core::iter::adapters::map::map_fold::{{closure}} | core/src/iter/adapters/map.rs:88
         <core::iter::adapters::map::Map<I,F> as core::iter::traits::iterator::Iterator>::fold | core/src/iter/adapters/map.rs:128
         core::iter::traits::iterator::Iterator::count | core/src/iter/traits/iterator.rs:229"),
    ("exists, release", Some("statx"), File, File, "std::path::exists",
        "std::fs::metadata<&std::path::Path> | std/src/fs.rs:2738
         std::path::exists | std/src/path.rs:3444"),
    ("a folder", Some("opendir"), File, File, "std::fs::read_dir",
        "std::sys::fs::unix::readdir::{closure#0} | std/src/sys/fs/unix.rs:2066
         std::sys::fs::read_dir | std/src/sys/fs/mod.rs:68
         std::fs::read_dir<&str> | std/src/fs.rs:3312"),
    ("walkdir, debug", Some("statx"), File, File, "walkdir::IntoIter::next",
        "std::fs::symlink_metadata | std/src/fs.rs:2773
         walkdir::dent::DirEntry::from_path | walkdir-2.5.0/src/dent.rs:263
         <walkdir::IntoIter as core::iter::traits::iterator::Iterator>::next | walkdir-2.5.0/src/lib.rs:694
         core::iter::traits::iterator::Iterator::count | core/src/iter/traits/iterator.rs:229"),
    ("walkdir, release", Some("statx"), File, File, "walkdir::next",
        "std::fs::symlink_metadata<&std::path::PathBuf> | std/src/fs.rs:2773
         walkdir::dent::from_path | walkdir-2.5.0/src/dent.rs:263
         walkdir::next | walkdir-2.5.0/src/lib.rs:694
         core::iter::traits::iterator::fold<walkdir::IntoIter> | core/src/iter/traits/iterator.rs:2646"),
    ("sleep", Some("clock_nanosleep"), Sleep, Sleep, "std::thread::sleep",
        "std::sys::thread::unix::sleep | std/src/sys/thread/unix.rs:579
         std::thread::functions::sleep | std/src/thread/functions.rs:289"),
    ("connect, debug", Some("connect"), Network, Network, "std::net::TcpStream::connect",
        "<std::sys::net::connection::socket::TcpStream>::connect::inner | std/src/sys/net/connection/socket/mod.rs:371
         core::ops::function::FnMut::call_mut | core/src/ops/function.rs:166
         std::sys::net::connection::each_addr | std/src/sys/net/connection/mod.rs:51
         std::sys::net::connection::socket::TcpStream::connect | std/src/sys/net/connection/socket/mod.rs:367
         std::net::tcp::TcpStream::connect | std/src/net/tcp.rs:169"),
    ("connect, release", Some("connect"), Network, Network, "std::net::TcpStream::connect",
        "<std::sys::net::connection::socket::unix::Socket>::connect | std/src/sys/net/connection/socket/unix.rs:152
         std::sys::net::connection::socket::connect<(&str, u16)> | std/src/sys/net/connection/socket/mod.rs:367
         std::net::tcp::connect<(&str, u16)> | std/src/net/tcp.rs:169"),
    ("a name looked up", Some("getaddrinfo"), Lookup, Lookup, "std::net::ToSocketAddrs::to_socket_addrs",
        "std::sys::net::connection::socket::lookup_host | std/src/sys/net/connection/socket/mod.rs:345
         std::net::socket_addr::lookup_host | std/src/net/socket_addr.rs:193
         <(&str, u16) as std::net::socket_addr::ToSocketAddrs>::to_socket_addrs | std/src/net/socket_addr.rs:210"),
    ("a connection to a name server", Some("connect"), Network, Lookup, "dns_lookup::lookup_host",
        "dns_lookup::addrinfo::getaddrinfo | dns-lookup-3.0.0/src/addrinfo.rs:9
         dns_lookup::lookup_host | dns-lookup-3.0.0/src/lib.rs:9"),
    ("a process", Some("open64"), Process, Process, "std::process::Command::output",
        "<std::sys::process::unix::common::Command>::spawn | std/src/sys/process/unix/unix.rs:71
         std::sys::process::output | std/src/sys/process/mod.rs:49
         <std::process::Command>::output | std/src/process.rs:1083"),
    ("join, debug", Some("pthread_join"), Join, Join, "std::thread::JoinHandle::join",
        "<std::sys::thread::unix::Thread>::join | std/src/sys/thread/unix.rs:126
         std::thread::lifecycle::JoinInner<T>::join | std/src/thread/lifecycle.rs:241
         std::thread::join_handle::JoinHandle<T>::join | std/src/thread/join_handle.rs:150"),
    ("join, release", Some("pthread_join"), Join, Join, "std::thread::JoinHandle::join",
        "std::thread::lifecycle::join<()> | std/src/thread/lifecycle.rs:241
         std::thread::join_handle::join<()> | std/src/thread/join_handle.rs:150"),
    ("scoped threads", Some("syscall"), Contention, Join, "std::thread::scope",
        "std::sys::pal::unix::futex::futex_wait | std/src/sys/pal/unix/futex.rs:73
         <std::thread::thread::Thread>::park | std/src/thread/thread.rs:121
         std::thread::scoped::scope | std/src/thread/scoped.rs:163"),
    ("a channel, debug", Some("syscall"), Contention, Wait, "std::sync::mpsc::Receiver::recv",
        "<std::sys::sync::thread_parking::futex::Parker>::park | std/src/sys/sync/thread_parking/futex.rs:55
         std::sync::mpmc::context::Context::wait_until | std/src/sync/mpmc/context.rs:143
         std::thread::local::LocalKey<T>::try_with | std/src/thread/local.rs:513
         std::sync::mpsc::Receiver<T>::recv | std/src/sync/mpsc.rs:849"),
    ("a channel, release", Some("syscall"), Contention, Wait, "std::sync::mpsc::recv",
        "std::sys::pal::unix::futex::futex_wait | std/src/sys/pal/unix/futex.rs:73
         std::sync::mpmc::recv<i32> | std/src/sync/mpmc/mod.rs:985
         std::sync::mpsc::recv<i32> | std/src/sync/mpsc.rs:849"),
    ("the lock inside a channel", Some("syscall"), Contention, Contention, "std::sync::mpsc::Receiver::recv",
        "<std::sys::sync::mutex::futex::Mutex>::lock_contended | std/src/sys/sync/mutex/futex.rs:61
         std::sync::poison::mutex::Mutex<T>::lock | std/src/sync/poison/mutex.rs:492
         std::sync::mpsc::Receiver<T>::recv | std/src/sync/mpsc.rs:849"),
    ("a condition variable", Some("syscall"), Contention, Wait, "std::sync::Condvar::wait",
        "<std::sys::sync::condvar::futex::Condvar>::wait | std/src/sys/sync/condvar/futex.rs:33
         std::sync::poison::condvar::wait<bool> | std/src/sync/poison/condvar.rs:128"),
    ("a barrier", Some("syscall"), Contention, Wait, "std::sync::Barrier::wait",
        "<std::sync::nonpoison::condvar::Condvar>::wait::<std::sync::barrier::BarrierState> | std/src/sync/nonpoison/condvar.rs:126
         <std::sync::barrier::Barrier>::wait | std/src/sync/barrier.rs:128"),
    ("park", Some("syscall"), Contention, Wait, "std::thread::park",
        "<std::thread::thread::Thread>::park | std/src/thread/thread.rs:121
         std::thread::functions::park | std/src/thread/functions.rs:529"),
    ("a cell that another thread fills", Some("syscall"), Contention, Wait, "std::sync::OnceLock::get_or_init",
        "<std::sys::sync::once::futex::Once>::call | std/src/sys/sync/once/futex.rs:200
         std::sync::once::Once::call_once_force | std/src/sync/once.rs:219
         std::sync::once_lock::OnceLock<T>::get_or_init | std/src/sync/once_lock.rs:321"),
    ("a lock, debug", Some("syscall"), Contention, Contention, "std::sync::Mutex::lock",
        "<std::sys::sync::mutex::futex::Mutex>::lock_contended | std/src/sys/sync/mutex/futex.rs:61
         std::sys::sync::mutex::futex::Mutex::lock | std/src/sys/sync/mutex/futex.rs:33
         std::sync::poison::mutex::Mutex<T>::lock | std/src/sync/poison/mutex.rs:492"),
    ("a lock, release", Some("syscall"), Contention, Contention, "std::sync::Mutex::lock",
        "std::sys::sync::mutex::futex::lock | std/src/sys/sync/mutex/futex.rs:33
         std::sync::poison::mutex::lock<core::option::Option<i32>> | std/src/sync/poison/mutex.rs:492"),
    ("a lock for reading", Some("syscall"), Contention, Contention, "std::sync::RwLock::read",
        "<std::sys::sync::rwlock::futex::RwLock>::read_contended | std/src/sys/sync/rwlock/futex.rs:156
         std::sync::poison::rwlock::read<i32> | std/src/sync/poison/rwlock.rs:410"),
    ("parking_lot", Some("syscall"), Contention, Contention, "lock_api::mutex::Mutex::lock",
        "parking_lot_core::parking_lot::park | parking_lot_core-0.9.12/src/parking_lot.rs:600
         <parking_lot::raw_mutex::RawMutex as lock_api::mutex::RawMutex>::lock | parking_lot-0.12.5/src/raw_mutex.rs:72
         lock_api::mutex::Mutex<R,T>::lock | lock_api-0.4.14/src/mutex.rs:213"),
    ("crossbeam", Some("syscall"), Contention, Wait, "crossbeam_channel::channel::recv",
        "std::thread::functions::park | std/src/thread/functions.rs:529
         crossbeam_channel::context::wait_until | crossbeam-channel-0.5.17/src/context.rs:162
         crossbeam_channel::channel::recv<i32> | crossbeam-channel-0.5.17/src/channel.rs:820"),
    ("a lock that backs off by sleeping", Some("clock_nanosleep"), Sleep, Contention, "kanal::drop",
        "std::thread::functions::sleep | std/src/thread/functions.rs:320
         lock_api::mutex::lock<kanal::mutex::RawMutexLock> | lock_api-0.4.14/src/mutex.rs:213
         kanal::internal::acquire_internal<u32> | kanal-0.1.1/src/internal.rs:30
         kanal::drop<u32> | kanal-0.1.1/src/lib.rs:700"),
    ("an asynchronous lock taken by blocking", Some("syscall"), Contention, Contention, "async_lock::mutex::wait",
        "std::thread::functions::park | std/src/thread/functions.rs:529
         event_listener_strategy::wait | event-listener-strategy-0.5.4/src/lib.rs:300
         async_lock::mutex::wait | async-lock-3.4.1/src/mutex.rs:120"),
    ("flume", Some("syscall"), Contention, Wait, "flume::Receiver::recv",
        "std::thread::functions::park | std/src/thread/functions.rs:529
         flume::signal::SyncSignal::wait | flume-0.11.1/src/signal.rs:31
         flume::Receiver<T>::recv | flume-0.11.1/src/lib.rs:906"),
    ("block_on of futures", Some("syscall"), Contention, Wait, "futures::executor::block_on",
        "std::thread::functions::park | std/src/thread/functions.rs:529
         futures_executor::local_pool::run_executor | futures-executor-0.3.34/src/local_pool.rs:85
         futures_executor::local_pool::block_on | futures-executor-0.3.34/src/local_pool.rs:315"),
    ("block_on of tokio", Some("syscall"), Contention, Wait, "tokio::runtime::Handle::block_on",
        "parking_lot::condvar::Condvar::wait | parking_lot-0.12.5/src/condvar.rs:256
         tokio::runtime::park::CachedParkThread::block_on | tokio-1.54.1/src/runtime/park.rs:380
         tokio::runtime::handle::Handle::block_on | tokio-1.54.1/src/runtime/handle.rs:347"),
    ("tokio's blocking_recv", Some("syscall"), Contention, Wait, "tokio::sync::mpsc::bounded::blocking_recv",
        "tokio::runtime::park::park | tokio-1.54.1/src/runtime/park.rs:117
         tokio::future::block_on::block_on<T> | tokio-1.54.1/src/future/block_on.rs:12
         tokio::sync::mpsc::bounded::blocking_recv<i32> | tokio-1.54.1/src/sync/mpsc/bounded.rs:425"),
    ("the lock of standard output", Some("syscall"), Contention, Output, "std::io::_print",
        "<std::sys::sync::mutex::futex::Mutex>::lock_contended | std/src/sys/sync/mutex/futex.rs:61
         <std::io::stdio::Stdout as std::io::Write>::write_fmt | std/src/io/stdio.rs:834
         std::io::stdio::_print | std/src/io/stdio.rs:1165"),
    ("standard input", Some("read"), Input, Input, "std::io::Stdin::read_line",
        "<std::io::stdio::StdinRaw as std::io::Read>::read_buf | std/src/io/stdio.rs:104
         <std::io::stdio::Stdin>::read_line | std/src/io/stdio.rs:412"),
    ("ureq, release", Some("connect"), Network, Network, "ureq::request::call",
        "std::net::tcp::connect<core::net::socket_addr::SocketAddr> | std/src/net/tcp.rs:169
         ureq::pool::run_connector | ureq-3.5.1/src/pool.rs:75
         ureq::request::call | ureq-3.5.1/src/request.rs:471"),
    ("rusqlite with C inside", Some("open64"), File, File, "rusqlite::Connection::open",
        "robust_open | libsqlite3-sys-0.35.0/sqlite3/sqlite3.c:39567
         sqlite3_open_v2 | libsqlite3-sys-0.35.0/sqlite3/sqlite3.c:186249
         rusqlite::inner_connection::InnerConnection::open_with_flags | rusqlite-0.37.0/src/inner_connection.rs:91
         rusqlite::Connection::open | rusqlite-0.37.0/src/lib.rs:416"),
    ("a file's time", Some("futimens"), File, File, "std::fs::File::set_modified",
        "<std::sys::fs::unix::File>::set_times | std/src/sys/fs/unix.rs:1604
         std::fs::set_modified | std/src/fs.rs:1102"),
    ("the home of a user", Some("getpwuid_r"), Lookup, Lookup, "std::env::home_dir",
        "std::sys::paths::unix::home_dir | std/src/sys/paths/unix.rs:480
         std::env::home_dir | std/src/env.rs:657"),
    ("connect with a timeout", Some("poll"), Wait, Network, "std::net::TcpStream::connect_timeout",
        "<std::sys::net::connection::socket::unix::Socket>::connect_timeout | std/src/sys/net/connection/socket/unix.rs:204
         <std::net::tcp::TcpStream>::connect_timeout | std/src/net/tcp.rs:186"),
    ("a child's output, debug", Some("read"), Wait, Process, "std::process::ChildStdout::read",
        "<std::sys::fd::unix::FileDesc>::read | std/src/sys/fd/unix.rs:130
         <std::process::ChildStdout as std::io::Read>::read | std/src/process.rs:431"),
    ("a pipe, release", Some("read"), Wait, Wait, "std::io::PipeReader::read, ChildStdout::read or ChildStderr::read",
        "<std::sys::fs::unix::File>::read | std/src/sys/fs/unix.rs:1414"),
    ("how a process has started", Some("recv"), Network, Process, "std::process::Command::spawn",
        "<std::sys::process::unix::common::Command>::spawn | std/src/sys/process/unix/unix.rs:130
         <std::process::Command>::spawn | std/src/process.rs:1045"),
    ("a datagram of Unix", Some("recv"), Network, Network, "std::os::unix::net::UnixDatagram::recv",
        "<std::os::unix::net::datagram::UnixDatagram>::recv | std/src/os/unix/net/datagram.rs:425"),
    ("a socket's code that is that of several, release", Some("recv"), Network, Network,
        "std::net::TcpStream::read, UdpSocket::recv or UnixDatagram::recv",
        "<std::net::udp::UdpSocket>::recv | std/src/net/udp.rs:700"),
    ("a line of a file, release", Some("read"), File, File, "std::io::BufRead::read_line",
        "<std::fs::File as std::io::Read>::read_buf | std/src/fs.rs:1432
         std::io::buffered::bufreader::fill_buf<std::fs::File> | std/src/io/buffered/bufreader.rs:426
         std::io::read_line<std::io::buffered::bufreader::BufReader<std::fs::File>> | std/src/io/mod.rs:2620
         std::io::next<std::io::buffered::bufreader::BufReader<std::fs::File>> | std/src/io/mod.rs:3330"),
    ("a byte of a file, release", Some("read"), File, File, "std::fs::File::read",
        "<std::fs::File as std::io::Read>::read | std/src/fs.rs:1420
         std::io::inlined_slow_read_byte<std::fs::File> | std/src/io/mod.rs:3140
         std::io::spec_read_byte<std::fs::File> | std/src/io/mod.rs:3130
         std::io::next<std::fs::File> | std/src/io/mod.rs:3110"),
    ("an exact number of bytes, release", Some("read"), File, File, "std::io::Read::read_exact",
        "<std::fs::File as std::io::Read>::read | std/src/fs.rs:1420
         std::io::default_read_exact<std::fs::File> | std/src/io/mod.rs:562
         std::io::read_exact<std::fs::File> | std/src/io/mod.rs:1042"),
    ("a barrier of C", Some("pthread_barrier_wait"), Wait, Wait, "pthread_barrier_wait", ""),
    ("a futex of the author's own", Some("syscall"), Contention, Wait, "syscall", ""),
    ("a futex of a dependency's", Some("syscall"), Contention, Contention, "atomic_wait::wait",
        "atomic_wait::wait | atomic-wait-1.1.0/src/lib.rs:9"),
    ("a lock of C", Some("pthread_mutex_lock"), Contention, Contention, "pthread_mutex_lock", ""),
    ("a spin", None, Compute, Compute, "work on the CPU", "core::hint::black_box<u64> | core/src/hint.rs:491"),
    ("nothing below the author", None, Compute, Compute, "work on the CPU", ""),
    ("a sort", None, Compute, Compute, "slice::sort",
        "core::slice::sort::stable::quicksort::quicksort | core/src/slice/sort/stable/quicksort.rs:65
         alloc::slice::<impl [T]>::sort | alloc/src/slice.rs:210"),
    ("a password", None, Compute, Compute, "bcrypt::hash",
        "blowfish::Blowfish::expand | blowfish-0.9.1/src/lib.rs:9
         bcrypt::hash | bcrypt-0.17.0/src/lib.rs:9"),
    ("a loop over tokio's channel, debug", None, Compute, AlwaysReady, "tokio::sync::mpsc::unbounded::UnboundedReceiver::recv",
        "tokio::sync::mpsc::unbounded::UnboundedReceiver<T>::recv::{{closure}} | tokio-1.54.1/src/sync/mpsc/unbounded.rs:182"),
    ("a loop over tokio's channel, release", None, Compute, AlwaysReady, "tokio::sync::mpsc::unbounded",
        "tokio::sync::mpsc::unbounded::{async_fn#0}<u64> | tokio-1.54.1/src/sync/mpsc/unbounded.rs:182"),
    ("a loop over a stream", None, Compute, AlwaysReady, "futures_util::stream::stream::next::Next::poll",
        "<futures_util::stream::iter::Iter<I> as futures_core::stream::Stream>::poll_next | futures-util-0.3.34/src/stream/iter.rs:59
         <futures_util::stream::stream::next::Next<St> as core::future::future::Future>::poll | futures-util-0.3.34/src/stream/stream/next.rs:32"),
    ("sending without await", None, Compute, Compute, "tokio::sync::mpsc::unbounded::UnboundedSender::send",
        "tokio::sync::mpsc::block::Block<T>::write | tokio-1.54.1/src/sync/mpsc/block.rs:212
         tokio::sync::mpsc::unbounded::UnboundedSender<T>::send | tokio-1.54.1/src/sync/mpsc/unbounded.rs:564"),
    ("a raw system call", None, Unknown, File, "rustix::fs::fsync", "rustix::fs::fsync | rustix-1.0.0/src/fs/sync.rs:9"),
    ("a sleep in the kernel that nothing explains", None, Unknown, Unknown, "a call that sleeps", ""),
];

const ABOVE: &str = "bot::cmd::load | src/cmd.rs:10
     bot::cmd::run::{{closure}} | src/cmd.rs:21
     <tokio::time::timeout::Timeout<T> as core::future::future::Future>::poll | tokio-1.54.1/src/time/timeout.rs:3
     bot::cmd::handler::{{closure}} | src/cmd.rs:40
     async_task::raw::RawTask<F,T,S,M>::run | async-task-4.7.1/src/raw.rs:557
     bot::main | src/main.rs:83";

fn judged(symbol: Option<&'static str>, class: Class, stack: &str) -> Verdict {
    judge(
        &Evidence { symbol, class, is_guest: false, frames: &frames(stack) },
        &Allow::default(),
        &Words::tokio(),
    )
}

#[test]
fn a_wait_for_the_allocators_own_lock_is_nobodys_fault() {
    let free = "futex_wait | ./nptl/../sysdeps/nptl/futex-internal.h:146
                __GI___lll_lock_wait_private | ./nptl/lowlevellock.c:34
                _int_free | ./malloc/malloc.c:4572
                __GI___libc_free | ./malloc/malloc.c:3385
                alloc::sync::drop<bot::Cat> | alloc/src/sync.rs:2854
                bot::run | src/run.rs:3";
    for (stack, expected) in [
        (free.to_owned(), true),
        (free.replace("_int_free", "other").replace("__GI___libc_free", "free"), true),
        (free.replace("_int_free", "other").replace("__GI___libc_free", "sqlite3_step"), false),
        ("rustix::thread::nanosleep\nbot::run | src/run.rs:3".to_owned(), false),
    ] {
        let stack = frames(&stack);
        let evidence = Evidence { symbol: None, class: Unknown, is_guest: false, frames: &stack };
        let verdict = judge(&evidence, &Allow::default(), &Words::tokio());
        assert_eq!(verdict.is_allowed, expected, "{stack:#?}");
    }
}

#[test]
fn a_wait_for_a_lock_of_whatever_allocator_is_nobodys_fault() {
    let jemalloc = "malloc_mutex_lock_final | target/release/build/a-sys-bbe442f86c8c0783/out/build/mutex.h:191
                    arena_malloc_small | target/release/build/a-sys-bbe442f86c8c0783/out/build/src/arena.c:1079
                    _rjem_malloc | target/release/build/a-sys-bbe442f86c8c0783/out/build/src/jemalloc.c:2746";
    let rust = "alloc::raw_vec::RawVecInner<A>::try_allocate_in | alloc/src/raw_vec/mod.rs:477";
    for (symbol, class, inside) in [
        ("pthread_mutex_lock", Contention, jemalloc),
        ("pthread_mutex_lock", Contention, "?\n?\nmalloc"),
        (
            "syscall",
            Contention,
            "tcmalloc::SpinLock::SlowLock()\ntcmalloc::CentralFreeList::Populate()\noperator new(unsigned long)",
        ),
        ("nanosleep", Sleep, "SpinLockDelay\n?\ntc_malloc"),
        ("sched_yield", Unknown, "_mi_page_free_collect\nmi_heap_malloc_zero_aligned_at"),
        (
            "open",
            Class::File,
            "_rjem_je_os_overcommits_proc\n<tikv_jemallocator::Jemalloc as core::alloc::GlobalAlloc>::alloc",
        ),
    ] {
        let verdict = judged(Some(symbol), class, &format!("{inside}\n{rust}\n{TASK}"));
        assert!(verdict.is_allowed, "{inside}: {verdict:?}");
    }
    for inside in ["sqlite3_step", "arena_lock", "freeze", "my_free"] {
        let verdict = judged(Some("pthread_mutex_lock"), Contention, &format!("{inside}\n{rust}\n{TASK}"));
        assert!(!verdict.is_allowed, "{inside}: {verdict:?}");
    }
}

#[test]
fn who_runs_the_runtime_is_not_the_author_of_what_its_tasks_call() {
    let stack = "std::sys::sync::mutex::futex::Mutex::lock_contended | std/src/sys/sync/mutex/futex.rs:61
                 tokio::runtime::blocking::pool::Spawner::spawn_task | tokio-1.54.1/src/runtime/blocking/pool.rs:3
                 tokio::runtime::task::core::Core<F, S>::poll | tokio-1.54.1/src/runtime/task/core.rs:365
                 tokio::runtime::runtime::Runtime::block_on | tokio-1.54.1/src/runtime/runtime.rs:348
                 bot::main | src/main.rs:3";
    let verdict = judged(None, Class::Contention, stack);
    assert_eq!((verdict.class, verdict.author), (Class::Contention, None));
    let wakes = "std::sys::sync::mutex::futex::Mutex::lock_contended | std/src/sys/sync/mutex/futex.rs:61
                 tokio::runtime::task::waker::wake_by_ref | tokio-1.54.1/src/runtime/task/waker.rs:3
                 bot::tell | src/tell.rs:9
                 tokio::runtime::task::core::Core<F, S>::poll | tokio-1.54.1/src/runtime/task/core.rs:365";
    assert_eq!(judged(None, Class::Contention, wakes).author, Some(frame("bot::tell | src/tell.rs:9")));
}

#[test]
fn every_blocking_call_has_its_class_its_name_and_the_authors_line() {
    assert!(SEEN.len() >= 30);
    for (name, symbol, class, refined, call, below) in SEEN {
        let verdict = judged(*symbol, *class, &format!("{below}\n{ABOVE}"));
        assert_eq!((verdict.class, &*verdict.call), (*refined, *call), "{name}");
        assert_eq!(verdict.author, Some(frame("bot::cmd::load | src/cmd.rs:10")), "{name}");
        let own: Vec<_> = verdict.path.iter().filter(|frame| origin(frame) == Origin::Author).collect();
        let lines: Vec<_> = own.iter().filter_map(|frame| frame.line).collect();
        assert_eq!(lines, [10, 21, 40], "{name}: through the time limit, and not to `main`");
        assert!(verdict.path.len() <= SHOWN_BELOW + 3 && !verdict.is_allowed, "{name}: {:?}", verdict.path);
        assert!(verdict.advice.contains('`') && !lacks_lines(&verdict), "{name}: {}", verdict.advice);
    }
}

#[test]
fn the_hooks_own_frames_are_not_shown() {
    let hook = "backtrace::backtrace::trace | backtrace-0.3.77/src/backtrace/mod.rs:53
                evenkeel_guard::hook::open64 | evenkeel-guard/src/hook.rs:34
                std::fs::read | std/src/fs.rs:349";
    let verdict = judged(Some("open64"), File, &format!("{hook}\n{ABOVE}"));
    assert_eq!(verdict.call, "std::fs::read");
    assert_eq!(verdict.path[0], frame("std::fs::read | std/src/fs.rs:349"));
    assert_eq!(verdict.advice.split(';').next(), Some("use `tokio::fs::read(..).await`"));
}

#[test]
fn a_path_is_short_and_keeps_the_authors_innermost_frames() {
    let deep: String = (1..40).map(|line| format!("\nbot::walk | src/walk.rs:{line}")).collect();
    let verdict = judged(Some("open64"), File, &format!("std::fs::read | std/src/fs.rs:349{deep}"));
    assert_eq!(verdict.path.len(), SHOWN);
    assert_eq!(verdict.path[1].line, Some(1));
}

#[test]
fn without_line_tables_names_are_kept_and_no_author_is_claimed() {
    let stack = "open64\n<std::fs::File>::open::<&std::path::Path> | std/src/fs.rs:571
                 std::fs::read::inner | std/src/fs.rs:343\nbot::cmd::load\nbot::cmd::run::{{closure}}
                 async_task::raw::RawTask<F,T,S,M>::run\nbot::main";
    let verdict = judged(Some("open64"), File, stack);
    assert_eq!((verdict.author.as_ref(), &*verdict.call), (None, "std::fs::read"));
    assert_eq!(verdict.path, frames("bot::cmd::load\nbot::cmd::run::{{closure}}"));
    assert!(lacks_lines(&verdict) && LINES_HINT.contains("line-tables-only"));
    let client =
        judged(Some("connect"), Network, "std::net::tcp::TcpStream::connect\nureq::run::run\nbot::run");
    assert!(client.advice.starts_with("use `reqwest::Client`"), "{}", client.advice);
}

#[test]
fn without_symbols_the_call_and_the_class_are_left() {
    let verdict = judged(Some("getaddrinfo"), Lookup, "?\n?\n?");
    assert_eq!((&*verdict.call, verdict.author, verdict.path), ("getaddrinfo", None, Vec::new()));
    assert_eq!(judged(None, Compute, "").call, "work on the CPU");
}

#[test]
fn what_is_allowed_is_judged_by_the_whole_stack_and_by_either_class() {
    let start = "<std::process::Command>::spawn | std/src/process.rs:1054
                 tokio::process::spawn | tokio-1.54.1/src/process/mod.rs:865";
    assert!(judged(Some("posix_spawnp"), Process, &format!("{start}\n{ABOVE}")).is_allowed);
    let channel = frames(&format!("std::sync::mpsc::recv<i32> | std/src/sync/mpsc.rs:849\n{ABOVE}"));
    let evidence = Evidence { symbol: Some("syscall"), class: Contention, is_guest: false, frames: &channel };
    for (what, expected) in [("wait", true), ("contention", true), ("syscall", true), ("join", false)] {
        let allow = Allow::nothing().with(what, "bot::cmd");
        assert_eq!(judge(&evidence, &allow, &Words::tokio()).is_allowed, expected, "{what}");
    }
}

#[test]
fn a_real_stack_is_judged_by_its_innermost_author() {
    let mut addresses = Vec::new();
    let line = line!() + 1;
    backtrace::trace(|frame| {
        addresses.push(crate::stack::Address::returned_to(frame.ip().addr()));
        true
    });
    let stack = crate::stack::Symbols::new().resolve(&addresses, Claims::default());
    let evidence = Evidence { symbol: Some("open64"), class: File, is_guest: false, frames: &stack };
    let verdict = judge(&evidence, &Allow::default(), &Words::tokio());
    let found = verdict.author.map(|frame| (frame.file, frame.line));
    assert_eq!(found, Some((Some("src/verdict/tests.rs".to_owned()), Some(line))));
}

/// A poll of a task on a multi-threaded runtime, as line tables alone have it, and what polls that.
const TASK: &str = "bot::cmd::{async_fn#0} | src/cmd.rs:26
    tokio::runtime::task::core::{closure#0}<bot::cmd::nap::{async_fn_env#0}, alloc::sync::Arc<tokio::runtime::scheduler::multi_thread::handle::Handle, alloc::alloc::Global>> | tokio-1.54.1/src/runtime/task/core.rs:380
    tokio::runtime::task::core::poll<bot::cmd::nap::{async_fn_env#0}, alloc::sync::Arc<tokio::runtime::scheduler::multi_thread::handle::Handle, alloc::alloc::Global>> | tokio-1.54.1/src/runtime/task/core.rs:369
    tokio::runtime::task::harness::poll<bot::cmd::nap::{async_fn_env#0}> | tokio-1.54.1/src/runtime/task/harness.rs:155
    tokio::runtime::task::raw::poll | tokio-1.54.1/src/runtime/task/raw.rs:267
    tokio::runtime::scheduler::multi_thread::worker::run_task | tokio-1.54.1/src/runtime/scheduler/multi_thread/worker.rs:696
    tokio::runtime::blocking::task::poll<tokio::runtime::scheduler::multi_thread::worker::maybe_move_runtime::{closure#0}::{closure_env#0}, ()> | tokio-1.54.1/src/runtime/blocking/task.rs:42
    tokio::runtime::task::core::poll<tokio::runtime::blocking::task::BlockingTask<()>> | tokio-1.54.1/src/runtime/task/core.rs:369
    tokio::runtime::blocking::pool::run | tokio-1.54.1/src/runtime/blocking/pool.rs:220
    start_thread | ./nptl/pthread_create.c:442";

#[test]
fn short_waits_for_a_lock_inside_an_async_primitive_are_contention_and_nobodys_fault() {
    let std_lock = "std::sys::pal::unix::futex::futex_wait | std/src/sys/pal/unix/futex.rs:73
        <std::sys::sync::mutex::futex::Mutex>::lock_contended | std/src/sys/sync/mutex/futex.rs:61
        std::sys::sync::mutex::futex::lock | std/src/sys/sync/mutex/futex.rs:33
        std::sync::poison::mutex::lock<()> | std/src/sync/poison/mutex.rs:492";
    let raw_lock = "parking_lot_core::thread_parker::linux::futex_wait | parking_lot_core-0.9.12/src/thread_parker/linux.rs:112
        parking_lot_core::parking_lot::park | parking_lot_core-0.9.12/src/parking_lot.rs:600
        parking_lot::raw_mutex::lock_slow | parking_lot-0.12.5/src/raw_mutex.rs:262
        lock_api::mutex::lock | lock_api-0.4.14/src/mutex.rs:213";
    let relock =
        format!("{std_lock}\nstd::sys::sync::condvar::futex::wait | std/src/sys/sync/condvar/futex.rs:33");
    for (name, inner, is_inner_lock, is_allowed) in [
        ("the author's", std_lock.to_owned(), false, false),
        ("the author's, of a crate", raw_lock.to_owned(), false, false),
        ("after a condition variable", relock, false, false),
        (
            "flume",
            format!(
                "{std_lock}\nflume::wait_lock<flume::Chan<u32>> | flume-0.11.1/src/lib.rs:406
                 flume::async::poll_inner<u32> | flume-0.11.1/src/async.rs:389
                 flume::async::poll<u32> | flume-0.11.1/src/async.rs:462"
            ),
            true,
            false,
        ),
        (
            "a channel of std",
            format!("{std_lock}\nstd::sync::mpsc::send<u32> | std/src/sync/mpsc.rs:603"),
            true,
            false,
        ),
        (
            "starting a thread",
            format!("{std_lock}\nstd::thread::lifecycle::spawn_unchecked | std/src/thread/lifecycle.rs:60"),
            true,
            false,
        ),
        (
            "tokio's pool for files",
            format!(
                "{raw_lock}\ntokio::loom::std::parking_lot::lock | tokio-1.54.1/src/loom/std/parking_lot.rs:66
                 tokio::runtime::blocking::pool::spawn_task | tokio-1.54.1/src/runtime/blocking/pool.rs:387
                 tokio::fs::asyncify<()> | tokio-1.54.1/src/fs/mod.rs:329
                 tokio::fs::read::read<&str> | tokio-1.54.1/src/fs/read.rs:48"
            ),
            false,
            true,
        ),
        (
            "tokio starts a thread",
            format!(
                "{std_lock}\nstd::thread::lifecycle::spawn_unchecked | std/src/thread/lifecycle.rs:60
                 std::thread::builder::spawn | std/src/thread/builder.rs:181
                 tokio::runtime::blocking::pool::spawn_thread | tokio-1.54.1/src/runtime/blocking/pool.rs:517
                 tokio::fs::read::read<&str> | tokio-1.54.1/src/fs/read.rs:48"
            ),
            false,
            true,
        ),
        (
            "a timer",
            format!(
                "{std_lock}\ntokio::runtime::time::reregister | tokio-1.54.1/src/runtime/time/mod.rs:405"
            ),
            false,
            true,
        ),
    ] {
        let verdict = judged(Some("syscall"), Contention, &format!("{inner}\n{TASK}"));
        let found = (verdict.class, verdict.is_inner_lock, verdict.is_allowed);
        assert_eq!(found, (Contention, is_inner_lock, is_allowed), "{name}");
        assert!(verdict.is_nobodys_fault(Some(true)) && !verdict.is_nobodys_fault(Some(false)), "{name}");
    }
}

#[test]
fn what_tokio_is_asked_to_wait_for_is_the_authors_fault() {
    let park = "parking_lot_core::parking_lot::park | parking_lot_core-0.9.12/src/parking_lot.rs:600
        parking_lot::condvar::wait | parking_lot-0.12.5/src/condvar.rs:256
        tokio::loom::std::parking_lot::wait | tokio-1.54.1/src/loom/std/parking_lot.rs:161
        tokio::runtime::park::block_on | tokio-1.54.1/src/runtime/park.rs:380";
    for (outer, class) in [
        ("tokio::sync::mutex::blocking_lock<i32> | tokio-1.54.1/src/sync/mutex.rs:521", Contention),
        ("tokio::sync::mpsc::bounded::blocking_recv<i32> | tokio-1.54.1/src/sync/mpsc/bounded.rs:425", Wait),
        ("tokio::runtime::handle::block_on<()> | tokio-1.54.1/src/runtime/handle.rs:347", Wait),
    ] {
        let verdict = judged(Some("syscall"), Contention, &format!("{park}\n{outer}\n{TASK}"));
        assert_eq!(
            (verdict.class, verdict.is_inner_lock, verdict.is_allowed),
            (class, false, false),
            "{outer}"
        );
    }
}

#[test]
fn no_frame_of_the_guard_is_shown_and_a_direct_call_has_its_own_name() {
    let lines = "backtrace::backtrace::libunwind::trace | backtrace-0.3.76/src/backtrace/libunwind.rs:117
        evenkeel_guard::sys::addresses_here | evenkeel-guard/src/sys.rs:120
        evenkeel_guard::watchdog::hearing::before | evenkeel-guard/src/watchdog/hearing.rs:68
        evenkeel_guard::hook::{closure#0} | evenkeel-guard/src/hook.rs:141
        core::panic::unwind_safe::call_once<()> | core/src/panic/unwind_safe.rs:274
        std::panicking::do_call<()> | std/src/panicking.rs:581
        std::panicking::catch_unwind<()> | std/src/panicking.rs:544
        std::panic::catch_unwind<()> | std/src/panic.rs:359
        evenkeel_guard::hook::tell | evenkeel-guard/src/hook.rs:141
        evenkeel_guard::hook::linked::wrap::before | evenkeel-guard/src/hook/linked/wrap.rs:142
        evenkeel_guard::hook::linked::wrap::told | evenkeel-guard/src/hook/linked/wrap.rs:219
        evenkeel_guard::hook::linked::wrap::usleep | evenkeel-guard/src/hook/linked/wrap.rs:196";
    let installed = lines.replace("| evenkeel-guard/", "| evenkeel-guard-0.1.0/");
    let debug = lines
        .replace("wrap::told", "time::usleep::told")
        .replace("evenkeel_guard::hook::linked::wrap::usleep", "usleep");
    for hook in [lines.to_owned(), installed, debug] {
        let verdict = judged(Some("usleep"), Sleep, &format!("{hook}\n{TASK}"));
        assert_eq!(verdict.call, "usleep", "{hook}");
        assert_eq!(verdict.path, [frame("bot::cmd::{async_fn#0} | src/cmd.rs:26")], "{hook}");
        let read = format!("{hook}\nstd::fs::read<&str> | std/src/fs.rs:349\n{TASK}");
        assert_eq!(judged(Some("open64"), File, &read).call, "std::fs::read");
    }
    // The watchdog finds a thread inside the call that the guard passed on.
    let below = format!("__GI___clock_nanosleep | ./time/clock_nanosleep.c:78\n{lines}\n{TASK}");
    assert_eq!(judged(Some("usleep"), Sleep, &below).path.len(), 1);
}

#[test]
fn a_panic_at_any_moment_of_a_poll_excuses_it() {
    let work = frames(&format!("bot::work | src/work.rs:9\n{TASK}"));
    let at = |inner: &str| frames(&format!("{inner}\nbot::work | src/work.rs:9\n{TASK}"));
    for (inner, expected) in [
        (
            "gimli::read::line::next_row | std/deps/gimli-0.32.3/src/read/line.rs:1
          std::backtrace_rs::symbolize::gimli::resolve | std/src/../../backtrace/src/symbolize/gimli.rs:5
          std::panicking::default_hook::{closure#0} | std/src/panicking.rs:295",
            true,
        ),
        (
            "_Unwind_Find_FDE\n?\n_Unwind_RaiseException\npanic_unwind::imp::panic | panic_unwind/src/gcc.rs:61",
            true,
        ),
        ("_Unwind_Resume", true),
        ("bot::other | src/work.rs:8", false),
        ("std::panicking::catch_unwind<()> | std/src/panicking.rs:544", false),
    ] {
        let panic = at(inner);
        let evidence = |frames| Evidence { symbol: None, class: Compute, is_guest: false, frames };
        for moments in [[&*work, &*panic], [&*panic, &*work]] {
            let moments = moments.map(evidence);
            let verdict = judge_all(&moments, &Allow::default(), &Words::tokio());
            assert_eq!(verdict.is_allowed, expected, "{inner}");
        }
    }
    // Anyone who runs the runtime may be unwinding around it: that says nothing of the task.
    let around = frames(&format!("{TASK}\nstd::panicking::begin_panic | std/src/panicking.rs:3"));
    let evidence = [Evidence { symbol: None, class: Compute, is_guest: false, frames: &around }];
    assert!(!judge_all(&evidence, &Allow::default(), &Words::tokio()).is_allowed);
}

#[test]
fn the_lock_of_a_parking_lot_is_one_for_those_that_wake_others_too() {
    let stack = "parking_lot_core::word_lock::WordLock::lock_slow
        parking_lot_core::parking_lot::lock_bucket_pair
        parking_lot::condvar::Condvar::notify_one_slow
        tokio::sync::oneshot::Sender<T>::send
        bot::run | src/run.rs:3";
    assert_eq!(super::waits::class(&frames(stack)), Some(Class::Contention));
}
