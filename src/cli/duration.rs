//! Times on the command line.

use std::time::Duration;

/// The longest time that can be said, a hundred years: clocks can still add it to what they show.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A time as kubectl writes it: a number with `ms`, `s`, `m` or `h`, several of them, or just seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => with_units(text)
            .ok_or_else(|| format!("`{text}` is no time: write for example 10s or 1m30s"))?,
    };
    if time > MAX_DURATION {
        Err(format!("`{text}` is more than a hundred years"))
    } else {
        Ok(time)
    }
}

fn with_units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |length| digits + length);
        let number: u32 = rest[..digits].parse().ok()?;
        let one = match &rest[digits..unit] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        total = total.checked_add(one.checked_mul(number)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kubectls() {
        let longest = 100 * 365 * 24 * 3_600_000;
        let table = [
            ("30", 30_000),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("250ms", 250),
            ("0", 0),
            ("876000h", longest),
        ];
        for (text, milliseconds) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["", "s", "10x", "-1s", "1.5s", "99999999999h", "876001h", "18446744073709551615"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
