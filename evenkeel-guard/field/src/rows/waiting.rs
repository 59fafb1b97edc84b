//! Waiting for other threads and for futures.

use std::sync::{Arc, Barrier, Condvar, Mutex, Once, OnceLock};
use std::thread;
use std::time::Duration;

use evenkeel_guard::Class::{Contention, Join, Sleep, Wait};
use rayon::prelude::*;

use crate::row::{Row, SHORT, blocks, harmless, here, once_asleep, while_held};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = std_rows();
    rows.extend(package_rows());
    rows.extend(harmless_rows());
    rows
}

fn std_rows() -> Vec<Row> {
    vec![
        blocks("std", "JoinHandle::join", Join, || {
            let thread = thread::spawn(|| thread::sleep(SHORT * 5));
            async move { here!(thread.join()).unwrap() }
        }),
        blocks("std", "thread::scope", Join, || async {
            here!(thread::scope(|scope| drop(scope.spawn(|| thread::sleep(SHORT)))));
        })
        .beside(&[Wait]),
        blocks("std", "thread::park", Wait, || {
            let (tx, rx) = std::sync::mpsc::channel::<thread::Thread>();
            let asleep = once_asleep(move || rx.recv().unwrap().unpark());
            async move {
                tx.send(thread::current()).unwrap();
                asleep.here();
                here!(thread::park());
            }
        }),
        blocks("std", "Condvar::wait", Wait, || {
            let pair = Arc::new((Mutex::new(false), Condvar::new()));
            let other = Arc::clone(&pair);
            let asleep = once_asleep(move || {
                *other.0.lock().unwrap() = true;
                other.1.notify_one();
            });
            async move {
                asleep.here();
                let guard = pair.0.lock().unwrap();
                let is_done = *here!(pair.1.wait(guard)).unwrap();
                is_done
            }
        }),
        blocks("std", "Barrier::wait", Wait, || {
            let barrier = Arc::new(Barrier::new(2));
            let other = Arc::clone(&barrier);
            let asleep = once_asleep(move || drop(other.wait()));
            async move {
                asleep.here();
                here!(barrier.wait()).is_leader()
            }
        }),
        blocks("std", "OnceLock::get_or_init, begun elsewhere", Wait, || {
            let cell = Arc::new(OnceLock::new());
            let other = Arc::clone(&cell);
            let held = while_held(move |wait| {
                other.get_or_init(|| {
                    wait();
                    1
                });
            });
            async move {
                held.here();
                *here!(cell.get_or_init(|| 2))
            }
        }),
        blocks("std", "Once::call_once, begun elsewhere", Wait, || {
            let once = Arc::new(Once::new());
            let other = Arc::clone(&once);
            let held = while_held(move |wait| other.call_once(wait));
            async move {
                held.here();
                here!(once.call_once(|| ()));
            }
        }),
    ]
}

fn package_rows() -> Vec<Row> {
    vec![
        blocks("futures", "executor::block_on", Wait, || {
            let (tx, rx) = futures::channel::oneshot::channel();
            let asleep = once_asleep(|| tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(futures::executor::block_on(rx)).unwrap()
            }
        }),
        blocks("pollster", "block_on", Wait, || {
            let (tx, rx) = futures::channel::oneshot::channel();
            let asleep = once_asleep(|| tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(pollster::block_on(rx)).unwrap()
            }
        }),
        blocks("tokio", "Handle::block_on", Wait, || async {
            let runtime = tokio::runtime::Handle::current();
            here!(runtime.block_on(tokio::time::sleep(SHORT)));
        })
        .outside_tokio(),
        blocks("tokio", "oneshot::Receiver::blocking_recv", Wait, || {
            let (tx, rx) = tokio::sync::oneshot::channel();
            let asleep = once_asleep(|| tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.blocking_recv()).unwrap()
            }
        })
        .outside_tokio(),
        blocks("rayon", "par_iter", Wait, || async {
            here!((0..4_u64).into_par_iter().map(slow_square).sum::<u64>())
        }),
        blocks("rayon", "ThreadPool::install", Wait, || {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            async move {
                let sum = here!(pool.install(|| slow_square(3)));
                here!(drop(pool));
                sum
            }
        })
        .beside(&[Join]),
        blocks("threadpool", "join", Wait, || {
            let pool = threadpool::ThreadPool::new(1);
            async move {
                pool.execute(|| thread::sleep(SHORT));
                here!(pool.join());
            }
        })
        .beside(&[Contention]),
        blocks("crossbeam-utils", "sync::Parker", Wait, || {
            let parker = crossbeam_utils::sync::Parker::new();
            let unparker = parker.unparker().clone();
            let asleep = once_asleep(move || unparker.unpark());
            async move {
                asleep.here();
                here!(parker.park());
            }
        }),
        blocks("crossbeam-utils", "sync::WaitGroup", Wait, || {
            let group = crossbeam_utils::sync::WaitGroup::new();
            let other = group.clone();
            let asleep = once_asleep(move || drop(other));
            async move {
                asleep.here();
                here!(group.wait());
            }
        }),
        blocks("event-listener", "Listener::wait", Wait, || {
            use event_listener::Listener;
            let event = Arc::new(event_listener::Event::new());
            let other = Arc::clone(&event);
            let asleep = once_asleep(move || {
                other.notify(1);
            });
            async move {
                event_listener::listener!(event => listener);
                asleep.here();
                here!(listener.wait());
            }
        }),
        blocks("once_cell", "sync::OnceCell, begun elsewhere", Wait, || {
            let cell = Arc::new(once_cell::sync::OnceCell::new());
            let other = Arc::clone(&cell);
            let held = while_held(move |wait| {
                other.get_or_init(|| {
                    wait();
                    1
                });
            });
            async move {
                held.here();
                *here!(cell.get_or_init(|| 2))
            }
        }),
        blocks("moka", "sync::Cache::get_with that sleeps", Sleep, || {
            let cache = moka::sync::Cache::new(10);
            async move {
                here!(cache.get_with(1, || {
                    here!(thread::sleep(SHORT));
                    7
                }))
            }
        }),
        // The lock is the cache's own: told from the third long wait on.
        blocks("moka", "sync::Cache::get_with, begun elsewhere, four times", Contention, || {
            let cache = moka::sync::Cache::new(10);
            let begin = |key: u8| {
                let other = cache.clone();
                while_held(move |wait| {
                    other.get_with(key, || {
                        wait();
                        7
                    });
                })
            };
            let begun: Vec<_> = (0..4).map(begin).collect();
            async move {
                let mut sum = 0;
                for (key, held) in (0..4).zip(&begun) {
                    held.here();
                    sum += here!(cache.get_with(key, || 8));
                }
                sum
            }
        })
        .beside(&[Wait])
        .outside_tests(),
    ]
}

fn slow_square(number: u64) -> u64 {
    thread::sleep(SHORT);
    number * number
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("tokio", "sync::Notify and yield_now", || {
            let notify = Arc::new(tokio::sync::Notify::new());
            let other = Arc::clone(&notify);
            async move {
                let task = tokio::spawn(async move { other.notified().await });
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                notify.notify_one();
                task.await.unwrap();
            }
        }),
        harmless("tokio", "sync::Semaphore", || {
            let semaphore = Arc::new(tokio::sync::Semaphore::new(2));
            async move {
                let tasks = (0..8).map(|_| {
                    let semaphore = Arc::clone(&semaphore);
                    tokio::spawn(async move {
                        let _permit = semaphore.acquire().await.unwrap();
                        tokio::task::yield_now().await;
                    })
                });
                futures::future::join_all(tasks).await.len()
            }
        }),
        harmless("tokio", "sync::Barrier and JoinSet", || async {
            let barrier = Arc::new(tokio::sync::Barrier::new(3));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..3 {
                let barrier = Arc::clone(&barrier);
                tasks.spawn(async move { barrier.wait().await.is_leader() });
            }
            tasks.join_all().await.into_iter().filter(|is_leader| *is_leader).count()
        }),
        harmless("tokio-util", "CancellationToken", || async {
            let token = tokio_util::sync::CancellationToken::new();
            let other = token.clone();
            let task = tokio::spawn(async move { other.cancelled().await });
            tokio::task::yield_now().await;
            token.cancel();
            task.await.unwrap();
        }),
        harmless("tokio-stream", "an iterator with yields", || async {
            use tokio_stream::StreamExt;
            let mut numbers = tokio_stream::iter(0..100_u32);
            let mut sum = 0;
            while let Some(number) = numbers.next().await {
                sum += number;
                tokio::task::yield_now().await;
            }
            sum
        }),
        harmless("futures", "join_all and select", || async {
            let numbers = futures::future::join_all((0..20).map(|number| async move {
                tokio::task::yield_now().await;
                number
            }));
            numbers.await.into_iter().sum::<u32>()
        }),
        harmless("rayon", "spawn, and a channel back", || async {
            let (tx, rx) = tokio::sync::oneshot::channel();
            rayon::spawn(|| tx.send((0..1000_u64).sum::<u64>()).unwrap());
            rx.await.unwrap()
        }),
        harmless("once_cell", "Lazy", || async {
            static LAZY: once_cell::sync::Lazy<u32> = once_cell::sync::Lazy::new(|| 7);
            *LAZY
        }),
        harmless("moka", "future::Cache", || {
            let cache = moka::future::Cache::new(100);
            async move {
                for key in 0..50_u32 {
                    cache.insert(key, key).await;
                    tokio::task::yield_now().await;
                }
                cache.get_with(7, async { 8 }).await
            }
        }),
        harmless("governor", "until_ready", || {
            let quota = governor::Quota::per_second(std::num::NonZero::new(10_000).unwrap());
            let limiter = governor::RateLimiter::direct(quota);
            async move {
                for _ in 0..20 {
                    limiter.until_ready().await;
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("tower", "a service with a limit and a timeout", || async {
            use tower::ServiceExt;
            let service =
                tower::service_fn(|number: u32| async move { Ok::<_, std::convert::Infallible>(number + 1) });
            let service = tower::ServiceBuilder::new()
                .concurrency_limit(4)
                .timeout(Duration::from_secs(30))
                .service(service);
            service.oneshot(1).await.unwrap()
        }),
    ]
}
