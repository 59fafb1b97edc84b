//! Files: pictures and texts that go out, files that come in.

use evenkeel::offload::offload;
use evenkeel::{Args, Context, Error, File, FromRef, Message, Rest, Result, Router, Sender, State, Trigger};

use super::dice::Dice;
use super::picture::Picture;

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Dice: FromRef<S>,
{
    let count = Trigger::command("!count").usage("!count, as the caption of a file");
    Router::new()
        .route(
            Trigger::command("!chart").usage("!chart 3 1 4 1 5").about("draws a picture of numbers"),
            chart,
        )
        .route(Trigger::command("!avatar").about("draws a picture of you"), avatar)
        .route(Trigger::command("!file").usage("!file <text>").about("sends a text file"), file)
        .route(count.about("counts the words in a file"), words)
}

/// Without numbers, chance gives some. Drawing keeps a core busy, so it is offloaded.
async fn chart(State(dice): State<Dice>, Args(mut numbers): Args<Vec<u32>>) -> Result<File> {
    if numbers.len() > 50 {
        return Err(Error::for_user("Fifty numbers at most, please."));
    }
    if numbers.is_empty() {
        numbers = (0..12).map(|_| dice.below(100) as u32 + 1).collect();
    }
    let png = offload(move || Picture::of_bars(&numbers).png()).await?;
    Ok(File::new("chart.png", "image/png", png))
}

/// The same person gets the same picture every time.
async fn avatar(who: Sender) -> Result<File> {
    let id = who.id().to_owned();
    let png = offload(move || Picture::of_person(&id).png()).await?;
    Ok(File::new("avatar.png", "image/png", png))
}

async fn file(Rest(text): Rest) -> File {
    let text = if text.is_empty() { "hello, file\n".to_owned() } else { text + "\n" };
    File::new("note.txt", "text/plain", text)
}

async fn words(cx: Context, message: Message) -> Result<String> {
    let [attachment, ..] = message.attachments.as_slice() else {
        return Err(Error::for_user("Send me a file with `!count` as its caption."));
    };
    cx.typing();
    let bytes = cx.download(attachment).await?;
    let size = bytes.len();
    let words = offload(move || String::from_utf8_lossy(&bytes).split_whitespace().count()).await?;
    Ok(format!("{size} bytes, {words} words"))
}
