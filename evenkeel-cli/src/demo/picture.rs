//! Pictures of a few colours, as PNG.
//!
//! Source: <https://www.w3.org/TR/png-3/>; the pixels are stored uncompressed, which RFC 1950 and 1951 allow.

/// The colours, by index: paper, line, five inks.
const PALETTE: [[u8; 3]; 7] = [
    [0xfa, 0xf8, 0xf4],
    [0xc9, 0xc4, 0xba],
    [0x2f, 0x6d, 0x80],
    [0xd9, 0x7b, 0x4a],
    [0x5b, 0x8c, 0x5a],
    [0x8d, 0x5a, 0x97],
    [0xc2, 0x4d, 0x57],
];
const LINE: u8 = 1;
const INK: u8 = 2;
const INKS: u64 = 5;

/// A picture whose pixels are indices into the palette.
pub(super) struct Picture {
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    fn new(width: usize, height: usize) -> Self {
        Self { width, pixels: vec![0; width * height] }
    }

    /// One bar for each number, the largest as high as the picture.
    pub(super) fn of_bars(numbers: &[u32]) -> Self {
        const HEIGHT: usize = 180;
        let bar = (320 / numbers.len().max(1)).clamp(6, 60);
        let mut picture = Self::new(bar * numbers.len() + 20, HEIGHT + 20);
        let largest = numbers.iter().copied().max().unwrap_or(1).max(1) as usize;
        for (place, number) in numbers.iter().enumerate() {
            let height = *number as usize * HEIGHT / largest;
            picture.fill(10 + place * bar + 1, 10 + HEIGHT - height, bar - 2, height, INK);
        }
        picture.fill(10, 10 + HEIGHT, bar * numbers.len(), 2, LINE);
        picture
    }

    /// A pattern that is the same left and right, made from a name.
    pub(super) fn of_person(id: &str) -> Self {
        const CELL: usize = 32;
        let mut picture = Self::new(CELL * 6, CELL * 6);
        let chance = hash(id);
        let ink = INK + (chance % INKS) as u8;
        for (cell, place) in (0..15).map(|cell| (cell, 16 + cell as u64)) {
            if (chance >> place) & 1 == 1 {
                let (column, row) = (cell % 3, cell / 3);
                for column in [column, 4 - column] {
                    picture.fill(CELL / 2 + column * CELL, CELL / 2 + row * CELL, CELL, CELL, ink);
                }
            }
        }
        picture
    }

    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, colour: u8) {
        for row in self.pixels.chunks_mut(self.width).skip(top).take(height) {
            row.iter_mut().skip(left).take(width).for_each(|pixel| *pixel = colour);
        }
    }

    /// The bytes of a PNG file.
    pub(super) fn png(&self) -> Vec<u8> {
        let height = self.pixels.len() / self.width;
        let mut header = Vec::with_capacity(13);
        header.extend((self.width as u32).to_be_bytes());
        header.extend((height as u32).to_be_bytes());
        // Eight bits, indexed colour, and the only compression, filter method and interlacing there is need of.
        header.extend([8, 3, 0, 0, 0]);
        let mut rows = Vec::with_capacity(self.pixels.len() + height);
        for row in self.pixels.chunks(self.width) {
            rows.push(0);
            rows.extend(row);
        }
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut file, b"IHDR", &header);
        chunk(&mut file, b"PLTE", PALETTE.as_flattened());
        chunk(&mut file, b"IDAT", &stored(&rows));
        chunk(&mut file, b"IEND", &[]);
        file
    }
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(kind);
    file.extend(data);
    let check = crc32(&file[start..]);
    file.extend(check.to_be_bytes());
}

/// A zlib stream of blocks that are stored as they are, 64 KiB at most each.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |check, byte| {
        (0..8).fold(check ^ u32::from(*byte), |check, _| {
            (check >> 1) ^ (0xedb8_8320 & (check & 1).wrapping_neg())
        })
    })
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    (high << 16) | low
}

/// FNV-1a: short, and the same on every computer.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of RFC 1950 and of the PNG specification's sample code for these words.
    #[test]
    fn checksums_are_the_published_ones() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_large_picture_takes_several_blocks() {
        let stream = stored(&[7; 70_000]);
        assert_eq!(stream.len(), 2 + 5 + 65_535 + 5 + (70_000 - 65_535) + 4);
        assert_eq!((stream[2], stream[2 + 5 + 65_535]), (0, 1));
    }

    #[test]
    fn a_chart_is_a_png_of_the_promised_size() {
        let png = Picture::of_bars(&[0, 5, 10]).png();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&png[16..24], [[0, 0, 0, 200], [0, 0, 0, 200]].as_flattened());
        assert!(png.ends_with(&0xae42_6082_u32.to_be_bytes()));
    }
}
