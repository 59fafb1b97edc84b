//! What the bot says in a sandbox that wants answers in time.

use super::answers::{Open, Standing};
use super::network::{No, State};
use crate::command::Deferral;
use crate::event::ReplyToken;
use crate::reply::{Draft, Outbound};
use crate::transport::Sent;

/// What people read meanwhile.
const AT_WORK: &str = "…";
/// The same where it is for one person alone.
const AT_WORK_ALONE: &str = "… (for you alone)";

impl State {
    /// Posts what the bot says, in the place of what people read meanwhile.
    pub(super) fn post_answer(&mut self, outbound: &Outbound, draft: Draft) -> Result<Sent, No> {
        let (bot, conversation) = (self.bot.clone(), outbound.conversation.clone());
        let open = match (&mut self.answers, &outbound.token) {
            (Some(answers), Some(token)) => answers.find(token)?,
            _ => None,
        };
        let place = match open.map(|open| std::mem::replace(&mut open.standing, Standing::Answered)) {
            Some(Standing::Deferred(place)) => self.log.get(&place).map(|_| place),
            _ => None,
        };
        let entry = match place {
            Some(place) => self.edit(&bot, &place, draft)?,
            None => self.post(&bot, &conversation, draft, Vec::new())?,
        };
        Ok(Sent::message(entry.message.id.clone()))
    }

    /// People read that the bot works on it.
    pub(super) fn defer(&mut self, token: &ReplyToken, deferral: Deferral) -> Result<(), No> {
        let open = self.answers.as_mut().map(|answers| answers.find(token)).transpose()?.flatten();
        let Some(Open { conversation, standing, .. }) = open else {
            return Err("no message wants an answer by this token".to_owned());
        };
        if *standing != Standing::Nothing {
            return Err("the message has had an answer".to_owned());
        }
        let text = if deferral == Deferral::Ephemeral { AT_WORK_ALONE } else { AT_WORK };
        let (bot, conversation) = (self.bot.clone(), conversation.clone());
        let draft = Draft { text: text.to_owned(), ..Draft::default() };
        let place = self.post(&bot, &conversation, draft, Vec::new())?.message.id.clone();
        if let Some(answers) = &mut self.answers
            && let Ok(Some(open)) = answers.find(token)
        {
            open.standing = Standing::Deferred(place);
        }
        Ok(())
    }

    /// No answer follows.
    pub(super) fn leave_unanswered(&mut self, token: &ReplyToken) -> Result<(), No> {
        let open = self.answers.as_mut().map(|answers| answers.find(token));
        let Some(Ok(Some(open))) = open else { return Ok(()) };
        if let Standing::Deferred(place) = std::mem::replace(&mut open.standing, Standing::Answered) {
            let bot = self.bot.clone();
            self.delete(&bot, &place)?;
        }
        Ok(())
    }
}
