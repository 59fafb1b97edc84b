//! What happens on the stage, and one run of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};

use super::crowd::Crowd;
use super::figures::{Figures, Sight};
use super::schedule::{self, Length, Schedule};
use crate::contender::Contender;
use crate::signal::run::wait_for_socket;

/// A mixture of messages that is written to a bot of its own.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    schedule: fn(&Length) -> Schedule,
    sight: Sight,
    /// How long the answers may take after the last message.
    patience: Duration,
}

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) static CALM: Scene =
    Scene { name: "calm", schedule: schedule::calm, sight: Sight::All, patience: PATIENCE };

pub(super) static BLOCK_1: Scene =
    Scene { name: "block-1", schedule: |length| schedule::blocks(length, 1), ..CALM };

pub(super) static BLOCK_5: Scene =
    Scene { name: "block-5", schedule: |length| schedule::blocks(length, 5), ..CALM };

/// Sixteen times five seconds are forty on two threads.
pub(super) static FREEZE: Scene =
    Scene { name: "freeze", schedule: schedule::freeze, patience: Duration::from_secs(45), ..CALM };

pub(super) static ASLEEP: Scene =
    Scene { name: "asleep", schedule: schedule::asleep, sight: Sight::Beside, ..CALM };

pub(super) static HOGS: Scene =
    Scene { name: "hogs", schedule: schedule::hogs, sight: Sight::Beside, ..CALM };

pub(super) static IDLE: Scene = Scene { name: "idle", schedule: schedule::idle, ..CALM };

pub(super) static DRIVER: Scene =
    Scene { name: "driver", schedule: schedule::driver, sight: Sight::Beside, ..CALM };

impl Scene {
    /// Plays the scene once, with a stand-in and a process that nobody has used.
    pub(super) fn play(&self, contender: &Contender, length: &Length) -> io::Result<Figures> {
        let crowd = Crowd::new((self.schedule)(length));
        let listener = Arc::clone(&crowd);
        let options =
            Options::default().with_recording(Recording::Counts).on_send(move |_, sent| listener.reply(sent));
        let standin = Standin::start(options)?;
        let mut running = contender.start(&standin.address().to_string())?;
        wait_for_socket(&standin, &mut running, contender.name)?;
        let outcome = crowd.drive(&standin, self.patience, || (), || running.has_ended());
        Ok(Figures::of(&outcome, self.sight, standin.transcript().dropped))
    }
}
