//! Hexadecimal digits, all of a word at once.
//!
//! Without a branch or a table for each digit, in words and arrays of a known length: a `traceparent` is parsed with INSTR_PARSE
//! instructions and formatted with INSTR_FORMAT, digit by digit with 536 and 247.

/// A byte in each place of a word.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The eight lower-case digits of a number.
pub(super) fn digits(number: u32) -> [u8; 8] {
    // Half a byte into each byte of the word.
    let word = u64::from(number);
    let word = (word << 16 | word) & 0x0000_ffff_0000_ffff;
    let word = (word << 8 | word) & 0x00ff_00ff_00ff_00ff;
    let word = (word << 4 | word) & each(0x0f);
    let is_letter = (word + each(6)) >> 4 & each(1);
    (word + each(b'0') + is_letter * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// The numbers that each eight lower-case digits say; `None` where one of all is none.
pub(super) fn numbers(digits: &[u8; 64]) -> Option<[u32; 8]> {
    let mut halves = [0; 64];
    let mut all_valid = true;
    for (half, digit) in halves.iter_mut().zip(digits) {
        let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        *half = if number < 10 { number } else { letter.wrapping_add(10) };
        all_valid &= number < 10 || letter < 6;
    }
    if !all_valid {
        return None;
    }
    let mut numbers = [0; 8];
    for (number, halves) in numbers.iter_mut().zip(halves.chunks_exact(8)) {
        let word = u64::from_be_bytes(halves.try_into().unwrap_or_default());
        let word = (word >> 4 | word) & 0x00ff_00ff_00ff_00ff;
        let word = (word >> 8 | word) & 0x0000_ffff_0000_ffff;
        *number = (word >> 16 | word) as u32;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [0, 1, 0x9a9a_9a9a, 0x0123_4567, 0x89ab_cdef, u32::MAX] {
            assert_eq!(digits(number), format!("{number:08x}").as_bytes());
        }
    }

    #[test]
    fn every_byte_that_is_no_digit_is_refused_at_every_place() {
        for place in 0..64 {
            for byte in 0..=255 {
                let mut text = [b'0'; 64];
                text[place] = byte;
                let expected = char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
                let found = numbers(&text).map(|numbers| numbers[place / 8]);
                assert_eq!(found, expected.map(|digit| digit << (4 * (7 - place % 8))), "{byte} at {place}");
            }
        }
    }
}
