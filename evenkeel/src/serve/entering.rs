//! How the networks of a bot are opened: all at once, and none waits long for another.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::entered::Entered;
use super::receiving::{Door, Opening, open};
use super::wait::at;
use crate::command::CommandSpec;
use crate::error::{Error, Result};

/// How long the start waits for the other networks, once one of several is open.
const PATIENCE: Duration = Duration::from_secs(5);

/// A network that is being opened, by its place among the others.
struct Knock {
    index: usize,
    opening: Opening,
}

impl Future for Knock {
    type Output = (usize, Result<String>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.opening.as_mut().poll(cx));
        Poll::Ready((self.index, result))
    }
}

/// Opens all networks. Of several, those may come later without which the bot goes on.
///
/// # Errors
///
/// That of one without which it does not go on, or the first where none could be opened.
pub(super) async fn enter(entered: &mut [Entered], specs: &Arc<[CommandSpec]>) -> Result<()> {
    let knock = |(index, one): (usize, &Entered)| Knock {
        index,
        opening: open(Arc::clone(&one.network.transport), Arc::clone(specs)),
    };
    let mut knocks: FuturesUnordered<_> = entered.iter().enumerate().map(knock).collect();
    let mut essential = entered.iter().filter(|one| one.network.is_essential).count();
    let (mut until, mut first_error, are_several) = (None, None, entered.len() > 1);
    loop {
        let patience = until.filter(|_| essential == 0);
        let (index, result) = tokio::select! {
            biased;
            answer = knocks.next() => match answer {
                Some(answer) => answer,
                None => break,
            },
            () = at(patience) => break,
        };
        let Some(one) = entered.get_mut(index) else { continue };
        essential -= usize::from(one.network.is_essential);
        match result {
            Ok(greeting) => {
                until.get_or_insert(Instant::now() + PATIENCE);
                (one.door, one.greeting) = (Door::Open, greeting);
            }
            Err(error) if one.network.is_essential => return Err(error),
            Err(error) => {
                if are_several {
                    tell(&one.name, &error);
                }
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if until.is_none() => return Err(error),
        _ => {}
    }
    for Knock { index, opening } in knocks {
        if let Some(one) = entered.get_mut(index) {
            one.door = Door::Opening(opening);
        }
    }
    Ok(())
}

fn tell(network: &str, error: &Error) {
    tracing::error!(network, error = error.chain(), hint = error.hint(), "the network could not be opened");
}
