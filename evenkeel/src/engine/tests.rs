//! The engine against a record of its own of what was promised, over schedules that proptest makes up.

mod answers;
mod budget;
mod stopping;
mod trial;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::guarantee::OnUnknown;
use crate::retry::Retry;
use trial::{Move, Paging, Trial, Wishes};

/// This many schedules of each kind; `EVENKEEL_SCHEDULES` asks for more.
fn fixed_seed() -> ProptestConfig {
    let cases = std::env::var("EVENKEEL_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(4),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (0u8..4, any::<bool>()).prop_map(|(conversation, is_repeated)| Move::Arrive { conversation, is_repeated }),
        4 => (0u8..4, 1u8..4, 0u8..12).prop_map(|(conversation, messages, id)| Move::Say { conversation, messages, id }),
        10 => Just(Move::Write),
        8 => (any::<u8>(), 0u8..3, 0u8..8).prop_map(|(who, replies, jobs)| {
            // Most handlers plan nothing.
            Move::Succeed { who, replies, jobs: jobs.saturating_sub(4) }
        }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(who, is_transient)| Move::Fail { who, is_transient }),
        1 => any::<u8>().prop_map(|who| Move::Panic { who }),
        1 => any::<u8>().prop_map(|who| Move::CutShort { who }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(who, listens)| Move::ReplyNow { who, listens }),
        3 => any::<u8>().prop_map(|who| Move::Wait { who }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(who, takes)| Move::Offered { who, takes }),
        2 => any::<u8>().prop_map(|who| Move::Rejoin { who }),
        1 => any::<u8>().prop_map(|who| Move::Leave { who }),
        3 => any::<u8>().prop_map(|who| Move::CancelOthers { who }),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(who, is_done)| Move::Gone { who, is_done }),
        8 => (any::<u8>(), 0u8..8).prop_map(|(which, how)| Move::Deliver { which, how }),
        4 => (1u16..3_000).prop_map(|ms| Move::Pass { ms }),
        1 => any::<bool>().prop_map(|is_written| Move::End { is_written }),
        1 => any::<u8>().prop_map(|filter| Move::List { filter }),
        1 => any::<u8>().prop_map(|filter| Move::Replay { filter }),
        1 => any::<u8>().prop_map(|filter| Move::Discard { filter }),
        1 => any::<u8>().prop_map(|which| Move::Jobs { which }),
        1 => any::<u8>().prop_map(|which| Move::Cancel { which }),
    ];
    prop::collection::vec(one, 1..120)
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let retry = prop_oneof![
        2 => Just(Retry::strict()),
        1 => Just(Retry::relaxed()),
        1 => Just(Retry::park()),
        1 => Just(Retry::never()),
    ];
    let on_unknown = prop_oneof![Just(OnUnknown::Dead), Just(OnUnknown::Resend), Just(OnUnknown::Drop)];
    (retry, on_unknown, paging()).prop_map(|(retry, on_unknown, paging)| Wishes {
        retry,
        on_unknown,
        has_guilty: false,
        has_concurrent: false,
        paging,
    })
}

/// In pages of this many events, perhaps with room for few of them, or all at once.
fn paging() -> impl Strategy<Value = Option<Paging>> {
    let room_bytes = prop_oneof![2 => Just(usize::MAX), 1 => Just(0), 1 => Just(600)];
    let paging = (1usize..4, room_bytes).prop_map(|(limit, room_bytes)| Paging { limit, room_bytes });
    prop::option::weighted(0.75, paging)
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn every_event_and_reply_is_accounted_for_in_order_over_any_schedule(wishes in wishes(), moves in moves()) {
        Trial::new(wishes).run(moves);
    }

    #[test]
    fn concurrent_commands_wait_for_nobody_and_all_others_keep_their_order(wishes in wishes(), moves in moves()) {
        Trial::new(Wishes { has_concurrent: true, ..wishes }).run(moves);
    }

    #[test]
    fn only_the_event_that_ends_the_process_is_poison(wishes in wishes(), moves in moves()) {
        Trial::new(Wishes { has_guilty: true, ..wishes }).run(moves);
    }
}
