//! Moments and durations.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::duration;
use crate::evaluate::Steps;
use crate::fault::Fault;
use crate::functions::{Function, Part};
use crate::value::Value;

/// `duration`, `timestamp`.
pub fn convert<'a>(function: Function, one: Value<'a>, steps: &mut Steps) -> Result<Value<'a>, Fault> {
    if let Value::Text(text) = &one {
        steps.spend_bytes(text.len())?;
    }
    match (function, one) {
        (Function::ToDuration, Value::Text(text)) => {
            duration::parse(&text).map(Value::Duration).ok_or(Fault::Malformed("duration"))
        }
        (Function::ToDuration, Value::Duration(length)) => Ok(Value::Duration(length)),
        (Function::ToTimestamp, Value::Text(text)) => {
            text.parse::<Timestamp>().map(Value::Timestamp).map_err(|_| Fault::Malformed("timestamp"))
        }
        (Function::ToTimestamp, Value::Int(seconds)) => {
            Timestamp::from_second(seconds).map(Value::Timestamp).map_err(|_| Fault::Range("timestamp"))
        }
        (Function::ToTimestamp, Value::Timestamp(moment)) => Ok(Value::Timestamp(moment)),
        (Function::ToDuration, _) => Err(Fault::NoOverload("duration")),
        _ => Err(Fault::NoOverload("timestamp")),
    }
}

/// Of a moment in UTC; of a duration as a whole, but for milliseconds, which are those beyond its seconds.
pub fn part<'a>(part: Part, of: &Value<'_>) -> Result<Value<'a>, Fault> {
    let number = match of {
        Value::Timestamp(moment) => of_moment(part, *moment),
        Value::Duration(length) => match part {
            Part::Hours => length.as_hours(),
            Part::Minutes => length.as_mins(),
            Part::Seconds => length.as_secs(),
            Part::Milliseconds => i64::from(length.subsec_millis()),
            _ => return Err(Fault::NoOverload("a part of a moment")),
        },
        _ => return Err(Fault::NoOverload("a part of a moment")),
    };
    Ok(Value::Int(number))
}

fn of_moment(part: Part, moment: Timestamp) -> i64 {
    let time = moment.to_zoned(TimeZone::UTC);
    match part {
        Part::FullYear => i64::from(time.year()),
        Part::Month => i64::from(time.month()) - 1,
        Part::Date => i64::from(time.day()),
        Part::DayOfMonth => i64::from(time.day()) - 1,
        Part::DayOfWeek => i64::from(time.weekday().to_sunday_zero_offset()),
        Part::DayOfYear => i64::from(time.day_of_year()) - 1,
        Part::Hours => i64::from(time.hour()),
        Part::Minutes => i64::from(time.minute()),
        Part::Seconds => i64::from(time.second()),
        Part::Milliseconds => i64::from(time.millisecond()),
    }
}
