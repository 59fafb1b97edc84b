//! Limits on how often ([`RateLimit`], [`RateLimits`]) and how many at once ([`Concurrency`]).
//!
//! All of them are fair: who waits longer is served first, and asking without waiting never overtakes a waiter.
//! Time is `tokio::time`, so a paused test clock holds them too.

mod clock;
mod rate;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use clock::{Moment, TokioClock};
use rate::Rate;

/// A rate limit shared by everything that holds a clone of it; 50 per second unless said otherwise.
///
/// `count` takes are possible at once (the *burst*), after which they come back one by one, evenly spaced. So any
/// window of length `w` sees at most `burst + w * count / per` takes; with a burst of 1, two takes are always
/// `per / count` apart.
///
/// ```
/// use evenkeel::limit::RateLimit;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let limit = RateLimit::per_second(2);
/// limit.wait().await;
/// limit.wait().await;
/// let refused = limit.try_take().unwrap_err();
/// assert!(refused.retry_after().as_millis() <= 500);
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimit {
    shared: Arc<Shared>,
}

/// A rate limit for each key, for example for each sender; 50 per second for each unless said otherwise.
///
/// Clones share their keys. A key is forgotten once its whole burst is available again and nobody waits for it:
/// from then on it cannot be told from a new one. Idle keys are swept out, by the way of a call, at most once in
/// that recovery time (`burst * per / count`), so memory holds the keys used in the last two recovery times.
///
/// ```
/// use evenkeel::limit::RateLimits;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let limits: RateLimits<String> = RateLimits::per_second(1);
/// assert!(limits.try_take("anna").is_ok());
/// assert!(limits.try_take("anna").is_err());
/// assert!(limits.try_take("ben").is_ok());
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimits<K> {
    rate: Rate,
    keys: Arc<Mutex<Keys<K>>>,
}

/// The refusal of a rate limit: nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    retry_after: Duration,
}

/// A limit on how many do something at once.
///
/// ```
/// use evenkeel::limit::Concurrency;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let downloads = Concurrency::new(1);
/// let permit = downloads.acquire().await;
/// assert!(downloads.try_acquire().is_none());
/// drop(permit);
/// assert_eq!(downloads.available(), 1);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Concurrency {
    limit: usize,
    permits: Arc<Semaphore>,
}

/// One place under a [`Concurrency`] limit, given back when dropped.
#[must_use = "the place is given back as soon as the permit is dropped"]
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl RateLimit {
    /// Limits to `count` per `per`, with a burst of `count`.
    ///
    /// # Panics
    ///
    /// If `count` or `per` is zero, or if `per` is longer than 584 years.
    #[track_caller]
    #[must_use]
    pub fn new(count: u32, per: Duration) -> Self {
        Self::of(Rate::new(count, per))
    }

    /// Limits to `count` per second, with a burst of `count`.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    #[track_caller]
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::new(count, Duration::from_secs(1))
    }

    /// The same rate with another burst; the burst is available at once. Clones made before keep the old limit.
    ///
    /// # Panics
    ///
    /// If `burst` is zero, or if it takes longer than 584 years to come back.
    #[track_caller]
    #[must_use]
    pub fn with_burst(self, burst: u32) -> Self {
        Self::of(self.shared.rate.with_burst(burst))
    }

    /// Takes one, as soon as the limit allows it and everybody who came before is served.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line; nothing is taken.
    pub async fn wait(&self) {
        if self.try_take().is_ok() {
            return;
        }
        let _place = Ticket::join(&self.shared.waiting);
        let _turn = self.shared.turn.acquire().await.expect("nobody closes the turnstile");
        while let Err(refused) = self.shared.governor.check() {
            sleep_until(refused.earliest_possible().0).await;
        }
    }

    /// Takes one now or not at all; never overtakes those who [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`Wait`], if the limit is reached or others are waiting.
    pub fn try_take(&self) -> Result<(), Wait> {
        let waiting = self.waiting();
        if waiting > 0 {
            let ahead = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(1);
            return Err(Wait { retry_after: self.shared.rate.interval.saturating_mul(ahead) });
        }
        let now = Moment(Instant::now());
        self.shared.governor.check().map_err(|refused| Wait { retry_after: refused.wait_time_from(now) })
    }

    /// How many are waiting.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    fn of(rate: Rate) -> Self {
        let governor = RateLimiter::direct_with_clock(rate.quota(), TokioClock);
        let (turn, waiting) = (Semaphore::new(1), AtomicUsize::new(0));
        Self { shared: Arc::new(Shared { rate, governor, turn, waiting }) }
    }

    /// Whether forgetting this limit would change nothing. Takes the whole burst to find out: only for limits
    /// that are thrown away if the answer is yes.
    fn is_forgettable(&self) -> bool {
        let is_held_elsewhere = Arc::strong_count(&self.shared) > 1;
        !is_held_elsewhere && matches!(self.shared.governor.check_n(self.shared.rate.burst), Ok(Ok(())))
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::of(Rate::default())
    }
}

impl<K: Hash + Eq> RateLimits<K> {
    /// Limits each key to `count` per `per`, with a burst of `count`.
    ///
    /// # Panics
    ///
    /// If `count` or `per` is zero, or if `per` is longer than 584 years.
    #[track_caller]
    #[must_use]
    pub fn new(count: u32, per: Duration) -> Self {
        Self::of(Rate::new(count, per))
    }

    /// Limits each key to `count` per second, with a burst of `count`.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    #[track_caller]
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::new(count, Duration::from_secs(1))
    }

    /// The same rate with another burst, and no keys yet. Clones made before keep the old limits.
    ///
    /// # Panics
    ///
    /// If `burst` is zero, or if it takes longer than 584 years to come back.
    #[track_caller]
    #[must_use]
    pub fn with_burst(self, burst: u32) -> Self {
        Self::of(self.rate.with_burst(burst))
    }

    /// Takes one for `key`, as soon as its limit allows it and everybody who came before is served.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line; nothing is taken.
    pub async fn wait(&self, key: impl Into<K>) {
        let limit = self.limit(key.into());
        limit.wait().await;
    }

    /// Takes one for `key` now or not at all.
    ///
    /// # Errors
    ///
    /// [`Wait`], if the key's limit is reached or others are waiting for the same key.
    pub fn try_take(&self, key: impl Into<K>) -> Result<(), Wait> {
        self.limit(key.into()).try_take()
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).limits.len()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn of(rate: Rate) -> Self {
        let keys = Keys { limits: HashMap::new(), sweep_at: Instant::now() + rate.recovery() };
        Self { rate, keys: Arc::new(Mutex::new(keys)) }
    }

    fn limit(&self, key: K) -> RateLimit {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.sweep(self.rate);
        keys.limits.entry(key).or_insert_with(|| RateLimit::of(self.rate)).clone()
    }
}

impl<K: Hash + Eq> Default for RateLimits<K> {
    fn default() -> Self {
        Self::of(Rate::default())
    }
}

impl Wait {
    /// How long from now the limit stays reached, if all who wait keep waiting and nobody else comes.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl Concurrency {
    /// Lets `limit` in at once.
    ///
    /// # Panics
    ///
    /// If `limit` is zero or larger than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    #[must_use]
    pub fn new(limit: usize) -> Self {
        assert!(limit > 0, "a concurrency limit of 0 would let nobody in: use 1 or more");
        Self { limit, permits: Arc::new(Semaphore::new(limit)) }
    }

    /// Waits for a place, first come, first served.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line.
    pub async fn acquire(&self) -> Permit {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        Permit { _permit: permit.expect("nobody closes the semaphore") }
    }

    /// Takes a place if one is free and nobody is waiting for it.
    pub fn try_acquire(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Permit { _permit: permit })
    }

    /// How many are let in at once.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many are in.
    pub fn in_use(&self) -> usize {
        self.limit - self.available()
    }

    /// How many places are free.
    pub fn available(&self) -> usize {
        self.permits.available_permits()
    }
}

type Governor = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>;

struct Shared {
    rate: Rate,
    governor: Governor,
    /// One permit, held by the first in line; the others queue for it in order. Never closed.
    turn: Semaphore,
    /// How many are in line, the first included.
    waiting: AtomicUsize,
}

/// A place in line, given up when dropped.
struct Ticket<'a>(&'a AtomicUsize);

impl<'a> Ticket<'a> {
    fn join(line: &'a AtomicUsize) -> Self {
        line.fetch_add(1, Ordering::Relaxed);
        Self(line)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Keys<K> {
    limits: HashMap<K, RateLimit>,
    sweep_at: Instant,
}

impl<K: Hash + Eq> Keys<K> {
    /// Forgets idle keys. Each key is looked at twice at most after its last use, so the cost for one call is
    /// constant on average.
    fn sweep(&mut self, rate: Rate) {
        let now = Instant::now();
        if now < self.sweep_at {
            return;
        }
        self.limits.retain(|_, limit| !limit.is_forgettable());
        self.limits.shrink_to(self.limits.len().saturating_mul(2));
        self.sweep_at = now + rate.recovery();
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate limit reached, free again in {:?}", self.retry_after)
    }
}

impl std::error::Error for Wait {}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rate { interval, burst } = self.shared.rate;
        let mut shown = f.debug_struct("RateLimit");
        shown.field("interval", &interval).field("burst", &burst).field("waiting", &self.waiting()).finish()
    }
}

impl<K> fmt::Debug for RateLimits<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are people: they stay out of logs.
        f.debug_struct("RateLimits").field("rate", &self.rate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Says on which of the steps a bucket of exact fractions would let one through.
    fn simulate(interval: u128, burst: u128, steps: &[u64]) -> Vec<bool> {
        let full = interval * burst;
        let mut credit = full;
        let take = |&step: &u64| {
            credit = full.min(credit + u128::from(step));
            let is_allowed = credit >= interval;
            credit -= if is_allowed { interval } else { 0 };
            is_allowed
        };
        steps.iter().map(take).collect()
    }

    fn paused<T>(test: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
    }

    fn check_windows(limit: &RateLimit, taken: &[Instant]) {
        let Rate { interval, burst } = limit.shared.rate;
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let refilled = (*to - *from).as_nanos() / interval.as_nanos();
                let allowed = u128::from(burst.get()) + refilled;
                assert!(((last - first) as u128) < allowed, "{from:?}..={to:?} saw more than {allowed}");
            }
        }
    }

    fn fixed_seed() -> ProptestConfig {
        ProptestConfig { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(fixed_seed())]

        #[test]
        fn takes_what_an_exact_simulation_takes(
            count in 1_u32..20,
            per in 1_u64..3_000_000_000,
            burst in 1_u32..20,
            parts in prop::collection::vec(0_u64..400, 1..150),
        ) {
            let interval = per.div_ceil(u64::from(count));
            let steps: Vec<u64> = parts.iter().map(|part| part * interval / 100).collect();
            let taken = paused(async {
                let limit = RateLimit::new(count, Duration::from_nanos(per)).with_burst(burst);
                let mut taken = Vec::new();
                for step in &steps {
                    advance(Duration::from_nanos(*step)).await;
                    taken.push(limit.try_take().is_ok());
                }
                taken
            });
            prop_assert_eq!(taken, simulate(interval.into(), burst.into(), &steps));
        }

        #[test]
        fn no_window_sees_more_than_rate_and_burst(
            count in 1_u32..100,
            burst in 1_u32..10,
            pauses in prop::collection::vec(0_u64..200, 1..60),
        ) {
            paused(async {
                let limit = RateLimit::per_second(count).with_burst(burst);
                let mut taken = Vec::new();
                for pause in pauses {
                    advance(Duration::from_millis(pause)).await;
                    limit.wait().await;
                    taken.push(Instant::now());
                }
                check_windows(&limit, &taken);
            });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_a_second_by_default() {
        let (limit, start) = (RateLimit::default(), Instant::now());
        for _ in 0..150 {
            limit.wait().await;
        }
        assert_eq!(start.elapsed(), 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_are_served_in_order() {
        let limit = RateLimit::per_second(10).with_burst(1);
        let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
        let waiters = (0..20).map(|number| {
            let (limit, served) = (&limit, &served);
            async move {
                limit.wait().await;
                served.send(number).unwrap();
            }
        });
        futures_util::future::join_all(waiters).await;
        drop(served);
        for number in 0..20 {
            assert_eq!(order.recv().await, Some(number));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn asking_does_not_overtake_a_waiter() {
        let limit = RateLimit::per_second(1).with_burst(1);
        limit.try_take().unwrap();
        let waiter = limit.wait();
        tokio::pin!(waiter);
        assert!(timeout(Duration::from_millis(1), &mut waiter).await.is_err());
        // The clock moves past the refill before the waiter is polled again.
        advance(2 * SECOND).await;
        assert_eq!(limit.try_take(), Err(Wait { retry_after: 2 * SECOND }));
        waiter.await;
        assert_eq!(limit.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_waiter_takes_nothing() {
        let limit = RateLimit::per_second(1);
        limit.wait().await;
        assert!(timeout(SECOND / 2, limit.wait()).await.is_err());
        assert_eq!(limit.waiting(), 0);
        advance(SECOND / 2).await;
        assert_eq!(limit.try_take(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_when_to_come_back() {
        let limit = RateLimit::new(3, 30 * SECOND).with_burst(1);
        limit.try_take().unwrap();
        advance(4 * SECOND).await;
        let refused = limit.try_take().unwrap_err();
        assert_eq!(refused.retry_after(), 6 * SECOND);
        assert_eq!(refused.to_string(), "rate limit reached, free again in 6s");
        advance(refused.retry_after()).await;
        assert_eq!(limit.try_take(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_share_their_limit() {
        let limits: RateLimits<u8> = RateLimits::per_second(1);
        let start = Instant::now();
        tokio::join!(limits.wait(1), limits.wait(2), limits.wait(2));
        assert_eq!(start.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_keys_are_forgotten() {
        let limits: RateLimits<u32> = RateLimits::new(2, SECOND);
        for key in 0..1000_u32 {
            limits.try_take(key).unwrap();
        }
        assert_eq!(limits.len(), 1000);
        advance(SECOND).await;
        limits.try_take(0_u32).unwrap();
        assert_eq!(limits.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn forgetting_a_key_gives_nothing_away() {
        let limits: RateLimits<&str> = RateLimits::new(2, 2 * SECOND);
        advance(SECOND).await;
        limits.try_take("anna").unwrap();
        limits.try_take("anna").unwrap();
        advance(SECOND).await;
        // A sweep happens here, when one of anna's two is back.
        limits.try_take("ben").unwrap();
        assert!(limits.try_take("anna").is_ok());
        assert!(limits.try_take("anna").is_err());
    }

    #[test]
    #[should_panic(expected = "a rate limit of 0")]
    fn a_rate_of_zero_is_refused() {
        let _ = RateLimit::per_second(0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_are_in() {
        let limit = Concurrency::new(3);
        let work = |_| async {
            let _permit = limit.acquire().await;
            assert!(limit.in_use() <= 3);
            tokio::time::sleep(SECOND).await;
        };
        let start = Instant::now();
        futures_util::future::join_all((0..9).map(work)).await;
        assert_eq!(start.elapsed(), 3 * SECOND);
        assert_eq!((limit.in_use(), limit.available(), limit.limit()), (0, 3, 3));
    }
}
