//! How the driver ends: what runs is given back, the journal has the rest, and is closed.

use super::Driver;
use super::turn::{Inputs, Over};
use crate::engine::Input;
use crate::error::Result;
use crate::journal::{Journal, Recovered};
use crate::serve::foreign;
use crate::serve::leaving::let_go;
use crate::serve::link::{ToDriver, ToWire};
use crate::serve::wait::polled;

impl<J: Journal> Driver<J> {
    /// Runs until there is nothing left to do in a bot that stops, until it is told to end, or until the wire is gone.
    ///
    /// # Errors
    ///
    /// When the journal fails.
    pub(in crate::serve) async fn run(mut self, recovered: Recovered, mut inputs: Inputs) -> Result<()> {
        self.take_up(recovered);
        let turned = foreign::caught("the journal, or the engine itself,", self.turn(&mut inputs)).await;
        let written = match turned {
            Ok(Over::Ended) => self.end(&mut inputs).await,
            Ok(Over::Alone) => return Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            // There is nothing to give back to it.
            let_go((self.begun.writing, self.journal)).await;
            return Err(error);
        }
        self.tell(ToWire::Flushed);
        self.journal.close().await;
        Ok(())
    }

    /// Gives back what runs, and writes all that the journal has to know.
    async fn end(&mut self, inputs: &mut Inputs) -> Result<()> {
        // What the inbox has taken is written. The transport goes on until that is acknowledged.
        inputs.arrivals.close();
        inputs.outside.close();
        let running = self.core.lock().take_running(inputs.asked.len());
        // What runs is cancelled; whatever it asked for comes too late.
        drop(running);
        self.tell(ToWire::Cut);
        while let Some(told) = inputs.from_wire.recv().await {
            match told {
                ToDriver::Sent(sent) => {
                    let now = self.now();
                    self.core.lock().sent(sent, now)?;
                }
                ToDriver::AllBack => break,
                ToDriver::Opened(_)
                | ToDriver::Idle(_)
                | ToDriver::Drain(_)
                | ToDriver::Received(_)
                | ToDriver::End => {}
            }
        }
        self.flush(inputs).await
    }

    async fn flush(&mut self, inputs: &mut Inputs) -> Result<()> {
        let now = self.now();
        while let Some(arrival) = inputs.arrivals.try_next() {
            self.core.lock().arrived([arrival], now)?;
        }
        while let Ok(request) = inputs.outside.try_recv() {
            match self.journal.is_kept() {
                true => self.core.lock().step_all([Input::Outside(request)], now)?,
                // Nobody would send it.
                false => request.refuse(),
            }
        }
        loop {
            // First what is being written: only then is it known what was about to be done.
            if self.begun.writing.is_some() {
                let written = polled(&mut self.begun.writing).await;
                self.begun.writing = None;
                self.written(written?)?;
            }
            let batch = self.core.lock().last_batch();
            let Some(batch) = batch else { return Ok(()) };
            self.begun.writing = Some(Box::pin(self.journal.write(batch)));
        }
    }
}
