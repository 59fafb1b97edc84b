//! Locks: held elsewhere while the handler asks, and free or awaited.

use std::sync::{Arc, Mutex, RwLock};

use evenkeel_guard::Class::{Compute, Contention, Wait};

use crate::row::{Row, blocks, harmless, here, once_asleep, while_busy, while_held};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = blocking_rows();
    rows.extend(more_blocking_rows());
    rows.extend(harmless_rows());
    rows
}

fn blocking_rows() -> Vec<Row> {
    vec![
        blocks("std", "Mutex::lock", Contention, || {
            let lock = Arc::new(Mutex::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.lock().unwrap();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.lock()).unwrap();
                value
            }
        }),
        blocks("std", "RwLock::read", Contention, || {
            let lock = Arc::new(RwLock::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.write().unwrap();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.read()).unwrap();
                value
            }
        }),
        blocks("std", "RwLock::write", Contention, || {
            let lock = Arc::new(RwLock::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.read().unwrap();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.write()).unwrap();
                value
            }
        }),
        blocks("parking_lot", "Mutex::lock", Contention, || {
            let lock = Arc::new(parking_lot::Mutex::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.lock();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.lock());
                value
            }
        }),
        blocks("parking_lot", "RwLock::write", Contention, || {
            let lock = Arc::new(parking_lot::RwLock::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.read();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.write());
                value
            }
        }),
        blocks("parking_lot", "Condvar::wait", Wait, || {
            let pair = Arc::new((parking_lot::Mutex::new(false), parking_lot::Condvar::new()));
            let other = Arc::clone(&pair);
            let asleep = once_asleep(move || {
                *other.0.lock() = true;
                other.1.notify_one();
            });
            async move {
                asleep.here();
                let mut guard = pair.0.lock();
                here!(pair.1.wait(&mut guard));
                *guard
            }
        }),
        blocks("parking_lot", "ReentrantMutex::lock", Contention, || {
            let lock = Arc::new(parking_lot::ReentrantMutex::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.lock();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.lock());
                value
            }
        }),
    ]
}

fn more_blocking_rows() -> Vec<Row> {
    vec![
        blocks("dashmap", "get, its shard held", Contention, || {
            let map = Arc::new(dashmap::DashMap::<u32, u32>::from_iter([(1, 7)]));
            let other = Arc::clone(&map);
            let held = while_held(move |wait| {
                let _guard = other.get_mut(&1);
                wait();
            });
            async move {
                held.here();
                let value = *here!(map.get(&1)).unwrap();
                value
            }
        }),
        blocks("dashmap", "insert, its shard held", Contention, || {
            let map = Arc::new(dashmap::DashMap::<u32, u32>::from_iter([(1, 7)]));
            let other = Arc::clone(&map);
            let held = while_held(move |wait| {
                let _guard = other.get(&1);
                wait();
            });
            async move {
                held.here();
                here!(map.insert(1, 8)).unwrap()
            }
        }),
        blocks("scc", "HashMap::get, its bucket held", Contention, || {
            let map = Arc::new(scc::HashMap::new());
            map.insert(1, 7).unwrap();
            let other = Arc::clone(&map);
            let held = while_held(move |wait| {
                let _entry = other.get(&1);
                wait();
            });
            async move {
                held.here();
                let value = *here!(map.get(&1)).unwrap().get();
                value
            }
        })
        .beside(&[Wait]),
        blocks("async-lock", "Mutex::lock_blocking", Contention, || {
            let lock = Arc::new(async_lock::Mutex::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.lock_blocking();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.lock_blocking());
                value
            }
        })
        .beside(&[Wait]),
        blocks("tokio", "Mutex::blocking_lock", Contention, || {
            let lock = Arc::new(tokio::sync::Mutex::new(7));
            let other = Arc::clone(&lock);
            let held = while_held(move |wait| {
                let _guard = other.blocking_lock();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.blocking_lock());
                value
            }
        })
        .outside_tokio(),
        blocks("spin", "Mutex::lock, held elsewhere", Compute, || {
            let lock = Arc::new(spin::Mutex::new(7));
            let other = Arc::clone(&lock);
            let held = while_busy(move |wait| {
                let _guard = other.lock();
                wait();
            });
            async move {
                held.here();
                let value = *here!(lock.lock());
                value
            }
        }),
    ]
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("std", "Mutex and RwLock, shared by tasks", || {
            static SHARED: (Mutex<u64>, RwLock<u64>) = (Mutex::new(0), RwLock::new(0));
            async {
                for _ in 0..50 {
                    *SHARED.0.lock().unwrap() += 1;
                    let odd = *SHARED.1.read().unwrap() & 1;
                    *SHARED.1.write().unwrap() += odd;
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("std", "atomics", || async {
            let count = std::sync::atomic::AtomicU32::new(0);
            for _ in 0..20 {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
            count.into_inner()
        }),
        harmless("parking_lot", "Mutex and RwLock, shared by tasks", || {
            static SHARED: (parking_lot::Mutex<u64>, parking_lot::RwLock<u64>) =
                (parking_lot::const_mutex(0), parking_lot::const_rwlock(0));
            async {
                for _ in 0..50 {
                    *SHARED.0.lock() += 1;
                    *SHARED.1.write() += 1;
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("tokio", "sync::Mutex and RwLock", || {
            static SHARED: (tokio::sync::Mutex<u64>, tokio::sync::RwLock<u64>) =
                (tokio::sync::Mutex::const_new(0), tokio::sync::RwLock::const_new(0));
            async {
                for _ in 0..50 {
                    *SHARED.0.lock().await += 1;
                    *SHARED.1.write().await += 1;
                }
            }
        }),
        harmless("async-lock", "Mutex and RwLock", || {
            static SHARED: (async_lock::Mutex<u64>, async_lock::RwLock<u64>) =
                (async_lock::Mutex::new(0), async_lock::RwLock::new(0));
            async {
                for _ in 0..50 {
                    *SHARED.0.lock().await += 1;
                    *SHARED.1.write().await += 1;
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("dashmap", "shared by tasks", || {
            static SHARED: std::sync::LazyLock<dashmap::DashMap<u32, u32>> =
                std::sync::LazyLock::new(dashmap::DashMap::new);
            async {
                for key in 0..50 {
                    *SHARED.entry(key).or_default() += 1;
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("scc", "HashMap, shared by tasks", || {
            static SHARED: std::sync::LazyLock<scc::HashMap<u32, u32>> =
                std::sync::LazyLock::new(scc::HashMap::new);
            async {
                for key in 0..50 {
                    *SHARED.entry_async(key).await.or_default().get_mut() += 1;
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("arc-swap", "load and store", || {
            let shared = arc_swap::ArcSwap::from_pointee(0_u32);
            async move {
                for number in 0..50 {
                    shared.store(Arc::new(number));
                    tokio::task::yield_now().await;
                }
                **shared.load()
            }
        }),
        harmless("spin", "Mutex that nobody holds", || async {
            let lock = spin::Mutex::new(0);
            for _ in 0..50 {
                *lock.lock() += 1;
                tokio::task::yield_now().await;
            }
            lock.into_inner()
        }),
        harmless("lru", "LruCache behind a lock", || async {
            let cache = Mutex::new(lru::LruCache::new(std::num::NonZero::new(8).unwrap()));
            for number in 0..20_u32 {
                cache.lock().unwrap().put(number, number);
                tokio::task::yield_now().await;
            }
            cache.into_inner().unwrap().len()
        }),
        harmless("moka", "sync::Cache that has it", || {
            let cache = moka::sync::Cache::new(100);
            cache.insert(1, 7);
            async move {
                for _ in 0..50 {
                    cache.get(&1);
                    tokio::task::yield_now().await;
                }
                cache.get(&1)
            }
        }),
    ]
}
