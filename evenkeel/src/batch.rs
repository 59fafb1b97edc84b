//! Many items at once, but not all of them.

use std::fmt;
use std::future::{Future, Ready, poll_fn, ready};
use std::iter::Enumerate;
use std::mem;
use std::pin::Pin;
use std::task::{self, Poll};

use futures_util::StreamExt;
use futures_util::future::{Join, join};
use futures_util::stream::FuturesUnordered;

/// Does `work` for each item, at most `limit` at once; awaited, it returns the outcomes in the order of the items.
///
/// `work` usually returns a `Result`: each error then stays in its item's place and stops nothing else. A slow item
/// holds up no other: as soon as one is done the next is started. All of it runs in the caller's task, so `work`
/// may borrow, and nothing runs unless the batch is awaited. A `limit` of 0 counts as 1.
///
/// # Cancel safety
///
/// Dropping the batch drops all work under way and starts no more; the outcomes so far are lost.
///
/// ```
/// use evenkeel::batch::batch;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let ages = batch(["7", "x", "42"], 2, async |text| text.parse::<u8>()).await;
/// assert_eq!((&ages[0], &ages[2]), (&Ok(7), &Ok(42)));
/// assert!(ages[1].is_err());
/// # }
/// ```
pub fn batch<Items, Work, Done>(items: Items, limit: usize, work: Work) -> Batch<Items::IntoIter, Work, Done>
where
    Items: IntoIterator,
    Work: FnMut(Items::Item) -> Done,
    Done: IntoFuture,
{
    let (items, limit) = (items.into_iter().enumerate(), limit.max(1));
    Batch { items, limit, work, under_way: FuturesUnordered::new(), outcomes: Vec::new() }
}

/// Work on many items, made by [`batch`]: a future of all outcomes, or with [`next`](Self::next) one by one.
#[must_use = "nothing is done unless the batch is awaited"]
pub struct Batch<Items: Iterator, Work, Done: IntoFuture> {
    items: Enumerate<Items>,
    limit: usize,
    work: Work,
    /// At most `limit`, each with its item's number.
    under_way: FuturesUnordered<Join<Ready<usize>, Done::IntoFuture>>,
    /// What is done, not yet in order. `next` hands outcomes out instead of putting them here.
    outcomes: Vec<(usize, Done::Output)>,
}

impl<Items, Work, Done> Batch<Items, Work, Done>
where
    Items: Iterator,
    Work: FnMut(Items::Item) -> Done,
    Done: IntoFuture,
{
    /// The next outcome, as soon as there is one, with the number of its item; `None` when all are done.
    ///
    /// Awaiting the batch afterwards returns the outcomes that `next` has not.
    ///
    /// # Cancel safety
    ///
    /// Dropping this future loses nothing: the work goes on with the next call. In between it stands still.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let mut lengths = evenkeel::batch::batch(["a", "bc"], 1, async |name| name.len());
    /// assert_eq!(lengths.next().await, Some((0, 1)));
    /// assert_eq!(lengths.next().await, Some((1, 2)));
    /// assert_eq!(lengths.next().await, None);
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<(usize, Done::Output)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut task::Context<'_>) -> Poll<Option<(usize, Done::Output)>> {
        while self.under_way.len() < self.limit
            && let Some((number, item)) = self.items.next()
        {
            self.under_way.push(join(ready(number), (self.work)(item).into_future()));
        }
        self.under_way.poll_next_unpin(cx)
    }
}

impl<Items, Work, Done> Future for Batch<Items, Work, Done>
where
    Items: Iterator,
    Work: FnMut(Items::Item) -> Done,
    Done: IntoFuture,
{
    type Output = Vec<Done::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        while let Some(outcome) = task::ready!(self.poll_next(cx)) {
            self.outcomes.push(outcome);
        }
        let mut outcomes = mem::take(&mut self.outcomes);
        outcomes.sort_unstable_by_key(|(number, _)| *number);
        Poll::Ready(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

/// Nothing in a batch is pinned in place: `FuturesUnordered` keeps each future on the heap.
impl<Items: Iterator, Work, Done: IntoFuture> Unpin for Batch<Items, Work, Done> {}

impl<Items: Iterator, Work, Done: IntoFuture> fmt::Debug for Batch<Items, Work, Done> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Batch");
        shown.field("limit", &self.limit).field("under_way", &self.under_way.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use tokio::time::{Instant, sleep, timeout};

    use super::*;
    use crate::offload::blocking;

    const SECOND: Duration = Duration::from_secs(1);

    fn fixed_seed() -> ProptestConfig {
        ProptestConfig { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(fixed_seed())]

        #[test]
        fn outcomes_keep_the_order_of_items(delays in prop::collection::vec(1_u64..50, 0..40), limit in 0_usize..9) {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            let (now, most) = (Cell::new(0), Cell::new(0));
            let outcomes = runtime.block_on(batch(delays.clone(), limit, async |delay| {
                now.set(now.get() + 1);
                most.set(now.get().max(most.get()));
                sleep(Duration::from_millis(delay)).await;
                now.set(now.get() - 1);
                if delay < 25 { Ok(delay) } else { Err(delay) }
            }));
            let expected: Vec<_> = delays.iter().map(|&it| if it < 25 { Ok(it) } else { Err(it) }).collect();
            prop_assert_eq!(outcomes, expected);
            prop_assert_eq!(most.get(), limit.max(1).min(delays.len()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_item_holds_up_no_other() {
        let start = Instant::now();
        batch([10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 2, |seconds| sleep(seconds * SECOND)).await;
        assert_eq!(start.elapsed(), 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_it_starts_no_more() {
        let started = Cell::new(0);
        let work = batch(0..10, 3, async |_| {
            started.set(started.get() + 1);
            sleep(2 * SECOND).await;
        });
        assert!(timeout(SECOND, work).await.is_err());
        assert_eq!(started.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_what_can_be_awaited() {
        let lengths = batch(["a", "bc"], 2, |name| blocking(|| name.len())).await;
        assert_eq!(lengths.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_can_be_spawned_and_may_borrow() {
        let lengths = tokio::spawn(async {
            let greeting = String::from("hello");
            let lengths = batch(["a", "bc"], 2, async |name| {
                tokio::task::yield_now().await;
                greeting.len() + name.len()
            });
            lengths.await
        });
        assert_eq!(lengths.await.unwrap(), [6, 7]);
    }
}
