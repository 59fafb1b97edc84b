//! What differs from one processor to the next: registers, and how a call looks.

use std::ops::Range;

use framehop::UnwindRegsNative;

use crate::sys::{Registers, read_memory};

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Known(u64),
    /// Through a register, or a table of functions.
    Unknown,
}

#[cfg(target_arch = "x86_64")]
pub(super) fn registers(from: &Registers) -> UnwindRegsNative {
    UnwindRegsNative::new(from.program_counter, from.stack_pointer, from.frame_pointer)
}

#[cfg(target_arch = "aarch64")]
pub(super) fn registers(from: &Registers) -> UnwindRegsNative {
    // Pointer authentication writes a signature above the 48 bits of an address.
    let mask = framehop::aarch64::PtrAuthMask::from_max_known_address((1 << 48) - 1);
    UnwindRegsNative::new_with_ptr_auth_mask(mask, from.link, from.stack_pointer, from.frame_pointer)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn frame_pointer(registers: &UnwindRegsNative) -> u64 {
    registers.bp()
}

#[cfg(target_arch = "aarch64")]
pub(super) fn frame_pointer(registers: &UnwindRegsNative) -> u64 {
    registers.fp()
}

/// The target of the call that returns to an address; `None` if no call stands before it.
#[cfg(target_arch = "x86_64")]
pub(super) fn call_before(address: u64) -> Option<Target> {
    const MOST: usize = 7;
    let mut code = [0; MOST];
    if read_memory(address.checked_sub(MOST as u64)?, &mut code) < MOST {
        return None;
    }
    let displaced = |at: usize| {
        let bytes = code[at..].first_chunk::<4>().expect("both uses leave four bytes");
        address.wrapping_add_signed(i32::from_le_bytes(*bytes).into())
    };
    if code[2] == 0xE8 {
        return Some(Target::Known(behind_stub(displaced(3))));
    }
    if code[1..3] == [0xFF, 0x15] {
        return Some(read_word(displaced(3)).map_or(Target::Unknown, Target::Known));
    }
    // `call` through a register or through memory: opcode FF /2, with 0 to 5 bytes after its second one.
    (0..MOST - 1)
        .any(|at| code[at] == 0xFF && call_length(code[at + 1], code.get(at + 2)) == Some(MOST - at))
        .then_some(Target::Unknown)
}

/// The length of an instruction FF /2, by its second and third byte.
#[cfg(target_arch = "x86_64")]
fn call_length(form: u8, scale: Option<&u8>) -> Option<usize> {
    if (form >> 3) & 7 != 2 {
        return None;
    }
    let has_scale = form & 7 == 4;
    let without_base = scale.is_some_and(|scale| scale & 7 == 5);
    Some(match form >> 6 {
        3 => 2,
        0 if has_scale => {
            if without_base {
                7
            } else {
                3
            }
        }
        0 => {
            if form & 7 == 5 {
                6
            } else {
                2
            }
        }
        1 => 3 + usize::from(has_scale),
        _ => 6 + usize::from(has_scale),
    })
}

/// Looks through a stub of the procedure linkage table: `jmp *address(%rip)`, after an `endbr64` perhaps.
#[cfg(target_arch = "x86_64")]
fn behind_stub(target: u64) -> u64 {
    let mut code = [0; 11];
    let length = read_memory(target, &mut code);
    let code = &code[..length];
    let mut rest = code.strip_prefix(&[0xF3, 0x0F, 0x1E, 0xFA]).unwrap_or(code);
    rest = rest.strip_prefix(&[0xF2]).unwrap_or(rest);
    let Some(displacement) = rest.strip_prefix(&[0xFF, 0x25]).and_then(<[u8]>::first_chunk::<4>) else {
        return target;
    };
    let after = target + (length - rest.len() + 6) as u64;
    read_word(after.wrapping_add_signed(i32::from_le_bytes(*displacement).into())).unwrap_or(target)
}

/// Whether a function has a jump to an address. Reads instructions at any byte, and so may see one that is
/// not there; that takes four bytes which happen to be the right ones.
#[cfg(target_arch = "x86_64")]
pub(super) fn jumps_to(function: Range<u64>, address: u64) -> bool {
    let code = read_function(&function);
    code.windows(6).enumerate().any(|(at, window)| {
        let [first, second, a, b, c, d] = *window else { return false };
        let target = |bytes, length: u64| {
            (function.start + at as u64 + length).wrapping_add_signed(i32::from_le_bytes(bytes).into())
        };
        match (first, second) {
            (0xE9, _) => target([second, a, b, c], 5) == address,
            (0x0F, 0x80..=0x8F) => target([a, b, c, d], 6) == address,
            (0xFF, 0x25) => read_word(target([a, b, c, d], 6)) == Some(address),
            _ => false,
        }
    })
}

/// Whether a function has a jump to an address.
#[cfg(target_arch = "aarch64")]
pub(super) fn jumps_to(function: Range<u64>, address: u64) -> bool {
    let code = read_function(&function);
    let (instructions, _) = code.as_chunks::<4>();
    (function.start..).step_by(4).zip(instructions).any(|(at, code)| {
        let code = u32::from_le_bytes(*code);
        // `b`: 26 bits of a distance in words, with a sign.
        let words = (code << 6).cast_signed() >> 6;
        code & 0xFC00_0000 == 0x1400_0000 && at.wrapping_add_signed(i64::from(words) * 4) == address
    })
}

/// The code of a function, or as much of it as a function that jumps on is likely to have, with six bytes
/// more for an instruction that ends last.
fn read_function(function: &Range<u64>) -> Vec<u8> {
    const MOST: u64 = 4096;
    let length = function.end.saturating_sub(function.start).min(MOST) + 6;
    let mut code = vec![0; usize::try_from(length).unwrap_or_default()];
    let length = read_memory(function.start, &mut code);
    code.truncate(length);
    code
}

#[cfg(target_arch = "x86_64")]
fn read_word(at: u64) -> Option<u64> {
    let mut word = [0; 8];
    (read_memory(at, &mut word) == word.len()).then(|| u64::from_le_bytes(word))
}

/// The target of the call that returns to an address; `None` if no call stands before it.
#[cfg(target_arch = "aarch64")]
pub(super) fn call_before(address: u64) -> Option<Target> {
    let mut code = [0; 4];
    let at = address.checked_sub(4)?;
    if read_memory(at, &mut code) < code.len() {
        return None;
    }
    let code = u32::from_le_bytes(code);
    if code & 0xFC00_0000 == 0x9400_0000 {
        // `bl`: 26 bits of a distance in words, with a sign.
        let words = (code << 6).cast_signed() >> 6;
        return Some(Target::Known(at.wrapping_add_signed(i64::from(words) * 4)));
    }
    // `blr`, and its kin that authenticate the pointer first.
    let is_indirect = code & 0xFFFF_FC1F == 0xD63F_0000 || code & 0xFEFF_F800 == 0xD63F_0800;
    is_indirect.then_some(Target::Unknown)
}
