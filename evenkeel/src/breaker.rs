//! Circuit breakers: calls to something broken are refused at once, instead of piling up in front of it.

mod circuit;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use circuit::Circuit;

/// A circuit breaker around calls that fail with `E`; clones are the same breaker.
///
/// It is [closed](State::Closed) and lets calls through, until five fail in a row or half of at least ten calls in
/// a minute. Then it is [open](State::Open) and refuses calls for 30 seconds. Then it is
/// [half open](State::HalfOpen): one call at a time is let through as a probe, the others are refused; a probe that
/// succeeds closes it, one that fails opens it again. [`Options`] changes each of these figures.
///
/// ```
/// use evenkeel::breaker::{Breaker, State};
///
/// # type Error = Box<dyn std::error::Error + Send + Sync>;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// let weather: Breaker<Error> = Breaker::new("weather_api");
/// let degrees: i32 = weather.call(async || Ok("21".parse()?)).await?;
/// assert_eq!((degrees, weather.state()), (21, State::Closed));
/// # Ok(()) }
/// ```
pub struct Breaker<E = crate::error::Error> {
    shared: Arc<Shared<E>>,
}

/// The breakers of a program, by name; clones are the same registry.
///
/// Names are `&'static str`, so there are never more breakers than names written in the program.
///
/// ```
/// use evenkeel::breaker::{Breakers, Options};
///
/// let breakers: Breakers<std::io::Error> = Breakers::default().with("disk", Options::new().with_failures(2));
/// assert_eq!(breakers.get("disk").name(), "disk"); // opens after two failures
/// assert_eq!(breakers.get("mail").name(), "mail"); // opens after five, as usual
/// ```
pub struct Breakers<E = crate::error::Error> {
    default: Options<E>,
    named: Arc<Mutex<BTreeMap<&'static str, Breaker<E>>>>,
}

/// When a breaker opens, for how long, and which errors count.
#[must_use]
pub struct Options<E = crate::error::Error> {
    failures: u32,
    rate: f64,
    at_least: u32,
    window: Duration,
    open_time: Duration,
    counting: Arc<dyn Fn(&E) -> bool + Send + Sync>,
}

/// Whether a breaker lets calls through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// One probe may go through, the other calls are refused.
    HalfOpen,
}

/// The refusal of a breaker: the call was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerOpen {
    name: Cow<'static, str>,
    retry_after: Option<Duration>,
}

/// Leave to make one call, for callers that cannot use [`Breaker::call`].
///
/// Dropping it without a verdict says that nothing was learned: a probe's place becomes free.
#[must_use = "say how the call went with `succeeded` or `failed`"]
pub struct Pass<E> {
    shared: Arc<Shared<E>>,
    /// The phase that the call belongs to; a verdict on an earlier phase says nothing about the present one.
    phase: u64,
    is_pending: bool,
}

impl<E> Breaker<E> {
    /// A closed breaker; `name` is what logs and refusals call it.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self::with_options(name, Options::new())
    }

    /// A closed breaker with its own options.
    #[must_use]
    pub fn with_options(name: impl Into<Cow<'static, str>>, options: Options<E>) -> Self {
        let circuit = Circuit::new(&options);
        Self { shared: Arc::new(Shared { name: name.into(), options, circuit: Mutex::new(circuit) }) }
    }

    /// Calls `call`, unless the breaker is open, and learns from its outcome.
    ///
    /// The error type is the breaker's own, so `?` works inside the closure as it does in any function that
    /// returns `E`.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`], turned into `E`, if the call was refused; else the error of the call itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the call; its outcome counts neither way, and a probe's place becomes free.
    pub async fn call<T>(&self, call: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E>
    where
        E: From<BreakerOpen>,
    {
        let pass = self.enter()?;
        let outcome = call().await;
        match &outcome {
            Err(error) if (self.shared.options.counting)(error) => pass.failed(),
            _ => pass.succeeded(),
        }
        outcome
    }

    /// Asks for leave to make one call.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`], if the breaker is open, or half open with its probe under way.
    pub fn enter(&self) -> Result<Pass<E>, BreakerOpen> {
        let (entry, change) = self.shared.lock().enter(Instant::now());
        self.shared.tell(change);
        match entry {
            Ok(phase) => Ok(Pass { shared: Arc::clone(&self.shared), phase, is_pending: true }),
            Err(retry_after) => Err(BreakerOpen { name: self.shared.name.clone(), retry_after }),
        }
    }

    /// Whether calls go through at present.
    pub fn state(&self) -> State {
        self.shared.lock().state(Instant::now())
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.shared.name
    }
}

impl<E> Breakers<E> {
    /// Breakers that all have `options`, unless [`with`](Self::with) says otherwise.
    #[must_use]
    pub fn new(options: Options<E>) -> Self {
        Self { default: options, named: Arc::default() }
    }

    /// Gives the breaker called `name` its own options. One that was already in use starts anew, closed.
    #[must_use]
    pub fn with(self, name: &'static str, options: Options<E>) -> Self {
        self.lock().insert(name, Breaker::with_options(name, options));
        self
    }

    /// The breaker called `name`; the first call makes it.
    pub fn get(&self, name: &'static str) -> Breaker<E> {
        let make = || Breaker::with_options(name, self.default.clone());
        self.lock().entry(name).or_insert_with(make).clone()
    }

    /// All breakers made so far, by name.
    pub fn all(&self) -> Vec<Breaker<E>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Breaker<E>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Options<E> {
    /// The default options: opens after 5 failures in a row, or when half of at least 10 calls in a minute failed;
    /// stays open for 30 seconds; every error counts.
    pub fn new() -> Self {
        Self {
            failures: 5,
            rate: 0.5,
            at_least: 10,
            window: Duration::from_secs(60),
            open_time: Duration::from_secs(30),
            counting: Arc::new(|_| true),
        }
    }

    /// Opens after `failures` in a row. With 0 no such row opens it, only the failure rate does.
    pub fn with_failures(self, failures: u32) -> Self {
        Self { failures, ..self }
    }

    /// Opens when `rate` (0.0 to 1.0) or more of `at_least` or more calls within the window failed.
    ///
    /// # Panics
    ///
    /// If `rate` is not above 0 and up to 1.
    #[track_caller]
    pub fn with_failure_rate(self, rate: f64, at_least: u32) -> Self {
        assert!(rate > 0.0 && rate <= 1.0, "a failure rate of {rate} is not above 0 and up to 1");
        Self { rate, at_least, ..self }
    }

    /// Looks back over `window` for the failure rate, in tenths of it.
    ///
    /// # Panics
    ///
    /// If `window` is zero.
    #[track_caller]
    pub fn with_window(self, window: Duration) -> Self {
        assert!(!window.is_zero(), "a breaker needs a window to look back over");
        Self { window, ..self }
    }

    /// Stays open for `open_time` before it lets a probe through.
    pub fn with_open_time(self, open_time: Duration) -> Self {
        Self { open_time, ..self }
    }

    /// Counts only the errors for which `counts` is true as failures.
    ///
    /// Other errors count as success: a server that says "not found" is there and well.
    pub fn counting(self, counts: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        Self { counting: Arc::new(counts), ..self }
    }
}

impl BreakerOpen {
    /// The name of the breaker that refused.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long from now the breaker stays open; `None` while a probe is under way, whose end nobody knows.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl<E> Pass<E> {
    /// Says that the call went well.
    pub fn succeeded(mut self) {
        self.is_pending = false;
        let change = self.shared.lock().succeeded(self.phase, Instant::now(), &self.shared.options);
        self.shared.tell(change);
    }

    /// Says that the call failed.
    pub fn failed(mut self) {
        self.is_pending = false;
        let change = self.shared.lock().failed(self.phase, Instant::now(), &self.shared.options);
        self.shared.tell(change);
    }
}

impl<E> Drop for Pass<E> {
    fn drop(&mut self) {
        if self.is_pending {
            self.shared.lock().gave_up(self.phase);
        }
    }
}

struct Shared<E> {
    name: Cow<'static, str>,
    options: Options<E>,
    circuit: Mutex<Circuit>,
}

impl<E> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a change of state; call it after the lock is released.
    fn tell(&self, change: Option<State>) {
        let name = &*self.name;
        match change {
            Some(State::Open) => {
                let open_time = self.options.open_time;
                tracing::warn!(breaker = name, "breaker `{name}` opened, refusing calls for {open_time:?}");
            }
            Some(State::HalfOpen) => tracing::info!(breaker = name, "breaker `{name}` lets a probe through"),
            Some(State::Closed) => tracing::info!(breaker = name, "breaker `{name}` closed again"),
            None => {}
        }
    }
}

impl<E> Clone for Breaker<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<E> Clone for Breakers<E> {
    fn clone(&self) -> Self {
        Self { default: self.default.clone(), named: Arc::clone(&self.named) }
    }
}

impl<E> Clone for Options<E> {
    fn clone(&self) -> Self {
        Self { counting: Arc::clone(&self.counting), ..*self }
    }
}

impl<E> Default for Breakers<E> {
    fn default() -> Self {
        Self::new(Options::new())
    }
}

impl<E> Default for Options<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Breaker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.name()).field("state", &self.state()).finish()
    }
}

impl<E> fmt::Debug for Breakers<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all()).finish()
    }
}

impl<E> fmt::Debug for Options<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("failures", &self.failures)
            .field("rate", &self.rate)
            .field("at_least", &self.at_least)
            .field("window", &self.window)
            .field("open_time", &self.open_time)
            .finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for Pass<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("breaker", &self.shared.name).finish_non_exhaustive()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half open",
        })
    }
}

impl fmt::Display for BreakerOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.retry_after {
            Some(wait) => write!(f, "breaker `{name}` is open after too many failures, for another {wait:?}"),
            None => write!(f, "breaker `{name}` is half open and its probe is under way"),
        }
    }
}

impl std::error::Error for BreakerOpen {}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::oneshot;
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// An error like `evenkeel::Error` or anyhow's: made from every error, and not one itself.
    #[derive(Debug)]
    struct Opaque(Box<dyn std::error::Error + Send + Sync>);

    impl<E: std::error::Error + Send + Sync + 'static> From<E> for Opaque {
        fn from(error: E) -> Self {
            Self(Box::new(error))
        }
    }

    fn breaker(options: Options<Opaque>) -> Breaker<Opaque> {
        Breaker::with_options("api", options)
    }

    async fn succeed(breaker: &Breaker<Opaque>) -> bool {
        breaker.call(async || Ok(())).await.is_ok()
    }

    /// Fails inside the call, and says whether the call was made at all.
    async fn fail(breaker: &Breaker<Opaque>) -> bool {
        let mut is_called = false;
        let call = async || {
            is_called = true;
            "x".parse::<u8>()?;
            Ok(())
        };
        breaker.call(call).await.unwrap_err();
        is_called
    }

    async fn opened() -> Breaker<Opaque> {
        let breaker = breaker(Options::new().with_failures(1));
        assert!(fail(&breaker).await);
        breaker
    }

    async fn half_opened() -> Breaker<Opaque> {
        let breaker = opened().await;
        advance(30 * SECOND).await;
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it() {
        let breaker = breaker(Options::new());
        for _ in 0..4 {
            assert!(fail(&breaker).await);
        }
        assert!(succeed(&breaker).await);
        for _ in 0..5 {
            assert_eq!(breaker.state(), State::Closed);
            assert!(fail(&breaker).await);
        }
        assert_eq!(breaker.state(), State::Open);
        assert!(!fail(&breaker).await);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_ten_calls_failing_open_it() {
        let breaker = breaker(Options::new());
        for _ in 0..5 {
            assert_eq!(breaker.state(), State::Closed);
            assert!(fail(&breaker).await);
            assert!(succeed(&breaker).await);
        }
        assert_eq!(breaker.state(), State::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_before_the_window_are_forgotten() {
        let breaker = breaker(Options::new().with_failures(0).with_window(10 * SECOND));
        for _ in 0..9 {
            assert!(fail(&breaker).await);
        }
        advance(10 * SECOND).await;
        assert!(fail(&breaker).await);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_names_the_breaker_and_the_time() {
        let breaker = opened().await;
        advance(10 * SECOND).await;
        let error = breaker.call(async || Ok(())).await.unwrap_err();
        let refusal: &BreakerOpen = error.0.downcast_ref().unwrap();
        assert_eq!((refusal.name(), refusal.retry_after()), ("api", Some(20 * SECOND)));
        assert_eq!(refusal.to_string(), "breaker `api` is open after too many failures, for another 20s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_succeeds_closes_it() {
        let breaker = half_opened().await;
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(succeed(&breaker).await);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_again() {
        let breaker = half_opened().await;
        assert!(fail(&breaker).await);
        assert_eq!(breaker.state(), State::Open);
        advance(30 * SECOND).await;
        assert!(succeed(&breaker).await);
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_probe_flies_at_a_time() {
        let breaker = half_opened().await;
        let (land, landing) = oneshot::channel();
        let mut probe = pin!(breaker.call(async || Ok(landing.await?)));
        assert!(timeout(SECOND, &mut probe).await.is_err());
        assert_eq!(breaker.enter().unwrap_err().retry_after(), None);
        assert!(!fail(&breaker).await);
        land.send(()).unwrap();
        probe.await.unwrap();
        assert!(succeed(&breaker).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_probe_frees_the_slot() {
        let breaker = half_opened().await;
        let never = breaker.call(async || std::future::pending::<Result<(), Opaque>>().await);
        assert!(timeout(SECOND, never).await.is_err());
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(succeed(&breaker).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_verdict_changes_nothing() {
        let breaker = breaker(Options::new().with_failures(1));
        let (late, later) = (breaker.enter().unwrap(), breaker.enter().unwrap());
        assert!(fail(&breaker).await);
        late.succeeded();
        assert_eq!(breaker.state(), State::Open);
        advance(30 * SECOND).await;
        let probe = breaker.enter().unwrap();
        later.failed();
        probe.succeeded();
        assert_eq!(breaker.state(), State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_that_do_not_count_do_not_open_it() {
        let is_ours = |error: &Opaque| error.0.is::<std::num::ParseIntError>();
        let breaker = breaker(Options::new().with_failures(1).counting(move |error| !is_ours(error)));
        assert!(fail(&breaker).await);
        assert!(fail(&breaker).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_has_one_breaker() {
        let breakers = Breakers::default().with("strict", Options::new().with_failures(1));
        fail(&breakers.get("strict")).await;
        fail(&breakers.get("lax")).await;
        let states: Vec<_> = breakers.all().iter().map(|it| (it.name().to_owned(), it.state())).collect();
        assert_eq!(states, [("lax".to_owned(), State::Closed), ("strict".to_owned(), State::Open)]);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_can_be_spawned_and_may_borrow() {
        let breaker = breaker(Options::new());
        let handler = async move {
            let (city, mut calls) = (String::from("Oslo"), 0);
            let found = breaker.call(async || {
                calls += 1;
                tokio::task::yield_now().await;
                Ok(city.len() + "1".parse::<usize>()?)
            });
            let found = found.await?;
            Ok::<_, Opaque>((found, calls))
        };
        assert_eq!(tokio::spawn(handler).await.unwrap().unwrap(), (5, 1));
    }
}
