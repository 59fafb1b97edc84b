//! Dead letters, jobs and guarantees on the page.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::Stage;

/// Counts what the page asks of the operator's side.
const EAR: &str = "
    window.asked = [];
    window.fetch = ((fetch) => (path, ...rest) => { window.asked.push(String(path)); return fetch(path, ...rest); })(fetch);";

impl Stage {
    async fn open_tab(&mut self, name: &str) {
        self.browser.click(&format!("#tab-{name}")).await;
        self.browser.wait(&format!("!document.querySelector('#view-{name}').hidden")).await;
    }

    async fn letters(&mut self, count: usize) {
        self.browser.wait(&format!("document.querySelectorAll('#dead > li').length === {count}")).await;
    }

    async fn assert_the_panel_fits(&mut self) {
        let wider = "[...document.querySelectorAll('.live *')].filter((e) => !e.closest('.hidden, .table, [hidden]') && \
             e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className)";
        assert_eq!(self.browser.evaluate(wider).await, json!([]), "wider than the screen");
    }
}

#[tokio::test]
async fn a_command_that_failed_is_replayed_from_the_page() {
    let mut stage = Stage::open("replayed").await;
    stage.write("!fetch <i>SECRET</i>").await;
    stage.browser.wait("document.querySelector('#tab-dead.news')").await;
    stage.browser.wait("document.querySelector('#dead-count:not([hidden])')?.textContent === '1'").await;
    assert_eq!(stage.text("#waiting-text").await, "1 dead letter waits for a decision", "on the first tab");
    stage.browser.click("#waiting").await;
    stage.browser.wait("!document.querySelector('#view-dead').hidden").await;
    stage.letters(1).await;
    stage.browser.wait("!document.querySelector('#tab-dead.news')").await;
    assert_eq!(stage.text("#dead .what strong").await, "!fetch");
    assert_eq!(stage.text("#dead .class").await, "failed");
    let facts = stage.text("#dead .facts").await;
    assert!(facts.starts_with("message · Alice · tried once · no. "), "{facts}");
    let error = "asking <b>the harbour</b> for its tides: connection refused";
    assert_eq!(stage.text("#dead .error").await, error, "the chain, as text");
    stage.browser.wait("/^\\d+ s ago$/.test(document.querySelector('#dead .state').textContent)").await;
    assert!(!stage.text("#view-dead").await.contains("SECRET"), "nobody asked for it");

    stage.browser.click("#dead-text").await;
    stage.browser.wait("document.querySelector('#dead .said')?.textContent === '!fetch <i>SECRET</i>'").await;
    let markup = "document.querySelectorAll('#view-dead :is(b, i)').length";
    assert_eq!(stage.browser.evaluate(markup).await, 0, "what people and errors say is never markup");
    let export = "fetch(document.querySelector('#dead-export').href).then((lines) => lines.text())";
    let lines = stage.browser.evaluate(export).await;
    assert!(lines.as_str().unwrap().contains("SECRET"), "the link gives what the list shows");

    stage.mended.0.store(true, Ordering::Relaxed);
    // By keyboard alone.
    stage.browser.evaluate("document.querySelector('#dead .pill').focus()").await;
    stage.browser.press("Enter").await;
    stage.read("Fetched.").await;
    stage.letters(0).await;
    stage.announced("1 dead letter replayed").await;
    stage.open_tab("live").await;
    stage.browser.wait("document.querySelector('#counters').textContent.includes('Given up1')").await;
    assert_eq!(stage.browser.evaluate("document.querySelectorAll('.news').length").await, 0, "it was seen");
    stage
        .browser
        .wait("document.querySelector('#dead-count').hidden && document.querySelector('#waiting').hidden")
        .await;
    // Each event that came in or was taken up again has one end.
    let figures = "(() => { const of = (name) => Number([...document.querySelectorAll('#counters dt')].find((dt) => \
         dt.textContent === name)?.nextSibling.textContent ?? 0); \
         return [of('Taken up'), of('Accepted') + of('Taken up') - of('Handled') - of('Failed')]; })()";
    // The page asks for them now and then: those of a moment ago may still be there.
    stage.browser.wait(&format!("{figures}.join() === '1,0'")).await;
    stage.open_tab("dead").await;
    stage
        .browser
        .wait("!document.querySelector('#dead-none').hidden && document.activeElement.id === 'tab-dead'")
        .await;
    stage.close();
}

#[tokio::test]
async fn letters_are_discarded_after_a_second_thought() {
    let mut stage = Stage::open("discarded").await;
    for _ in 0..3 {
        stage.write("!fetch").await;
    }
    stage.open_tab("dead").await;
    stage.letters(3).await;
    stage.browser.click("#dead li:first-child .grave").await;
    stage.browser.wait("document.querySelector('#dead li:first-child .sure')").await;
    stage.browser.click("#dead-title").await;
    stage.browser.evaluate("document.activeElement.blur()").await;
    stage.browser.wait("!document.querySelector('#dead .sure')").await;
    assert_eq!(stage.browser.evaluate("document.querySelectorAll('#dead > li').length").await, 3);
    stage.browser.click("#dead li:first-child .grave").await;
    stage.browser.click("#dead li:first-child .grave").await;
    stage.announced("1 dead letter discarded").await;
    stage.letters(2).await;

    let choose = "(() => { const reason = document.querySelector('#dead-reason'); reason.value = $; \
         reason.dispatchEvent(new Event('change')); })()";
    stage.browser.evaluate(&choose.replace('$', "'panicked'")).await;
    stage.letters(0).await;
    stage.browser.wait("document.querySelector('#dead-all').hidden").await;
    stage.browser.evaluate(&choose.replace('$', "'failed'")).await;
    stage.letters(2).await;
    stage.browser.click("#dead-discard").await;
    stage.browser.click("#dead-discard").await;
    stage.announced("2 dead letters discarded").await;
    stage.letters(0).await;
    stage.close();
}

#[tokio::test]
async fn a_reminder_is_a_job_that_the_operator_cancels() {
    let mut stage = Stage::open("jobs").await;
    stage.write("!remind tea").await;
    stage.read("I will, in half an hour.").await;
    stage.open_tab("jobs").await;
    stage.browser.wait("document.querySelectorAll('#jobs > li').length === 2").await;
    let ring = "[...document.querySelectorAll('#jobs > li')].find((li) => li.querySelector('strong').textContent === 'ring')";
    let told = stage.browser.evaluate(&format!("{ring}.textContent")).await;
    let told = told.as_str().unwrap();
    assert!(told.starts_with("ringonce") && told.contains("Alice · "), "{told}");
    assert_eq!(stage.browser.evaluate(&format!("{ring}.querySelector('.said').textContent")).await, "tea");
    stage.browser.wait(&format!("/^in (29|30) min$/.test({ring}.querySelector('.state').textContent)")).await;
    let sweep = stage.browser.evaluate("document.querySelector('#jobs').textContent").await;
    assert!(sweep.as_str().unwrap().contains("daily 03:00 Europe/Berlin"), "{sweep}");
    stage.browser.evaluate(&format!("{ring}.querySelector('.pill').focus()")).await;
    stage.browser.press("Enter").await;
    stage.browser.press("Enter").await;
    stage.announced("ring is cancelled").await;
    stage.browser.wait("document.querySelectorAll('#jobs > li').length === 1").await;
    stage.close();
}

#[tokio::test]
async fn the_guarantees_in_force_are_shown() {
    let mut stage = Stage::open("guarantees").await;
    // By keyboard: the last of the tabs is to the left of the first.
    stage.browser.evaluate("document.querySelector('#tab-live').focus()").await;
    stage.browser.press("ArrowLeft").await;
    stage.browser.wait("document.querySelectorAll('#promises > div').length === 11").await;
    assert_eq!(stage.browser.evaluate("document.activeElement.id").await, "tab-promises");
    let row = "[...document.querySelectorAll('#promises > .limit')].find((row) => row.querySelector('dt').textContent === 'acceptance')";
    let told = stage.browser.evaluate(&format!("{row}.querySelector('dd').textContent")).await;
    assert_eq!(told, "A limit: in memory");
    assert_eq!(stage.text("#promises .why code").await, "EVENKEEL_JOURNAL");
    stage.close();
}

#[tokio::test]
async fn what_people_can_ask_for_is_listed() {
    let mut stage = Stage::open("specs").await;
    stage.browser.click("#specs-words summary").await;
    stage.browser.wait("document.querySelectorAll('#specs > li').length > 0").await;
    let list = "[...document.querySelectorAll('#specs > li .what')].map((what) => what.textContent)";
    let told = stage.browser.evaluate(list).await;
    assert!(told.as_array().unwrap().contains(&json!("!remind [text]")), "{told}");
    stage.assert_the_panel_fits().await;
    stage.browser.picture("commands-light").await;
    stage.close();
}

#[tokio::test]
async fn nothing_is_asked_while_nobody_looks() {
    let mut stage = Stage::open_with("asked", EAR).await;
    let seconds = "new Promise((done) => setTimeout(done, 2500))";
    stage.browser.evaluate(seconds).await;
    assert_eq!(stage.browser.evaluate("asked").await, json!([]), "the live view needs nothing of it");
    stage.open_tab("dead").await;
    stage.browser.wait("!document.querySelector('#dead-none').hidden").await;
    stage.write("!fetch").await;
    stage.letters(1).await;
    stage.open_tab("live").await;
    stage.browser.evaluate("asked.length = 0").await;
    stage.browser.evaluate(seconds).await;
    let asked = stage.browser.evaluate("asked.filter((path) => path.startsWith('/api/dead')).length").await;
    assert!(asked.as_u64().unwrap() <= 1, "one may have been under way: {asked}");
    stage.close();
}

#[tokio::test]
async fn the_panels_fit_every_screen() {
    let mut stage = Stage::open("panels").await;
    stage.browser.resize(1360, 880, false).await;
    for text in ["!fetch the tides of Kiel", "!fetch again, please", "!remind drink tea"] {
        stage.write(text).await;
    }
    stage.open_tab("dead").await;
    stage.letters(2).await;
    stage.browser.click("#dead-text").await;
    stage.browser.wait("document.querySelectorAll('#dead .said').length === 2").await;
    stage.browser.picture("dead-light").await;
    stage.open_tab("promises").await;
    stage.browser.wait("document.querySelector('#promises > div')").await;
    stage.browser.picture("guarantees-light").await;
    stage.browser.prefer("prefers-color-scheme", "dark").await;
    stage.open_tab("dead").await;
    stage.browser.click("#dead li:first-child .grave").await;
    stage.browser.picture("dead-dark").await;
    stage.open_tab("jobs").await;
    stage.browser.wait("document.querySelectorAll('#jobs > li').length === 2").await;
    stage.browser.picture("jobs-dark").await;
    stage.browser.prefer("prefers-reduced-motion", "reduce").await;
    stage.browser.resize(375, 720, true).await;
    stage.browser.evaluate("document.querySelector('#live-toggle').click()").await;
    for tab in ["promises", "jobs", "dead"] {
        stage.open_tab(tab).await;
        stage.assert_the_panel_fits().await;
    }
    stage.browser.picture("dead-phone").await;
    stage.browser.resize(320, 600, true).await;
    stage.assert_the_panel_fits().await;
    stage.assert_no_overflow().await;
    stage.close();
}
