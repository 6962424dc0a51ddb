//! Durations on the command line.

use std::time::Duration;

/// A hundred years, so that `Instant` and `Timestamp` arithmetic cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Parses a duration as kubectl does: numbers with `ms`, `s`, `m` or `h`, or only seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => parse_units(text).ok_or_else(|| {
            format!("invalid duration `{text}`: expected for example 10s or 1m30s")
        })?,
    };
    if time > MAX_DURATION {
        Err(format!("invalid duration `{text}`: the maximum is 100 years"))
    } else {
        Ok(time)
    }
}

fn parse_units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |length| digits + length);
        let number: u32 = rest[..digits].parse().ok()?;
        let factor = match &rest[digits..unit] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        total = total.checked_add(factor.checked_mul(number)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_durations_as_kubectl_does() {
        let max = 100 * 365 * 24 * 3_600_000;
        let table = [
            ("30", 30_000),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("250ms", 250),
            ("0", 0),
            ("876000h", max),
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
