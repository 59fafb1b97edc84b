//! Files in and out, a note that is edited while work goes on, work that keeps a processor busy, and a plain function
//! that blocks.

use evenkeel::offload::{blocking, offload};
use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Args, Attachment, Context, File, Result, Router};

/// Counts the letters of a file. The download and the counting take long, so the person sees how it goes.
async fn count(cx: Context, Args(attachment): Args<Attachment>) -> Result<()> {
    cx.typing();
    let note = cx.reply_now("fetching the file").await?;
    let bytes = cx.download(&attachment).await?;
    cx.reply_now(evenkeel::Reply::edit(note.clone(), "counting")).await.ok();
    // CPU work goes to its own bounded pool, so that it holds nobody up.
    let letters = offload(move || bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count()).await?;
    cx.edit(&note, format!("{letters} letters"));
    Ok(())
}

/// A plain function: `std::fs` blocks, so it runs in a pool where it may.
fn report() -> Result<File> {
    let mut rows = String::from("file,bytes\n");
    for entry in std::fs::read_dir(".")? {
        let entry = entry?;
        rows += &format!("{},{}\n", entry.file_name().display(), entry.metadata()?.len());
    }
    Ok(File::new("report.csv", "text/csv", rows))
}

pub(crate) fn app() -> App {
    Router::new().command("!count", count).command("!report", blocking(report)).with_state(())
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[cfg(test)]
mod tests {
    use evenkeel::File;
    use evenkeel::testing::chat;

    use super::app;

    #[tokio::test(start_paused = true)]
    async fn files_come_in_and_go_out() {
        let mut chat = chat(app());
        let replies = chat.send("!count", [File::new("a.txt", "text/plain", "ab 12 c")]).await;
        assert_eq!(replies, ["fetching the file"]);
        assert_eq!(replies.edits(), ["counting", "3 letters"]);
        assert_eq!(chat.say("!report").await.files(), ["report.csv"]);
        assert_eq!(chat.say("!count").await, ["A file is missing: write this below the file that you send."]);
    }
}
