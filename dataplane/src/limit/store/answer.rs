//! What the store says.

use std::time::Duration;

use redis::Value;

/// Whole numbers of each limit in an answer.
const NUMBERS: usize = 5;
/// Nobody waits for longer: the longest month and a day.
const MAX_WAIT_MS: i64 = 32 * 86_400 * 1_000;

/// What it says of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether there was one to be had of this limit.
    pub is_taken: bool,
    pub left: u32,
    /// When there is more.
    pub until: Duration,
    /// The day or month that it is about; 0 of windows.
    pub number: u64,
    /// How much of it is used.
    pub used: u32,
}

/// The answers for so many limits; what they are instead, if they are none.
pub(super) fn read(value: &Value, count: usize) -> Result<Vec<Answer>, String> {
    let Value::Array(values) = value else { return Err("it does not answer with a list".to_owned()) };
    if values.len() != count * NUMBERS {
        return Err(format!("it answers with {} numbers, and not with {}", values.len(), count * NUMBERS));
    }
    values.chunks_exact(NUMBERS).map(one).collect()
}

/// Whether what was seen had not been seen before.
pub(super) fn is_first(value: &Value) -> Result<bool, String> {
    match value {
        Value::Int(1) => Ok(true),
        Value::Int(2..) => Ok(false),
        _ => Err("it does not answer with how often that was seen".to_owned()),
    }
}

fn one(numbers: &[Value]) -> Result<Answer, String> {
    let number = |value: &Value| match value {
        Value::Int(number) => Ok(*number),
        _ => Err("it answers with something else than numbers".to_owned()),
    };
    let numbers = numbers.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    let [taken @ (0 | 1), left, until_ms, period, used] = numbers[..] else {
        return Err("it says neither that it is taken, nor that it is not".to_owned());
    };
    let whole = |number: i64| u32::try_from(number).map_err(|_| format!("it answers with {number} requests"));
    let until_ms = u64::try_from(until_ms.clamp(0, MAX_WAIT_MS)).unwrap_or_default();
    Ok(Answer {
        is_taken: taken == 1,
        left: whole(left)?,
        until: Duration::from_millis(until_ms),
        number: u64::try_from(period).map_err(|_| format!("it tells of period {period}"))?,
        used: whole(used)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[i64]) -> Value {
        Value::Array(numbers.iter().map(|number| Value::Int(*number)).collect())
    }

    #[test]
    fn five_numbers_are_read_for_each() {
        let answers = read(&numbers(&[1, 9, 1500, 0, 0, 0, 0, 99, 7, 3]), 2).unwrap();
        let expected = Answer { is_taken: true, left: 9, until: Duration::from_millis(1500), number: 0, used: 0 };
        assert_eq!(answers[0], expected);
        assert_eq!((answers[1].is_taken, answers[1].number, answers[1].used), (false, 7, 3));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (value, count) in [
            (Value::Nil, 1),
            (Value::Okay, 1),
            (Value::Int(1), 1),
            (numbers(&[]), 1),
            (numbers(&[1, 9, 1500, 0]), 1),
            (numbers(&[1, 9, 1500, 0, 0]), 2),
            (numbers(&[2, 9, 1500, 0, 0]), 1),
            (numbers(&[1, -1, 1500, 0, 0]), 1),
            (numbers(&[1, 1, 1500, -1, 0]), 1),
            (numbers(&[1, 1, 1500, 0, i64::MAX]), 1),
            (Value::Array(vec![Value::SimpleString("1".into()); 5]), 1),
        ] {
            assert!(read(&value, count).is_err(), "{value:?}");
        }
    }

    #[test]
    fn what_was_seen_once_was_seen_first() {
        assert_eq!(is_first(&Value::Int(1)), Ok(true));
        assert_eq!(is_first(&Value::Int(2)), Ok(false));
        assert_eq!(is_first(&Value::Int(i64::MAX)), Ok(false));
        for value in [Value::Int(0), Value::Int(-1), Value::Nil, Value::Okay, Value::BulkString(b"1".to_vec())] {
            assert!(is_first(&value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn nobody_waits_for_longer_than_a_month() {
        assert_eq!(read(&numbers(&[0, 0, i64::MAX, 0, 0]), 1).unwrap()[0].until, Duration::from_secs(32 * 86_400));
        assert_eq!(read(&numbers(&[0, 0, -5, 0, 0]), 1).unwrap()[0].until, Duration::ZERO);
    }
}
