//! Each kind of violation on a history made by hand, and each excuse beside it.

use super::*;

const TWO: Wants = Wants { parts: 2, early: 0, unknown: Unknown::Resend };

fn offered(message: u64) -> Happened {
    asks(message, Wants::parts(1))
}

fn asks(message: u64, wants: Wants) -> Happened {
    Happened::Offered { message, conversation: 7, wants }
}

fn taken(message: u64) -> Happened {
    Happened::Acknowledged { message }
}

fn reply(message: u64) -> Happened {
    part(message, 0, message)
}

fn part(message: u64, part: u8, run: u64) -> Happened {
    Happened::Replied { message, conversation: 7, part, run }
}

fn told(message: u64) -> Happened {
    Happened::Confirmed { message, part: 0 }
}

fn crashed(message: u64) -> Happened {
    Happened::Crashed { message }
}

/// Two round trips, so that what was seen before is settled.
fn trips(first: u64) -> Vec<Happened> {
    (first..first + 3).flat_map(|message| [offered(message), taken(message), reply(message)]).collect()
}

fn words(findings: &Findings) -> Vec<&'static str> {
    findings.violations.iter().map(|violation| violation.word()).collect()
}

#[track_caller]
fn check_words(history: &[Happened], expected: &[&str]) -> Findings {
    let findings = check(history, &Fates::default());
    assert_eq!(words(&findings), expected, "{findings:#?}");
    findings
}

#[test]
fn what_goes_well_is_clean() {
    let history = [offered(1), taken(1), offered(2), reply(1), taken(2), Happened::Killed, reply(2)];
    let findings = check_words(&history, &[]);
    assert!(findings.is_clean());
    assert_eq!((findings.offered, findings.acknowledged, findings.answered, findings.kills), (2, 2, 2, 1));
}

#[test]
fn an_acknowledged_message_without_an_answer_is_lost() {
    check_words(&[offered(1), taken(1), Happened::Killed], &["lost"]);
}

#[test]
fn what_was_never_acknowledged_is_lost_upstream() {
    assert_eq!(check_words(&[offered(1), Happened::Killed], &[]).upstream, 1);
}

#[test]
fn the_record_accounts_for_what_is_pending_or_dead() {
    let history = [offered(1), taken(1), asks(2, TWO), taken(2), part(2, 0, 5)];
    let fates = Fates { pending: [1].into(), dead: [2].into() };
    let findings = check(&history, &fates);
    assert!(findings.is_clean(), "{findings:#?}");
    assert_eq!((findings.pending, findings.dead), (1, 1));
}

#[test]
fn a_first_answer_after_that_of_a_later_message_is_reordered() {
    check_words(&[offered(1), offered(2), reply(2), reply(1)], &["reordered"]);
}

#[test]
fn conversations_do_not_wait_for_each_other() {
    let other = Happened::Offered { message: 2, conversation: 8, wants: Wants::parts(1) };
    let replied = Happened::Replied { message: 2, conversation: 8, part: 0, run: 0 };
    check_words(&[offered(1), other, replied, reply(1)], &[]);
}

#[test]
fn offering_again_changes_no_place() {
    check_words(&[offered(1), offered(2), Happened::Killed, offered(2), offered(1), reply(1), reply(2)], &[]);
}

#[test]
fn a_replayed_dead_letter_has_no_place_in_the_order() {
    let replayed = Happened::Replayed { message: 1 };
    check_words(&[offered(1), offered(2), reply(2), replayed, reply(1)], &[]);
}

#[test]
fn a_copy_within_one_life_is_duplicated() {
    check_words(&[offered(1), reply(1), reply(1)], &["duplicated"]);
}

#[test]
fn a_copy_of_what_was_under_way_at_a_kill_is_allowed_and_counted() {
    let findings = check_words(&[offered(1), taken(1), reply(1), Happened::Killed, reply(1)], &[]);
    assert_eq!(findings.repeated, 1);
}

#[test]
fn one_kill_excuses_one_copy() {
    check_words(&[offered(1), reply(1), Happened::Killed, reply(1), reply(1)], &["duplicated"]);
    let twice = [offered(1), reply(1), Happened::Killed, reply(1), Happened::Cut, reply(1)];
    assert_eq!(check_words(&twice, &[]).repeated, 2);
}

#[test]
fn a_copy_of_what_was_settled_before_the_kill_is_duplicated() {
    let mut history = vec![offered(1), taken(1), reply(1), told(1)];
    history.extend(trips(10));
    history.extend([Happened::Killed, reply(1)]);
    check_words(&history, &["duplicated"]);
}

#[test]
fn a_copy_of_what_the_bot_cannot_know_to_have_arrived_is_allowed() {
    let mut history = vec![offered(1), taken(1), reply(1)];
    history.extend(trips(10));
    history.extend([told(1), Happened::Killed, reply(1)]);
    assert_eq!(check_words(&history, &[]).repeated, 1);
}

#[test]
fn a_copy_that_the_author_did_not_want_is_duplicated() {
    let drop = Wants { unknown: Unknown::Drop, ..Wants::parts(1) };
    check_words(&[asks(1, drop), reply(1), Happened::Killed, reply(1)], &["duplicated"]);
}

#[test]
fn where_the_network_takes_each_answer_once_no_kill_excuses_a_copy_or_a_gap() {
    let once = Wants { unknown: Unknown::Once, ..Wants::parts(1) };
    check_words(&[asks(1, once), reply(1), Happened::Killed, reply(1)], &["duplicated"]);
    check_words(&[asks(1, once), taken(1), Happened::Killed], &["lost"]);
}

#[test]
fn an_unwanted_doubt_may_leave_one_answer_out_at_each_kill() {
    let drop = Wants { unknown: Unknown::Drop, ..Wants::parts(1) };
    let one = [asks(1, drop), taken(1), Happened::Killed];
    assert_eq!(check_words(&one, &[]).dropped, 1);
    check_words(&[asks(1, drop), taken(1), asks(2, drop), taken(2), Happened::Killed], &["lost"]);
}

#[test]
fn one_of_two_promised_answers_is_half() {
    check_words(&[asks(1, TWO), taken(1), part(1, 0, 5), Happened::Killed], &["half"]);
}

#[test]
fn two_promised_answers_in_the_wrong_order_are_reordered() {
    check_words(&[asks(1, TWO), part(1, 1, 5), part(1, 0, 5)], &["reordered"]);
}

#[test]
fn an_answer_made_twice_is_changed() {
    let history = [offered(1), part(1, 0, 5), Happened::Killed, part(1, 0, 6)];
    check_words(&history, &["changed"]);
    check_words(&[asks(1, TWO), part(1, 0, 5), Happened::Killed, part(1, 1, 6)], &["changed"]);
}

#[test]
fn an_early_answer_may_come_from_an_earlier_run() {
    let early = Wants { early: 1, ..TWO };
    check_words(&[asks(1, early), part(1, 0, 5), Happened::Killed, part(1, 1, 6)], &[]);
}

#[test]
fn an_answer_to_nothing_is_unoffered() {
    check_words(&[reply(1)], &["unoffered"]);
    check_words(&[taken(1)], &["unoffered"]);
    check_words(&[offered(1), part(1, 3, 1), reply(1)], &["unoffered"]);
    let elsewhere = Happened::Replied { message: 1, conversation: 8, part: 0, run: 1 };
    check_words(&[offered(1), elsewhere, reply(1)], &["unoffered"]);
}

#[test]
fn a_message_that_ends_the_process_a_fourth_time_is_endless() {
    let history = [offered(1), crashed(1), crashed(1), crashed(1), crashed(1), crashed(1), reply(1)];
    check_words(&history, &["endless"]);
    check_words(&[offered(1), crashed(1), crashed(1), Happened::Cut, crashed(1), crashed(1), reply(1)], &[]);
}

#[test]
fn a_million_messages_take_one_walk() {
    let mut history = Vec::new();
    for message in 0..1_000_000 {
        history.extend([offered(message), taken(message), reply(message)]);
    }
    assert_eq!(check(&history, &Fates::default()).answered, 1_000_000);
}

#[test]
fn a_dead_letter_that_never_ended_the_process_is_harmless() {
    let history = [offered(1), taken(1), offered(2), taken(2), crashed(1), crashed(1), crashed(1)];
    let fates = Fates { dead: [1, 2].into(), ..Fates::default() };
    let findings = check(&history, &fates);
    assert!(findings.is_clean());
    assert_eq!((findings.dead, findings.harmless), (2, 1));
}
