//! One JSON object, its fields in the order in which they are put.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

/// An object being written.
pub struct Line(String);

impl Line {
    pub fn new() -> Self {
        Self("{".into())
    }

    pub fn put<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Self {
        let value = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
        self.raw(key, &value)
    }

    pub fn text(self, key: &str, value: &dyn Display) -> Self {
        self.put(key, &value.to_string())
    }

    pub fn maybe_text<T: Display>(self, key: &str, value: Option<&T>) -> Self {
        self.put(key, &value.map(ToString::to_string))
    }

    /// Rounded to `digits` after the point; what is not a number is unknown.
    pub fn number(self, key: &str, value: Option<f64>, digits: i32) -> Self {
        let scale = 10_f64.powi(digits);
        self.put(key, &value.filter(|value| value.is_finite()).map(|value| (value * scale).round() / scale))
    }

    pub fn single(self, key: &str, value: Option<f32>, digits: i32) -> Self {
        self.number(key, value.map(f64::from), digits)
    }

    pub fn ms(self, key: &str, value: f64) -> Self {
        self.maybe_ms(key, Some(value))
    }

    pub fn maybe_ms(self, key: &str, value: Option<f64>) -> Self {
        self.number(key, value, 3)
    }

    pub fn duration(self, key: &str, value: Duration) -> Self {
        self.ms(key, ms_of(value))
    }

    pub fn object(self, key: &str, object: Line) -> Self {
        let object = object.close();
        self.raw(key, &object)
    }

    pub fn objects(self, key: &str, rows: Vec<Line>) -> Self {
        let rows: Vec<String> = rows.into_iter().map(Line::close).collect();
        self.raw(key, &format!("[{}]", rows.join(",")))
    }

    /// The fields of another process's answer; whatever is not an object becomes `answer`.
    pub fn merge(self, answer: &serde_json::Value) -> Self {
        match answer.as_object() {
            Some(fields) => {
                let ours = ["event", "t_ms", "mono_ms"];
                fields
                    .iter()
                    .filter(|(key, _)| !ours.contains(&key.as_str()))
                    .fold(self, |line, (key, value)| line.put(key, value))
            }
            None => self.put("answer", answer),
        }
    }

    fn raw(mut self, key: &str, value: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&format!("{key:?}:{value}"));
        self
    }

    fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }

    pub fn finish(self) -> String {
        self.close() + "\n"
    }
}

/// Milliseconds.
pub fn ms_of(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
