//! What the system is asked: sleeps, names, the terminal, raw calls.

use std::net::ToSocketAddrs;
use std::thread;

use evenkeel_guard::Class::{File, Lookup, Process, Sleep};

use crate::row::{Row, SHORT, blocks, harmless, here};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = blocking_rows();
    rows.extend(libc_rows());
    rows.extend(harmless_rows());
    rows
}

fn blocking_rows() -> Vec<Row> {
    vec![
        blocks("std", "thread::sleep", Sleep, || async { here!(thread::sleep(SHORT)) }),
        blocks("std", "thread::sleep in a closure", Sleep, || async {
            let nap = |count: u32| here!(thread::sleep(SHORT * count));
            (1..3).for_each(nap);
        }),
        blocks("std", "to_socket_addrs", Lookup, || async {
            here!(("localhost", 80).to_socket_addrs()).unwrap().count() > 0
        }),
        blocks("dns-lookup", "lookup_host", Lookup, || async {
            !here!(dns_lookup::lookup_host("localhost")).unwrap().is_empty()
        }),
        blocks("dns-lookup", "getnameinfo", Lookup, || {
            let address = ([127, 0, 0, 1], 80).into();
            async move { here!(dns_lookup::getnameinfo(&address, 0)).is_ok() }
        })
        .beside(&[File]),
        blocks("sysinfo", "System::refresh_memory", File, || {
            let mut system = sysinfo::System::new();
            async move {
                here!(system.refresh_memory());
                system.total_memory() > 0
            }
        }),
        blocks("sysinfo", "System::refresh_cpu_usage", File, || {
            let mut system = sysinfo::System::new();
            async move {
                here!(system.refresh_cpu_usage());
                !system.cpus().is_empty()
            }
        }),
    ]
}

/// The C library itself, as code that was not written for Rust calls it.
fn libc_rows() -> Vec<Row> {
    vec![
        // SAFETY: no pointer is handed over.
        blocks("libc", "usleep", Sleep, || async { here!(unsafe { libc::usleep(2000) }) }),
        blocks("libc", "nanosleep", Sleep, || async {
            let length = libc::timespec { tv_sec: 0, tv_nsec: 2_000_000 };
            // SAFETY: the length outlives the call.
            here!(unsafe { libc::nanosleep(&length, std::ptr::null_mut()) })
        }),
        // SAFETY: no descriptor is looked at.
        blocks("libc", "poll", Sleep, || async { here!(unsafe { libc::poll(std::ptr::null_mut(), 0, 2) }) }),
        blocks("libc", "select", Sleep, || async {
            let mut length = libc::timeval { tv_sec: 0, tv_usec: 2000 };
            let none = std::ptr::null_mut();
            // SAFETY: no descriptor is looked at, and the length outlives the call.
            here!(unsafe { libc::select(0, none, none, none, &mut length) })
        }),
        blocks("libc", "waitpid", Process, || {
            let child = std::process::Command::new("sleep").arg("0.02").spawn().unwrap();
            let id = i32::try_from(child.id()).unwrap();
            // SAFETY: no pointer is handed over.
            async move { here!(unsafe { libc::waitpid(id, std::ptr::null_mut(), 0) }) == id }
        }),
        blocks("libc", "getpwuid", Lookup, || async {
            // SAFETY: the entry is not read.
            !here!(unsafe { libc::getpwuid(0) }).is_null()
        }),
        blocks("rustix", "thread::nanosleep, past the C library", Sleep, || async {
            let length = rustix::thread::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
            let _rest = here!(rustix::thread::nanosleep(&length));
        }),
    ]
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("std", "the time, an environment variable, a hash map", || async {
            let mut map = std::collections::HashMap::new();
            map.insert(std::env::var("PATH").unwrap(), std::time::SystemTime::now());
            map.len()
        }),
        harmless("std", "a thread that sleeps", || async {
            thread::spawn(|| thread::sleep(SHORT));
        }),
        harmless("std", "memory by the megabyte", || async {
            std::hint::black_box(vec![1_u8; 1 << 20]).len()
        }),
        harmless("tokio", "net::lookup_host", || async {
            tokio::net::lookup_host(("localhost", 80)).await.unwrap().count() > 0
        }),
        harmless("tokio", "time", || async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tokio::time::timeout(SHORT, std::future::pending::<()>()).await.is_err()
        }),
        harmless("chrono", "the local time", || async {
            let text = chrono::Local::now().to_rfc3339();
            text.len() > 20
        }),
        harmless("uuid", "v4 and v7", || async {
            let (random, sorted) = (uuid::Uuid::new_v4(), uuid::Uuid::now_v7());
            random.to_string().len() + sorted.to_string().len()
        }),
        harmless("rand", "random numbers", || async {
            use rand::Rng;
            rand::rng().random_range(0..10) < 10
        }),
    ]
}
