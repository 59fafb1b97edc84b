//! People who write at a rate to a bot of their own, whether they are answered or not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};

use crate::contender::{Contender, Process};
use crate::signal::freeze::crowd::Crowd;
use crate::signal::freeze::figures::{Figures, Sight};
use crate::signal::freeze::schedule;
use crate::signal::run::wait_for_socket;

/// How long the answers may take after the last message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays one run. `look` is called when the first message that counts is due, and when all is answered.
pub(super) fn play<L>(
    bot: &Contender,
    per_second: u32,
    time: Duration,
    mut look: impl FnMut(Process) -> L,
) -> io::Result<(Figures, Option<[L; 2]>)> {
    let crowd = Crowd::new(schedule::after_burst(f64::from(per_second), time));
    let listener = Arc::clone(&crowd);
    let options =
        Options::default().with_recording(Recording::Counts).on_send(move |_, sent| listener.reply(sent));
    let standin = Standin::start(options)?;
    let mut running = bot.start(&standin.address().to_string())?;
    wait_for_socket(&standin, &mut running, bot.name)?;
    let process = running.process();
    let mut before = None;
    let outcome = crowd.drive(&standin, PATIENCE, || before = Some(look(process)), || running.has_ended());
    let figures = Figures::of(&outcome, Sight::All, standin.transcript().dropped);
    Ok((figures, before.map(|before| [before, look(process)])))
}
