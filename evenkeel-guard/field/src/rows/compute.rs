//! What keeps a core busy, and the same work in pieces that are small.

use std::io::{Read, Write};

use evenkeel_guard::Class::Compute;
use sha2::Digest;

use crate::row::{Row, blocks, harmless, here, spin};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = compression_rows();
    rows.extend(other_rows());
    rows.extend(harmless_rows());
    rows
}

/// Text that compresses as text does.
pub(super) fn text(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let words = ["the ", "guard ", "names ", "a ", "line ", "of ", "somebody's ", "program "];
    let mut text = Vec::new();
    while text.len() < length {
        text.extend(words[random.usize(..words.len())].as_bytes());
    }
    text
}

fn gzip(text: &[u8]) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    here!(encoder.write_all(text)).unwrap();
    here!(encoder.finish()).unwrap().len()
}

fn brotli(text: &[u8], quality: u32, window: u32) -> usize {
    let mut packed = Vec::new();
    here!(brotli::CompressorReader::new(text, 4096, quality, window).read_to_end(&mut packed)).unwrap();
    packed.len()
}

pub(super) fn png(width: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, width);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    let pixels: Vec<u8> = here!((0..width * width).map(|number| number.wrapping_mul(number) as u8).collect());
    here!(writer.write_image_data(&pixels)).unwrap();
    here!(writer.finish()).unwrap();
    bytes
}

fn compression_rows() -> Vec<Row> {
    vec![
        blocks("flate2", "compressing a megabyte", Compute, || {
            let text = text(1 << 20);
            async move { here!(spin(|| gzip(&text))) }
        }),
        blocks("brotli", "compressing", Compute, || {
            let text = text(1 << 18);
            async move { here!(spin(|| brotli(&text, 9, 20))) }
        }),
        blocks("lz4_flex", "compressing", Compute, || {
            let text = text(8 << 20);
            async move { here!(spin(|| lz4_flex::compress(&text).len())) }
        }),
        blocks("snap", "compressing", Compute, || {
            let text = text(8 << 20);
            async move { here!(spin(|| snap::raw::Encoder::new().compress_vec(&text).unwrap().len())) }
        }),
    ]
}

fn other_rows() -> Vec<Row> {
    vec![
        blocks("bcrypt", "hash", Compute, || async {
            here!(spin(|| bcrypt::hash_with_salt("secret", 8, [7; 16]).unwrap())).to_string()
        }),
        blocks("argon2", "hash_password_into", Compute, || async {
            let mut key = [0; 16];
            here!(spin(|| argon2::Argon2::default().hash_password_into(b"secret", b"some salt", &mut key)))
                .unwrap();
            key
        }),
        blocks("sha2", "Sha256 of megabytes", Compute, || {
            let text = text(4 << 20);
            async move { here!(spin(|| sha2::Sha256::digest(&text)))[0] }
        }),
        blocks("blake3", "hash of megabytes", Compute, || {
            let text = text(4 << 20);
            async move { here!(spin(|| blake3::hash(&text))).to_string() }
        }),
        blocks("png", "Encoder", Compute, || async { here!(spin(|| png(400).len())) }),
        blocks("serde_json", "parsing megabytes", Compute, || {
            let text = serde_json::to_string(&vec![super::text::cat(); 5000]).unwrap();
            async move { here!(spin(|| serde_json::from_str::<serde_json::Value>(&text).unwrap().is_array())) }
        }),
        blocks("regex", "compiling patterns", Compute, || async {
            here!(spin(|| regex::Regex::new(r"(\w+\s){20}").unwrap().as_str().len()))
        }),
        blocks("rand", "shuffling numbers", Compute, || async {
            use rand::{SeedableRng, seq::SliceRandom};
            let mut numbers: Vec<u32> = (0..100_000).collect();
            let mut random = rand::rngs::StdRng::seed_from_u64(7);
            here!(spin(|| numbers.shuffle(&mut random)));
            numbers.len()
        }),
        blocks("std", "sorting numbers", Compute, || {
            let mut random = fastrand::Rng::with_seed(7);
            let numbers: Vec<u64> = std::iter::repeat_with(|| random.u64(..)).take(200_000).collect();
            async move { here!(spin(|| sorted(&numbers)))[0] }
        }),
    ]
}

fn sorted(numbers: &[u64]) -> Vec<u64> {
    let mut numbers = here!(numbers.to_vec());
    here!(numbers.sort());
    numbers
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("flate2", "a kilobyte", || async { gzip(&text(1000)) }),
        harmless("brotli", "a kilobyte", || async { brotli(&text(1000), 1, 12) }),
        harmless("lz4_flex", "kilobytes, with yields", || async {
            let text = text(1000);
            let mut sum = 0;
            for _ in 0..20 {
                sum += lz4_flex::compress(&text).len();
                tokio::task::yield_now().await;
            }
            sum
        }),
        harmless("snap", "kilobytes, with yields", || async {
            let (text, mut encoder) = (text(1000), snap::raw::Encoder::new());
            let mut sum = 0;
            for _ in 0..20 {
                sum += encoder.compress_vec(&text).unwrap().len();
                tokio::task::yield_now().await;
            }
            sum
        }),
        harmless("png", "a small picture", || async { png(8).len() }),
        harmless("sha2", "kilobytes, with yields", || async {
            let text = text(1000);
            let mut hasher = sha2::Sha256::new();
            for _ in 0..20 {
                hasher.update(&text);
                tokio::task::yield_now().await;
            }
            hasher.finalize()[0]
        }),
        harmless("blake3", "a kilobyte", || async { blake3::hash(&text(1000)).to_string() }),
        harmless("bcrypt", "in spawn_blocking", || async {
            let hash = || bcrypt::hash_with_salt("secret", 4, [7; 16]).unwrap().to_string();
            tokio::task::spawn_blocking(hash).await.unwrap()
        }),
        harmless("std", "formatting, with yields", || async {
            let mut length = 0;
            for number in 0..50 {
                length += format!("{number:?} {length:?}").len();
                tokio::task::yield_now().await;
            }
            length
        }),
    ]
}
