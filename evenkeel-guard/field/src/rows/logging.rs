//! Logs, metrics and terminals.

use std::fs;
use std::io::Write;

use evenkeel_guard::Class::{Contention, File};
use log::Log;

use crate::row::{Row, blocks, harmless, here, scratch};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = blocking_rows();
    rows.extend(harmless_rows());
    rows
}

fn record() -> log::Record<'static> {
    log::Record::builder().level(log::Level::Error).target("row").args(format_args!("a line")).build()
}

fn blocking_rows() -> Vec<Row> {
    vec![
        blocks("tracing-appender", "rolling::never", File, || {
            let folder = scratch("logs");
            fs::create_dir(&folder).unwrap();
            let mut appender = tracing_appender::rolling::never(folder, "log");
            async move { here!(appender.write_all(b"a line\n")).unwrap() }
        }),
        blocks("tracing-subscriber", "fmt into a file", File, || {
            let opened = std::sync::Mutex::new(fs::File::create(scratch("log")).unwrap());
            let subscriber = tracing_subscriber::fmt().with_writer(opened).finish();
            async move {
                let _here = tracing::subscriber::set_default(subscriber);
                here!(tracing::error!("a line"));
            }
        }),
        blocks("env_logger", "a file", File, || {
            let opened = Box::new(fs::File::create(scratch("log")).unwrap());
            let logger = env_logger::Builder::new().target(env_logger::Target::Pipe(opened)).build();
            async move { here!(logger.log(&record())) }
        })
        .beside(&[Contention]),
        blocks("fern", "a file", File, || {
            let opened = fern::log_file(scratch("log")).unwrap();
            let (_, logger) = fern::Dispatch::new().chain(opened).into_log();
            async move { here!(logger.log(&record())) }
        }),
        blocks("prometheus", "TextEncoder into a file", File, || {
            let registry = prometheus::Registry::new();
            let counter = prometheus::IntCounter::new("calls", "Calls").unwrap();
            registry.register(Box::new(counter)).unwrap();
            let mut opened = fs::File::create(scratch("metrics")).unwrap();
            async move {
                use prometheus::Encoder;
                let families = registry.gather();
                here!(prometheus::TextEncoder::new().encode(&families, &mut opened)).unwrap();
            }
        }),
    ]
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("tracing-subscriber", "fmt into nothing", || {
            let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
            let subscriber = tracing::Dispatch::new(subscriber);
            async move {
                for number in 0..20 {
                    tracing::dispatcher::with_default(&subscriber, || tracing::error!(number, "a line"));
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("tracing-appender", "non_blocking", || {
            let (mut writer, guard) = tracing_appender::non_blocking(std::io::sink());
            async move {
                for _ in 0..20 {
                    writer.write_all(b"a line\n").unwrap();
                    tokio::task::yield_now().await;
                }
                // Its end waits for the thread that writes.
                drop(tokio::task::spawn_blocking(move || drop(guard)));
            }
        }),
        harmless("env_logger", "into nothing", || {
            let target = env_logger::Target::Pipe(Box::new(std::io::sink()));
            let logger = env_logger::Builder::new().target(target).build();
            async move {
                for _ in 0..20 {
                    logger.log(&record());
                    tokio::task::yield_now().await;
                }
            }
        }),
        harmless("fern", "into nothing", || {
            let (_, logger) =
                fern::Dispatch::new().chain(Box::new(std::io::sink()) as Box<dyn Write + Send>).into_log();
            async move { logger.log(&record()) }
        }),
        harmless("indicatif", "a hidden bar", || async {
            let bar = indicatif::ProgressBar::hidden();
            for _ in 0..20 {
                bar.inc(1);
                tokio::task::yield_now().await;
            }
            bar.finish();
            bar.position()
        }),
        harmless("prometheus", "TextEncoder into memory", || async {
            let registry = prometheus::Registry::new();
            let counter = prometheus::IntCounter::new("calls", "Calls").unwrap();
            registry.register(Box::new(counter.clone())).unwrap();
            counter.inc();
            prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
        }),
    ]
}
