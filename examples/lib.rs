//! Evenkeel, one idea at a time. Run one with `cargo run -p evenkeel-examples --example hello`.
//!
//! | example | idea |
//! |---|---|
//! | `01_hello` | a bot in ten lines, in the browser |
//! | `02_captures` | what the groups of a pattern caught, as types |
//! | `03_state` | what handlers share |
//! | `04_middleware` | code around handlers |
//! | `05_groups` | who and where: groups, mentions, reactions, allow-lists |
//! | `06_files` | files in and out, edits, work that takes long or blocks |
//! | `07_testing` | a bot's tests: no network, no waiting |
//! | `08_own_transport` | a network of one's own, over TCP |
//! | `09_signal` | the same bot on Signal |
//! | `10_weather` | limiter, breaker, HTTP, reply and offloaded work in one command |
//! | `11_reminders` | jobs: once, each day, listed, cancelled |
//! | `12_pizza` | questions, a payment that happens once, attempts, dead letters |
//! | `signal_bench` | the bot that measurements use |

#![forbid(unsafe_code)]

#[cfg(test)]
mod specs;
